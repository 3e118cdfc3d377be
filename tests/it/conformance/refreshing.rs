//! The refresh-token modules of the suite, which are part of no certification: what comes with a
//! refresh is held to what came with the sign-in (OIDC Core §12.2).

use serde_json::json;

use super::{person, provider, sign_in};
use crate::support::{
    app::TestApp,
    fake_upstream::{Algorithm, Endpoint, Misbehaviour, Refreshes},
    journey::{redeem, refresh},
};

/// Name, what is wrong with the refreshed ID token, and why the session ends then.
type Row = (&'static str, fn(&mut Misbehaviour), Option<&'static str>);

const TABLE: [Row; 3] = [
    ("oidcc-client-test-refresh-token", |_| {}, None),
    (
        "oidcc-client-test-refresh-token-invalid-issuer",
        |lies| {
            lies.claims.set("iss", "https://somebody-else.test");
        },
        Some("id_token_issuer"),
    ),
    (
        "oidcc-client-test-refresh-token-invalid-sub",
        |lies| {
            lies.claims.set("sub", "8");
        },
        Some("upstream_refresh_subject"),
    ),
];

/// The person is confirmed by the upstream's own refresh token, or is out.
#[tokio::test(flavor = "multi_thread")]
async fn refresh_tokens() {
    for (name, lie, reason) in TABLE {
        let upstream = provider(Algorithm::Rs256).await;
        upstream.set_refreshes(Refreshes::Rotating);
        let builder = TestApp::builder();
        let app = builder.upstream("op", &upstream, "max_staleness = \"10m\"").start().await;
        let code = sign_in(&mut app.browser()).await.param("code").unwrap();
        let token = redeem(&app, "web", &code).await.text("refresh_token");
        app.clock.advance(300);
        upstream.clear_requests();
        let mut renamed = person();
        renamed["name"] = json!("Carol Renamed");
        upstream.set_person(renamed);
        upstream.misbehave(lie);
        let answer = refresh(&app, "web", &token).await;
        assert_eq!(upstream.count(Endpoint::Token), 1, "{name}");
        let asked = upstream.requests_to(Endpoint::Token);
        assert_eq!(asked[0].param("grant_type"), Some("refresh_token"), "{name}");
        // UserInfo is asked with the new access token, if there is a reason to.
        let told = upstream.count(Endpoint::Userinfo);
        let alive = app.count("sessions WHERE ended_at IS NULL").await;
        let renamed = app.count("users WHERE name = 'Carol Renamed'").await;
        match reason {
            None => {
                assert_eq!((answer.status.as_u16(), alive), (200, 1), "{name}");
                assert_eq!((told, renamed), (1, 1), "{name}");
                assert_eq!(app.refusals("lease").await, Vec::<String>::new(), "{name}");
            }
            Some(reason) => {
                answer.assert_error(400, "invalid_grant");
                assert_eq!((alive, told, renamed), (0, 0, 0), "{name}: nothing was taken over");
                assert_eq!(app.refusals("lease").await, [reason], "{name}");
            }
        }
    }
}

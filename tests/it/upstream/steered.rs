//! What people send along with their requests has no say in where we go with ours.

use super::{SESSION_COOKIE, sign_in_at};
use crate::support::{
    app::{ISSUER, TestApp},
    browser::Browser,
    fake_upstream::{Endpoint, FakeUpstream},
};

/// Headers with which proxies, frameworks and their attackers name another host.
const HEADERS: [&str; 18] = [
    "forwarded",
    "x-forwarded-host",
    "x-forwarded-server",
    "x-forwarded-proto",
    "x-forwarded-port",
    "x-forwarded-prefix",
    "x-forwarded-for",
    "x-host",
    "x-http-host-override",
    "x-original-host",
    "x-original-url",
    "x-rewrite-url",
    "x-upstream",
    "x-backend",
    "x-issuer",
    "x-zitadel-forward-host",
    "proxy",
    "via",
];

/// The value of such a header that would lead to this place.
fn value_of(header: &str, place: &str) -> String {
    let host = place.trim_start_matches("http://");
    match header {
        "forwarded" => format!("for=127.0.0.1;host={host};proto=http"),
        "x-forwarded-proto" => "http".to_owned(),
        "x-forwarded-port" => host.rsplit_once(':').unwrap().1.to_owned(),
        "x-original-url" | "x-rewrite-url" | "x-issuer" | "proxy" => place.to_owned(),
        _ => host.to_owned(),
    }
}

fn steered(app: &TestApp, headers: &[&str], place: &str) -> Browser {
    let mut browser = app.browser();
    for header in headers {
        browser.set_header(header, &value_of(header, place));
    }
    browser
}

/// SF-06: no header changes whom we ask, or where the upstream sends the person back to; from a proxy
/// that is trusted neither.
#[tokio::test(flavor = "multi_thread")]
async fn no_header_leads_us_elsewhere() {
    let (kc, evil) = (FakeUpstream::start().await, FakeUpstream::start().await);
    for proxies in ["[]", "[\"10.0.0.0/8\"]"] {
        let server = format!("[server]\nissuer = {ISSUER:?}\ntrusted_proxies = {proxies}");
        let app = TestApp::builder().config(&server).upstream("kc", &kc, "").start().await;
        let each = HEADERS.map(|header| vec![header]);
        for headers in each.into_iter().chain([HEADERS.to_vec()]) {
            // Everything that is kept is fetched anew.
            app.clock.advance(7_200);
            app.app.keys.refresh(&app.app.store, app.app.now()).await.unwrap();
            kc.clear_requests();
            let mut browser = steered(&app, &headers, &evil.origin());
            let journey = sign_in_at(&mut browser, "kc").await;
            let landing = journey.stopped_at.as_ref().map(|url| url.host_str().unwrap());
            assert_eq!(landing, Some("web.test"), "{proxies} {headers:?}: {:?}", journey.hops());
            assert!(browser.cookies().get(SESSION_COOKIE).is_some());
            let back = Some("https://id.test/upstream/kc/callback");
            for endpoint in [Endpoint::Authorize, Endpoint::Token] {
                let asked = kc.requests_to(endpoint);
                assert_eq!(asked.len(), 1, "{headers:?}: {endpoint:?}");
                assert_eq!(asked[0].param("redirect_uri"), back, "{headers:?}");
            }
            for endpoint in [Endpoint::Discovery, Endpoint::Jwks] {
                assert_eq!(kc.count(endpoint), 1, "{headers:?}: {endpoint:?}");
            }
            let sent = kc.requests_to(Endpoint::Token).remove(0).headers;
            assert!(headers.iter().all(|header| !sent.contains_key(*header)), "{sent:?}");
        }
    }
    assert!(evil.requests().is_empty(), "{:?}", evil.requests());
}

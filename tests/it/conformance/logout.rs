//! RP-Initiated Logout RP and Back-Channel Logout RP: people who sign out here sign out there, and
//! the provider says whose session has ended.

use keywright::keys::parse_unverified;
use serde_json::{Map, Value, json};
use url::Url;

use super::sign_in;
use crate::{
    sessions::form_token,
    support::{
        app::{Answer, TestApp},
        browser::Browser,
        fake_upstream::{CLIENT_ID, Endpoint, FakeUpstream},
    },
    upstream::SESSION_COOKIE,
};

const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";
const BACK: &str = "https://id.test/upstream/op/signed-out";

/// What the provider does with the `state` on the way back.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum State {
    Kept,
    Another,
    None,
}

/// RP-Initiated Logout RP.
pub(super) const STATES: [(&str, State); 3] = [
    ("oidcc-client-test-rp-init-logout", State::Kept),
    ("oidcc-client-test-rp-init-logout-other-state", State::Another),
    ("oidcc-client-test-rp-init-logout-no-state", State::None),
];

/// Front-Channel Logout RP.
pub(super) const FRONT_CHANNEL: &str = "oidcc-client-test-rp-frontchannel-rpinitlogout";

/// How a logout token is signed.
#[derive(Clone, Copy)]
enum Signed {
    Honestly,
    Not,
    /// With an algorithm that the provider's keys are not for.
    WithAnother,
}

/// One module of Back-Channel Logout RP.
pub(super) struct Row {
    pub(super) name: &'static str,
    change: fn(&mut Map<String, Value>),
    signed: Signed,
    /// Why nothing is ended; `None` where the session is.
    refused: Option<&'static str>,
}

/// Back-Channel Logout RP. What is refused answers 400 (Back-Channel Logout §2.8).
pub(super) fn tokens() -> Vec<Row> {
    let row = |name, change: fn(&mut Map<String, Value>), refused| {
        let signed = Signed::Honestly;
        Row { name, change, signed, refused: Some(refused) }
    };
    vec![
        Row {
            name: "oidcc-client-test-rp-backchannel-rpinitlogout",
            change: |_| {},
            signed: Signed::Honestly,
            refused: None,
        },
        Row {
            signed: Signed::Not,
            ..row(
                "oidcc-client-test-rp-backchannel-rpinitlogout-alg-none",
                |_| {},
                "id_token_algorithm",
            )
        },
        Row {
            signed: Signed::WithAnother,
            ..row(
                "oidcc-client-test-rp-backchannel-rpinitlogout-wrong-alg",
                |_| {},
                "id_token_algorithm",
            )
        },
        row(
            "oidcc-client-test-rp-backchannel-rpinitlogout-no-event",
            |claims| drop(claims.remove("events")),
            "logout_token_events",
        ),
        row(
            "oidcc-client-test-rp-backchannel-rpinitlogout-wrong-event",
            |claims| drop(claims.insert("events".to_owned(), json!({ "another": {} }))),
            "logout_token_events",
        ),
        row(
            "oidcc-client-test-rp-backchannel-rpinitlogout-with-nonce",
            |claims| drop(claims.insert("nonce".to_owned(), json!("a-nonce"))),
            "logout_token_nonce",
        ),
        row(
            "oidcc-client-test-rp-backchannel-rpinitlogout-wrong-aud",
            |claims| drop(claims.insert("aud".to_owned(), json!("somebody-else"))),
            "id_token_audience",
        ),
        row(
            "oidcc-client-test-rp-backchannel-rpinitlogout-wrong-iss",
            |claims| drop(claims.insert("iss".to_owned(), json!("https://somebody-else.test"))),
            "id_token_issuer",
        ),
    ]
}

async fn house() -> (TestApp, FakeUpstream) {
    let upstream = FakeUpstream::start().await;
    let app = TestApp::builder().upstream("op", &upstream, "logout = \"always\"").start().await;
    (app, upstream)
}

/// Signs the person in with this session of the provider, at a browser that stops before it comes
/// back from signing out.
async fn browser_with(app: &TestApp, upstream: &FakeUpstream, sid: &str) -> Browser {
    let mut person = super::person();
    person["sid"] = json!(sid);
    upstream.set_person(person);
    let mut browser = app.browser();
    browser.stop_at(BACK);
    sign_in(&mut browser).await.landing();
    browser
}

/// Signs out here, and there on the way; the address that leads back (RP-Initiated Logout §2, §3).
async fn sign_out(browser: &mut Browser, upstream: &FakeUpstream) -> Url {
    let csrf = form_token(browser).await;
    let form = [
        ("confirm", "yes"),
        ("csrf", csrf.as_str()),
        ("client_id", "web"),
        ("post_logout_redirect_uri", "https://web.test/bye"),
    ];
    let page = browser.post_form("/logout", &form).await;
    let back = browser.follow(page).await.landing().clone();
    let asked = upstream.requests_to(Endpoint::EndSession).pop().unwrap();
    let (_, hint) = parse_unverified(asked.param("id_token_hint").unwrap()).unwrap();
    assert_eq!((&hint["iss"], &hint["sub"]), (&json!(upstream.issuer()), &json!("7")));
    assert_eq!(asked.param("post_logout_redirect_uri"), Some(BACK));
    assert!(asked.param("state").unwrap().len() >= 22);
    back
}

/// RP-Initiated Logout RP: the person is out, whatever the provider does with `state`; but only the
/// state that was sent leads on to the app.
#[tokio::test(flavor = "multi_thread")]
async fn rp_initiated() {
    for (name, state) in STATES {
        let (app, upstream) = house().await;
        let mut browser = browser_with(&app, &upstream, "s-1").await;
        let mut back = sign_out(&mut browser, &upstream).await;
        match state {
            State::Kept => {}
            State::Another => back.set_query(Some("state=another-state-than-was-sent")),
            State::None => back.set_query(None),
        }
        let page = browser.get(back.as_str()).await;
        if state == State::Kept {
            assert_eq!(page.location().unwrap().as_str(), "https://web.test/bye", "{name}");
        } else {
            assert_eq!((page.status, page.location()), (200, None), "{name}");
            assert!(page.text().contains("<h1>You are signed out</h1>"), "{name}");
        }
        assert!(browser.cookies().get(SESSION_COOKIE).is_none(), "{name}");
        assert_eq!(app.count("sessions WHERE ended_at IS NULL").await, 0, "{name}");
        assert_eq!(app.count("leases").await, 0, "{name}: nothing is left to sign out with");
    }
}

/// Front-Channel Logout RP: the provider's sign-out page shows our frame at the browser that leaves,
/// and at another, which is on its page with the frame of the first.
#[tokio::test(flavor = "multi_thread")]
async fn front_channel() {
    let (app, upstream) = house().await;
    let mut leaving = browser_with(&app, &upstream, "s-1").await;
    let mut staying = browser_with(&app, &upstream, "s-2").await;
    let mut elsewhere = browser_with(&app, &upstream, "s-1").await;
    let query = url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs([("iss", upstream.issuer().as_str()), ("sid", "s-1")])
        .finish();
    let frame = format!("/upstream/op/frontchannel-logout?{query}");
    for browser in [&mut staying, &mut elsewhere] {
        browser.set_header("sec-fetch-dest", "iframe");
        assert_eq!(browser.get(&frame).await.status, 200, "{FRONT_CHANNEL}");
    }
    assert_eq!(staying.get("/account").await.status, 200, "{FRONT_CHANNEL}: another's session");
    assert_ne!(
        elsewhere.get("/account").await.status,
        200,
        "{FRONT_CHANNEL}: nobody signed out here"
    );
    let back = sign_out(&mut leaving, &upstream).await;
    assert_eq!(leaving.get(&frame).await.status, 200, "{FRONT_CHANNEL}: signed out here already");
    let page = leaving.get(back.as_str()).await;
    assert_eq!(page.location().unwrap().as_str(), "https://web.test/bye", "{FRONT_CHANNEL}");
    assert_eq!(app.count("sessions WHERE ended_at IS NULL").await, 1, "{FRONT_CHANNEL}");
}

async fn notify(app: &TestApp, upstream: &FakeUpstream, row: &Row, sid: &str) -> Answer {
    let now = app.app.now().unix();
    let Value::Object(mut claims) = json!({
        "iss": upstream.issuer(), "aud": CLIENT_ID, "iat": now, "exp": now + 120, "sub": "7",
        "sid": sid, "jti": uuid::Uuid::new_v4().to_string(), "events": { EVENT: {} },
    }) else {
        unreachable!("the literal above is an object")
    };
    (row.change)(&mut claims);
    let honest = upstream.sign("logout+jwt", &Value::Object(claims));
    let token = match row.signed {
        Signed::Honestly => honest,
        Signed::Not => resigned(&honest, "none", ""),
        Signed::WithAnother => resigned(&honest, "HS256", &"A".repeat(43)),
    };
    app.post("/upstream/op/backchannel-logout", &[("logout_token", &token)], &[]).await
}

/// The same claims under another header, with this in the place of the signature.
fn resigned(token: &str, alg: &str, signature: &str) -> String {
    use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
    let claims = token.split('.').nth(1).unwrap();
    let header = URL_SAFE_NO_PAD.encode(json!({"alg": alg, "typ": "logout+jwt"}).to_string());
    format!("{header}.{claims}.{signature}")
}

/// Back-Channel Logout RP: as the suite does it, while a person signs out, and for a session that
/// nobody has signed out of.
#[tokio::test(flavor = "multi_thread")]
async fn back_channel() {
    for row in tokens() {
        let name = row.name;
        let (app, upstream) = house().await;
        let mut leaving = browser_with(&app, &upstream, "s-1").await;
        let mut staying = browser_with(&app, &upstream, "s-2").await;
        let back = sign_out(&mut leaving, &upstream).await;
        for sid in ["s-1", "s-2"] {
            let answer = notify(&app, &upstream, &row, sid).await;
            assert_eq!(answer.headers["cache-control"], "no-store", "{name}");
            match row.refused {
                None => assert_eq!((answer.status.as_u16(), answer.body.len()), (200, 0), "{name}"),
                Some(_) => answer.assert_error(400, "invalid_request"),
            }
        }
        let page = leaving.get(back.as_str()).await;
        assert_eq!(page.location().unwrap().as_str(), "https://web.test/bye", "{name}");
        let kept = app.refusals("upstream_logout").await;
        let (alive, page) = (row.refused.is_some(), staying.get("/account").await);
        assert_eq!(kept, row.refused.map_or(vec![], |reason| vec![reason; 2]), "{name}");
        assert_eq!(page.status == 200, alive, "{name}");
        assert_eq!(app.count("sessions WHERE ended_at IS NULL").await, i64::from(alive), "{name}");
    }
}

//! How clients prove who they are.

use base64::Engine as _;
use keywright::foundation::opaque::{Opaque, OpaqueKind};

use super::{FORM, post_raw};
use crate::support::{
    app::{Answer, ISSUER, TestApp, basic},
    database::SECRET_KEY,
    journey::code_for,
};

const SECRET: &str = "web-secret-0123456789";
const M2M: &str = "m2m-secret-0123456789";
const CHALLENGE: &str = "Basic realm=\"keywright\"";

fn basic_of(text: &[u8]) -> String {
    format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(text))
}

async fn credentials(app: &TestApp, form: &[(&str, &str)], authorization: Option<&str>) -> Answer {
    let form = [form, &[("grant_type", "client_credentials")]].concat();
    match authorization {
        Some(value) => app.post("/token", &form, &[("authorization", value)]).await,
        None => app.post("/token", &form, &[]).await,
    }
}

/// TK-05: confidential clients may use either method, whichever.
#[tokio::test(flavor = "multi_thread")]
async fn a_confidential_client_proves_itself_by_basic_or_post() {
    let app = TestApp::start().await;
    let good = [
        credentials(&app, &[], Some(&basic("m2m"))).await,
        credentials(&app, &[("client_id", "m2m")], Some(&basic("m2m"))).await,
        credentials(&app, &[], Some(&basic("m2m").replace("Basic", "bAsIc"))).await,
        credentials(&app, &[("client_id", "m2m"), ("client_secret", M2M)], None).await,
    ];
    for answer in &good {
        assert_eq!(answer.status, 200, "{answer:?}");
    }
}

/// TK-05: two proofs at once are none.
#[tokio::test(flavor = "multi_thread")]
async fn two_ways_of_authenticating_at_once_refuse_the_request() {
    let app = TestApp::start().await;
    let both = [("client_id", "m2m"), ("client_secret", M2M)];
    let answer = credentials(&app, &both, Some(&basic("m2m"))).await;
    answer.assert_error(400, "invalid_request");
    let secret = [("client_secret", M2M)];
    let answer = credentials(&app, &secret, Some(&basic("m2m"))).await;
    answer.assert_error(400, "invalid_request");

    let form = [("grant_type", "client_credentials")];
    let headers = [("authorization", &*basic("m2m")), ("authorization", "Bearer x")];
    let answer = app.post("/token", &form, &headers).await;
    answer.assert_error(400, "invalid_request");
    assert_eq!(app.refusals("request").await, ["invalid_request"; 3]);
}

/// TK-05: whatever is not exactly the client's own proof is none.
#[tokio::test(flavor = "multi_thread")]
async fn a_confused_authentication_is_refused() {
    let app = TestApp::start().await;
    let in_body: [&[(&str, &str)]; 10] = [
        &[],
        &[("client_id", "web")],
        &[("client_id", "web"), ("client_secret", "")],
        &[("client_id", "web"), ("client_secret", "web-secret-012345678")],
        &[("client_id", "web"), ("client_secret", "web-secret-01234567890")],
        &[("client_id", "web"), ("client_secret", M2M)],
        &[("client_id", "WEB"), ("client_secret", SECRET)],
        &[("client_id", "nobody"), ("client_secret", SECRET)],
        &[("client_id", "spa"), ("client_secret", SECRET)],
        &[("client_secret", SECRET)],
    ];
    for form in in_body {
        let answer = credentials(&app, form, None).await;
        answer.assert_error(401, "invalid_client");
        assert!(!answer.headers.contains_key("www-authenticate"), "{form:?}");
    }
    for pair in ["web:", "web:wrong", ":", "spa:", "nobody:x", "m2m:web-secret-0123456789"] {
        let answer = credentials(&app, &[], Some(&basic_of(pair.as_bytes()))).await;
        answer.assert_error(401, "invalid_client");
        assert_eq!(answer.headers["www-authenticate"], CHALLENGE, "{pair}");
    }
    let refused =
        app.refusals("client_authentication").await.len() + app.refusals("request").await.len();
    assert_eq!(refused, 16, "one event for each");
}

/// TK-05: the header and the body name one client, or nobody (RFC 6749 §5.2 asks for a challenge
/// whenever the header was tried).
#[tokio::test(flavor = "multi_thread")]
async fn a_client_id_beside_basic_must_be_the_same() {
    let app = TestApp::start().await;
    let answer = credentials(&app, &[("client_id", "web")], Some(&basic("m2m"))).await;
    answer.assert_error(401, "invalid_client");
    assert_eq!(
        answer.headers.get("www-authenticate").map(|value| value.to_str().unwrap()),
        Some(CHALLENGE)
    );
}

/// TK-06: a header that cannot be read is refused like a wrong one, with a challenge.
#[tokio::test(flavor = "multi_thread")]
async fn a_malformed_authorization_header_is_refused() {
    let app = TestApp::start().await;
    let mut headers: Vec<Vec<u8>> = [
        "Basic",
        "Basic ",
        "Basic  ",
        "Basic !!!!",
        "Basic bTJt",
        "Basic\tbTJtOng=",
        "Digest x",
        "Bearer x",
        "Basic bTJtOng",
        "Basic bTJtOng=,Basic bTJtOng=",
        "x",
    ]
    .map(|text| text.as_bytes().to_vec())
    .to_vec();
    for pair in [&b"m2m"[..], b"m2m:%", b"m2m:%2", b"m2m:%zz", b"m2m:%ff", b"\xff:\xff", b""] {
        headers.push(basic_of(pair).into_bytes());
    }
    headers.push(basic_of(&vec![b'a'; 32 * 1_024]).into_bytes());
    headers.push(b"Basic \xff\xfe".to_vec());
    let body = "grant_type=client_credentials";
    for header in &headers {
        let shown = String::from_utf8_lossy(header);
        for path in ["/token", "/introspect", "/revoke"] {
            let answer = post_raw(&app, path, Some(FORM), Some(header), body).await;
            answer.assert_error(401, "invalid_client");
            let challenge = answer.headers.get("www-authenticate");
            let challenge = challenge.unwrap_or_else(|| panic!("no challenge: {path} {shown:.60}"));
            assert_eq!(challenge, CHALLENGE, "{shown:.60}");
        }
    }
    assert_eq!(credentials(&app, &[], Some(&basic("m2m"))).await.status, 200);
}

/// TK-05: secrets are form-encoded before Basic (RFC 6749 §2.3.1), and understood without it.
#[tokio::test(flavor = "multi_thread")]
async fn a_secret_with_special_characters_is_understood() {
    let secret = "s e+cr%et:&=/~-0123456789";
    let config = format!(
        "[[clients]]\nid = \"odd\"\nname = \"Odd\"\nsecret = {secret:?}\n\
         grant_types = [\"client_credentials\"]\nscopes = [\"read\"]"
    );
    let app = TestApp::builder().config(&config).start().await;
    let encoded: String = url::form_urlencoded::byte_serialize(secret.as_bytes()).collect();
    let authorization = basic_of(format!("odd:{encoded}").as_bytes());
    assert_eq!(credentials(&app, &[], Some(&authorization)).await.status, 200);
    let form = [("client_id", "odd"), ("client_secret", secret)];
    assert_eq!(credentials(&app, &form, None).await.status, 200);
}

/// TK-21: whoever guesses a secret is told to stop, and the client itself does not suffer.
#[tokio::test(flavor = "multi_thread")]
async fn guessing_a_secret_is_braked_for_the_guesser_alone() {
    let server = format!("[server]\nissuer = {ISSUER:?}\ntrusted_proxies = [\"10.0.0.0/8\"]");
    let app = TestApp::builder().config(&server).start().await;
    // Redis may be shared with other tests: addresses of this run alone.
    let [a, b, c, d, ..] = *uuid::Uuid::new_v4().as_bytes();
    let network = |last: u8| format!("2001:{a:02x}{b:02x}:{c:02x}{d:02x}:{last:x}::");
    let from = |host: String, authorization: String| {
        let app = &app;
        async move {
            let form = [("grant_type", "client_credentials")];
            let headers =
                [("authorization", authorization.as_str()), ("x-forwarded-for", host.as_str())];
            app.post("/token", &form, &headers).await
        }
    };
    for guess in 0..30 {
        // Another address of the same network each time (RL-03).
        let host = format!("{}{guess:x}", network(1));
        let wrong = basic_of(format!("m2m:m2m-secret-{guess:010}").as_bytes());
        from(host, wrong).await.assert_error(401, "invalid_client");
    }
    let wrong = || basic_of(b"m2m:m2m-secret-0123456780");
    let braked = from(format!("{}1", network(1)), wrong()).await;
    braked.assert_error(429, "invalid_client");
    assert!(braked.headers.contains_key("retry-after"));

    let honest = from(format!("{}1", network(2)), basic("m2m")).await;
    assert_eq!(honest.status, 200, "{honest:?}");
    // Another client's failures are counted by themselves.
    let other = from(format!("{}1", network(1)), basic_of(b"web:wrong")).await;
    other.assert_error(401, "invalid_client");
    assert_eq!(app.refusals("client_authentication").await.len(), 32);
}

/// TK-04: of a secret only a digest is kept in memory, and none in the database.
#[tokio::test(flavor = "multi_thread")]
async fn a_clients_secret_is_not_printed_by_what_keeps_it() {
    let app = TestApp::start().await;
    app.add_user("bob", &[]).await;
    code_for(&mut app.browser(), "web", "bob", &[]).await;
    let client = app.app.clients.find("web").unwrap();
    let now = app.app.now();
    assert!(client.secrets().find(SECRET, now).is_some());
    assert!(client.secrets().find("", now).is_none());
    let shown = format!("{client:?} {:?} {:?}", app.app, app.app.config);
    assert!(!shown.contains(SECRET) && !shown.contains(SECRET_KEY), "{shown}");
    let opaque = Opaque::from_bits(OpaqueKind::RefreshToken, [7; 32]);
    assert!(!format!("{:?}", opaque.reveal()).contains("kw_rt_"));
}

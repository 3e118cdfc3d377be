//! Single parameters: repeated, unsupported, out of range.

use std::net::TcpListener;

use serde_json::json;
use url::{Url, form_urlencoded};

use super::{
    assert_all_sent_back, assert_all_shown, assert_refusal_page, browser_of, refusals,
    start_with_people, traces,
};
use crate::support::{
    app::{Answer, ISSUER, TestApp},
    browser::{Browser, Navigation, Page},
    journey::{authorize_params, authorize_path, code_by_session, redeem},
};

fn pair(name: &str, value: &str) -> String {
    form_urlencoded::Serializer::new(String::new()).append_pair(name, value).finish()
}

/// The request as a page of the app posts it.
async fn post(browser: &mut Browser, query: &str, fields: &[(&str, &str)]) -> Page {
    let url = Url::parse(&format!("{ISSUER}/authorize{query}")).unwrap();
    let app = Url::parse("https://web.test/").unwrap();
    browser.send(Navigation::post(url, fields).started_by(&app)).await
}

/// AZ-07: a parameter twice in the query, the same or different, known or not.
#[tokio::test(flavor = "multi_thread")]
async fn a_parameter_that_stands_twice_is_refused_on_a_page() {
    let app = start_with_people("").await;
    let mut browser = browser_of(&app, "alice").await;
    let mut known = authorize_params("web");
    for (name, value) in
        [("prompt", "login"), ("max_age", "9"), ("resource", "https://api.test"), ("own", "1")]
    {
        known.push((name.to_owned(), value.to_owned()));
    }
    let mut paths = Vec::new();
    for (name, value) in &known {
        let path = authorize_path("web", &[(name.as_str(), value.as_str())]);
        paths.push(format!("{path}&{}", pair(name, value)));
        paths.push(format!("{path}&{}", pair(name, "https://evil.test/cb")));
        paths.push(format!("{path}&{name}="));
        // The name in another spelling of the same bytes.
        let (first, rest) = name.split_at(1);
        let spelt = format!("%{:02x}{rest}", first.as_bytes()[0]);
        paths.push(format!("{path}&{spelt}=x"));
    }
    assert_all_shown(&app, &mut browser, &paths, "invalid_request").await;
}

/// AZ-07: once in the query and once in the form is twice.
#[tokio::test(flavor = "multi_thread")]
async fn a_parameter_in_the_query_and_in_the_form_is_refused_on_a_page() {
    let app = start_with_people("").await;
    let mut browser = browser_of(&app, "alice").await;
    let params = authorize_params("web");
    let all: Vec<(&str, &str)> = params.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
    let (before, events) = (traces(&app).await, refusals(&app, "request", "invalid_request").await);
    for (name, value) in &all {
        for value in [value, "https://evil.test/cb"] {
            let page = post(&mut browser, &format!("?{}", pair(name, value)), &all).await;
            assert_refusal_page(&page, 400, "invalid_request");
        }
        let doubled = [&all[..], &[(*name, *value)]].concat();
        assert_refusal_page(&post(&mut browser, "", &doubled).await, 400, "invalid_request");
    }
    assert_eq!(traces(&app).await, before);
    let now = refusals(&app, "request", "invalid_request").await;
    assert_eq!(now, events + 3 * all.len());
}

/// OIDC Core §3.1.2.1: the endpoint takes POST. It takes nothing but a form, and not any size.
#[tokio::test(flavor = "multi_thread")]
async fn a_request_may_be_posted_as_a_form_and_as_nothing_else() {
    let app = start_with_people("").await;
    let mut browser = app.browser();
    let params = authorize_params("web");
    let all: Vec<(&str, &str)> = params.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
    let page = post(&mut browser, "", &all).await;
    let journey = browser.follow(page).await;
    assert_eq!(journey.last().url.path(), "/login", "{:?}", journey.hops());

    let before = traces(&app).await;
    let url = Url::parse(&format!("{ISSUER}/authorize")).unwrap();
    for kind in ["application/json", "text/plain", "multipart/form-data; boundary=x"] {
        let navigation = Navigation::post(url.clone(), &all).header("content-type", kind);
        assert_refusal_page(&browser.send(navigation).await, 400, "invalid_request");
    }
    let large = "x".repeat(70_000);
    let page = post(&mut browser, "", &[&all[..], &[("own", &large)]].concat()).await;
    assert_refusal_page(&page, 413, "invalid_request");
    assert_eq!(traces(&app).await, before);
}

/// OIDC Core §3.1.2.1: a posted request is served like any other, although browsers hold back
/// `SameSite=Lax` cookies when another site posts.
#[tokio::test(flavor = "multi_thread")]
async fn a_posted_request_finds_the_session_of_the_browser() {
    let app = start_with_people("").await;
    let mut browser = browser_of(&app, "alice").await;
    for prompt in [None, Some(("prompt", "none"))] {
        let params = authorize_params("web");
        let mut all: Vec<(&str, &str)> =
            params.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        all.extend(prompt);
        let page = post(&mut browser, "", &all).await;
        let journey = browser.follow(page).await;
        assert_eq!(journey.stopped_at.as_ref().and_then(Url::host_str), Some("web.test"));
        assert!(journey.param("code").is_some(), "{prompt:?} {:?}", journey.hops());
    }
}

/// AZ-15: nothing but the code flow; no token ever stands in an address.
#[tokio::test(flavor = "multi_thread")]
async fn implicit_and_hybrid_flows_do_not_exist() {
    let app = start_with_people("").await;
    let mut browser = browser_of(&app, "alice").await;
    let types =
        ["token", "id_token", "id_token token", "code token", "code id_token", "none", "CODE", "x"];
    let paths: Vec<String> =
        types.iter().map(|word| authorize_path("web", &[("response_type", word)])).collect();
    assert_all_sent_back(&app, &mut browser, &paths, "unsupported_response_type").await;
    // RFC 6749 §3.1: an empty parameter counts as absent.
    let absent = authorize_path("web", &[("response_type", "")]);
    let empty = format!("{absent}&response_type=");
    assert_all_sent_back(&app, &mut browser, &[absent, empty], "invalid_request").await;
    let metadata = app.get("/.well-known/openid-configuration", None).await.json();
    assert_eq!(metadata["response_types_supported"], json!(["code"]));
}

/// RFC 6749 §4.1.2.1: a client that may not use the code flow.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_without_the_code_grant_gets_no_code() {
    let client = "
[[clients]]
id = \"robot\"
name = \"Robot\"
secret = \"robot-secret-0123456789\"
grant_types = [\"client_credentials\"]
redirect_uris = [\"https://web.test/cb\"]
";
    let app = start_with_people(client).await;
    let mut browser = browser_of(&app, "alice").await;
    let path = authorize_path("robot", &[("redirect_uri", "https://web.test/cb")]);
    assert_all_sent_back(&app, &mut browser, &[path], "unauthorized_client").await;
    // A client that never registered an address has none to be sent to.
    let path = authorize_path("m2m", &[]);
    assert_all_shown(&app, &mut browser, &[path], "redirect_uri_mismatch").await;
}

async fn granted(app: &TestApp, browser: &mut Browser, client: &str, scope: &str) -> Answer {
    browser.stop_at(&format!("https://{client}.test/"));
    let code = code_by_session(browser, client, &[("scope", scope)]).await;
    let answer = redeem(app, client, &code).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer
}

/// AZ-24: unknown scopes are ignored (OIDC Core §3.1.2.1), and the answer says what was granted.
#[tokio::test(flavor = "multi_thread")]
async fn only_scopes_that_the_client_may_have_are_granted() {
    let narrow = "
[[clients]]
id = \"narrow\"
name = \"Narrow\"
secret = \"narrow-secret-0123456789\"
scopes = [\"openid\", \"read\"]
redirect_uris = [\"https://narrow.test/cb\"]
";
    let app = start_with_people(narrow).await;
    let mut browser = browser_of(&app, "alice").await;
    let answer = granted(&app, &mut browser, "web", "openid admin nonsense openid").await;
    assert_eq!(answer.text("scope"), "openid");
    assert!(answer.json().get("refresh_token").is_none());

    let asked = "openid email groups offline_access read write";
    let answer = granted(&app, &mut browser, "narrow", asked).await;
    assert_eq!(answer.text("scope"), "openid read");
    assert!(answer.json().get("refresh_token").is_none());
    let (_, claims) = keywright::keys::parse_unverified(&answer.text("id_token")).unwrap();
    assert!(claims.get("email").is_none() && claims.get("groups").is_none(), "{claims:?}");
    // OAuth without OpenID Connect: no ID token.
    let answer = granted(&app, &mut browser, "narrow", "read").await;
    assert!(answer.json().get("id_token").is_none(), "{answer:?}");
}

/// AZ-24: nothing left to grant, or nothing that can be read.
#[tokio::test(flavor = "multi_thread")]
async fn a_scope_of_which_nothing_can_be_granted_is_refused() {
    let app = start_with_people("").await;
    let mut browser = browser_of(&app, "alice").await;
    let many = "a ".repeat(10_000);
    let padded = format!("openid {}", "x".repeat(60_000));
    let scopes = [
        "admin",
        "OPENID",
        "openid\temail",
        "openid\"",
        "openid \\",
        "openid caf\u{e9}",
        "openid\u{0}",
        "   ",
        &many,
        &padded,
        "",
    ];
    let paths: Vec<String> =
        scopes.iter().map(|scope| authorize_path("web", &[("scope", scope)])).collect();
    assert_all_sent_back(&app, &mut browser, &paths, "invalid_scope").await;
}

/// AZ-27: request objects are refused by name, and nothing is fetched.
#[tokio::test(flavor = "multi_thread")]
async fn request_objects_are_refused_and_never_fetched() {
    let app = start_with_people("").await;
    let mut browser = browser_of(&app, "alice").await;
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let own = format!("http://{}/ro", listener.local_addr().unwrap());
    let uris = [own.as_str(), "https://evil.test/ro", "urn:example:request"];
    let by = |name: &str, value: &str| authorize_path("web", &[(name, value)]);
    let paths = uris.map(|uri| by("request_uri", uri));
    assert_all_sent_back(&app, &mut browser, &paths, "request_uri_not_supported").await;
    let unsigned = "eyJhbGciOiJub25lIn0.eyJyZWRpcmVjdF91cmkiOiJodHRwczovL2V2aWwudGVzdC9jYiJ9.";
    let paths = [by("request", unsigned)];
    assert_all_sent_back(&app, &mut browser, &paths, "request_not_supported").await;
    let paths = [by("registration", "{}")];
    assert_all_sent_back(&app, &mut browser, &paths, "registration_not_supported").await;
    let nobody_came = listener.accept().is_err_and(|e| e.kind() == std::io::ErrorKind::WouldBlock);
    assert!(nobody_came);
}

/// AZ-10, AZ-14, AZ-23, AZ-27, AZ-33: what is not built is not there and not advertised.
#[tokio::test(flavor = "multi_thread")]
async fn endpoints_that_do_not_exist_are_neither_there_nor_advertised() {
    let app = TestApp::start().await;
    let mut browser = app.browser();
    for path in ["/register", "/device_authorization", "/device", "/check_session"] {
        assert_refusal_page(&browser.get(path).await, 404, "not_found");
        let page = browser.post_form(path, &[("client_id", "web")]).await;
        assert_refusal_page(&page, 404, "not_found");
    }
    let metadata = app.get("/.well-known/openid-configuration", None).await.json();
    for name in ["registration_endpoint", "device_authorization_endpoint", "check_session_iframe"] {
        assert!(metadata.get(name).is_none(), "{name}");
    }
    for name in [
        "request_parameter_supported",
        "request_uri_parameter_supported",
        "claims_parameter_supported",
    ] {
        assert_eq!(metadata[name], json!(false), "{name}");
    }
}

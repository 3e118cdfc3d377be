//! What every answer carries, and how it travels.

use serde_json::json;
use url::Url;

use super::{
    assert_all_sent_back, assert_refusal_page, assert_sent_back, browser_of, refusals,
    start_with_people, traces,
};
use crate::support::{
    app::ISSUER,
    browser::Page,
    journey::{STATE, authorize_path, redirect_uri, sign_in_on_page},
};

const MODES: &str = "
[[clients]]
id = \"queryonly\"
name = \"Query only\"
secret = \"queryonly-secret-0123456789\"
redirect_uris = [\"https://queryonly.test/cb\"]
response_modes = [\"query\"]
[[clients]]
id = \"postonly\"
name = \"Post only\"
secret = \"postonly-secret-0123456789\"
redirect_uris = [\"https://postonly.test/cb\"]
response_modes = [\"form_post\"]
[[clients]]
id = \"tenant\"
name = \"Tenant\"
secret = \"tenant-secret-0123456789\"
redirect_uris = [\"https://tenant.test/cb?tenant=1&next=%2Fa%20b\"]
";

/// AZ-16: a code never travels in a way that the client did not register.
#[tokio::test(flavor = "multi_thread")]
async fn the_response_mode_cannot_be_switched() {
    let app = start_with_people(MODES).await;
    let mut browser = browser_of(&app, "alice").await;
    let before = traces(&app).await;
    let modes =
        ["fragment", "form_post", "web_message", "query.jwt", "jwt", "form_post.jwt", "QUERY", "x"];
    for mode in modes {
        let page = browser.get(&authorize_path("queryonly", &[("response_mode", mode)])).await;
        assert_sent_back(&page, "queryonly", "invalid_request");
    }
    assert_eq!(traces(&app).await, before);
    assert_eq!(refusals(&app, "authorize", "invalid_request").await, modes.len());
    let metadata = app.get("/.well-known/openid-configuration", None).await.json();
    assert_eq!(metadata["response_modes_supported"], json!(["query", "form_post"]));
}

/// AZ-16: the default mode is a mode like any other.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_only_takes_posts_never_gets_its_code_in_an_address() {
    let app = start_with_people(MODES).await;
    let mut browser = browser_of(&app, "alice").await;
    for mode in ["", "query"] {
        let page = browser.get(&authorize_path("postonly", &[("response_mode", mode)])).await;
        assert_eq!(page.location_param("code"), None, "{:?}", page.header("location"));
    }
    let page = browser.get(&authorize_path("postonly", &[("response_mode", "form_post")])).await;
    assert_eq!(page.status, 200);
    assert!(page.form().value("code").is_some());
}

/// AZ-18: RFC 9207 §2, on success as on error.
#[tokio::test(flavor = "multi_thread")]
async fn every_answer_names_its_issuer() {
    let app = start_with_people("").await;
    let mut browser = app.browser();
    let journey = browser.visit(&authorize_path("web", &[])).await;
    let journey = sign_in_on_page(&mut browser, &journey, "bob").await;
    assert_eq!(journey.param("iss").as_deref(), Some(ISSUER));
    assert!(journey.param("code").is_some());
    let journey = browser.visit(&authorize_path("spa", &[("prompt", "none")])).await;
    assert_eq!(journey.param("iss").as_deref(), Some(ISSUER));
    // An error that only the dispatcher finds.
    let page = browser.get(&authorize_path("members", &[])).await;
    assert_sent_back(&page, "members", "access_denied");
    assert_eq!(refusals(&app, "authorize", "access_denied").await, 1);
    for path in ["/.well-known/openid-configuration", "/.well-known/oauth-authorization-server"] {
        let metadata = app.get(path, None).await.json();
        assert_eq!(metadata["authorization_response_iss_parameter_supported"], json!(true));
        assert_eq!(metadata["issuer"], ISSUER);
    }
}

/// RFC 6749 §3.1.2, §4.1.2: the query of the registered address is kept, `state` only comes back
/// when it was sent.
#[tokio::test(flavor = "multi_thread")]
async fn an_answer_adds_to_the_registered_address_and_changes_nothing_of_it() {
    let app = start_with_people(MODES).await;
    let mut browser = browser_of(&app, "alice").await;
    let uri = "https://tenant.test/cb?tenant=1&next=%2Fa%20b";
    let path = authorize_path("tenant", &[("redirect_uri", uri), ("state", "")]);
    let page = browser.get(&path).await;
    let location = page.header("location").unwrap();
    assert!(location.starts_with(&format!("{uri}&code=")), "{location}");
    assert_eq!(page.location_param("state"), None);
    assert_eq!(page.location_param("next").as_deref(), Some("/a b"));
    assert_eq!(page.location_param("error"), None);
}

/// What stands behind `state=` in the `Location` of an answer.
fn raw_state(page: &Page) -> String {
    let location = page.header("location").unwrap();
    assert_eq!(page.headers.get_all("location").iter().count(), 1);
    assert!(location.bytes().all(|byte| byte.is_ascii_graphic()), "{location:?}");
    let (_, after) = location.split_once("&state=").unwrap_or_else(|| panic!("{location}"));
    after.split('&').next().unwrap_or_default().to_owned()
}

/// AZ-19: it is the client's, byte for byte, and never becomes a header.
#[tokio::test(flavor = "multi_thread")]
async fn the_state_comes_back_as_it_was_sent() {
    let app = start_with_people("").await;
    let mut browser = browser_of(&app, "alice").await;
    let long = "\u{1f511}".repeat(512);
    for state in [
        "a",
        "+",
        "a+b c%20d&e=f#g",
        "x\r\nSet-Cookie: kw-session=evil\r\n\r\n<html>",
        "\u{0}\u{1}\u{7f}",
        "\u{1f511} \u{fc}\u{202e}",
        "%00%0d%0a%zz",
        "\"><script>alert(1)</script>",
        &long,
    ] {
        for prompt in ["", "select_account none"] {
            let page =
                browser.get(&authorize_path("web", &[("state", state), ("prompt", prompt)])).await;
            assert_eq!(page.status, 303, "{}", page.text());
            assert_eq!(page.location_param("state").as_deref(), Some(state));
            let raw = raw_state(&page);
            let decoded = percent_decoded(&raw);
            assert_eq!(decoded, state.as_bytes(), "{raw}");
            assert!(page.set_cookies().is_empty());
            let named = page.location_param(if prompt.is_empty() { "code" } else { "error" });
            assert!(named.is_some());
        }
    }
}

/// Decodes as RFC 3986 does, where `+` is itself.
fn percent_decoded(text: &str) -> Vec<u8> {
    assert!(!text.contains('+'), "decoders do not agree on `+`: {text}");
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        if *first == b'%' {
            let digits = std::str::from_utf8(&after[..2]).unwrap();
            bytes.push(u8::from_str_radix(digits, 16).unwrap());
            rest = &after[2..];
        } else {
            bytes.push(*first);
            rest = after;
        }
    }
    bytes
}

/// AZ-19: one byte more than we keep, or bytes that no text has.
#[tokio::test(flavor = "multi_thread")]
async fn a_state_that_cannot_be_kept_is_refused() {
    let app = start_with_people("").await;
    let mut browser = browser_of(&app, "alice").await;
    let before = traces(&app).await;
    let page = browser.get(&authorize_path("web", &[("state", &"s".repeat(2_049))])).await;
    assert_eq!(page.location_param("error").as_deref(), Some("invalid_request"));
    assert_eq!(page.location_param("state"), None);
    assert_eq!(page.location_param("iss").as_deref(), Some(ISSUER));
    for broken in ["%ff", "%c3%28", "a%80", "%ed%a0%80"] {
        let path = format!("{}&state={broken}", authorize_path("web", &[("state", "")]));
        assert_refusal_page(&browser.get(&path).await, 400, "invalid_request");
    }
    assert_eq!(traces(&app).await, before);
    assert_eq!(refusals(&app, "authorize", "invalid_request").await, 1);
    assert_eq!(refusals(&app, "request", "invalid_request").await, 4);
}

/// The nonce is the client's too, and has a length.
#[tokio::test(flavor = "multi_thread")]
async fn a_nonce_that_is_too_long_is_refused() {
    let app = start_with_people("").await;
    let mut browser = browser_of(&app, "alice").await;
    let path = authorize_path("web", &[("nonce", &"n".repeat(1_025))]);
    assert_all_sent_back(&app, &mut browser, &[path], "invalid_request").await;
}

/// A redirect leads to the exact registered text, not to a tidied-up form of it.
#[tokio::test(flavor = "multi_thread")]
async fn errors_and_codes_go_to_the_same_address() {
    let app = start_with_people("").await;
    let mut browser = browser_of(&app, "alice").await;
    let good = browser.get(&authorize_path("web", &[])).await.location().unwrap();
    let bad = browser.get(&authorize_path("web", &[("scope", "x")])).await.location().unwrap();
    let bare = |mut url: Url| {
        url.set_query(None);
        url.to_string()
    };
    assert_eq!(bare(good.clone()), redirect_uri("web"));
    assert_eq!(bare(good.clone()), bare(bad));
    assert!(good.query_pairs().any(|(name, value)| name == "state" && value == STATE));
}

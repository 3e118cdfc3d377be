//! Where answers go: to the registered bytes and nowhere else.

use std::process::{Command, Stdio};

use keywright::config::{self, Environment};

use super::{assert_all_shown, assert_refusal_page, browser_of, refusals, start_with_people};
use crate::support::{
    app::TestApp,
    browser::Browser,
    journey::{VERIFIER, authorize_path, code_by_session, code_for, sign_in_on_page},
};

/// Addresses that look like `https://web.test/cb` to somebody and are not.
const LOOKALIKES: &[&str] = &[
    // AZ-01: not registered, or registered for another client.
    "https://evil.test/cb",
    "https://spa.test/cb",
    "/cb",
    "https://id.test/cb",
    // AZ-02: prefix, suffix, case, port, query, fragment.
    "https://web.test/cb/",
    "https://web.test/cbx",
    "https://web.test/c",
    "https://web.test/CB",
    "https://web.test/cb?x=1",
    "https://web.test/cb?",
    "https://web.test/cb#f",
    "https://web.test/cb%23f",
    "https://web.test/c%62",
    "HTTPS://web.test/cb",
    "https://WEB.test/cb",
    "https://web.test:443/cb",
    "https://web.test./cb",
    "http://web.test/cb",
    "https://web.test.evil.test/cb",
    "https://evil.test/?u=https://web.test/cb",
    " https://web.test/cb",
    "https://web.test/cb ",
    "https://web.test/cb\n",
    "https://web.test/cb\u{0}",
    "https://web.test/cb https://evil.test/cb",
    // AZ-03: user name, backslash, encoded `@`.
    "https://web.test@evil.test/cb",
    "https://a@b@web.test/cb",
    "https://evil.test\\@web.test/cb",
    "https://web.test%40evil.test/cb",
    "https://web.test%5c@evil.test/cb",
    // AZ-04: traversal.
    "https://web.test/cb/../evil",
    "https://web.test/cb/..;/evil",
    "https://web.test/cb/%2e%2e/evil",
    "https://web.test/cb%2f..%2fevil",
    "https://web.test//cb",
    "https://web.test/cb/.",
    "https://web.test/x/../cb",
    // AZ-06: schemes.
    "javascript:alert(1)//https://web.test/cb",
    "JaVaScRiPt:alert(1)",
    "java\tscript:alert(1)",
    "data:text/html,x",
    "vbscript:x",
    "file:///etc/passwd",
    "blob:https://web.test/x",
];

/// AZ-01, AZ-02, AZ-03, AZ-04, AZ-06: with and without a live session.
#[tokio::test(flavor = "multi_thread")]
async fn only_the_registered_bytes_are_ever_redirected_to() {
    let app = start_with_people("").await;
    let paths: Vec<String> =
        LOOKALIKES.iter().map(|uri| authorize_path("web", &[("redirect_uri", uri)])).collect();
    let mut signed_in = browser_of(&app, "alice").await;
    assert_all_shown(&app, &mut app.browser(), &paths, "redirect_uri_mismatch").await;
    assert_all_shown(&app, &mut signed_in, &paths, "redirect_uri_mismatch").await;
    // The very same browser gets its code at the registered address.
    code_by_session(&mut signed_in, "web", &[]).await;
}

/// AZ-01: the page names what was received, as text.
#[tokio::test(flavor = "multi_thread")]
async fn the_page_about_an_unknown_address_shows_it_as_text() {
    let app = TestApp::start().await;
    let uri = "https://evil.test/<script>alert(1)</script>\"'";
    let page = app.browser().get(&authorize_path("web", &[("redirect_uri", uri)])).await;
    assert_refusal_page(&page, 400, "redirect_uri_mismatch");
    assert!(!page.text().contains("<script>alert"), "{}", page.text());
    assert!(page.text().contains("https://evil.test/"), "{}", page.text());
    assert!(page.links().iter().all(|link| link.host_str() == Some("id.test")));
}

/// AZ-08: not even a client with one address may leave it out.
#[tokio::test(flavor = "multi_thread")]
async fn a_request_without_a_redirect_uri_is_refused_on_a_page() {
    let app = start_with_people("").await;
    let mut browser = browser_of(&app, "alice").await;
    let path = authorize_path("web", &[("redirect_uri", "")]);
    let empty = format!("{path}&redirect_uri=");
    assert_all_shown(&app, &mut browser, &[path, empty], "redirect_uri_mismatch").await;
}

/// A client that nobody registered is told nothing.
#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_client_is_refused_on_a_page() {
    let app = start_with_people("").await;
    let mut browser = browser_of(&app, "alice").await;
    let uri = ("redirect_uri", "https://web.test/cb");
    let ids = ["nobody", "WEB", "web ", "web\u{0}", "<script>alert(1)</script>", ""];
    let paths: Vec<String> =
        ids.iter().map(|id| authorize_path("web", &[("client_id", id), uri])).collect();
    assert_all_shown(&app, &mut browser, &paths, "client_unknown").await;
    let page = browser.get(&paths[4]).await;
    assert!(!page.text().contains("<script>alert"), "{}", page.text());
}

/// AZ-13: whatever else is wrong, a bad address is never redirected to.
#[tokio::test(flavor = "multi_thread")]
async fn no_other_fault_of_a_request_skips_the_check_of_its_address() {
    let app = start_with_people("").await;
    let mut alice = browser_of(&app, "alice").await;
    let mut bob = browser_of(&app, "bob").await;
    let long = "s".repeat(3_000);
    let faults: &[&[(&str, &str)]] = &[
        &[("scope", "bogus")],
        &[("response_type", "token")],
        &[("response_type", "")],
        &[("response_mode", "fragment")],
        &[("response_mode", "form_post")],
        &[("code_challenge", ""), ("code_challenge_method", "")],
        &[("code_challenge_method", "plain")],
        &[("prompt", "none")],
        &[("prompt", "none login")],
        &[("max_age", "-1")],
        &[("id_token_hint", "x")],
        &[("request", "x")],
        &[("request_uri", "https://evil.test/ro")],
        &[("state", &long)],
    ];
    let bad = ("redirect_uri", "https://evil.test/cb");
    let paths: Vec<String> =
        faults.iter().map(|fault| authorize_path("web", &[fault, &[bad][..]].concat())).collect();
    assert_all_shown(&app, &mut app.browser(), &paths, "redirect_uri_mismatch").await;
    assert_all_shown(&app, &mut alice, &paths, "redirect_uri_mismatch").await;
    // Somebody whom the rule of the client keeps out.
    let members = [authorize_path("members", &[bad])];
    assert_all_shown(&app, &mut bob, &members, "redirect_uri_mismatch").await;
}

/// AZ-09: a native app listens on any port of the loopback address it registered.
#[tokio::test(flavor = "multi_thread")]
async fn a_native_app_gets_its_code_at_the_port_it_listens_on() {
    let app = start_with_people("").await;
    let mut browser = app.browser();
    let journey = browser.visit(&authorize_path("native", &[])).await;
    let journey = sign_in_on_page(&mut browser, &journey, "alice").await;
    assert_eq!(journey.landing().port(), Some(51_234));
    let code = journey.param("code").unwrap();
    let form = |uri: &'static str| {
        vec![
            ("grant_type", "authorization_code"),
            ("client_id", "native"),
            ("redirect_uri", uri),
            ("code_verifier", VERIFIER),
        ]
    };
    // The code belongs to that port.
    let mut other_port = form("http://127.0.0.1:51235/cb");
    other_port.push(("code", &code));
    app.post("/token", &other_port, &[]).await.assert_error(400, "invalid_grant");
    let mut own_port = form("http://127.0.0.1:51234/cb");
    own_port.push(("code", &code));
    assert_eq!(app.post("/token", &own_port, &[]).await.status, 200);
}

/// AZ-09: nothing else of the address is free.
#[tokio::test(flavor = "multi_thread")]
async fn a_native_app_is_not_sent_to_anything_but_its_loopback_address() {
    let app = start_with_people("").await;
    let mut browser = browser_of(&app, "alice").await;
    let paths: Vec<String> = [
        "http://localhost:51234/cb",
        "http://127.0.0.1.evil.test/cb",
        "http://127.0.0.1.evil.test:51234/cb",
        "http://127.1:5/cb",
        "http://0x7f.1/cb",
        "http://2130706433:51234/cb",
        "http://127.0.0.2:51234/cb",
        "http://[::1]:51234/cb",
        "http://[::ffff:127.0.0.1]:51234/cb",
        "http://127.0.0.1:5@evil.test/cb",
        "http://127.0.0.1:51234@evil.test/cb",
        "http://user@127.0.0.1:51234/cb",
        "http://127.0.0.1:51234/other",
        "http://127.0.0.1:51234/cb/",
        "http://127.0.0.1:51234/cb?x=1",
        "http://127.0.0.1:51234",
        "http://127.0.0.1:/cb",
        "http://127.0.0.1:0/cb",
        "http://127.0.0.1:65536/cb",
        "http://127.0.0.1:+80/cb",
        "https://127.0.0.1:51234/cb",
    ]
    .iter()
    .map(|uri| authorize_path("native", &[("redirect_uri", uri)]))
    .collect();
    assert_all_shown(&app, &mut browser, &paths, "redirect_uri_mismatch").await;
}

/// AZ-09: the port is free for native apps only.
#[tokio::test(flavor = "multi_thread")]
async fn other_kinds_of_apps_are_held_to_their_loopback_port() {
    let clients = "
[[clients]]
id = \"local\"
name = \"Local\"
secret = \"local-secret-0123456789\"
redirect_uris = [\"http://127.0.0.1:51234/cb\"]
[[clients]]
id = \"local-spa\"
name = \"Local spa\"
type = \"public\"
redirect_uris = [\"http://127.0.0.1:51234/cb\"]
";
    let app = start_with_people(clients).await;
    let mut browser = browser_of(&app, "alice").await;
    for client in ["local", "local-spa"] {
        let at = |uri: &str| authorize_path(client, &[("redirect_uri", uri)]);
        let journey = browser.visit(&at("http://127.0.0.1:51234/cb")).await;
        assert!(journey.param("code").is_some(), "{:?}", journey.hops());
        let wrong = [at("http://127.0.0.1:51235/cb"), at("http://127.0.0.1/cb")];
        assert_all_shown(&app, &mut browser, &wrong, "redirect_uri_mismatch").await;
    }
}

/// Addresses that no client may register.
const UNREGISTRABLE: &[&str] = &[
    // AZ-05: wildcards and patterns.
    "*",
    "https://*.web.test/cb",
    "https://web.test/*",
    "https://web.test/.*",
    "^https://web\\\\.test/.*$",
    // AZ-06: schemes, and http beyond this computer.
    "javascript:alert(1)",
    "JaVaScRiPt:alert(1)",
    "java\\tscript:alert(1)",
    "data:text/html,x",
    "vbscript:x",
    "file:///etc/passwd",
    "blob:https://web.test/x",
    "http://web.test/cb",
    // AZ-03, AZ-04: user names, backslashes, traversal.
    "https://user@web.test/cb",
    "https://user:pass@web.test/cb",
    "https://@web.test/cb",
    "https://web.test\\\\@evil.test/cb",
    "https://web.test/../cb",
    "https://web.test/%2e%2e/cb",
    // AZ-10: a private-use scheme without a dot belongs to anybody.
    "myapp:/cb",
    // AZ-11: hidden and foreign spellings of hosts.
    "https://b\u{fc}cher.test/cb",
    "https://xn--example-.org/",
    // AZ-12: fragments.
    "https://web.test/cb#x",
    "https://web.test/cb#",
    "/cb",
    "",
];

fn config_with(redirect_uri: &str, after_logout: &str) -> String {
    format!(
        "[secrets]\nsecret_key = \"0123456789abcdef0123456789abcdef\"\n[[clients]]\nid = \"web\"\n\
         name = \"Web\"\nsecret = \"web-secret-0123456789\"\nredirect_uris = [\"{redirect_uri}\"]\n\
         post_logout_redirect_uris = [\"{after_logout}\"]\n"
    )
}

/// AZ-03, AZ-05, AZ-06, AZ-10, AZ-11, AZ-12: what could not be compared byte for byte, or could
/// run as a script, is not registered in the first place.
#[test]
fn dangerous_addresses_cannot_be_registered() {
    let good = "https://web.test/cb";
    let check = |text: &str| config::parse(text, &Environment::new());
    for good in [good, "https://web.test/cb?tenant=1", "com.example.app:/cb", "http://[::1]/cb"] {
        assert!(check(&config_with(good, good)).is_ok(), "{good}");
    }
    for uri in UNREGISTRABLE {
        let Err(problems) = check(&config_with(uri, good)) else { panic!("{uri} was taken") };
        assert!(problems.to_string().contains("clients.0.redirect_uris"), "{problems}");
        let Err(problems) = check(&config_with(good, uri)) else { panic!("{uri} was taken") };
        assert!(problems.to_string().contains("clients.0.post_logout_redirect_uris"), "{problems}");
    }
}

/// AZ-05: with a wildcard in the file the program does not start.
#[test]
fn a_wildcard_in_the_configuration_refuses_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("keywright.toml");
    std::fs::write(&file, config_with("https://*.web.test/cb", "https://web.test/bye")).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_keywright"));
    command.arg("--config").arg(&file).arg("serve").current_dir(folder.path());
    command.env_clear().stdin(Stdio::null());
    let ended = command.output().unwrap();
    let said = String::from_utf8_lossy(&ended.stderr);
    assert_eq!(ended.status.code(), Some(78), "{said}");
    assert!(said.contains("wildcards are not allowed"), "{said}");
    assert!(!folder.path().join("data").exists());
}

/// The ordinary way still works for every client, so that the refusals above mean something.
#[tokio::test(flavor = "multi_thread")]
async fn every_client_gets_its_code_at_its_registered_address() {
    let app = start_with_people("").await;
    for client in ["web", "evil", "spa", "native", "members"] {
        let mut browser: Browser = app.browser();
        assert!(!code_for(&mut browser, client, "alice", &[]).await.is_empty(), "{client}");
    }
    assert_eq!(refusals(&app, "authorize", "redirect_uri_mismatch").await, 0);
}

//! Form Post Response Mode: the page that carries the answer to the app.

use super::{browser_of, start_with_people, traces};
use crate::support::{
    app::ISSUER,
    browser::Page,
    journey::{STATE, authorize_path, redeem, redirect_uri, sign_in_on_page},
};

/// A page whose only form goes to the app, and whose only script is ours and not inline.
fn assert_handover(page: &Page, action: &str) {
    assert_eq!(page.status, 200, "{}", page.text());
    assert_eq!(page.header("cache-control"), Some("no-store"));
    assert_eq!(page.header("referrer-policy"), Some("no-referrer"));
    assert_eq!(page.header("x-frame-options"), Some("DENY"));
    let policy = page.header("content-security-policy").unwrap();
    assert!(policy.contains("frame-ancestors 'none'") && !policy.contains("unsafe"), "{policy}");
    assert!(policy.contains("script-src 'self'"), "{policy}");
    let (text, form) = (page.text(), page.form());
    assert_eq!((form.method.as_str(), form.action.as_str()), ("POST", action));
    assert_eq!(form.value("iss"), Some(ISSUER));
    assert_eq!(text.matches("<form").count(), 1, "{text}");
    assert_eq!(text.matches("</form").count(), 1, "{text}");
    assert_eq!(text.matches("<script").count(), 1, "{text}");
    assert!(text.contains("<script type=\"module\" src=\"/"), "{text}");
}

/// Without a script the person presses the button; the app gets what a redirect would carry.
#[tokio::test(flavor = "multi_thread")]
async fn the_answer_can_be_posted_to_the_app() {
    let app = start_with_people("").await;
    let mut browser = app.browser();
    let journey = browser.visit(&authorize_path("web", &[("response_mode", "form_post")])).await;
    let journey = sign_in_on_page(&mut browser, &journey, "alice").await;
    assert!(journey.stopped_at.is_none(), "{:?}", journey.hops());
    let page = journey.last();
    assert_handover(page, &redirect_uri("web"));
    let form = page.form();
    assert_eq!(form.value("state"), Some(STATE));
    let names: Vec<&str> = form.fields.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["code", "state", "iss"]);
    let answer = redeem(&app, "web", form.value("code").unwrap()).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    // The code is in no address.
    assert!(journey.pages.iter().all(|page| !page.url.as_str().contains("kw_ac_")));
}

/// The script that submits the form is a file of ours.
#[tokio::test(flavor = "multi_thread")]
async fn the_script_of_the_page_is_served_by_us() {
    let app = start_with_people("").await;
    let mut browser = browser_of(&app, "alice").await;
    let page = browser.get(&authorize_path("web", &[("response_mode", "form_post")])).await;
    let text = page.text();
    let (_, after) = text.split_once("<script type=\"module\" src=\"").unwrap();
    let (src, _) = after.split_once('"').unwrap();
    let script = browser.get(src).await;
    assert_eq!(script.status, 200);
    assert!(script.header("content-type").unwrap().contains("javascript"));
    assert!(script.text().contains("submit"), "{}", script.text());
    assert!(!script.text().contains("postMessage"), "AZ-33");
}

/// AZ-17: nothing of what the client sends becomes markup.
#[tokio::test(flavor = "multi_thread")]
async fn what_the_client_sends_stays_text_on_the_page() {
    let app = start_with_people("").await;
    let mut browser = browser_of(&app, "alice").await;
    let quotes = "\"'`<>".repeat(400);
    let states = [
        "\"><svg onload=alert(1)>",
        "</form><form action=https://evil.test/><input name=code>",
        "' autofocus onfocus='alert(1)",
        "--><script>alert(1)</script><!--",
        "&quot;&gt;&lt;script&gt;",
        "{{ 7*7 }}",
        &quotes,
    ];
    let plain = browser.get(&authorize_path("web", &[("response_mode", "form_post")])).await.text();
    let marks = |text: &str| ['<', '>', '"'].map(|mark| text.matches(mark).count());
    for state in states {
        let changes = [("response_mode", "form_post"), ("state", state)];
        let page = browser.get(&authorize_path("web", &changes)).await;
        assert_handover(&page, &redirect_uri("web"));
        let received = page.form();
        assert_eq!(received.value("state"), Some(state), "{}", page.text());
        assert_eq!(marks(&page.text()), marks(&plain), "{}", page.text());
        assert_eq!(received.fields.len(), 3, "{received:?}");
    }
}

/// AZ-17: the address of the form is the registered one, escaped.
#[tokio::test(flavor = "multi_thread")]
async fn the_form_goes_to_the_registered_address_whatever_is_in_it() {
    let client = "
[[clients]]
id = \"odd\"
name = \"Odd <b>app</b>\"
secret = \"odd-secret-0123456789\"
redirect_uris = [\"https://odd.test/cb?a=1&quot;&b='x'\"]
";
    let app = start_with_people(client).await;
    let mut browser = browser_of(&app, "alice").await;
    let uri = "https://odd.test/cb?a=1&quot;&b='x'";
    let changes = [("redirect_uri", uri), ("response_mode", "form_post")];
    let page = browser.get(&authorize_path("odd", &changes)).await;
    let text = page.text();
    let (_, after) = text.split_once("action=\"").unwrap();
    let (action, _) = after.split_once('"').unwrap();
    assert!(!action.contains(['\'', '<', '>']), "{action}");
    assert_handover(&page, url::Url::parse(uri).unwrap().as_str());
    assert!(!text.contains("<b>app</b>"), "{text}");
}

/// Errors travel the way that was asked for, and leave nothing behind.
#[tokio::test(flavor = "multi_thread")]
async fn an_error_is_posted_too() {
    let app = start_with_people("").await;
    let before = traces(&app).await;
    let mut browser = app.browser();
    let changes = [("response_mode", "form_post"), ("prompt", "none")];
    let page = browser.get(&authorize_path("web", &changes)).await;
    assert_handover(&page, &redirect_uri("web"));
    let form = page.form();
    assert_eq!(form.value("error"), Some("login_required"));
    assert_eq!(form.value("state"), Some(STATE));
    assert_eq!(form.value("code"), None);
    assert_eq!(traces(&app).await, before);
    assert_eq!(app.refusals("authorize").await, ["login_required"]);
}

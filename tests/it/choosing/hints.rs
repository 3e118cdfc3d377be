//! Hints of apps about where somebody signs in. A hint saves a page, and proves nothing.

use super::{both, browser, client, is_at, is_choice, leads_to, two_upstreams};
use crate::{
    support::{app::TestApp, journey::authorize_path},
    upstream::sign_in_at,
};

#[tokio::test(flavor = "multi_thread")]
async fn a_hint_leads_to_its_upstream() {
    let (kc, eve) = two_upstreams().await;
    let app = TestApp::builder()
        .upstream("kc", &kc, "email_domains = [\"Corp.test\", \"corp.example\"]")
        .upstream("eve", &eve, "");
    let app = app.config(&client("fixed", "allowed_upstreams = [\"kc\"]")).start().await;
    for (hint, there) in [
        ([("idp_hint", "kc")], Some(&kc)),
        ([("idp_hint", "eve")], Some(&eve)),
        ([("kc_idp_hint", "eve")], Some(&eve)),
        ([("domain_hint", "corp.test")], Some(&kc)),
        ([("domain_hint", "CORP.EXAMPLE")], Some(&kc)),
        ([("login_hint", "kate@corp.test")], Some(&kc)),
        ([("login_hint", "kate@CORP.test")], Some(&kc)),
        ([("idp_hint", "nobody")], None),
        ([("idp_hint", "KC")], None),
        ([("idp_hint", "../kc")], None),
        ([("idp_hint", "<script>")], None),
        ([("domain_hint", "evil.test")], None),
        ([("domain_hint", "sub.corp.test")], None),
        ([("login_hint", "kate")], None),
        ([("login_hint", "kate@evil.test")], None),
        // UP-20: what is not quite an address leads nowhere.
        ([("login_hint", "kate@evil.test@corp.test")], None),
        ([("login_hint", "\"x@evil.test\"@corp.test")], None),
        ([("login_hint", "kate@corp.test.")], None),
    ] {
        let mut browser = browser(&app, &["fixed"]);
        let url = leads_to(&mut browser, "web", &hint).await;
        match there {
            Some(upstream) => assert!(is_at(&url, upstream), "{hint:?} led to {url}"),
            None => assert!(is_choice(&url), "{hint:?} led to {url}"),
        }
        // A hint opens no way that the app does not accept.
        assert!(is_at(&leads_to(&mut browser, "fixed", &hint).await, &kc), "{hint:?}");
    }
}

/// The address that led to an upstream is handed on, so that it is typed once.
#[tokio::test(flavor = "multi_thread")]
async fn the_address_is_handed_on() {
    let (kc, eve) = two_upstreams().await;
    let app = TestApp::builder()
        .upstream("kc", &kc, "email_domains = [\"corp.test\"]")
        .upstream("eve", &eve, "")
        .start()
        .await;
    let url = leads_to(&mut app.browser(), "web", &[("login_hint", "kate@corp.test")]).await;
    let hint = url.query_pairs().find(|(name, _)| name == "login_hint").unwrap().1.into_owned();
    assert_eq!(hint, "kate@corp.test");
}

/// A hint never makes who is signed in sign in again, and never overrules a wish to choose.
#[tokio::test(flavor = "multi_thread")]
async fn a_hint_is_no_more_than_that() {
    let (kc, eve) = two_upstreams().await;
    let app = both(TestApp::builder(), &kc, &eve).start().await;
    let mut browser = app.browser();
    sign_in_at(&mut browser, "kc").await;
    let journey = browser.visit(&authorize_path("web", &[("idp_hint", "eve")])).await;
    assert!(journey.param("code").is_some() && journey.pages.len() == 1, "{:?}", journey.hops());
    let wishes = [("prompt", "select_account"), ("idp_hint", "eve")];
    assert!(is_choice(&leads_to(&mut browser, "web", &wishes).await));
    // Any page can send a browser here: nobody is exchanged for another without a question.
    let wishes = [("prompt", "login"), ("idp_hint", "eve")];
    assert!(is_choice(&leads_to(&mut browser, "web", &wishes).await));
    let wishes = [("prompt", "login"), ("idp_hint", "kc")];
    assert!(is_at(&leads_to(&mut browser, "web", &wishes).await, &kc));
}

//! Going on, after a new proof, at the page that asked for it.

use crate::{
    sessions::sign_in,
    support::{app::TestApp, journey::sign_in_on_page},
};

/// SS-18: a session that was left open sees no form; whoever proves anew who they are sees the one that
/// they wanted.
#[tokio::test(flavor = "multi_thread")]
async fn whoever_proves_anew_who_they_are_comes_back() {
    let app = TestApp::start().await;
    app.add_user("bob", &[]).await;
    let mut browser = app.browser();
    sign_in(&mut browser, "bob").await;
    for page in ["profile", "password", "delete"] {
        app.clock.advance(5 * 60 + 1);
        let page = format!("/account/{page}");
        let journey = browser.visit(&page).await;
        assert_eq!(journey.last().url.path(), "/login", "{:?}", journey.hops());
        let journey = sign_in_on_page(&mut browser, &journey, "bob").await;
        assert_eq!((journey.last().status, journey.last().url.path()), (200, page.as_str()));
    }
    app.clock.advance(5 * 60 + 1);
    for page in ["passkeys", "tokens"] {
        let page = browser.get(&format!("/account/{page}")).await;
        let to = format!("href=\"/account/prove?then={}\"", page.url.path());
        assert!(page.text().contains(&to), "{}", page.text());
    }
}

/// UP-29: a proof leads to one's own pages, whatever its address says.
#[tokio::test(flavor = "multi_thread")]
async fn a_proof_leads_nowhere_else() {
    let app = TestApp::start().await;
    app.add_user("bob", &[]).await;
    for then in ["", "https://evil.test/", "//evil.test/account/profile", "/logout", "profile"] {
        let mut browser = app.browser();
        let journey = browser.visit(&format!("/account/prove?then={then}")).await;
        let journey = sign_in_on_page(&mut browser, &journey, "bob").await;
        assert_eq!(journey.last().url.path(), "/account", "{then}: {:?}", journey.hops());
        assert!(journey.hops().iter().all(|hop| !hop.contains("evil")), "{:?}", journey.hops());
    }
}

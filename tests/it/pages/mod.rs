//! The pages: how they look, what they may load, and what nobody can put into them.

mod assets;
mod hostile_text;
mod html;
mod looks;
mod own;
mod snapshots;
mod stories;

use serde_json::json;

use crate::second_factor;
use crate::support::{
    app::TestApp,
    browser::{Browser, Page},
    fake_upstream::FakeUpstream,
    journey::{authorize_path, sign_in_on_page},
};

/// A house with local people and two upstreams, and who is at the first of them.
async fn house() -> (TestApp, [FakeUpstream; 2]) {
    let upstreams = [FakeUpstream::start().await, FakeUpstream::start().await];
    let app = TestApp::builder()
        .upstream("kc", &upstreams[0], "groups = { claim = \"groups\" }")
        .upstream("other", &upstreams[1], "")
        .start()
        .await;
    app.add_user("bob", &["staff"]).await;
    upstreams[0].set_person(json!({
        "sub": "7", "preferred_username": "alice", "email": "alice@corp.test",
        "email_verified": true, "name": "Alice Berg", "groups": ["staff", "berlin"],
        "picture": "https://pictures.test/alice.png",
    }));
    (app, upstreams)
}

/// Goes from the sign-in page to an upstream and all the way back.
async fn continue_with(browser: &mut Browser, slug: &str, page: &Page) -> Page {
    let path = format!("/upstream/{slug}/start");
    let link = page.links().into_iter().find(|link| link.path() == path);
    let page = browser.click(page, link.expect("a way to the upstream").as_str()).await;
    browser.follow(page).await.last().clone()
}

/// One of every page that people can get to see, with its name.
async fn every_page(app: &TestApp) -> Vec<(&'static str, Page)> {
    let mut pages = Vec::new();
    let mut browser = app.browser();
    let login = browser.visit(&authorize_path("web", &[])).await;
    pages.push(("sign-in", login.last().clone()));
    let form = login.last().form_to("/login").fill("username", "bob").fill("password", "wrong");
    pages.push(("wrong password", browser.submit(login.last(), &form).await));
    sign_in_on_page(&mut browser, &login, "bob").await.landing();
    let choosing = authorize_path("web", &[("prompt", "select_account")]);
    pages.push(("choosing", browser.visit(&choosing).await.last().clone()));
    let own = browser.visit("/account").await.last().clone();
    let post = authorize_path("web", &[("response_mode", "form_post")]);
    for (name, path) in [
        ("form post", post.as_str()),
        ("sign out?", "/logout?client_id=web"),
        ("own tokens", "/account/tokens"),
        ("own apps", "/account/apps"),
        ("own activity", "/account/activity"),
        ("everywhere?", "/account/everywhere"),
        ("not found", "/nowhere"),
        ("no such asset", "/assets/x"),
        ("no flow", "/login?flow=x"),
        ("no client", "/authorize?client_id=x"),
        ("wrong address", &authorize_path("web", &[("redirect_uri", "https://evil.test/cb")])),
        ("unknown state", "/upstream/kc/callback?state=x&code=y"),
        ("no upstream", "/upstream/none/start"),
        ("no such invitation", "/invitation?invitation=x"),
    ] {
        pages.push((name, browser.get(path).await));
    }
    pages.push(("forged form", browser.post_form("/login", &[("username", "x")]).await));
    pages.push(("no form", browser.post_form("/logout", &[("confirm", "yes")]).await));
    let (_, link) = crate::invitations::make(app, crate::invitations::offer()).await;
    let invitation = crate::invitations::open(&mut browser, &link).await;
    pages.push(("invitation", invitation));
    pages.push(("invitation of a stranger", app.browser().visit(&link).await.last().clone()));
    let csrf = own.form_to("/logout").value("csrf").unwrap().to_owned();
    for (name, path, more) in [
        ("no such link", "/account/unlink", ("handle", "x")),
        ("nothing to connect", "/account/link", ("upstream", "none")),
    ] {
        pages.push((name, browser.post_form(path, &[("csrf", &csrf), more]).await));
    }
    let signed_out = browser.submit(&own, &own.form_to("/logout")).await;
    pages.extend([("account", own), ("signed out", signed_out)]);
    let login = browser.visit("/account").await.last().clone();
    pages.push(("sign-in to the account", login.clone()));
    pages.push(("account by upstream", continue_with(&mut browser, "kc", &login).await));
    pages.extend(second_factor::every_page(app).await);
    pages
}

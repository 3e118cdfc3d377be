//! A lost password is replaced; a second factor is not got round by it.

use super::{FAST, give, set_up};
use crate::{
    sessions::sign_in,
    support::{
        app::TestApp,
        inbox::{Inbox, link_in},
        journey::authorize_path,
    },
};

const NEW: &str = "eleven quiet Otters 93";

async fn reset(app: &TestApp, inbox: &Inbox) {
    let mut browser = app.browser();
    let page = browser.get("/recovery").await;
    let form = page.form_to("/recovery").fill("username", "bob");
    browser.submit(&page, &form).await;
    let link = link_in(&inbox.newest(app, "bob@corp.test").await);
    let page = browser.visit(&link).await.last().clone();
    let form = page.form_to("/recovery/password").fill("password", NEW);
    assert_eq!(browser.submit(&page, &form).await.status, 200);
}

/// RC-09: the factor stays, is asked after the new password, and counts as before.
#[tokio::test(flavor = "multi_thread")]
async fn a_reset_takes_no_factor_away() {
    let inbox = Inbox::open();
    let app = inbox.builder(FAST).start().await;
    app.add_user("bob", &[]).await;
    let mut browser = app.browser();
    sign_in(&mut browser, "bob").await;
    let (authenticator, codes) = set_up(&app, &mut browser).await;
    reset(&app, &inbox).await;
    assert_eq!(app.count("totp_factors").await, 1);
    assert_eq!(app.count("recovery_codes WHERE used_at IS NULL").await, 10);
    assert_eq!(codes.len(), 10);
    assert_eq!(app.count("sessions WHERE ended_at IS NULL").await, 0);

    let mut browser = app.browser();
    let page = browser.visit(&authorize_path("web", &[])).await;
    let page = page.last().clone();
    let form = page.form_to("/login").fill("username", "bob").fill("password", NEW);
    let answer = browser.submit(&page, &form).await;
    assert!(answer.location_param("code").is_none(), "the password alone is not enough");
    let page = browser.follow(answer).await.last().clone();
    assert_eq!(app.count("sessions WHERE ended_at IS NULL").await, 0);
    let answer = give(&mut browser, &page, &authenticator.code(&app)).await;
    assert!(browser.follow(answer).await.param("code").is_some());
}

/// LK-03: a factor that somebody set up who had only written the address down goes with the rest.
#[tokio::test(flavor = "multi_thread")]
async fn a_factor_of_a_squatter_goes() {
    let inbox = Inbox::open();
    let app = inbox.builder(FAST).start().await;
    app.add_user("bob", &[]).await;
    let mut browser = app.browser();
    sign_in(&mut browser, "bob").await;
    set_up(&app, &mut browser).await;
    let no = if app.database.url.starts_with("sqlite:") { "0" } else { "FALSE" };
    let sql = format!("UPDATE users SET email_verified = {no} WHERE username = 'bob'");
    crate::refresh::outside::execute(&app, &sql).await;
    reset(&app, &inbox).await;
    for table in ["totp_factors", "recovery_codes", "passkeys"] {
        assert_eq!(app.count(table).await, 0, "{table}");
    }
}

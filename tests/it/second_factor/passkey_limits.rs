//! What a passkey does not get round, and what does not get round a passkey.

use super::{
    device::options_on,
    live,
    passkeys::{asked, bobs_device, present, sign_in_with},
    start, start_with,
};
use crate::{
    sessions::SESSION,
    support::journey::{authorize_path, sign_in_on_page},
};

/// Whose password was taken away is locked, or an upstream's alone: a passkey does not get round that.
#[tokio::test(flavor = "multi_thread")]
async fn without_a_password_a_passkey_opens_nothing() {
    let app = start().await;
    let mut device = bobs_device(&app).await;
    let sql = "UPDATE users SET password_hash = NULL WHERE username = 'bob'";
    app.add_user("alice", &[]).await;
    let mut browser = app.browser();
    let page = asked(&mut browser, &[]).await;
    crate::refresh::outside::execute(&app, sql).await;
    let refused = present(&mut browser, &page, &device.get(&options_on(&page))).await;
    assert!(refused.text().contains("code: passkey_unknown\n"), "{}", refused.text());
    assert!(browser.cookies().get(SESSION).is_none());
}

/// Who has a passkey and must prove two factors shows it: nobody with the password alone sets up another
/// factor in its place.
#[tokio::test(flavor = "multi_thread")]
async fn a_password_does_not_get_round_a_passkey_that_is_required() {
    let app = start_with("[second_factors]\nrequired_for_groups = [\"staff\"]").await;
    let mut device = bobs_device(&app).await;
    let sql = "UPDATE users SET groups = '[\"staff\"]' WHERE username = 'bob'";
    crate::refresh::outside::execute(&app, sql).await;
    let mut thief = app.browser();
    let journey = thief.visit(&authorize_path("web", &[])).await;
    let journey = sign_in_on_page(&mut thief, &journey, "bob").await;
    let page = journey.last();
    assert_eq!(page.url.path(), "/login/second-factor", "{}", page.text());
    assert!(!page.text().contains("Set up a second step"), "{}", page.text());
    assert!(page.text().contains("/login/passkey"), "{}", page.text());
    let form = page.form_to("/login/second-factor").fill("code", "123456").add("name", "x");
    let refused = thief.submit(page, &form).await;
    assert!(refused.status != 200 || !refused.text().contains("<pre"), "{}", refused.text());
    assert_eq!((app.count("totp_factors").await, live(&app).await), (0, 1), "bob's own");
    assert!(thief.cookies().get(SESSION).is_none());
    let mut owner = app.browser();
    assert!(sign_in_with(&mut owner, &mut device, &[]).await.param("code").is_some());
}

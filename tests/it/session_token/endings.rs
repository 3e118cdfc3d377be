//! When the cookie is worth nothing any more.

use super::{Page, code, is_good, signed_in, start};
use crate::{refresh::outside::user_verb, support::journey::code_by_session};

/// The person signs out of the app: the family ends, the cookie goes, and doing it twice is no fault.
#[tokio::test(flavor = "multi_thread")]
async fn giving_the_cookie_back_ends_the_family() {
    let app = start().await;
    let (mut page, access) = signed_in(&app).await;
    let mut left_over = page.clone();
    let (mut other, other_access) = signed_in(&app).await;
    let answer = page.delete(&app).await;
    assert_eq!((answer.status.as_u16(), page.cookie.as_deref()), (204, None));
    assert_eq!(answer.headers["cache-control"], "no-store");
    assert_eq!(page.delete(&app).await.status, 204);
    assert!(!is_good(&app, &access).await);
    left_over.refresh(&app).await.assert_error(400, "invalid_grant");
    assert_eq!(left_over.delete(&app).await.status, 204);
    let given_back = app.events().await.into_iter().filter(|event| event.action == "revoke");
    assert_eq!(given_back.count(), 1);
    assert!(is_good(&app, &other_access).await, "another browser stays signed in");
    assert_eq!(other.refresh(&app).await.status, 200);
}

/// The session at Keywright ends, and the app's with it; so does that of an account that is shut.
#[tokio::test(flavor = "multi_thread")]
async fn it_ends_with_the_session_and_with_the_account() {
    let app = start().await;
    let mut browser = app.browser();
    browser.stop_at("https://board.test/");
    let first = crate::support::journey::code_for(&mut browser, "board", "bob", &[]).await;
    let mut page = Page::default();
    assert_eq!(page.redeem(&app, &first).await.status, 200);
    let again = code_by_session(&mut browser, "board", &[]).await;
    assert_eq!(page.redeem(&app, &again).await.status, 200);
    let account = browser.visit("/account").await.last().clone();
    let form = account.form_to("/logout");
    let answer = browser.submit(&account, &form).await;
    browser.follow(answer).await;
    page.refresh(&app).await.assert_error(400, "invalid_grant");
    assert_eq!(page.cookie, None);

    let mut page = Page::default();
    assert_eq!(page.redeem(&app, &code(&app).await).await.status, 200);
    user_verb(&app, &["disable", "bob"], "").await;
    page.refresh(&app).await.assert_error(400, "invalid_grant");
    assert_eq!(page.cookie, None);
}

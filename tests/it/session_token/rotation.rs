//! How the cookie comes, goes on and meets itself.

use super::{Page, code, is_good, signed_in, start};

/// The page gets everything but the refresh token, which no script, no other site and no other host
/// ever sees.
#[tokio::test(flavor = "multi_thread")]
async fn the_refresh_token_is_a_cookie_that_no_page_can_read() {
    let app = start().await;
    let mut page = Page::default();
    let answer = page.redeem(&app, &code(&app).await).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.json().get("refresh_token"), None);
    assert!(answer.json()["id_token"].is_string());
    assert!(is_good(&app, &answer.text("access_token")).await);
    assert_eq!(answer.headers["cache-control"], "no-store");
    let line = answer.headers["set-cookie"].to_str().unwrap();
    let (name, rest) = line.split_once('=').unwrap();
    assert!(name.starts_with("__Host-kw-refresh-"), "{line}");
    let (_, attributes) = rest.split_once("; ").unwrap();
    let weeks = app.app.refresh_policy().idle_lifetime.seconds();
    let expected = format!("Path=/; Max-Age={weeks}; HttpOnly; SameSite=Strict; Secure");
    assert_eq!(attributes, expected);
}

/// Each use brings another cookie; a used one that comes back later ends the family, and the browser
/// is told to forget it.
#[tokio::test(flavor = "multi_thread")]
async fn the_cookie_is_rotated_and_an_old_one_ends_the_family() {
    let app = start().await;
    let (mut page, _) = signed_in(&app).await;
    let mut thief = page.clone();
    let answer = page.refresh(&app).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.json().get("refresh_token"), None);
    assert_ne!(page.cookie, thief.cookie);
    let access = answer.text("access_token");
    assert!(is_good(&app, &access).await);

    app.clock.advance(60);
    thief.refresh(&app).await.assert_error(400, "invalid_grant");
    assert_eq!(thief.cookie, None);
    assert!(!is_good(&app, &access).await);
    page.refresh(&app).await.assert_error(400, "invalid_grant");
    assert_eq!(page.cookie, None);
    assert_eq!(app.refusals("token").await, ["refresh_reuse", "grant_revoked"]);
}

/// Trap 10: two tabs refresh at once, and both go on.
#[tokio::test(flavor = "multi_thread")]
async fn two_tabs_at_once_are_given_the_same_cookie() {
    let app = start().await;
    let (mut first, _) = signed_in(&app).await;
    let mut second = first.clone();
    let (one, other) = tokio::join!(first.refresh(&app), second.refresh(&app));
    assert_eq!((one.status.as_u16(), other.status.as_u16()), (200, 200), "{one:?} {other:?}");
    assert_eq!(first.cookie, second.cookie);
    app.clock.advance(60);
    assert_eq!(first.refresh(&app).await.status, 200);
}

/// An app that reloads itself at each answer is slowed down, and not signed out.
#[tokio::test(flavor = "multi_thread")]
async fn an_app_in_a_circle_has_to_wait() {
    let app = start().await;
    let (mut page, _) = signed_in(&app).await;
    for _ in 0..30 {
        let answer = page.refresh(&app).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        app.clock.advance(1);
    }
    let (cookie, rows) = (page.cookie.clone(), app.count("refresh_tokens").await);
    let refused = page.refresh(&app).await;
    refused.assert_error(429, "temporarily_unavailable");
    assert!(refused.headers.contains_key("retry-after"));
    assert_eq!(app.refusals("token").await, ["refresh_loop"]);
    assert_eq!((page.cookie.clone(), app.count("refresh_tokens").await), (cookie, rows));
    let (mut other, _) = signed_in(&app).await;
    assert_eq!(other.refresh(&app).await.status, 200, "another family is as free as before");
    app.clock.advance(60);
    assert_eq!(page.refresh(&app).await.status, 200);
}

/// A second sign-in at the same browser replaces the first: nobody could use its tokens any more.
#[tokio::test(flavor = "multi_thread")]
async fn what_the_browser_had_before_ends_with_the_next_sign_in() {
    let app = start().await;
    let (mut page, before) = signed_in(&app).await;
    let answer = page.redeem(&app, &code(&app).await).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert!(!is_good(&app, &before).await);
    assert!(is_good(&app, &answer.text("access_token")).await);
    assert_eq!(app.count("grants WHERE revoked_because = 'replaced'").await, 1);
    assert_eq!(page.refresh(&app).await.status, 200);
}

//! What belongs to a code: its client, its address, its verifier, its session, its scope.

use keywright::{protocol::pkce::CodeChallenge, store::users};
use serde_json::json;

use super::{Family, redeem_with, refused, start_with_alice, start_with_code};
use crate::support::{
    app::TestApp,
    journey::{NONCE, VERIFIER, code_by_session, code_for, redeem},
};

const OTHER_VERIFIER: &str = "the-verifier-of-mallory-that-is-long-enough-0123456789";

/// CD-04: no verifier, an empty one, a wrong one, a malformed one; the code stays good for the
/// right one.
#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_verifier_is_refused_and_does_not_cost_the_code() {
    let (app, _, code) = start_with_code("web").await;
    let long = "v".repeat(129);
    for verifier in ["", OTHER_VERIFIER, "short", &long] {
        let answer = redeem_with(&app, "web", &code, &[("code_verifier", verifier)]).await;
        answer.assert_error(400, "invalid_grant");
    }
    assert_eq!(refused(&app, "pkce_mismatch").await, 4);
    assert_eq!((app.count("grants").await, app.count("refresh_tokens").await), (0, 0));
    Family::of(&redeem(&app, "web", &code).await).assert_alive(&app, "web").await;
}

/// CD-04: verifiers that resemble the right one.
#[tokio::test(flavor = "multi_thread")]
async fn only_the_very_verifier_fits() {
    let (app, mut browser, mut code) = start_with_code("web").await;
    let challenge = CodeChallenge::of(VERIFIER);
    let wrong = [
        challenge.as_str().to_owned(),
        VERIFIER.to_uppercase(),
        format!("{VERIFIER} "),
        format!("{VERIFIER}\n"),
        format!("{VERIFIER}x"),
        VERIFIER[..VERIFIER.len() - 1].to_owned(),
        format!("{VERIFIER}\u{0}"),
        format!("{VERIFIER}="),
    ];
    for pair in wrong.chunks(4) {
        for verifier in pair {
            let answer = redeem_with(&app, "web", &code, &[("code_verifier", verifier)]).await;
            answer.assert_error(400, "invalid_grant");
        }
        assert_eq!(redeem(&app, "web", &code).await.status, 200);
        code = code_by_session(&mut browser, "web", &[]).await;
    }
}

/// CD-04: the fifth failure burns the code.
#[tokio::test(flavor = "multi_thread")]
async fn five_wrong_verifiers_burn_the_code() {
    let (app, _, code) = start_with_code("web").await;
    for _ in 0..5 {
        let answer = redeem_with(&app, "web", &code, &[("code_verifier", OTHER_VERIFIER)]).await;
        answer.assert_error(400, "invalid_grant");
    }
    redeem(&app, "web", &code).await.assert_error(400, "invalid_grant");
    assert_eq!(refused(&app, "code_unknown").await, 1);
    assert_eq!((app.count("grants").await, app.count("refresh_tokens").await), (0, 0));
}

/// CD-05: a code cut out of alice's flow and pasted into mallory's.
#[tokio::test(flavor = "multi_thread")]
async fn a_code_of_one_flow_is_useless_with_the_verifier_of_another() {
    let (app, mut alice, stolen) = start_with_code("web").await;
    app.add_user("mallory", &[]).await;
    let challenge = CodeChallenge::of(OTHER_VERIFIER);
    let own = [("code_challenge", challenge.as_str())];
    let own = code_for(&mut app.browser(), "web", "mallory", &own).await;
    let verifier = [("code_verifier", OTHER_VERIFIER)];
    let answer = redeem_with(&app, "web", &stolen, &verifier).await;
    answer.assert_error(400, "invalid_grant");
    redeem_with(&app, "web", &own, &[]).await.assert_error(400, "invalid_grant");
    assert_eq!(refused(&app, "pkce_mismatch").await, 2);
    assert_eq!(app.count("grants").await, 0);
    // Each works where it belongs.
    assert_eq!(redeem_with(&app, "web", &own, &verifier).await.status, 200);
    assert_eq!(redeem(&app, "web", &stolen).await.status, 200);
    code_by_session(&mut alice, "web", &[]).await;
}

/// CD-08: right or wrong client, fresh or expired, right or wrong address: one of eight is good.
#[tokio::test(flavor = "multi_thread")]
async fn a_code_is_good_only_if_everything_about_it_is_right() {
    for number in 0..8 {
        let (right_client, fresh, right_uri) = (number & 4 == 0, number & 2 == 0, number & 1 == 0);
        let (app, _, code) = start_with_code("web").await;
        if !fresh {
            app.clock.advance(61);
        }
        let client = if right_client { "web" } else { "evil" };
        let uri = if right_uri { "https://web.test/cb" } else { "https://evil.test/cb" };
        let answer = redeem_with(&app, client, &code, &[("redirect_uri", uri)]).await;
        if number == 0 {
            Family::of(&answer).assert_alive(&app, "web").await;
            continue;
        }
        answer.assert_error(400, "invalid_grant");
        assert_eq!((app.count("grants").await, app.refusals("token").await.len()), (0, 1));
        // A stranger's try, and one mistake of its own, cost the client nothing.
        let again = redeem(&app, "web", &code).await;
        assert_eq!(again.status.as_u16(), if fresh { 200 } else { 400 }, "{number}");
    }
}

/// CD-08: however often another client tries, the code is not burnt.
#[tokio::test(flavor = "multi_thread")]
async fn another_client_cannot_burn_a_code() {
    let (app, _, code) = start_with_code("web").await;
    for _ in 0..10 {
        redeem_with(&app, "evil", &code, &[]).await.assert_error(400, "invalid_grant");
    }
    let form = [("grant_type", "authorization_code"), ("client_id", "spa"), ("code", &code)];
    app.post("/token", &form, &[]).await.assert_error(400, "invalid_grant");
    assert_eq!(refused(&app, "code_of_another_client").await, 11);
    assert_eq!(redeem(&app, "web", &code).await.status, 200);
}

/// CD-13: the person signs out before the app redeems.
#[tokio::test(flavor = "multi_thread")]
async fn a_code_dies_with_the_session_it_came_from() {
    let (app, mut browser, code) = start_with_code("web").await;
    let page = browser.get("/logout").await;
    let signed_out = browser.submit(&page, &page.form_to("/logout")).await;
    assert_eq!(signed_out.status, 200);
    redeem(&app, "web", &code).await.assert_error(400, "invalid_grant");
    assert_eq!(refused(&app, "session_ended").await, 1);
    assert_eq!((app.count("grants").await, app.count("refresh_tokens").await), (0, 0));
}

/// CD-13: the account is shut, and opened again, before the app redeems.
#[tokio::test(flavor = "multi_thread")]
async fn a_code_gives_nothing_while_the_account_is_shut() {
    let (app, _, code) = start_with_code("web").await;
    let now = app.app.now();
    let mut connection = app.app.connection().await.unwrap();
    let user = users::find_by_username(&mut connection, "alice").await.unwrap().unwrap();
    assert!(users::disable(&mut connection, &user.id, now).await.unwrap());
    drop(connection);
    redeem(&app, "web", &code).await.assert_error(400, "invalid_grant");
    assert_eq!(refused(&app, "session_ended").await, 1);
    assert_eq!((app.count("grants").await, app.count("refresh_tokens").await), (0, 0));
}

/// CD-14: the scope was settled when the code was issued.
#[tokio::test(flavor = "multi_thread")]
async fn the_token_request_cannot_change_the_scope() {
    let (app, mut browser) = start_with_alice().await;
    let code = code_for(&mut browser, "web", "alice", &[("scope", "openid email")]).await;
    let wider = [("scope", "openid email profile groups offline_access admin")];
    let answer = redeem_with(&app, "web", &code, &wider).await;
    assert_eq!((answer.status.as_u16(), answer.text("scope")), (200, "openid email".to_owned()));
    assert!(answer.json().get("refresh_token").is_none());
    let (_, claims) = keywright::keys::parse_unverified(&answer.text("id_token")).unwrap();
    assert!(claims.get("groups").is_none(), "{claims:?}");
    assert_eq!(claims["nonce"], NONCE);
    let (_, claims) = keywright::keys::parse_unverified(&answer.text("access_token")).unwrap();
    assert_eq!(claims["scope"], json!("openid email"));
}

/// CD-14: the address belongs to the code, and is never left out.
#[tokio::test(flavor = "multi_thread")]
async fn the_token_request_cannot_change_the_redirect_uri() {
    let (app, _, code) = start_with_code("web").await;
    for uri in ["https://web.test/cb/", "https://WEB.test/cb", "https://spa.test/cb", ""] {
        let answer = redeem_with(&app, "web", &code, &[("redirect_uri", uri)]).await;
        answer.assert_error(400, "invalid_grant");
    }
    assert_eq!(refused(&app, "redirect_uri_mismatch").await, 4);
    assert_eq!(app.count("grants").await, 0);
    assert_eq!(redeem(&app, "web", &code).await.status, 200);
}

/// RFC 6749 §2.3.1, §4.1.3: a confidential client proves itself before its code is looked at.
#[tokio::test(flavor = "multi_thread")]
async fn a_code_without_client_authentication_gives_nothing() {
    let (app, _, code): (TestApp, _, String) = start_with_code("web").await;
    let form = [
        ("grant_type", "authorization_code"),
        ("client_id", "web"),
        ("code", code.as_str()),
        ("redirect_uri", "https://web.test/cb"),
        ("code_verifier", VERIFIER),
    ];
    app.post("/token", &form, &[]).await.assert_error(401, "invalid_client");
    let wrong = [&form[..], &[("client_secret", "wrong-secret-0123456789")]].concat();
    app.post("/token", &wrong, &[]).await.assert_error(401, "invalid_client");
    assert_eq!(app.refusals("client_authentication").await.len(), 2);
    assert_eq!(app.count("grants").await, 0);
    let right = [&form[..], &[("client_secret", "web-secret-0123456789")]].concat();
    assert_eq!(app.post("/token", &right, &[]).await.status, 200);
}

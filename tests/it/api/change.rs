//! Changes of one's own account take both tokens, and what decides who gets in the password as well.

use axum::http::Method;
use serde_json::{Value, json};

use super::{APPS, NEW, assert_problem, me, post_as_backend, refresh, sign_in, start, tokens};
use crate::{
    refresh::outside::execute,
    second_factor::enrolled,
    support::{
        app::{Answer, TestApp},
        inbox::{Inbox, link_in},
    },
};

async fn change(app: &TestApp, (access, refresh): (&str, &str), changes: Value) -> Answer {
    let mut body = changes;
    body["refresh_token"] = json!(refresh);
    me(app, Method::PATCH, access, &body).await
}

async fn seen(app: &TestApp, access: &str) -> Value {
    me(app, Method::GET, access, &json!({})).await.json()
}

/// PW-18: another password ends everybody else, and whoever changed it goes on.
#[tokio::test(flavor = "multi_thread")]
async fn a_password_is_changed() {
    let inbox = Inbox::open();
    let app = inbox.builder(APPS).start().await;
    app.add_user("bob", &[]).await;
    let (_, other) = tokens(&app, "page", "bob").await;
    let (access, token) = tokens(&app, "own", "bob").await;
    let changes = json!({ "password": NEW, "current_password": "bob-password" });
    let answer = change(&app, (&access, &token), changes).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_problem(&refresh(&app, "page", &other).await, 401, "invalid_grant");
    assert_problem(&refresh(&app, "own", &token).await, 401, "invalid_grant");
    let own = answer.text("access_token");
    assert_eq!(seen(&app, &own).await["preferred_username"], "bob");
    assert_eq!(refresh(&app, "own", &answer.text("refresh_token")).await.status, 200);
    assert_eq!(sign_in(&app, "own", "bob", NEW).await.status, 200);
    assert_problem(&sign_in(&app, "own", "bob", "bob-password").await, 401, "invalid_credentials");
    let mail = inbox.newest(&app, "bob@corp.test").await;
    assert!(mail.text().contains("the password was changed"), "{}", mail.text());
}

/// LK-20: the name changes at once, the address when its owner has said so.
#[tokio::test(flavor = "multi_thread")]
async fn a_name_and_an_address_are_changed() {
    let inbox = Inbox::open();
    let app = inbox.builder(APPS).start().await;
    app.add_user("bob", &[]).await;
    let (access, token) = tokens(&app, "own", "bob").await;
    let answer = change(&app, (&access, &token), json!({ "name": "Bob the Second" })).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let (access, token) = (answer.text("access_token"), answer.text("refresh_token"));
    let changes = json!({ "email": "new@corp.test", "current_password": "bob-password" });
    let answer = change(&app, (&access, &token), changes).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let access = answer.text("access_token");
    let now = seen(&app, &access).await;
    assert_eq!((&now["name"], &now["email"]), (&json!("Bob the Second"), &json!("bob@corp.test")));
    let link = link_in(&inbox.newest(&app, "new@corp.test").await);
    let mut browser = app.browser();
    let page = browser.visit(&link).await.last().clone();
    let form = page.form_to("/verify-email");
    browser.submit(&page, &form).await;
    drop(browser);
    // Its families are over by that, as on the page; whoever signs in anew sees the new address.
    let (access, _) = tokens(&app, "own", "bob").await;
    assert_eq!(seen(&app, &access).await["email"], "new@corp.test");
}

/// PW-17: one of the two tokens, another family's, or a wrong password, is not enough; nothing is used up.
#[tokio::test(flavor = "multi_thread")]
async fn one_of_two_is_not_enough() {
    let app = start().await;
    app.add_user("eve", &[]).await;
    let (access, token) = tokens(&app, "own", "bob").await;
    let (_, other) = tokens(&app, "own", "bob").await;
    let (_, foreign) = tokens(&app, "own", "eve").await;
    let name = json!({ "name": "x" });
    for wrong in ["", "kw_rt_x", other.as_str(), foreign.as_str(), access.as_str()] {
        let answer = change(&app, (&access, wrong), name.clone()).await;
        assert_problem(&answer, 403, "refresh_token_required");
    }
    let answer = me(&app, Method::PATCH, &access, &name).await;
    assert_problem(&answer, 422, "invalid_request");
    let answer = change(&app, (&token, &token), name.clone()).await;
    assert_problem(&answer, 401, "invalid_token");
    let both = (access.as_str(), token.as_str());
    for (changes, status, code) in [
        (json!({}), 422, "nothing_to_change"),
        (json!({ "password": NEW }), 403, "current_password_required"),
        (json!({ "password": NEW, "current_password": "" }), 403, "wrong_password"),
        (json!({ "password": NEW, "current_password": NEW }), 403, "wrong_password"),
        (json!({ "password": NEW, "current_password": null }), 403, "current_password_required"),
        (json!({ "password": NEW, "current_password": [] }), 422, "invalid_request"),
        (json!({ "password": "x", "current_password": "bob-password" }), 422, "password_unfit"),
        (json!({ "email": "new@corp.test", "current_password": "bob-password" }), 403, "mail_off"),
    ] {
        assert_problem(&change(&app, both, changes).await, status, code);
    }
    let reasons = app.refusals("account_change").await;
    assert!(reasons.contains(&"wrong_password".to_owned()), "{reasons:?}");
    assert_eq!(seen(&app, &access).await["name"], "bob Example");
    assert_eq!(sign_in(&app, "own", "bob", "bob-password").await.status, 200);
    assert_eq!(refresh(&app, "own", &token).await.status, 200, "the token was not used");
    // RT-06: one that was used changes nothing, and its family is over.
    app.clock.advance(60);
    assert_problem(&change(&app, both, name).await, 401, "invalid_grant");
    assert_eq!(app.count("users WHERE name = 'x'").await, 0);
}

/// PW-10, PW-12: the present password is guessed no faster here.
#[tokio::test(flavor = "multi_thread")]
async fn the_present_password_is_not_guessed() {
    let app = start().await;
    let (access, token) = tokens(&app, "own", "bob").await;
    for _ in 0..5 {
        let changes = json!({ "password": NEW, "current_password": "wrong" });
        assert_problem(&change(&app, (&access, &token), changes).await, 403, "wrong_password");
    }
    let changes = json!({ "password": NEW, "current_password": "bob-password" });
    assert_problem(&change(&app, (&access, &token), changes).await, 429, "too_many_tries");
    // PW-14: it is whoever guesses that waits, and nobody else.
    assert_eq!(sign_in(&app, "own", "bob", "bob-password").await.status, 200);
}

/// MF-03: one factor changes nothing where the account has two; a session that is over neither.
#[tokio::test(flavor = "multi_thread")]
async fn a_weak_or_ended_session_changes_nothing() {
    let app = start().await;
    let (access, token) = tokens(&app, "own", "bob").await;
    let _ = enrolled(&app).await;
    let answer = change(&app, (&access, &token), json!({ "name": "x" })).await;
    assert_problem(&answer, 403, "reauthentication_required");
    assert_eq!(app.refusals("account_change").await, ["reauth_required"]);
    execute(&app, "DELETE FROM totp_factors").await;
    execute(&app, "UPDATE sessions SET ended_at = 1").await;
    let answer = change(&app, (&access, &token), json!({ "name": "x" })).await;
    assert_problem(&answer, 403, "reauthentication_required");
    assert_eq!(app.count("users WHERE name = 'x'").await, 0);
}

/// An upstream's word is changed there; an account without a password goes to our pages.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_an_upstreams_changes_there() {
    let inbox = Inbox::open();
    let app = inbox.builder(APPS).start().await;
    app.add_user("bob", &[]).await;
    let (access, token) = tokens(&app, "own", "bob").await;
    let both = (access.as_str(), token.as_str());
    execute(&app, "UPDATE users SET email_issuer = 'https://kc.test'").await;
    assert_problem(&change(&app, both, json!({ "name": "x" })).await, 403, "name_of_upstream");
    let email = json!({ "email": "new@corp.test", "current_password": "bob-password" });
    assert_problem(&change(&app, both, email.clone()).await, 403, "email_of_upstream");
    execute(&app, "UPDATE users SET email_issuer = NULL").await;
    for same in ["bob@corp.test", "nothing"] {
        let body = json!({ "email": same, "current_password": "bob-password" });
        assert_problem(&change(&app, both, body).await, 422, "email_unfit");
    }
    execute(&app, "UPDATE users SET password_hash = NULL").await;
    let answer = change(&app, both, email).await;
    assert_problem(&answer, 403, "no_password");
    assert_eq!(answer.text("page"), "https://id.test/account");
    assert!(inbox.all(&app).await.is_empty());
}

/// RFC 6749 §6: a client that has a secret shows it with its refresh token, here too.
#[tokio::test(flavor = "multi_thread")]
async fn a_confidential_client_proves_itself() {
    let app = start().await;
    let body = json!({
        "username": "bob", "password": "bob-password", "scope": "openid offline_access"
    });
    let answer = post_as_backend(&app, "/signin", &body).await;
    let (access, token) = (answer.text("access_token"), answer.text("refresh_token"));
    let answer = change(&app, (&access, &token), json!({ "name": "Robert" })).await;
    assert_problem(&answer, 401, "invalid_client");
    let changes = json!({ "name": "Robert", "client_secret": "wrong" });
    let answer = change(&app, (&access, &token), changes).await;
    assert_problem(&answer, 401, "invalid_client");
    assert_eq!(app.count("users WHERE name = 'Robert'").await, 0);
    let changes = json!({ "name": "Robert", "client_secret": "backend-secret-0123456789" });
    let answer = change(&app, (&access, &token), changes).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(app.count("users WHERE name = 'Robert'").await, 1);
}

/// PW-19: whoever was signed in when an administrator set a password chooses another one first.
#[tokio::test(flavor = "multi_thread")]
async fn a_temporary_password_changes_nothing() {
    let inbox = Inbox::open();
    let app = inbox.builder(APPS).start().await;
    app.add_user("bob", &[]).await;
    let (access, token) = tokens(&app, "own", "bob").await;
    execute(&app, "UPDATE users SET password_temporary = TRUE WHERE username = 'bob'").await;
    let changes = json!({ "email": "new@corp.test", "current_password": "bob-password" });
    let answer = change(&app, (&access, &token), changes).await;
    assert_problem(&answer, 403, "password_change_required");
    assert_eq!(answer.json()["page"], "https://id.test/account");
    assert_eq!(app.count("users WHERE email = 'bob@corp.test'").await, 1);
    assert_eq!(app.count("mail_outbox").await, 0);
}

//! Signing in, going on and going.

use axum::http::Method;
use keywright::keys::parse_unverified;
use serde_json::json;

use super::{
    assert_problem, me, post, post_as_backend, refresh, sign_in, signing_in, start, start_with,
    tokens,
};
use crate::{refresh::outside::execute, sessions};

/// From the form of the app to its tokens: a session like every other, which its owner sees and ends.
#[tokio::test(flavor = "multi_thread")]
async fn an_app_signs_somebody_in_by_its_own_form() {
    let app = start().await;
    let answer = sign_in(&app, "own", "bob", "bob-password").await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.headers["cache-control"], "no-store");
    assert!(!answer.headers.contains_key("set-cookie"));
    let (_, claims) = parse_unverified(&answer.text("id_token")).unwrap();
    assert_eq!((&claims["aud"], &claims["amr"]), (&json!("own"), &json!(["pwd"])));
    assert_eq!(claims["preferred_username"], "bob");
    assert_eq!(answer.text("scope"), super::FULL);
    let token = answer.text("access_token");
    let (_, claims) = parse_unverified(&token).unwrap();
    assert_eq!(claims["client_id"], "own");
    assert!(claims["sid"].is_string());
    let seen = me(&app, Method::GET, &token, &json!({})).await;
    let seen = seen.json();
    assert_eq!(
        (&seen["preferred_username"], &seen["email"]),
        (&json!("bob"), &json!("bob@corp.test"))
    );
    assert_eq!(
        (&seen["email_state"], &seen["has_second_factor"]),
        (&json!("verified"), &json!(false))
    );
    let events = app.events().await;
    let event = events.iter().find(|event| event.action == "sign_in").unwrap();
    assert_eq!(event.client_id.as_ref().unwrap().as_str(), "own");

    let next = refresh(&app, "own", &answer.text("refresh_token")).await;
    assert_eq!(next.status, 200, "{next:?}");
    assert_ne!(next.text("refresh_token"), answer.text("refresh_token"));

    // The owner sees the device under the name of the app, and ends it.
    let mut browser = app.browser();
    sessions::sign_in(&mut browser, "bob").await;
    let page = browser.get("/account").await;
    assert!(page.text().contains("Own app"), "{}", page.text());
    let form = page.forms().into_iter().find(|form| form.action.path() == "/account/sessions/end");
    browser.submit(&page, &form.expect("a session that can be ended")).await;
    let over = refresh(&app, "own", &next.text("refresh_token")).await;
    assert_problem(&over, 401, "invalid_grant");
    let over = me(&app, Method::GET, &next.text("access_token"), &json!({})).await;
    assert_problem(&over, 401, "invalid_token");
}

/// A backend proves itself, and needs no address of pages.
#[tokio::test(flavor = "multi_thread")]
async fn a_backend_signs_somebody_in() {
    let app = start().await;
    let body = json!({ "username": "bob@corp.test", "password": "bob-password" });
    let answer = post_as_backend(&app, "/signin", &body).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.text("scope"), "openid", "the least, where nothing is asked");
    assert!(answer.json().get("refresh_token").is_none());
    // Without its secret it is nobody.
    let body = signing_in("backend", "bob", "bob-password");
    assert_problem(&post(&app, "/signin", &body).await, 401, "invalid_client");
    assert_eq!(app.refusals("client_authentication").await, ["invalid_client"]);
    assert_eq!(app.count("sessions").await, 1);
}

/// PW-07: whatever is wrong, the answer is the same but for the name of its story.
#[tokio::test(flavor = "multi_thread")]
async fn failures_are_alike() {
    let app = start().await;
    app.add_user("ann", &[]).await;
    app.add_user("eve", &[]).await;
    execute(&app, "UPDATE users SET disabled_at = 1 WHERE username = 'ann'").await;
    execute(&app, "UPDATE users SET password_hash = NULL WHERE username = 'eve'").await;
    let mut seen = Vec::new();
    let hashes = app.app.passwords.hashes();
    for (name, password) in [
        ("bob", "wrong"),
        ("nobody", "wrong"),
        ("ann", "ann-password"),
        ("eve", "eve-password"),
        ("bob\u{0}", "wrong"),
        ("", "wrong"),
    ] {
        let answer = sign_in(&app, "own", name, password).await;
        assert_problem(&answer, 401, "invalid_credentials");
        let mut json = answer.json();
        json.as_object_mut().unwrap().remove("trace_id");
        seen.push(json.to_string());
    }
    seen.dedup();
    assert_eq!(seen.len(), 1, "{seen:?}");
    assert_eq!(app.app.passwords.hashes() - hashes, 6, "PW-08: one hash each");
    let reasons = app.refusals("sign_in").await;
    assert!(reasons.iter().all(|reason| reason == "wrong_password"), "{reasons:?}");
    assert_eq!(app.count("sessions").await, 0);
    assert_eq!(app.count("grants").await, 0);
}

/// PW-10, PW-12: the pages and the API count together.
#[tokio::test(flavor = "multi_thread")]
async fn wrong_passwords_cost_time() {
    let app = start().await;
    for _ in 0..5 {
        assert_problem(&sign_in(&app, "own", "bob", "wrong").await, 401, "invalid_credentials");
    }
    assert_problem(&sign_in(&app, "page", "BOB", "bob-password").await, 429, "too_many_tries");
    let mut browser = app.browser();
    let page = browser.visit("/account").await.last().clone();
    let form = page.form_to("/login").fill("username", "bob").fill("password", "bob-password");
    assert_eq!(browser.submit(&page, &form).await.status, 429);
    app.clock.advance(400);
    assert_eq!(sign_in(&app, "own", "bob", "bob-password").await.status, 200);
}

/// RL-08: a network has its brake.
#[tokio::test(flavor = "multi_thread")]
async fn a_network_has_its_brake() {
    let app = crate::support::app::TestApp::builder()
        .config(&super::APPS.replace("100000", "3"))
        .start()
        .await;
    for number in 0..3 {
        let answer = sign_in(&app, "own", &format!("nobody{number}"), "wrong").await;
        assert_problem(&answer, 401, "invalid_credentials");
    }
    let answer = sign_in(&app, "own", "another", "wrong").await;
    assert_problem(&answer, 429, "too_many_tries");
    assert_eq!(answer.headers["retry-after"], "60");
}

/// UP-22, PW-21: what an app or the house does not let in begins nothing.
#[tokio::test(flavor = "multi_thread")]
async fn rules_of_the_pages_hold() {
    let app = start().await;
    app.add_user("sam", &["staff"]).await;
    assert_problem(&sign_in(&app, "staff", "bob", "bob-password").await, 403, "access_denied");
    assert_eq!(app.refusals("sign_in").await, ["no_longer_allowed"]);
    assert_eq!(app.count("sessions").await, 0);
    assert_eq!(sign_in(&app, "staff", "sam", "sam-password").await.status, 200);
    // Who has no second factor sets one up on our page first.
    let answer = sign_in(&app, "strong", "bob", "bob-password").await;
    assert_problem(&answer, 403, "enrolment_required");
    assert_eq!(answer.text("page"), "https://id.test/account/two-step");
    // An app without the setting, whoever asks.
    let answer = sign_in(&app, "native", "bob", "bob-password").await;
    assert_problem(&answer, 403, "unauthorized_client");
    assert_problem(&sign_in(&app, "nobody", "bob", "x").await, 401, "invalid_client");
    assert_eq!(app.count("sessions").await, 1);

    let off = start_with("[passwords]\nlogin = \"off\"\nargon2_memory_kib = 64").await;
    let answer = sign_in(&off, "own", "bob", "bob-password").await;
    assert_problem(&answer, 403, "password_login_off");
    let closed = super::APPS.replace("id = \"own\"", "id = \"own\"\nallowed_upstreams = [\"kc\"]");
    let upstream = crate::support::fake_upstream::FakeUpstream::start().await;
    let app = crate::support::app::TestApp::builder()
        .config(&closed)
        .upstream("kc", &upstream, "")
        .start()
        .await;
    app.add_user("bob", &[]).await;
    let answer = sign_in(&app, "own", "bob", "bob-password").await;
    assert_problem(&answer, 403, "upstream_not_allowed");
    assert_eq!(app.count("sessions").await, 0);
}

/// Whoever waits for an administrator hears it, and only with the right password.
#[tokio::test(flavor = "multi_thread")]
async fn who_waits_is_told_so() {
    let app = start_with("[signup]\nlocal = \"open\"\napproval = true").await;
    let body = json!({ "client_id": "own", "username": "newt", "password": super::NEW });
    let made = post(&app, "/signup", &body).await;
    assert_eq!((made.status.as_u16(), &made.json()["waits"]), (201, &json!(true)), "{made:?}");
    assert_problem(&sign_in(&app, "own", "newt", "wrong").await, 401, "invalid_credentials");
    assert_problem(&sign_in(&app, "own", "newt", super::NEW).await, 403, "account_waits");
    assert_eq!(app.count("sessions").await, 0);
}

/// RT-06, RT-09: a token that was used ends the family; another client's attempt harms nobody.
#[tokio::test(flavor = "multi_thread")]
async fn refresh_tokens_are_used_once() {
    let app = start().await;
    let (access, first) = tokens(&app, "own", "bob").await;
    assert_problem(&refresh(&app, "page", &first).await, 401, "invalid_grant");
    let second = refresh(&app, "own", &first).await.text("refresh_token");
    app.clock.advance(60);
    assert_problem(&refresh(&app, "own", &first).await, 401, "invalid_grant");
    assert_problem(&refresh(&app, "own", &second).await, 401, "invalid_grant");
    assert_problem(&refresh(&app, "own", "kw_rt_x").await, 401, "invalid_grant");
    assert_problem(&me(&app, Method::GET, &access, &json!({})).await, 401, "invalid_token");
    let reasons = app.refusals("token").await;
    let all = [
        "refresh_token_of_another_client",
        "refresh_reuse",
        "grant_revoked",
        "refresh_token_malformed",
    ];
    assert_eq!(reasons, all);
}

/// Signing out needs no living access token, ends the session and counts once.
#[tokio::test(flavor = "multi_thread")]
async fn signing_out_ends_the_session() {
    let app = start().await;
    let (access, token) = tokens(&app, "own", "bob").await;
    let (_, other) = tokens(&app, "page", "bob").await;
    app.clock.advance(3_600);
    let body = json!({ "client_id": "own", "refresh_token": other });
    assert_eq!(post(&app, "/logout", &body).await.status, 204);
    assert_eq!(app.refusals("sign_out").await, ["token_of_another_client"]);
    let body = json!({ "client_id": "own", "refresh_token": token });
    for _ in 0..2 {
        let answer = post(&app, "/logout", &body).await;
        assert_eq!((answer.status.as_u16(), answer.body.len()), (204, 0));
    }
    let events = app.events().await;
    let done = |event: &&keywright::store::audit_events::AuditEvent| {
        event.action == "sign_out" && event.reason.is_none()
    };
    assert_eq!(events.iter().filter(done).count(), 1);
    assert_problem(&refresh(&app, "own", &token).await, 401, "invalid_grant");
    assert_problem(&me(&app, Method::GET, &access, &json!({})).await, 401, "invalid_token");
    assert_eq!(app.count("sessions WHERE ended_at IS NULL").await, 1, "the other app goes on");
    assert_eq!(refresh(&app, "page", &other).await.status, 200);
    let body = json!({ "client_id": "own", "refresh_token": "anything" });
    assert_eq!(post(&app, "/logout", &body).await.status, 204);
}

/// PW-16: what ends an account or its sessions ends what the API has begun.
#[tokio::test(flavor = "multi_thread")]
async fn families_die_with_the_account() {
    let app = start().await;
    let (access, token) = tokens(&app, "own", "bob").await;
    execute(&app, "UPDATE users SET disabled_at = 1 WHERE username = 'bob'").await;
    assert_problem(&me(&app, Method::GET, &access, &json!({})).await, 401, "invalid_token");
    assert_problem(&refresh(&app, "own", &token).await, 401, "invalid_grant");
    assert_eq!(app.refusals("token").await, ["user_disabled"]);
}

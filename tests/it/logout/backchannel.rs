//! OIDC Back-Channel Logout 1.0, the side that tells: every app of a session that has ended hears of
//! it, once, however it ended and whatever is broken meanwhile.

use std::sync::{Arc, Mutex};

use axum::{Router, http::StatusCode, routing::post};
use josekit::{jwk::Jwk, jws};
use keywright::{
    foundation::ids::{SessionId, UserId},
    jobs::deliver_logouts,
    store::logout_deliveries::{self, LogoutDelivery},
};
use serde_json::{Map, Value};

use crate::{
    sessions::form_token,
    support::{
        app::{ISSUER, TestApp},
        browser::Browser,
        journey::{authorize_path, code_by_session, code_for, redeem},
    },
};

/// An app's end of the line: keeps what it was sent and answers as it was told.
#[derive(Clone, Default)]
struct Receiver {
    got: Arc<Mutex<Vec<String>>>,
    answers: Arc<Mutex<Vec<StatusCode>>>,
}

impl Receiver {
    /// Starts one; its address.
    async fn start() -> (Self, String) {
        let receiver = Self::default();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}/bcl", listener.local_addr().unwrap());
        let own = receiver.clone();
        let receive =
            post(async move |body: String| (own.receive(&body), [("location", "/elsewhere")]));
        let router = Router::new().route("/bcl", receive);
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        (receiver, address)
    }

    fn receive(&self, body: &str) -> StatusCode {
        let token = body.strip_prefix("logout_token=").unwrap().to_owned();
        self.got.lock().unwrap().push(token);
        self.answers.lock().unwrap().pop().unwrap_or(StatusCode::OK)
    }

    fn answer(&self, status: StatusCode, times: usize) {
        self.answers.lock().unwrap().extend(std::iter::repeat_n(status, times));
    }

    fn count(&self) -> usize {
        self.got.lock().unwrap().len()
    }
}

/// Keywright with one app that wants to be told, and bob.
async fn start(address: &str, more: &str) -> TestApp {
    let app = TestApp::builder().config(&told_client(address, more)).start().await;
    app.add_user("bob", &[]).await;
    app
}

fn told_client(address: &str, more: &str) -> String {
    format!(
        "[[clients]]\nid = \"told\"\nname = \"Told\"\nsecret = \"told-secret-0123456789\"\n\
         redirect_uris = [\"https://told.test/cb\"]\nbackchannel_logout_uri = {address:?}\n{more}\n"
    )
}

/// Signs bob in at `told` and has it redeem its code; the session's name and the person.
async fn sign_in(app: &TestApp, browser: &mut Browser) -> (SessionId, UserId) {
    browser.stop_at("https://told.test/");
    let code = code_for(browser, "told", "bob", &[]).await;
    let tokens = redeem(app, "told", &code).await;
    let (_, claims) = keywright::keys::parse_unverified(&tokens.text("id_token")).unwrap();
    let text = |name: &str| claims[name].as_str().unwrap().to_owned();
    (SessionId::new(text("sid")), UserId::new(text("sub")))
}

async fn sign_out(browser: &mut Browser) {
    let csrf = form_token(browser).await;
    let page = browser.post_form("/logout", &[("confirm", "yes"), ("csrf", &csrf)]).await;
    assert_eq!(page.status, 200, "{}", page.text());
}

async fn deliveries(app: &TestApp, session: &SessionId) -> Vec<LogoutDelivery> {
    let mut connection = app.app.connection().await.unwrap();
    logout_deliveries::list_of_session(&mut connection, session).await.unwrap()
}

/// What a logout token says, after an app's checks of its signature (OIDC Back-Channel Logout §2.6).
async fn verified(app: &TestApp, token: &str) -> Map<String, Value> {
    let (header, _) = keywright::keys::parse_unverified(token).unwrap();
    assert_eq!(header["typ"], "logout+jwt");
    let jwks = app.get("/.well-known/jwks.json", None).await.json();
    let jwk = jwks["keys"].as_array().unwrap().iter().find(|jwk| jwk["kid"] == header["kid"]);
    let jwk = Jwk::from_map(jwk.unwrap().as_object().unwrap().clone()).unwrap();
    let verifier = jws::RS256.verifier_from_jwk(&jwk).unwrap();
    let (payload, _) = jws::deserialize_compact(token, &verifier).unwrap();
    serde_json::from_slice(&payload).unwrap()
}

/// LO-05, OIDC Back-Channel Logout §2.4: one token for one app, with everything that belongs in it
/// and nothing else.
#[tokio::test(flavor = "multi_thread")]
async fn an_app_is_told_that_its_session_has_ended() {
    let (receiver, address) = Receiver::start().await;
    let app = start(&address, "").await;
    let mut browser = app.browser();
    let (session, user) = sign_in(&app, &mut browser).await;
    deliver_logouts(&app.app).await.unwrap();
    assert_eq!(receiver.count(), 0, "nothing has ended");
    sign_out(&mut browser).await;
    for _ in 0..3 {
        deliver_logouts(&app.app).await.unwrap();
    }
    assert_eq!(receiver.count(), 1, "once");

    let token = receiver.got.lock().unwrap()[0].clone();
    let claims = verified(&app, &token).await;
    let now = app.app.now().unix();
    assert_eq!(claims["iss"], ISSUER);
    assert_eq!(claims["aud"], "told");
    assert_eq!((&claims["sid"], &claims["sub"]), (&session.as_str().into(), &user.as_str().into()));
    assert_eq!((&claims["iat"], &claims["exp"]), (&now.into(), &(now + 120).into()));
    let event = "http://schemas.openid.net/event/backchannel-logout";
    assert_eq!(claims["events"], serde_json::json!({ event: {} }));
    assert!(claims["jti"].as_str().unwrap().len() >= 20);
    assert_eq!(claims.len(), 8, "no nonce and nothing else: {claims:?}");
    // It is worth nothing here.
    let bearer = app.get("/userinfo", Some(&format!("Bearer {token}"))).await;
    assert_eq!(bearer.status, 401);
    let path = authorize_path("web", &[("id_token_hint", &token), ("prompt", "none")]);
    let hinted = app.browser().get(&path).await;
    assert_ne!(hinted.location_param("error").as_deref(), Some("login_required"));

    let receipt = deliveries(&app, &session).await.pop().unwrap();
    assert_eq!((receipt.due_at, receipt.tries, receipt.fault), (None, 1, None));
    assert_eq!(receipt.delivered_at, Some(app.app.now()));
    let events = app.events().await;
    let event = events.iter().find(|event| event.action == "backchannel_logout").unwrap();
    assert_eq!((event.reason.clone(), event.user_id.clone()), (None, Some(user)));
}

/// OIDC Back-Channel Logout §2: whoever was given no tokens in the session hears nothing of it.
#[tokio::test(flavor = "multi_thread")]
async fn an_app_that_took_no_part_is_not_told() {
    let (receiver, address) = Receiver::start().await;
    let app = start(&address, "").await;
    let mut browser = app.browser();
    browser.stop_at("https://told.test/");
    let code = code_for(&mut browser, "web", "bob", &[]).await;
    assert_eq!(redeem(&app, "web", &code).await.status, 200);
    // A code that was never redeemed made no session over there.
    code_by_session(&mut browser, "told", &[]).await;
    sign_out(&mut browser).await;
    deliver_logouts(&app.app).await.unwrap();
    assert_eq!((receiver.count(), app.count("logout_deliveries").await), (0, 0));
}

/// However a session ends, its apps are told: from the account page, by another person at the same
/// browser, for an app that keeps working offline too.
#[tokio::test(flavor = "multi_thread")]
async fn every_end_of_a_session_is_told() {
    let (receiver, address) = Receiver::start().await;
    let app = start(&address, "offline_after_logout = true").await;
    app.add_user("carol", &[]).await;

    let mut here = app.browser();
    sign_in(&app, &mut here).await;
    let mut there = app.browser();
    let (other, _) = sign_in(&app, &mut there).await;
    let csrf = form_token(&mut here).await;
    let form = [("csrf", csrf.as_str()), ("handle", other.as_str())];
    assert_eq!(here.post_form("/account/sessions/end", &form).await.status, 303);
    deliver_logouts(&app.app).await.unwrap();
    assert_eq!(receiver.count(), 1, "ended from another browser");

    code_for(&mut here, "web", "carol", &[("prompt", "login")]).await;
    deliver_logouts(&app.app).await.unwrap();
    assert_eq!(receiver.count(), 2, "replaced by another person");

    let (session, _) = sign_in(&app, &mut there).await;
    sign_in_again(&app, &mut there).await;
    deliver_logouts(&app.app).await.unwrap();
    assert_eq!(receiver.count(), 2, "renewed, not ended");
    sign_out(&mut there).await;
    sign_out_again(&mut there).await;
    deliver_logouts(&app.app).await.unwrap();
    assert_eq!(receiver.count(), 3);
    assert_eq!(deliveries(&app, &session).await.len(), 1);
}

async fn sign_in_again(app: &TestApp, browser: &mut Browser) {
    let code = code_for(browser, "told", "bob", &[("prompt", "login")]).await;
    assert_eq!(redeem(app, "told", &code).await.status, 200);
}

async fn sign_out_again(browser: &mut Browser) {
    assert_eq!(browser.get("/logout").await.status, 200);
}

/// An account that is shut, or whose password is replaced, ends everywhere.
#[tokio::test(flavor = "multi_thread")]
async fn the_end_of_all_sessions_is_told_for_each() {
    use keywright::{sessions, store::StoreError, store::grants::RevokedBecause};
    let (receiver, address) = Receiver::start().await;
    let app = start(&address, "").await;
    let (_, user) = sign_in(&app, &mut app.browser()).await;
    sign_in(&app, &mut app.browser()).await;
    let (clients, now) = (&app.app.clients, app.app.now());
    for _ in 0..2 {
        let mut connection = app.app.connection().await.unwrap();
        connection
            .transaction(async |conn| {
                let because = RevokedBecause::UserDisabled;
                sessions::end_all_of_user(conn, &user, clients, because, now).await?;
                Ok::<_, StoreError>(())
            })
            .await
            .unwrap();
        drop(connection);
        deliver_logouts(&app.app).await.unwrap();
        assert_eq!(receiver.count(), 2, "one for each session, and only the first time");
    }
}

/// LO-05: an app that is away is tried again, later and later, with a fresh token each time; a
/// redirect is no yes, and is not followed (SF-03).
#[tokio::test(flavor = "multi_thread")]
async fn an_app_that_is_away_is_told_later() {
    let (receiver, address) = Receiver::start().await;
    let app = start(&address, "").await;
    let mut browser = app.browser();
    let (session, _) = sign_in(&app, &mut browser).await;
    sign_out(&mut browser).await;
    receiver.answer(StatusCode::TEMPORARY_REDIRECT, 1);
    receiver.answer(StatusCode::BAD_REQUEST, 1);
    receiver.answer(StatusCode::INTERNAL_SERVER_ERROR, 1);
    let mut seen = Vec::new();
    for second in 0..=80 {
        deliver_logouts(&app.app).await.unwrap();
        if receiver.count() > seen.len() {
            seen.push(second);
        }
        app.clock.advance(1);
    }
    assert_eq!(seen, [0, 5, 20, 80], "pauses of 5, 15 and 60 seconds");
    let tokens = receiver.got.lock().unwrap().clone();
    assert_eq!(tokens.iter().collect::<std::collections::BTreeSet<_>>().len(), 4);
    let receipt = deliveries(&app, &session).await.pop().unwrap();
    assert_eq!((receipt.due_at, receipt.tries, receipt.fault), (None, 4, None));
    assert_eq!(app.refusals("backchannel_logout").await, Vec::<String>::new());
}

/// After a day it is given up, and that is known.
#[tokio::test(flavor = "multi_thread")]
async fn an_app_that_stays_away_is_given_up() {
    // Nobody listens on the first port.
    let app = start("http://127.0.0.1:1/bcl", "").await;
    let mut browser = app.browser();
    let (session, _) = sign_in(&app, &mut browser).await;
    sign_out(&mut browser).await;
    for _ in 0..12 {
        deliver_logouts(&app.app).await.unwrap();
        app.clock.advance(12 * 3_600);
    }
    let receipt = deliveries(&app, &session).await.pop().unwrap();
    assert_eq!((receipt.due_at, receipt.tries, receipt.delivered_at), (None, 10, None));
    let fault = receipt.fault.unwrap();
    assert!(fault.contains("onnection refused"), "{fault}");
    assert_eq!(app.refusals("backchannel_logout").await, ["given_up"]);
    // The receipt stays a week.
    keywright::jobs::purge(&app.app).await.unwrap();
    assert_eq!(app.count("logout_deliveries").await, 1);
    app.clock.advance(7 * 86_400);
    keywright::jobs::purge(&app.app).await.unwrap();
    assert_eq!(app.count("logout_deliveries").await, 0);
}

/// What a sign-out has planned survives the end of the process, and of many instances one tells.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_planned_survives_and_is_done_by_one() {
    let (receiver, address) = Receiver::start().await;
    let app = start(&address, "").await;
    let mut browser = app.browser();
    sign_in(&app, &mut browser).await;
    sign_out(&mut browser).await;
    drop(browser);
    let next = crate::sessions::stop(app).await.config(&told_client(&address, "")).start().await;
    let jobs = (0..8).map(|_| deliver_logouts(&next.app));
    for job in futures_util::future::join_all(jobs).await {
        job.unwrap();
    }
    assert_eq!(receiver.count(), 1);
}

/// An instance that dies in the middle of a try leaves it to the others, a minute later.
#[tokio::test(flavor = "multi_thread")]
async fn a_try_that_was_left_behind_is_made_again() {
    let (receiver, address) = Receiver::start().await;
    let app = start(&address, "").await;
    let mut browser = app.browser();
    let (session, _) = sign_in(&app, &mut browser).await;
    sign_out(&mut browser).await;
    let delivery = deliveries(&app, &session).await.pop().unwrap();
    let until = app.app.now().plus(keywright::foundation::clock::Span::from_minutes(1));
    let mut connection = app.app.connection().await.unwrap();
    assert!(logout_deliveries::claim(&mut connection, &delivery, until).await.unwrap());
    drop(connection);
    deliver_logouts(&app.app).await.unwrap();
    assert_eq!(receiver.count(), 0);
    app.clock.advance(60);
    deliver_logouts(&app.app).await.unwrap();
    assert_eq!(receiver.count(), 1);
}

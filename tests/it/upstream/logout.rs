//! Signing out across the border: an upstream that ends sessions here, and people who sign out there
//! when they sign out here.

use keywright::jobs::deliver_logouts;
use serde_json::{Map, Value, json};

use super::{SESSION_COOKIE, rebuilt};
use crate::{
    sessions::form_token,
    support::{
        app::{Answer, TestApp},
        browser::Browser,
        fake_upstream::{CLIENT_ID, Endpoint, FakeUpstream, Fault},
        journey::{authorize_path, code_by_session, is_active, redeem},
    },
};

const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";

fn carol(sid: &str) -> Value {
    json!({ "sub": "7", "preferred_username": "carol", "sid": sid })
}

async fn start(settings: &str) -> (TestApp, FakeUpstream) {
    let upstream = FakeUpstream::start().await;
    let app = TestApp::builder().upstream("kc", &upstream, settings).start().await;
    (app, upstream)
}

/// Signs carol in with this session of the upstream; her browser, and a refresh token of `web`.
async fn sign_in(app: &TestApp, upstream: &FakeUpstream, sid: &str) -> (Browser, String) {
    upstream.set_person(carol(sid));
    let mut browser = app.browser();
    let code = code_by_session(&mut browser, "web", &[]).await;
    let tokens = redeem(app, "web", &code).await;
    assert_eq!(tokens.status, 200, "{tokens:?}");
    (browser, tokens.text("refresh_token"))
}

fn honest(app: &TestApp, upstream: &FakeUpstream, sid: &str) -> Map<String, Value> {
    let now = app.app.now().unix();
    let claims = json!({
        "iss": upstream.issuer(), "aud": CLIENT_ID, "iat": now, "exp": now + 120,
        "jti": uuid::Uuid::new_v4().to_string(), "events": { EVENT: {} }, "sub": "7", "sid": sid,
    });
    claims.as_object().unwrap().clone()
}

async fn post(app: &TestApp, slug: &str, token: &str) -> Answer {
    let path = format!("/upstream/{slug}/backchannel-logout");
    app.post(&path, &[("logout_token", token)], &[]).await
}

async fn notify(app: &TestApp, upstream: &FakeUpstream, claims: Map<String, Value>) -> Answer {
    post(app, "kc", &upstream.sign("logout+jwt", &Value::Object(claims))).await
}

fn assert_done(answer: &Answer) {
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.headers["cache-control"], "no-store");
    assert!(answer.body.is_empty());
}

/// UP-26: what cannot be checked for a replay is not believed. When the store is back the same token
/// counts.
#[tokio::test(flavor = "multi_thread")]
async fn a_replay_that_cannot_be_ruled_out_ends_nothing() {
    let (app, upstream) = start("").await;
    let (browser, token) = sign_in(&app, &upstream, "s-1").await;
    drop(browser);
    let claims = honest(&app, &upstream, "s-1");
    let nowhere = "redis://127.0.0.1:1";
    let app = rebuilt(app, |b| b.upstream("kc", &upstream, "").state_url(nowhere)).await;
    let answer = notify(&app, &upstream, claims.clone()).await;
    answer.assert_error(503, "temporarily_unavailable");
    assert!(answer.headers.contains_key("retry-after"));
    assert!(is_active(&app, "web", &token).await);
    assert_eq!(app.count("sessions WHERE ended_at IS NULL").await, 1);
    let app = rebuilt(app, |b| b.upstream("kc", &upstream, "")).await;
    assert_done(&notify(&app, &upstream, claims).await);
    assert!(!is_active(&app, "web", &token).await);
}

/// UP-25, OIDC Back-Channel Logout §2.7: exactly the session that is named ends, with its tokens.
#[tokio::test(flavor = "multi_thread")]
async fn the_upstream_ends_the_session_that_it_names() {
    let (app, upstream) = start("").await;
    let (mut one, first) = sign_in(&app, &upstream, "s-1").await;
    let (mut other, second) = sign_in(&app, &upstream, "s-2").await;
    assert_done(&notify(&app, &upstream, honest(&app, &upstream, "s-1")).await);
    assert_eq!(one.get("/account").await.status, 303);
    assert_eq!(other.get("/account").await.status, 200);
    assert!(!is_active(&app, "web", &first).await && is_active(&app, "web", &second).await);
    let events = app.events().await;
    let event = events.iter().find(|event| event.action == "upstream_logout").unwrap();
    assert!(event.user_id.is_some() && event.reason.is_none());
    // Without `sid` all sessions of the person through this upstream end.
    let mut all = honest(&app, &upstream, "");
    all.remove("sid");
    assert_done(&notify(&app, &upstream, all).await);
    assert_eq!(other.get("/account").await.status, 303);
    // And once more, for somebody who is not known: nothing to do is done.
    let mut stranger = honest(&app, &upstream, "s-9");
    stranger.insert("sub".to_owned(), json!("nobody"));
    assert_done(&notify(&app, &upstream, stranger).await);
}

/// A change of the claims, and the reason for which they are refused then.
type Changed = (&'static str, Box<dyn Fn(&mut Map<String, Value>)>);

/// UP-25: what is not a logout token to the letter ends nothing.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_logout_token_ends_nothing() {
    let (app, upstream) = start("").await;
    let (mut browser, token) = sign_in(&app, &upstream, "s-1").await;
    let set = |name: &'static str, value: Value| {
        move |c: &mut Map<String, Value>| {
            c.insert(name.to_owned(), value.clone());
        }
    };
    let now = app.app.now().unix();
    let remove = |name: &'static str| move |c: &mut Map<String, Value>| drop(c.remove(name));
    let changes: Vec<Changed> = vec![
        ("id_token_issuer", Box::new(set("iss", json!("https://evil.test")))),
        ("id_token_audience", Box::new(set("aud", json!("another")))),
        ("id_token_audience", Box::new(remove("aud"))),
        ("logout_token_events", Box::new(remove("events"))),
        ("logout_token_events", Box::new(set("events", json!({ "another": {} })))),
        ("logout_token_events", Box::new(set("events", json!({ EVENT: true })))),
        ("logout_token_nonce", Box::new(set("nonce", json!("n")))),
        ("logout_token_jti", Box::new(remove("jti"))),
        ("logout_token_malformed", Box::new(set("jti", json!(7)))),
        ("logout_token_malformed", Box::new(set("sid", json!(["s-1"])))),
        ("logout_token_time", Box::new(remove("iat"))),
        ("logout_token_time", Box::new(remove("exp"))),
        ("logout_token_time", Box::new(set("iat", json!(now - 181)))),
        ("logout_token_time", Box::new(set("iat", json!(now + 61)))),
        ("logout_token_time", Box::new(set("exp", json!(now - 61)))),
        (
            "logout_token_subject",
            Box::new(|c: &mut Map<String, Value>| {
                c.remove("sub");
                c.remove("sid");
            }),
        ),
    ];
    let mut reasons = Vec::new();
    for (reason, change) in &changes {
        let mut claims = honest(&app, &upstream, "s-1");
        change(&mut claims);
        let answer = notify(&app, &upstream, claims).await;
        answer.assert_error(400, "invalid_request");
        reasons.push((*reason).to_owned());
    }
    // An ID token, a token without signature, one with another's key, and no token at all.
    let claims = Value::Object(honest(&app, &upstream, "s-1"));
    post(&app, "kc", &upstream.sign("at+jwt", &claims)).await.assert_error(400, "invalid_request");
    reasons.push("id_token_type".to_owned());
    let good = upstream.sign("logout+jwt", &claims);
    let (signed, _) = good.rsplit_once('.').unwrap();
    post(&app, "kc", &format!("{signed}.")).await.assert_error(400, "invalid_request");
    let stranger = FakeUpstream::start().await;
    let foreign = stranger.sign("logout+jwt", &claims);
    post(&app, "kc", &foreign).await.assert_error(400, "invalid_request");
    app.post("/upstream/kc/backchannel-logout", &[], &[])
        .await
        .assert_error(400, "invalid_request");
    assert_eq!(post(&app, "none", &good).await.status, 404);
    let mut refused = app.refusals("upstream_logout").await;
    refused.retain(|reason| !reason.starts_with("id_token_signature"));
    refused.retain(|reason| reason != "id_token_key_unknown");
    refused.sort();
    reasons.sort();
    assert_eq!(refused, reasons);
    assert_eq!(browser.get("/account").await.status, 200);
    assert!(is_active(&app, "web", &token).await);
    assert_done(&post(&app, "kc", &good).await);
}

/// UP-25: a logout token counts once; a session of another upstream is not meant by it.
#[tokio::test(flavor = "multi_thread")]
async fn a_logout_token_counts_once_and_for_its_own_upstream() {
    let (kc, eve) = (FakeUpstream::start().await, FakeUpstream::start().await);
    let app = TestApp::builder().upstream("kc", &kc, "").upstream("eve", &eve, "").start().await;
    kc.set_person(carol("s-1"));
    let mut browser = app.browser();
    super::sign_in_at(&mut browser, "kc").await.landing();
    let foreign = eve.sign("logout+jwt", &Value::Object(honest(&app, &eve, "s-1")));
    assert_done(&post(&app, "eve", &foreign).await);
    assert_eq!(browser.get("/account").await.status, 200, "the same sid elsewhere is another");
    post(&app, "kc", &foreign).await.assert_error(400, "invalid_request");

    let good = kc.sign("logout+jwt", &Value::Object(honest(&app, &kc, "s-1")));
    let tries = (0..10).map(|_| post(&app, "kc", &good));
    let answers = futures_util::future::join_all(tries).await;
    let done = answers.iter().filter(|answer| answer.status == 200).count();
    assert_eq!(done, 1, "{answers:?}");
    assert_eq!(browser.get("/account").await.status, 303);
    // Long after, its replay ends no new session.
    super::sign_in_at(&mut browser, "kc").await.landing();
    app.clock.advance(170);
    post(&app, "kc", &good).await.assert_error(400, "invalid_request");
    assert_eq!(browser.get("/account").await.status, 200);
}

/// The keys of the upstream cannot be had: that is no proof against the token, and none for it.
#[tokio::test(flavor = "multi_thread")]
async fn without_keys_nothing_is_decided() {
    let (app, upstream) = start("").await;
    let (mut browser, _) = sign_in(&app, &upstream, "s-1").await;
    upstream.misbehave(|lies| lies.fault(Endpoint::Jwks, Fault::Status(500)));
    app.clock.advance(2 * 86_400);
    app.app.keys.refresh(&app.app.store, app.app.now()).await.unwrap();
    let answer = notify(&app, &upstream, honest(&app, &upstream, "s-1")).await;
    answer.assert_error(503, "temporarily_unavailable");
    upstream.behave();
    app.clock.advance(30);
    assert_done(&notify(&app, &upstream, honest(&app, &upstream, "s-1")).await);
    assert_eq!(browser.get("/account").await.status, 303);
}

/// What the upstream ends, the apps are told.
#[tokio::test(flavor = "multi_thread")]
async fn the_end_is_passed_on_to_the_apps() {
    let upstream = FakeUpstream::start().await;
    let told = "[[clients]]\nid = \"told\"\nname = \"Told\"\nsecret = \"told-secret-0123456789\"\n\
                redirect_uris = [\"https://told.test/cb\"]\n\
                backchannel_logout_uri = \"http://127.0.0.1:1/bcl\"\n";
    let app = TestApp::builder().config(told).upstream("kc", &upstream, "").start().await;
    upstream.set_person(carol("s-1"));
    let mut browser = app.browser();
    browser.stop_at("https://told.test/");
    let code = code_by_session(&mut browser, "told", &[]).await;
    assert_eq!(redeem(&app, "told", &code).await.status, 200);
    assert_done(&notify(&app, &upstream, honest(&app, &upstream, "s-1")).await);
    assert_eq!(app.count("logout_deliveries WHERE due_at IS NOT NULL").await, 1);
    deliver_logouts(&app.app).await.unwrap();
    assert_eq!(app.count("logout_deliveries WHERE tries = 1").await, 1);
}

async fn sign_out(browser: &mut Browser, more: &[(&str, &str)]) -> crate::support::browser::Page {
    let csrf = form_token(browser).await;
    let mut form = vec![("confirm", "yes"), ("csrf", csrf.as_str())];
    form.extend_from_slice(more);
    browser.post_form("/logout", &form).await
}

/// RP-Initiated Logout §2, §3: signing out here leads through the upstream and back to the app.
#[tokio::test(flavor = "multi_thread")]
async fn signing_out_here_signs_out_there() {
    let (app, upstream) = start("logout = \"always\"").await;
    let (mut browser, token) = sign_in(&app, &upstream, "s-1").await;
    let more = [("client_id", "web"), ("post_logout_redirect_uri", "https://web.test/bye")];
    let page = sign_out(&mut browser, &[more[0], more[1], ("state", "a b")]).await;
    let away = page.location().unwrap();
    assert!(away.as_str().starts_with(&upstream.url(Endpoint::EndSession)), "{away}");
    let param = |name: &str| page.location_param(name);
    assert!(param("id_token_hint").unwrap().starts_with("eyJ"));
    assert_eq!(param("client_id").as_deref(), Some(CLIENT_ID));
    let back = "https://id.test/upstream/kc/signed-out";
    assert_eq!(param("post_logout_redirect_uri").as_deref(), Some(back));
    assert!(browser.cookies().get(SESSION_COOKIE).is_none());
    assert!(!is_active(&app, "web", &token).await);

    let journey = browser.follow(page).await;
    assert_eq!(journey.landing().as_str(), "https://web.test/bye?state=a%20b");
    // The way back counts once, and leads nowhere that was not asked for here.
    let again = journey.hop("/upstream/kc/signed-out").url.clone();
    for url in [again.as_str(), "/upstream/kc/signed-out?state=x&post_logout_redirect_uri=//evil"] {
        let page = browser.get(url).await;
        assert_eq!((page.status, page.location()), (200, None));
        assert!(page.text().contains("<h1>You are signed out</h1>"));
    }
    assert_eq!(browser.get("/upstream/none/signed-out").await.status, 404);
}

/// An upstream that has no such address keeps nobody signed in here.
#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_without_a_way_out_keeps_nobody_signed_in() {
    let upstream = FakeUpstream::start().await;
    upstream.misbehave(|lies| {
        lies.metadata.remove("end_session_endpoint");
    });
    let app = TestApp::builder().upstream("kc", &upstream, "logout = \"always\"").start().await;
    let (mut browser, _) = sign_in(&app, &upstream, "s-1").await;
    let page = sign_out(&mut browser, &[]).await;
    assert_eq!((page.status, page.location()), (200, None), "{}", page.text());
    assert!(browser.cookies().get(SESSION_COOKIE).is_none());
    assert_eq!(app.count("leases").await, 0, "nothing is left to sign out with");
}

/// Unless it is wanted, people stay signed in there; and nothing is kept to sign them out with.
#[tokio::test(flavor = "multi_thread")]
async fn by_default_people_stay_signed_in_there() {
    let (app, upstream) = start("").await;
    let (mut browser, _) = sign_in(&app, &upstream, "s-1").await;
    assert_eq!(sign_out(&mut browser, &[]).await.status, 200);
    assert_eq!(upstream.count(Endpoint::EndSession), 0);
    assert_eq!(app.count("leases").await, 0);
}

/// After a sign-out nobody is signed in again behind their back: the only upstream is a button once,
/// and after that it is the way again.
#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_signed_in_again_without_a_choice() {
    let (app, upstream) = start("").await;
    let (mut browser, _) = sign_in(&app, &upstream, "s-1").await;
    sign_out(&mut browser, &[]).await;
    for path in [authorize_path("web", &[]), "/account".to_owned()] {
        let journey = browser.visit(&path).await;
        let page = journey.last();
        assert_eq!((page.status, page.url.path()), (200, "/login"), "{:?}", journey.hops());
    }
    let login = browser.visit(&authorize_path("web", &[])).await.last().clone();
    let button = login.links().into_iter().find(|l| l.path() == "/upstream/kc/start").unwrap();
    assert!(browser.visit(button.as_str()).await.param("code").is_some());
    let again = browser.visit(&authorize_path("web", &[("prompt", "login")])).await;
    assert!(again.param("code").is_some(), "straight there: {:?}", again.hops());
}

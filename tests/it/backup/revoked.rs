//! The story of an old backup: what was alive in it and was revoked since is dead after a restoring,
//! and everybody gets in again (LG-17).

use std::sync::Arc;

use keywright::{
    backup::{Report, Wishes},
    config::Config,
    jobs,
};
use tempfile::TempDir;

use super::{MOVED, number, restore_by};
use crate::{
    personal_access_tokens::{ask_for, secret_on},
    second_factor::{Authenticator, first_step, give, set_up, with_recovery},
    sessions::{SESSION, cookie, form_token, person_of, sign_in, stop},
    stores::raw::empty,
    support::{
        app::{Builder, TestApp},
        browser::{Browser, CookieJar},
        database::TestDatabase,
        journey::{authorize_path, code_by_session, is_active, redeem, refresh, sign_in_on_page},
    },
};

const CONFIG: &str = r#"
[[clients]]
id = "told"
name = "Told"
secret = "told-secret-0123456789"
redirect_uris = ["https://told.test/cb"]
backchannel_logout_uri = "http://127.0.0.1:9/bcl"

[rate_limits]
sign_in_per_minute = 100000
"#;

/// What somebody holds in their hands.
struct Held {
    session: String,
    access: String,
    refresh: String,
    personal: String,
    of_program: String,
    kids: Vec<String>,
    authenticator: Authenticator,
    recovery_codes: Vec<String>,
    /// The cookies of a browser that is spared the second factor.
    spared: CookieJar,
}

fn kids(jwks: &serde_json::Value) -> Vec<String> {
    let keys = jwks["keys"].as_array().unwrap().iter();
    keys.map(|key| key["kid"].as_str().unwrap().to_owned()).collect()
}

async fn jwks(app: &TestApp) -> Vec<String> {
    kids(&app.get("/.well-known/jwks.json", None).await.json())
}

/// Bob comes to have everything that can be revoked.
async fn live(app: &TestApp) -> Held {
    let mut browser = app.browser();
    browser.stop_at("https://told.test/");
    sign_in(&mut browser, "bob").await;
    let (authenticator, recovery_codes) = set_up(app, &mut browser).await;
    let fields = [("name", "nightly"), ("lifetime", "30d"), ("scope.openid", "yes")];
    let personal = secret_on(&ask_for(&mut browser, &fields).await);
    let code = code_by_session(&mut browser, "web", &[]).await;
    let tokens = redeem(app, "web", &code).await;
    let code = code_by_session(&mut browser, "told", &[]).await;
    redeem(app, "told", &code).await.text("access_token");
    let form = [("grant_type", "client_credentials")];
    let of_program = app.post_as("m2m", "/token", &form).await.text("access_token");
    Held {
        session: cookie(&browser, SESSION),
        access: tokens.text("access_token"),
        refresh: tokens.text("refresh_token"),
        personal,
        of_program,
        kids: jwks(app).await,
        spared: spare(app, &authenticator).await,
        authenticator,
        recovery_codes,
    }
}

/// A browser at which bob has asked not to be asked again, signed out.
async fn spare(app: &TestApp, authenticator: &Authenticator) -> CookieJar {
    let mut browser = app.browser();
    let page = first_step(&mut browser, &[]).await;
    let form = page.form_to("/login/second-factor").fill("code", &authenticator.code(app));
    let answer = browser.submit(&page, &form.add("remember", "yes")).await;
    assert!(browser.follow(answer).await.param("code").is_some());
    app.clock.advance(30);
    sign_out(&mut browser).await;
    browser.cookies().clone()
}

async fn sign_out(browser: &mut Browser) {
    let csrf = form_token(browser).await;
    let page = browser.post_form("/logout", &[("confirm", "yes"), ("csrf", &csrf)]).await;
    assert_eq!(page.status, 200, "{}", page.text());
}

/// What of it is alive.
async fn alive(app: &TestApp, held: &Held) -> Vec<&'static str> {
    let mut alive = Vec::new();
    let bearer = format!("Bearer {}", held.access);
    let personal = format!("Bearer {}", held.personal);
    for (what, lives) in [
        ("session", person_of(app, &held.session).await.is_some()),
        ("access token", is_active(app, "web", &held.access).await),
        ("userinfo", app.get("/userinfo", Some(&bearer)).await.status == 200),
        ("refresh token", is_active(app, "web", &held.refresh).await),
        ("personal access token", app.get("/userinfo", Some(&personal)).await.status == 200),
        ("program's token", is_active(app, "m2m", &held.of_program).await),
        ("spared browser", is_spared(app, held).await),
        ("keys", jwks(app).await.iter().any(|kid| held.kids.contains(kid))),
    ] {
        alive.extend(lives.then_some(what));
    }
    alive
}

const EVERYTHING: [&str; 8] = [
    "session",
    "access token",
    "userinfo",
    "refresh token",
    "personal access token",
    "program's token",
    "spared browser",
    "keys",
];

/// Whether bob's password is enough at the browser that he has asked to be spared at.
async fn is_spared(app: &TestApp, held: &Held) -> bool {
    let mut browser = app.browser();
    *browser.cookies_mut() = held.spared.clone();
    let journey = browser.visit(&authorize_path("web", &[])).await;
    let journey = sign_in_on_page(&mut browser, &journey, "bob").await;
    let asked = journey.last().url.path() == "/login/second-factor";
    assert!(asked || journey.param("code").is_some(), "{:?}", journey.hops());
    !asked
}

/// Restores with the settings of an instance into a database of its own.
async fn restore_beside(
    config: &Config,
    (file, now): (&[u8], i64),
    wishes: Wishes,
) -> (Report, Arc<TestDatabase>) {
    let (url, folder): (String, TempDir) = empty().await;
    let mut config = config.clone();
    config.database = super::config_of(&url, &[crate::support::database::SECRET_KEY]).database;
    let now = keywright::foundation::clock::Timestamp::from_unix(now);
    let report = restore_by(&config, file, wishes, now).await.unwrap();
    (report, Arc::new(TestDatabase::at(url, folder)))
}

/// Ends everything, as somebody does whose computer was stolen.
async fn revoke(app: &TestApp, held: &Held) {
    let mut browser = app.browser();
    let page = first_step(&mut browser, &[]).await;
    let answer = give(&mut browser, &page, &held.authenticator.code(app)).await;
    browser.follow(answer).await;
    let mut connection = app.app.connection().await.unwrap();
    let bob = keywright::store::users::find_by_username(&mut connection, "bob").await.unwrap();
    let bob = bob.unwrap().id;
    let because = keywright::store::grants::RevokedBecause::UserDisabled;
    let (clients, now) = (&app.app.clients, app.app.now());
    keywright::sessions::end_all_of_user(&mut connection, &bob, clients, because, now)
        .await
        .unwrap();
}

/// An instance on what was restored, at the moment at which the other one stopped.
async fn start_on(next: Builder, database: &Arc<TestDatabase>) -> TestApp {
    next.on(database).config(CONFIG).start().await
}

/// LG-17, FT-32.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_was_revoked_since_comes_back() {
    let app = TestApp::builder().config(CONFIG).start().await;
    app.add_user("bob", &[]).await;
    let held = live(&app).await;
    assert_eq!(alive(&app, &held).await, EVERYTHING);
    let (_, file) = super::back_up(&app.database.url).await;
    app.clock.advance(600);
    revoke(&app, &held).await;
    let spent = held.authenticator.code(&app);
    let left = alive(&app, &held).await;
    assert!(!left.contains(&"session") && !left.contains(&"personal access token"), "{left:?}");

    let (config, now) = (app.app.config.clone(), app.clock.unix());
    let next = stop(app).await;
    let (report, database) = restore_beside(&config, (&file, now), Wishes::default()).await;
    for (table, count) in [("personal_access_tokens", 1), ("recovery_codes", 10)] {
        assert_eq!(report.ended[table], count, "{report:?}");
    }
    let app = start_on(next, &database).await;
    assert_eq!(alive(&app, &held).await, [""; 0]);
    refresh(&app, "web", &held.refresh).await.assert_error(400, "invalid_grant");
    assert_eq!(jwks(&app).await.len(), held.kids.len(), "new keys stand in their place");
    assert_told(&app, &report).await;
    assert_signs_in_again(&app, &held, &spent).await;
}

/// The app that can be told of an end is told.
async fn assert_told(app: &TestApp, report: &Report) {
    let waiting = "SELECT count(*) FROM logout_deliveries \
                   WHERE client_id = 'told' AND due_at IS NOT NULL AND delivered_at IS NULL";
    assert_eq!((report.told, number(&app.database.url, waiting).await), (1, 1));
    // Nobody listens there; that it is tried is what counts.
    jobs::deliver_logouts(&app.app).await.unwrap();
    let tried = "SELECT tries FROM logout_deliveries WHERE client_id = 'told'";
    assert_eq!(number(&app.database.url, tried).await, 1);
    let events = app.events().await;
    let restored: Vec<_> = events.iter().filter(|event| event.action == "restored").collect();
    assert_eq!(restored.len(), 1);
    let detail: serde_json::Value = serde_json::from_str(&restored[0].detail).unwrap();
    assert_eq!(detail["backup"], report.header.id.as_str());
    assert_eq!(
        (detail["moved"].as_bool(), detail["replace"].as_bool()),
        (Some(false), Some(false))
    );
}

/// With what people know and have; but a code that has counted does not count again.
async fn assert_signs_in_again(app: &TestApp, held: &Held, spent: &str) {
    let mut browser = app.browser();
    let page = first_step(&mut browser, &[]).await;
    let refused = give(&mut browser, &page, spent).await;
    assert_eq!(refused.status, 400, "a code was replayed");
    let recovery = with_recovery(&mut browser, &page).await;
    let refused = give(&mut browser, &recovery, &held.recovery_codes[0]).await;
    assert_eq!(refused.status, 400, "a recovery code was good");
    app.clock.advance(30);
    let page = first_step(&mut browser, &[]).await;
    let answer = give(&mut browser, &page, &held.authenticator.code(app)).await;
    let code = browser.follow(answer).await.param("code").unwrap();
    let tokens = redeem(app, "web", &code).await;
    assert!(is_active(app, "web", &tokens.text("access_token")).await);
    refresh(app, "web", &tokens.text("refresh_token")).await.text("access_token");
}

/// A database that only moves takes everybody along; and personal access tokens can go on by themselves.
#[tokio::test(flavor = "multi_thread")]
async fn what_the_administrator_vouches_for_goes_on() {
    let app = TestApp::builder().config(CONFIG).start().await;
    app.add_user("bob", &[]).await;
    let held = live(&app).await;
    let (config, now) = (app.app.config.clone(), app.clock.unix());
    let (_, file) = super::back_up(&app.database.url).await;
    let next = stop(app).await;
    let (report, database) = restore_beside(&config, (&file, now), MOVED).await;
    assert!(report.ended.is_empty() && report.told == 0, "{report:?}");
    let moved = start_on(next, &database).await;
    assert_eq!(alive(&moved, &held).await, EVERYTHING);
    let next = stop(moved).await;

    let kept = Wishes { keep_personal_access_tokens: true, ..Wishes::default() };
    let (_, database) = restore_beside(&config, (&file, now), kept).await;
    let app = start_on(next, &database).await;
    assert_eq!(alive(&app, &held).await, ["personal access token"]);
}

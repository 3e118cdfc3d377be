//! Passkeys: added on one's own page, presented instead of a password.

use serde_json::json;

use super::{
    FAST,
    device::{Device, options_on},
    enrolled, form_of, id_token, live, start, start_with,
};
use crate::{
    sessions::{SESSION, sign_in, stop},
    support::{
        app::TestApp,
        browser::{Browser, Journey, Page},
        fake_upstream::FakeUpstream,
        journey::{authorize_path, sign_in_on_page},
    },
};

/// What a browser or an authenticator does wrong.
type Lie = fn(&mut Device);

/// Adds a passkey for whoever is signed in.
pub(crate) async fn add(browser: &mut Browser, device: &mut Device) -> Page {
    let page = browser.get("/account/passkeys").await;
    let answer = device.create(&options_on(&page));
    let form = form_of(&page, "add").fill("credential", &answer).fill("name", "My laptop");
    browser.submit(&page, &form).await
}

/// Bob's device.
pub(crate) async fn bobs_device(app: &TestApp) -> Device {
    let mut device = Device::new();
    let mut browser = app.browser();
    sign_in(&mut browser, "bob").await;
    let added = add(&mut browser, &mut device).await;
    assert_eq!(added.status, 303, "{}", added.text());
    device
}

/// The page that asks for a passkey, on the way to the app.
pub(crate) async fn asked(browser: &mut Browser, changes: &[(&str, &str)]) -> Page {
    let journey = browser.visit(&authorize_path("web", changes)).await;
    let page = journey.last().clone();
    assert_eq!((page.status, page.url.path()), (200, "/login"), "{}", page.text());
    page
}

pub(crate) async fn present(browser: &mut Browser, page: &Page, answer: &str) -> Page {
    let form = page.form_to("/login/passkey").fill("credential", answer);
    browser.submit(page, &form).await
}

pub(crate) async fn sign_in_with(
    browser: &mut Browser,
    device: &mut Device,
    changes: &[(&str, &str)],
) -> Journey {
    let page = asked(browser, changes).await;
    let answer = device.get(&options_on(&page));
    let page = present(browser, &page, &answer).await;
    browser.follow(page).await
}

/// A passkey signs in by itself, at the highest level, whatever else there is.
#[tokio::test(flavor = "multi_thread")]
async fn a_passkey_signs_in() {
    let app = start().await;
    for (synced, method) in [(true, "swk"), (false, "hwk")] {
        let mut device = Device::new();
        device.synced = synced;
        let mut browser = app.browser();
        sign_in(&mut browser, "bob").await;
        assert_eq!(add(&mut browser, &mut device).await.status, 303);
        let claims = {
            let mut browser = app.browser();
            let journey = sign_in_with(&mut browser, &mut device, &[]).await;
            id_token(&app, &journey).await
        };
        assert_eq!(claims["amr"], json!([method, "user", "mfa"]));
        assert_eq!(claims["acr"], "phr");
    }
    let page = {
        let mut browser = app.browser();
        sign_in(&mut browser, "bob").await;
        browser.get("/account/passkeys").await.text()
    };
    assert_eq!(page.matches("Last used").count(), 2, "{page}");
    assert!(page.contains("My laptop"));

    let mut browser = app.browser();
    sign_in_with(&mut browser, &mut bobs_device(&app).await, &[]).await.landing();
    let own = browser.get("/account").await.text();
    assert!(own.contains("Signed in with <bdi>a passkey</bdi>"), "{own}");

    enrolled(&app).await;
    let mut device = bobs_device_by_passkey(&app).await;
    let mut browser = app.browser();
    let journey = sign_in_with(&mut browser, &mut device, &[("acr_values", "phr")]).await;
    assert_eq!(id_token(&app, &journey).await["acr"], "phr", "no code is asked");
    let metadata = app.get("/.well-known/openid-configuration", None).await.json();
    assert_eq!(metadata["acr_values_supported"], json!(["sfa", "mfa", "phr"]));
}

/// Another device of bob's, who has a second factor by now and signs in with both.
async fn bobs_device_by_passkey(app: &TestApp) -> Device {
    let mut browser = app.browser();
    let page = super::first_step(&mut browser, &[]).await;
    let link = page.links().into_iter().find(|link| link.path() == "/login/passkey");
    let asked = browser.click(&page, link.expect("a way to passkeys").as_str()).await;
    assert_eq!(asked.status, 200, "{}", asked.text());
    asked.form_to("/login/passkey");
    // Half a sign-in adds nothing.
    assert_eq!(browser.get("/account/passkeys").await.status, 303);
    let (_, row) = first_row(app).await;
    drop(row);
    let mut device = Device::new();
    let recovery = super::with_recovery(&mut browser, &page).await;
    let codes = {
        use keywright::accounts::factors::renew_recovery_codes;
        let mut connection = app.app.connection().await.unwrap();
        let bob = first_row(app).await.0;
        let (random, now) = (app.app.random(), app.app.now());
        renew_recovery_codes(&mut connection, &bob, random, now).await.unwrap()
    };
    let answer = super::give(&mut browser, &recovery, codes[0].expose()).await;
    browser.follow(answer).await.landing();
    assert_eq!(add(&mut browser, &mut device).await.status, 303);
    device
}

async fn first_row(
    app: &TestApp,
) -> (keywright::foundation::ids::UserId, keywright::store::passkeys::PasskeyRow) {
    let mut connection = app.app.connection().await.unwrap();
    let bob = keywright::store::users::find_by_username(&mut connection, "bob").await;
    let bob = bob.unwrap().unwrap().id;
    let rows = keywright::store::passkeys::list_of_user(&mut connection, &bob).await;
    (bob, rows.unwrap().remove(0))
}

/// MF-05: what is not signed by this passkey, for this origin, to what was asked here and now, signs
/// nobody in and changes nothing.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_not_asked_or_not_signed_rightly_signs_nobody_in() {
    let app = start().await;
    app.add_user("eve", &[]).await;
    let mut device = bobs_device(&app).await;
    device.counter = 7;
    sign_in_with(&mut app.browser(), &mut device, &[]).await.landing();
    let (before, sessions) = (first_row(&app).await.1, live(&app).await);
    let mut honest = device.clone();
    honest.counter = 8;
    let lies: [(&str, Lie); 17] = [
        ("another domain", |d| d.origin = "https://badid.test".to_owned()),
        ("a longer domain", |d| d.origin = "https://id.test.evil.test".to_owned()),
        ("a subdomain", |d| d.origin = "https://login.id.test".to_owned()),
        ("the parent", |d| d.origin = "https://test".to_owned()),
        ("another port", |d| d.origin = "https://id.test:444".to_owned()),
        ("without TLS", |d| d.origin = "http://id.test".to_owned()),
        ("for another party", |d| d.rp_id = "evil.test".to_owned()),
        ("a registration", |d| d.kind = Some("webauthn.create")),
        ("nobody there", |d| d.present = false),
        ("nobody known", |d| d.verified = false),
        ("another key", Device::replace_key),
        ("an unknown key", |d| d.id = vec![7; 32]),
        ("somebody else's", |d| d.user_handle = vec![7; 16]),
        ("nobody's", Device::forget_owner),
        ("the same count", |d| d.counter = 7),
        ("a lower count", |d| d.counter = 1),
        ("no count", |d| d.counter = 0),
    ];
    let mut refused = 0;
    for (what, lie) in &lies {
        let mut liar = honest.clone();
        lie(&mut liar);
        let mut browser = app.browser();
        let page = asked(&mut browser, &[]).await;
        let answer = present(&mut browser, &page, &liar.get(&options_on(&page))).await;
        assert_eq!(answer.status, 400, "{what}: {}", answer.text());
        assert!(browser.cookies().get(SESSION).is_none(), "{what}");
        refused += 1;
    }
    for garbage in ["", "{}", "null", "[]", "x", &"9".repeat(20_000)] {
        let mut browser = app.browser();
        let page = asked(&mut browser, &[]).await;
        let answer = present(&mut browser, &page, garbage).await;
        assert_eq!(answer.status, 400, "{garbage:.20}: {}", answer.text());
        refused += 1;
    }
    let after = first_row(&app).await.1;
    assert_eq!((after.credential, after.last_used_at), (before.credential, before.last_used_at));
    assert_eq!(live(&app).await, sessions);
    let reasons = app.refusals("sign_in").await;
    assert_eq!(reasons.len(), refused, "{reasons:?}");
    assert!(reasons.iter().all(|reason| reason.starts_with("passkey_")), "{reasons:?}");

    sign_in_with(&mut app.browser(), &mut honest, &[]).await.landing();
}

/// MF-05: a challenge counts once, in its own sign-in, for ten minutes.
#[tokio::test(flavor = "multi_thread")]
async fn a_challenge_counts_once_where_it_was_made() {
    let app = start().await;
    let mut device = bobs_device(&app).await;
    let (mut one, mut other) = (app.browser(), app.browser());
    let (page, elsewhere) = (asked(&mut one, &[]).await, asked(&mut other, &[]).await);
    let answer = device.get(&options_on(&page));
    let refused = present(&mut other, &elsewhere, &answer).await;
    assert!(refused.text().contains("code: passkey_refused\n"), "{}", refused.text());
    // The try has used up what was asked there.
    let late = present(&mut other, &elsewhere, &device.get(&options_on(&elsewhere))).await;
    assert!(late.text().contains("code: passkey_not_asked\n"), "{}", late.text());
    let good = present(&mut one, &page, &answer).await;
    assert!(one.follow(good).await.param("code").is_some());
    let again = present(&mut one, &page, &answer).await;
    assert!(again.text().contains("code: flow_expired\n"), "{}", again.text());

    let mut slow = app.browser();
    let page = asked(&mut slow, &[]).await;
    let answer = device.get(&options_on(&page));
    if app.app.memory.is_some() {
        app.clock.advance(601);
        let late = present(&mut slow, &page, &answer).await;
        assert!(late.text().contains("code: passkey_not_asked\n"), "{}", late.text());
    }
}

/// MF-05: the same for adding one; and none is added twice.
#[tokio::test(flavor = "multi_thread")]
async fn only_what_was_asked_is_added() {
    let app = start().await;
    app.add_user("eve", &[]).await;
    let (mut browser, mut eves) = (app.browser(), app.browser());
    sign_in(&mut browser, "bob").await;
    sign_in(&mut eves, "eve").await;
    let mut refusals = Vec::new();
    for lie in [
        |d: &mut Device| d.origin = "https://badid.test".to_owned(),
        |d: &mut Device| d.origin = "https://id.test:444".to_owned(),
        |d: &mut Device| d.rp_id = "evil.test".to_owned(),
        |d: &mut Device| d.kind = Some("webauthn.get"),
        |d: &mut Device| d.verified = false,
    ] {
        let mut device = Device::new();
        lie(&mut device);
        let refused = add(&mut browser, &mut device).await;
        assert_eq!(refused.status, 400, "{}", refused.text());
        refusals.push("passkey_refused");
    }
    // What Eve was asked is not what Bob was asked.
    let of_eve = eves.get("/account/passkeys").await;
    let page = browser.get("/account/passkeys").await;
    let mut device = Device::new();
    let answer = device.create(&options_on(&of_eve));
    let form = form_of(&page, "add");
    let crossed = browser.submit(&page, &form.clone().fill("credential", &answer)).await;
    assert_eq!(crossed.status, 400, "{}", crossed.text());
    let again = device.create(&options_on(&page));
    let late = browser.submit(&page, &form.fill("credential", &again)).await;
    assert_eq!(late.status, 400, "its challenge is used up: {}", late.text());
    refusals.extend(["passkey_refused", "passkey_not_asked"]);
    assert_eq!(app.count("passkeys").await, 0);

    assert_eq!(add(&mut browser, &mut device).await.status, 303);
    let twice = add(&mut eves, &mut device).await;
    assert_eq!(twice.status, 400, "{}", twice.text());
    refusals.push("passkey_known");
    assert_eq!(app.count("passkeys").await, 1);
    assert_eq!(app.refusals("add_passkey").await, refusals);

    app.clock.advance(301);
    let page = browser.get("/account/passkeys").await;
    assert!(!page.text().contains("data-options"), "{}", page.text());
    let stale = browser.submit(&page, &form_of(&page, "remove")).await;
    assert_eq!(stale.status, 403, "{}", stale.text());
    assert_eq!(app.refusals("remove_passkey").await, ["reauth_required"]);
}

/// One's own are renamed and removed, and nobody else's; what is removed signs nobody in.
#[tokio::test(flavor = "multi_thread")]
async fn passkeys_are_renamed_and_removed() {
    let app = start().await;
    app.add_user("mallory", &[]).await;
    let mut device = bobs_device(&app).await;
    let mut browser = app.browser();
    sign_in(&mut browser, "bob").await;
    let page = browser.get("/account/passkeys").await;
    let rename = form_of(&page, "rename").fill("name", "The <i>old</i> laptop");
    let handle = rename.value("handle").unwrap().to_owned();
    let mut mallorys = app.browser();
    sign_in(&mut mallorys, "mallory").await;
    let own = mallorys.get("/account").await;
    let csrf = own.form_to("/logout").value("csrf").unwrap().to_owned();
    for (step, action) in [("rename", "rename_passkey"), ("remove", "remove_passkey")] {
        let fields = [("csrf", csrf.as_str()), ("step", step), ("handle", &handle), ("name", "x")];
        let answer = mallorys.post_form("/account/passkeys", &fields).await;
        assert_eq!(answer.status, 404, "{}", answer.text());
        assert_eq!(app.refusals(action).await, ["passkey_unknown"]);
    }
    assert_eq!(browser.submit(&page, &rename).await.status, 303);
    let page = browser.get("/account/passkeys").await;
    assert!(!page.text().contains("<i>old") && page.text().contains("laptop"), "{}", page.text());
    let mut late = app.browser();
    let waiting = asked(&mut late, &[]).await;
    assert_eq!(browser.submit(&page, &form_of(&page, "remove")).await.status, 303);
    let refused = present(&mut late, &waiting, &device.get(&options_on(&waiting))).await;
    assert!(refused.text().contains("code: passkey_unknown\n"), "{}", refused.text());
    assert_eq!(app.count("passkeys").await, 0);
}

/// A shut account stays shut, and where accounts of our own are switched off, or passkeys are, neither
/// page nor form takes one (PW-21).
#[tokio::test(flavor = "multi_thread")]
async fn what_is_shut_stays_shut() {
    let app = start().await;
    let mut device = bobs_device(&app).await;
    let bob = first_row(&app).await.0;
    let mut browser = app.browser();
    let page = asked(&mut browser, &[]).await;
    let mut connection = app.app.connection().await.unwrap();
    let now = app.app.now();
    assert!(keywright::store::users::disable(&mut connection, &bob, now).await.unwrap());
    drop(connection);
    let refused = present(&mut browser, &page, &device.get(&options_on(&page))).await;
    assert!(refused.text().contains("code: passkey_unknown\n"), "{}", refused.text());
    assert!(browser.cookies().get(SESSION).is_none());
    drop(browser);
    let mut app = app;
    for lines in ["[second_factors]\npasskeys = \"off\"", "[passwords]\nlogin = \"off\""] {
        app = stop(app).await.config(FAST).config(lines).start().await;
        let mut browser = app.browser();
        let journey = browser.visit(&authorize_path("web", &[])).await;
        assert!(!journey.last().text().contains("passkey"), "{}", journey.last().text());
        let query = journey.last().url.query().unwrap().to_owned();
        let page = browser.get(&format!("/login/passkey?{query}")).await;
        assert_eq!(page.status, 403, "{}", page.text());
        assert!(page.text().contains("code: passkeys_off\n"), "{}", page.text());
    }
}

/// Who comes by an upstream and has no password here does not get round the upstream.
#[tokio::test(flavor = "multi_thread")]
async fn people_of_an_upstream_add_none() {
    let upstream = FakeUpstream::start().await;
    let app = TestApp::builder().upstream("kc", &upstream, "").start().await;
    let mut browser = app.browser();
    assert_eq!(browser.visit("/account").await.last().url.path(), "/account");
    let page = browser.get("/account/passkeys").await;
    assert!(!page.text().contains("data-options"), "{}", page.text());
    let own = browser.get("/account").await;
    let csrf = own.form_to("/logout").value("csrf").unwrap().to_owned();
    let fields = [("csrf", csrf.as_str()), ("step", "add"), ("credential", "{}")];
    let answer = browser.post_form("/account/passkeys", &fields).await;
    assert_eq!(answer.status, 403, "{}", answer.text());
    assert_eq!(app.refusals("add_passkey").await, ["passkeys_off"]);
}

/// An app that lets nobody in with an account of our own is no way for passkeys either (UP-22), and a
/// group that requires two factors has them in one.
#[tokio::test(flavor = "multi_thread")]
async fn a_passkey_is_two_factors() {
    let app = start_with("[second_factors]\nrequired_for_groups = [\"staff\"]").await;
    let mut device = bobs_device(&app).await;
    let mut browser = app.browser();
    let journey = sign_in_with(&mut browser, &mut device, &[("acr_values", "mfa")]).await;
    assert_eq!(id_token(&app, &journey).await["acr"], "phr");
    let journey = browser.visit(&authorize_path("web", &[("prompt", "login")])).await;
    let journey = sign_in_on_page(&mut browser, &journey, "bob").await;
    assert_eq!(id_token(&app, &journey).await["acr"], "sfa", "a password is what it was");
}

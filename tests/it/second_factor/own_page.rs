//! One's second factors on one's own page.

use keywright::store::mail_outbox::MailKind;

use super::{Authenticator, FAST, enrolled, form_of, give, second_step_of, set_up, start};
use crate::{
    sessions::{SESSION, cookie, person_of, sign_in},
    support::{
        app::TestApp,
        browser::{Browser, Page},
        journey::sign_in_on_page,
    },
};

async fn begin(browser: &mut Browser) -> Page {
    let page = browser.get("/account/two-step").await;
    let begun = browser.submit(&page, &form_of(&page, "begin")).await;
    browser.follow(begun).await.last().clone()
}

/// The page shows the key as a picture and as text; what it confirms is sealed, and the session is
/// worth more afterwards, under a new secret (SS-01).
#[tokio::test(flavor = "multi_thread")]
async fn an_authenticator_app_is_set_up() {
    let app = start().await;
    let mut browser = app.browser();
    let old = sign_in(&mut browser, "bob").await;
    let home = browser.get("/account").await;
    assert!(home.links().iter().any(|link| link.path() == "/account/two-step"));
    let page = begin(&mut browser).await;
    let text = page.text();
    assert!(text.contains("<svg class=\"code\"") && text.contains("<path d=\"M"), "{text}");
    assert_eq!(app.count("totp_factors").await, 0, "nothing is kept of what is not confirmed");
    let authenticator = Authenticator::from_page(&page);
    let form = form_of(&page, "confirm");
    for wrong in [authenticator.wrong(&app).as_str(), "", "12345"] {
        let refused = browser.submit(&page, &form.clone().fill("code", wrong)).await;
        assert_eq!(refused.status, 400, "{}", refused.text());
        let again = Authenticator::from_page(&refused);
        assert_eq!(again.secret, authenticator.secret);
    }
    assert_eq!(app.refusals("add_second_factor").await, ["wrong_code"; 3]);
    let named = form.fill("code", &authenticator.code(&app)).fill("name", "Bob's <b>phone</b>\0");
    let done = browser.submit(&page, &named).await;
    assert_eq!(done.status, 200, "{}", done.text());
    assert_eq!(super::codes_on(&done).len(), 10);
    assert!(!done.text().contains("<b>phone"), "{}", done.text());
    assert_eq!(app.count("totp_factors WHERE name = 'Bob''s <b>phone</b>'").await, 1);
    let new = cookie(&browser, SESSION);
    assert_eq!((person_of(&app, &old).await, new == old), (None, false));
    assert_eq!(person_of(&app, &new).await.as_deref(), Some("bob"));
    assert_eq!(app.count("sessions WHERE acr = 'mfa' AND ended_at IS NULL").await, 1);

    // Sent a second time it adds nothing, for it was made for the session that was, and the page shows
    // neither key nor codes again.
    let again = browser.submit(&page, &named).await;
    assert_eq!(again.status, 403, "{}", again.text());
    assert_eq!(app.count("totp_factors").await, 1);
    let page = browser.get("/account/two-step").await.text();
    assert!(!page.contains("id=\"key\"") && !page.contains("all-codes"), "{page}");
    let added = app.events().await;
    let added = added.iter().filter(|e| e.action == "add_second_factor" && e.reason.is_none());
    assert_eq!(added.count(), 1);
}

/// LG-11: the secret is bound to its row.
#[tokio::test(flavor = "multi_thread")]
async fn a_secret_that_was_moved_to_another_row_is_none() {
    use keywright::store::totp_factors;
    let app = start().await;
    app.add_user("eve", &[]).await;
    let mut eves = app.browser();
    sign_in(&mut eves, "eve").await;
    let (of_eve, _) = set_up(&app, &mut eves).await;
    enrolled(&app).await;
    // Somebody who can write to the database puts Eve's secret into Bob's row.
    let find = async |name: &str| {
        let mut connection = app.app.connection().await.unwrap();
        let user = keywright::store::users::find_by_username(&mut connection, name).await;
        let user = user.unwrap().unwrap().id;
        totp_factors::list_of_user(&mut connection, &user).await.unwrap().remove(0)
    };
    let (eve, bob) = (find("eve").await, find("bob").await);
    let mut connection = app.app.connection().await.unwrap();
    let step = bob.last_step + 1;
    assert!(totp_factors::use_step(&mut connection, &bob.id, step, &eve.sealed).await.unwrap());
    drop(connection);
    app.clock.advance(60);
    let mut browser = app.browser();
    let page = super::first_step(&mut browser, &[]).await;
    super::assert_wrong(&give(&mut browser, &page, &of_eve.code(&app)).await, &browser);
}

/// What is being set up is one session's: another browser of the same person does not get to see it,
/// nor this one when its proof is old.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_being_set_up_is_shown_to_who_began() {
    let app = start().await;
    let (mut browser, mut other) = (app.browser(), app.browser());
    sign_in(&mut browser, "bob").await;
    sign_in(&mut other, "bob").await;
    let page = begin(&mut browser).await;
    assert!(page.text().contains("id=\"key\""));
    assert!(!other.get("/account/two-step").await.text().contains("id=\"key\""));
    app.clock.advance(5 * 60 + 1);
    assert!(!browser.get("/account/two-step").await.text().contains("id=\"key\""));
    let code = Authenticator::from_page(&page).code(&app);
    let late = browser.submit(&page, &form_of(&page, "confirm").fill("code", &code)).await;
    assert_eq!(late.status, 403, "{}", late.text());
    assert!(late.text().contains("code: reauth_required\n"));
    assert_eq!(app.count("totp_factors").await, 0);
}

/// Somebody else's is as unknown as none.
#[tokio::test(flavor = "multi_thread")]
async fn people_remove_only_their_own() {
    let app = start().await;
    app.add_user("mallory", &[]).await;
    let mut bobs = app.browser();
    sign_in(&mut bobs, "bob").await;
    set_up(&app, &mut bobs).await;
    let page = bobs.get("/account/two-step").await;
    let handle = form_of(&page, "remove").value("handle").unwrap().to_owned();
    let mut mallorys = app.browser();
    sign_in(&mut mallorys, "mallory").await;
    set_up(&app, &mut mallorys).await;
    let page = mallorys.get("/account/two-step").await;
    for handle in [handle.as_str(), "", "x", "' OR 1=1 --", "\0", &"9".repeat(10_000)] {
        let form = form_of(&page, "remove").without("handle").add("handle", handle);
        let answer = mallorys.submit(&page, &form).await;
        assert_eq!(answer.status, 404, "{}", answer.text());
        assert!(answer.text().contains("code: second_factor_unknown\n"));
    }
    assert_eq!(app.count("totp_factors").await, 2);
    assert_eq!(app.refusals("remove_second_factor").await, ["second_factor_unknown"; 6]);
}

/// There may be several, each with its codes, and not without end.
#[tokio::test(flavor = "multi_thread")]
async fn there_may_be_several() {
    let app = start().await;
    let mut browser = app.browser();
    sign_in(&mut browser, "bob").await;
    let (first, codes) = set_up(&app, &mut browser).await;
    let mut last = first.clone();
    assert_eq!(codes.len(), 10);
    for _ in 0..4 {
        let (next, codes) = set_up(&app, &mut browser).await;
        assert!(codes.is_empty(), "the recovery codes stay");
        last = next;
    }
    let page = browser.get("/account/two-step").await;
    assert!(page.forms().iter().all(|form| form.value("step") != Some("begin")));
    let csrf = form_of(&page, "codes").value("csrf").unwrap().to_owned();
    browser.post_form("/account/two-step", &[("csrf", &csrf), ("step", "begin")]).await;
    let page = browser.get("/account/two-step").await;
    let code = Authenticator::from_page(&page).code(&app);
    let refused = browser.submit(&page, &form_of(&page, "confirm").fill("code", &code)).await;
    assert_eq!(refused.status, 409, "{}", refused.text());
    assert!(refused.text().contains("code: too_many_second_factors\n"));
    assert_eq!(app.count("totp_factors").await, 5);
    for authenticator in [first, last] {
        let mut browser = app.browser();
        let page = super::first_step(&mut browser, &[]).await;
        let answer = give(&mut browser, &page, &authenticator.code(&app)).await;
        assert!(browser.follow(answer).await.param("code").is_some());
    }
}

/// The owner hears of every change, where mail reaches them.
#[tokio::test(flavor = "multi_thread")]
async fn the_owner_hears_of_every_change() {
    let mail = "[mail]\nurl = \"smtp://127.0.0.1:1\"\nfrom = \"Keywright <id@id.test>\"";
    let app = TestApp::builder().config(FAST).config(mail).start().await;
    app.add_user("bob", &[]).await;
    let mut browser = app.browser();
    sign_in(&mut browser, "bob").await;
    let sent = async || {
        let mut connection = app.app.connection().await.unwrap();
        let list = keywright::store::mail_outbox::list_to(&mut connection, "bob@corp.test").await;
        let list = list.unwrap();
        assert!(list.iter().all(|mail| mail.kind == MailKind::MethodChanged), "{list:?}");
        list.len()
    };
    let (_, codes) = set_up(&app, &mut browser).await;
    assert_eq!(sent().await, 1);
    let page = browser.get("/account/two-step").await;
    browser.submit(&page, &form_of(&page, "codes")).await;
    assert_eq!(sent().await, 2);
    let new = {
        let mut other = app.browser();
        let page = super::first_step(&mut other, &[]).await;
        let page = super::with_recovery(&mut other, &page).await;
        give(&mut other, &page, &codes[0]).await.status
    };
    assert_eq!((new, sent().await), (400, 2), "a refusal is no change");
    browser.submit(&page, &form_of(&page, "remove")).await;
    assert_eq!(sent().await, 3);
}

/// Every page works for who is signed out, and does nothing.
#[tokio::test(flavor = "multi_thread")]
async fn nobody_has_no_second_factors() {
    let app = start().await;
    let mut browser = app.browser();
    assert_eq!(browser.get("/account/two-step").await.location().unwrap().path(), "/account");
    let (authenticator, _) = enrolled(&app).await;
    let journey = browser.visit("/account").await;
    let page = second_step_of(&sign_in_on_page(&mut browser, &journey, "bob").await);
    assert_eq!(browser.get("/account/two-step").await.status, 303);
    let answer = give(&mut browser, &page, &authenticator.code(&app)).await;
    browser.follow(answer).await;
    assert_eq!(browser.get("/account/two-step").await.status, 200);
}

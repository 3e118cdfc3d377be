//! LK-17: new accounts by a link.

use axum::http::Method;
use futures_util::future::join_all;
use keywright::store::invitations;

use super::{INVITE, filled, form, house, join, make, offer, offer_to, open, uses_left};
use crate::{
    sessions::SESSION,
    support::{
        app::TestApp,
        browser::{Browser, Navigation},
    },
    upstream::user,
};

async fn assert_nobody(app: &TestApp, browser: &Browser) {
    assert_eq!((app.count("users").await, app.count("sessions").await), (0, 0));
    assert!(browser.cookies().get(SESSION).is_none());
}

/// Whoever is invited gets an account with the groups of the invitation; whoever is not, none.
#[tokio::test(flavor = "multi_thread")]
async fn the_form_is_open_to_who_is_invited() {
    let app = house().await;
    let mut stranger = app.browser();
    assert_eq!(stranger.get("/signup").await.status, 403);
    let (invitation, path) = make(&app, offer()).await;
    let mut browser = app.browser();
    let page = join(&mut browser, &path, "anna").await;
    let journey = browser.follow(page).await;
    let own = journey.last();
    assert_eq!((own.status, own.url.path()), (200, "/account"), "{:?}", journey.hops());
    let anna = user(&app, "anna").await;
    assert_eq!((anna.groups.to_vec(), anna.roles.to_vec()), (vec!["staff".to_owned()], vec![]));
    assert_eq!(uses_left(&app, &invitation.id).await, 0);
    let events = app.events().await;
    let event = events.iter().find(|event| event.action == "invitation_accepted").unwrap();
    assert_eq!(event.user_id.as_ref(), Some(&anna.id));
    assert!(event.detail.contains(invitation.id.as_str()) && event.detail.contains("staff"));
    let secret = path.split_once('=').unwrap().1;
    assert!(events.iter().all(|event| !event.detail.contains(secret)), "the secret is kept");
    assert_eq!(stranger.get("/signup").await.status, 403, "nobody else came in with them");
}

/// Looking uses nothing, however often and by whomever, and the secret stays in no address.
#[tokio::test(flavor = "multi_thread")]
async fn looking_at_a_link_uses_nothing() {
    let app = house().await;
    let (invitation, path) = make(&app, offer()).await;
    let secret = path.split_once('=').unwrap().1;
    for number in 0..5 {
        let mut browser = app.browser();
        let answer = browser.get(&path).await;
        assert_eq!(answer.status, 303, "{number}");
        let to = answer.header("location").unwrap();
        assert!(to.starts_with("/invitation?flow=") && !to.contains(secret), "{to}");
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        assert_eq!(answer.header("referrer-policy"), Some("no-referrer"));
        assert!(answer.set_cookies().iter().all(|cookie| !cookie.contains(secret)));
        let page = browser.follow(answer).await.last().clone();
        assert_eq!(page.status, 200);
        assert!(!page.text().contains(secret) && page.text().contains("You are invited"));
        assert_eq!(page.header("cache-control"), Some("no-store"));
        assert_eq!(page.header("referrer-policy"), Some("no-referrer"));
    }
    // A machine that looks whether the link is good.
    let mut browser = app.browser();
    let mut look = Navigation::get(format!("https://id.test{path}").parse().unwrap());
    look.method = Method::HEAD;
    assert_eq!(browser.send(look).await.status, 303);
    assert_eq!(uses_left(&app, &invitation.id).await, 1);
    assert_eq!(app.count("users").await, 0);
}

/// LK-17: what is too old by a second, used, taken back, cut, edited or never made lets nobody in: neither
/// by the link nor by a form that was open before.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_of_no_use_lets_nobody_in() {
    let app = house().await;
    let (row, path) = make(&app, offer()).await;
    let (base, secret) = path.split_once('=').unwrap();
    let mut flipped = secret.to_owned();
    flipped.replace_range(20..21, if &secret[20..21] == "A" { "B" } else { "A" });
    for wrong in [
        "",
        "x",
        &secret[..secret.len() - 1],
        &secret[..12],
        &flipped,
        &secret.to_uppercase(),
        &format!("{secret}A"),
        &secret.replace("kw_in_", "kw_se_"),
        row.id.as_str(),
    ] {
        let mut browser = app.browser();
        let page = browser.get(&format!("{base}={wrong}")).await;
        let status = if wrong.is_empty() { 400 } else { 410 };
        assert_eq!(page.status, status, "{wrong}: {}", page.text());
        assert_nobody(&app, &browser).await;
    }
    assert_eq!(app.refusals("invitation").await, ["invitation_unknown"; 8]);
    // A second before its end it is good.
    app.clock.advance(7 * 86_400 - 1);
    let mut browser = app.browser();
    let page = open(&mut browser, &path).await;
    let (form_page, form) = form(&mut browser, &page).await;
    app.clock.advance(1);
    let late = browser.submit(&form_page, &filled(&form, "anna")).await;
    assert_eq!(late.status, 410, "{}", late.text());
    assert_eq!(browser.get(page.url.as_str()).await.status, 410);
    assert_eq!(app.browser().get(&path).await.status, 410);
    assert_nobody(&app, &browser).await;
    let reasons = app.refusals("invitation").await;
    assert_eq!(reasons[8..], ["invitation_expired"; 3]);
}

/// LK-17: one that was used, or taken back, while the form was open.
#[tokio::test(flavor = "multi_thread")]
async fn a_form_that_was_open_before_is_too_late() {
    let app = house().await;
    for (number, reason) in ["invitation_used", "invitation_revoked"].into_iter().enumerate() {
        let (row, path) = make(&app, offer()).await;
        let mut late = app.browser();
        let page = open(&mut late, &path).await;
        let (page, form) = form(&mut late, &page).await;
        if reason == "invitation_used" {
            assert_eq!(join(&mut app.browser(), &path, "anna").await.status, 303);
        } else {
            let mut connection = app.app.connection().await.unwrap();
            let now = app.app.now();
            assert!(invitations::revoke(&mut connection, &row.id, now).await.unwrap());
        }
        let answer = late.submit(&page, &filled(&form, "eve")).await;
        assert_eq!(answer.status, 410, "{}", answer.text());
        assert_eq!(app.browser().get(&path).await.status, 410);
        assert!(late.cookies().get(SESSION).is_none());
        assert_eq!(app.refusals("invitation").await[2 * number..], [reason; 2]);
    }
    assert_eq!(app.count("users").await, 1);
}

/// LK-17: what is written into forms and addresses beside it changes nothing of what it gives.
#[tokio::test(flavor = "multi_thread")]
async fn only_the_stored_row_says_what_it_gives() {
    let app = house().await;
    let (_, path) = make(&app, offer_to("anna@corp.test", true)).await;
    let mut browser = app.browser();
    let page = open(&mut browser, &format!("{path}&groups=admins&role=admin&uses=99")).await;
    let (page, form) = form(&mut browser, &page).await;
    assert_eq!(form.value("email"), Some("anna@corp.test"));
    // Another address than the one that was invited.
    for other in ["eve@evil.test", "anna@corp.test.evil.test", "anna+1@corp.test"] {
        let answer = browser.submit(&page, &filled(&form, "anna").fill("email", other)).await;
        assert_eq!(answer.status, 422, "{other}: {}", answer.text());
        assert!(answer.text().contains("id=\"email-problem\""), "{}", answer.text());
        assert_nobody(&app, &browser).await;
    }
    assert_eq!(app.refusals("sign_up").await, ["email_unfit"; 3]);
    let posted = filled(&form, "anna").fill("email", "Anna@Corp.test");
    let posted = ["groups", "role", "roles", "email_verified", "kind"]
        .iter()
        .fold(posted, |form, name| form.add(name, "admin"));
    assert_eq!(browser.submit(&page, &posted).await.status, 303);
    let anna = user(&app, "anna").await;
    assert_eq!((anna.groups.to_vec(), anna.roles.to_vec()), (vec!["staff".to_owned()], vec![]));
    assert_eq!(anna.email_verified, Some(true), "the link came by mail to this address");
}

/// A link that somebody else saw as well proves no address; one that came by mail does, unless it is the
/// address of somebody here.
#[tokio::test(flavor = "multi_thread")]
async fn an_address_is_proved_by_mail_alone() {
    let config = format!("{INVITE}email = \"off\"");
    let app = TestApp::builder().config(&config).start().await;
    app.add_user("bob", &[]).await;
    for (name, address, mailed) in
        [("anna", "anna@corp.test", false), ("carl", "carl@corp.test", true)]
    {
        let (_, path) = make(&app, offer_to(address, mailed)).await;
        assert_eq!(join(&mut app.browser(), &path, name).await.status, 303);
        let user = user(&app, name).await;
        assert_eq!(user.email.as_deref(), Some(address));
        assert_eq!((user.email_verified, user.email_issuer), (Some(mailed), None));
    }
    let (row, path) = make(&app, offer_to("bob@corp.test", true)).await;
    let answer = join(&mut app.browser(), &path, "bobby").await;
    assert_eq!(answer.status, 422, "{}", answer.text());
    assert_eq!(app.refusals("invitation").await, ["invitation_address_taken"]);
    assert_eq!((app.count("users").await, uses_left(&app, &row.id).await), (3, 1));
}

/// A name that is taken does not use the invitation up.
#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_is_taken_uses_nothing() {
    let app = house().await;
    app.add_user("bob", &[]).await;
    let (row, path) = make(&app, offer()).await;
    let mut browser = app.browser();
    let answer = join(&mut browser, &path, "bob").await;
    assert_eq!((answer.status, uses_left(&app, &row.id).await), (422, 1));
    let again = filled(&answer.form_to("/signup"), "bob2");
    assert_eq!(browser.submit(&answer, &again).await.status, 303);
    assert_eq!(uses_left(&app, &row.id).await, 0);
}

/// LK-17: of twenty at once as many get in as it has uses.
#[tokio::test(flavor = "multi_thread")]
async fn of_twenty_at_once_as_many_get_in_as_it_is_for() {
    for uses in [1, 3] {
        let app = house().await;
        let (row, path) = make(&app, super::Offer { uses, ..offer() }).await;
        let mut ready = Vec::new();
        for number in 0..20 {
            let mut browser = app.browser();
            let page = open(&mut browser, &path).await;
            let (page, form) = form(&mut browser, &page).await;
            ready.push((browser, page, filled(&form, &format!("anna{number}"))));
        }
        let tried =
            join_all(ready.iter_mut().map(|(browser, page, form)| browser.submit(page, form)));
        let statuses: Vec<u16> = tried.await.into_iter().map(|page| page.status).collect();
        let of = |status| statuses.iter().filter(|own| **own == status).count();
        assert_eq!((of(303), of(410)), (uses as usize, 20 - uses as usize), "{statuses:?}");
        assert_eq!(app.count("users").await, i64::from(uses));
        assert_eq!(app.count("sessions").await, i64::from(uses));
        assert_eq!(uses_left(&app, &row.id).await, 0);
    }
}

/// AZ-22: the way belongs to the browser that opened the link.
#[tokio::test(flavor = "multi_thread")]
async fn the_way_belongs_to_the_browser_that_opened_the_link() {
    let app = house().await;
    let (row, path) = make(&app, offer()).await;
    let page = open(&mut app.browser(), &path).await;
    let flow = page.url.query().unwrap().to_owned();
    let mut other = app.browser();
    other.visit("/account").await;
    for path in ["/invitation", "/signup"] {
        assert_eq!(other.get(&format!("{path}?{flow}")).await.status, 403, "{path}");
    }
    assert_eq!(uses_left(&app, &row.id).await, 1);
}

/// A door that is shut stays shut for who is invited; `signup.disabled` shuts it whatever else is said.
#[tokio::test(flavor = "multi_thread")]
async fn a_shut_form_stays_shut() {
    for (config, opens) in [
        ("[signup]\nlocal = \"open\"", true),
        ("[signup]\nlocal = \"closed\"", false),
        ("[signup]\nlocal = \"invite\"\ndisabled = true", false),
        ("[signup]\nlocal = \"open\"\ndisabled = true", false),
    ] {
        let app = TestApp::builder().config(config).start().await;
        app.add_user("bob", &[]).await;
        let (row, path) = make(&app, offer()).await;
        let mut browser = app.browser();
        let page = open(&mut browser, &path).await;
        assert_eq!(page.status, 200, "{config}");
        assert_eq!(page.links().iter().any(|link| link.path() == "/signup"), opens, "{config}");
        let flow = page.url.query().unwrap().to_owned();
        let answer = browser.get(&format!("/signup?{flow}")).await;
        assert_eq!(answer.status, if opens { 200 } else { 403 }, "{config}");
        if !opens {
            let csrf = browser.visit("/account").await.last().form_to("/login");
            let fields = [("csrf", csrf.value("csrf").unwrap()), ("username", "anna")];
            let posted = browser.post_form(&format!("/signup?{flow}"), &fields).await;
            assert_eq!(posted.status, 403, "{config}: {}", posted.text());
            assert_eq!((app.count("users").await, app.count("sessions").await), (1, 0));
            assert_eq!(uses_left(&app, &row.id).await, 1);
        }
    }
}

/// A week after its end nothing of it is left.
#[tokio::test(flavor = "multi_thread")]
async fn it_is_forgotten() {
    let app = house().await;
    make(&app, offer()).await;
    for (days, left) in [(7, 1), (6, 1), (2, 0)] {
        app.clock.advance(days * 86_400);
        keywright::jobs::purge(&app.app).await.unwrap();
        assert_eq!(app.count("invitations").await, left, "{days}");
    }
}

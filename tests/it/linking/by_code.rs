//! Connecting with the account of one's address, by a code that is mailed to it.

use keywright::store::identities::LinkedBy;
use serde_json::{Value, json};

use super::House;
use crate::{
    refresh::outside::user_verb,
    second_factor::set_up,
    support::{
        browser::{Browser, Page},
        inbox::{Inbox, code_in},
        journey::authorize_path,
    },
    upstream::{Witness, claims_for_app, is_refusal_page, sign_in_at, user},
};

const BY_CODE: &str = "link_by_code = true";
const ADDRESS: &str = "bob@corp.test";

/// Who says of themselves to have bob's address, whatever that upstream says about it.
fn bob_there(subject: &str, verified: &Value) -> Value {
    json!({"sub": subject, "preferred_username": "seven", "email": "Bob@Corp.test",
           "email_verified": verified})
}

struct Mailing {
    house: House,
    inbox: Inbox,
}

impl Mailing {
    async fn build() -> Self {
        Self::with("").await
    }

    async fn with(config: &str) -> Self {
        let inbox = Inbox::open();
        let house =
            House::with(|builder| builder.config(config).config(&inbox.config()), BY_CODE).await;
        house.kc.set_person(bob_there("7", &json!(null)));
        Self { house, inbox }
    }

    /// Signs in at kc and stops where a code is asked for.
    async fn asked(&self, browser: &mut Browser) -> Page {
        let page = sign_in_at(browser, "kc").await.last().clone();
        assert_eq!(page.url.path(), "/login/connect", "{}", page.text());
        page
    }

    async fn code(&self) -> String {
        code_in(&self.inbox.newest(&self.house.app, ADDRESS).await)
    }

    async fn mails(&self) -> usize {
        self.inbox.of(&self.house.app, ADDRESS).await.len()
    }

    /// Nobody was linked to bob's account.
    async fn assert_not_linked(&self) {
        assert_eq!(self.house.identities("bob").await.len(), 0);
        assert_eq!(self.house.done("link").await.len(), 0);
    }
}

async fn type_code(browser: &mut Browser, page: &Page, code: &str) -> Page {
    let form = page.forms().into_iter().find(|form| form.value("code").is_some());
    let form = form.unwrap_or_else(|| panic!("{}", page.text())).fill("code", code);
    browser.submit(page, &form).await
}

async fn decline(browser: &mut Browser, page: &Page) -> Page {
    let form = page.forms().into_iter().find(|form| form.value("instead") == Some("new"));
    browser.submit(page, &form.unwrap()).await
}

fn another(code: &str) -> String {
    let number: u32 = code.parse().unwrap();
    format!("{:06}", (number + 1) % 1_000_000)
}

/// Part of every sign-in here: the code that is mailed connects, once and for all, and the app gets its
/// answer in the same walk.
#[tokio::test(flavor = "multi_thread")]
async fn a_mailed_code_connects_an_account() {
    let mailing = Mailing::build().await;
    let house = &mailing.house;
    let mut browser = house.passing();
    let page = mailing.asked(&mut browser).await;
    assert_eq!((page.status, house.app.count("users").await), (200, 2));
    assert!(!page.text().contains("bob"), "{}", page.text());
    assert!(page.text().contains(">seven<"), "whom it connects: {}", page.text());
    mailing.assert_not_linked().await;
    let code = mailing.code().await;
    let page = type_code(&mut browser, &page, &format!(" {} {}", &code[..3], &code[3..])).await;
    let journey = browser.follow(page).await;
    let claims = claims_for_app(&house.app, &journey).await;
    assert_eq!(claims["preferred_username"], "bob");
    let own = house.identities("bob").await.remove(0);
    assert_eq!((own.subject.as_str(), own.linked_by), ("7", LinkedBy::MailedCode));
    let event = house.done("link").await.remove(0);
    assert_eq!(event.user_id, Some(user(&house.app, "bob").await.id));
    assert!(event.detail.contains("\"linked_by\":\"mailed_code\""), "{}", event.detail);
    assert_eq!(house.app.count("users").await, 2);
    // A mail tells of the new way in.
    let notice = mailing.inbox.newest(&house.app, ADDRESS).await;
    assert!(notice.text().contains("signing in with"), "{}", notice.text());
    assert_eq!(mailing.mails().await, 2);
    // From now on the link counts, whatever the address is.
    house.kc.set_person(json!({"sub": "7", "email": "elsewhere@corp.test"}));
    let journey = sign_in_at(&mut house.passing(), "kc").await;
    assert_eq!(claims_for_app(&house.app, &journey).await["preferred_username"], "bob");
    assert_eq!(house.done("link").await.len(), 1);
}

/// Whoever would rather be somebody new is, and is not asked again in that sign-in.
#[tokio::test(flavor = "multi_thread")]
async fn nobody_has_to_connect() {
    let mailing = Mailing::build().await;
    let house = &mailing.house;
    let mut browser = house.passing();
    let page = mailing.asked(&mut browser).await;
    let page = decline(&mut browser, &page).await;
    let journey = browser.follow(page).await;
    assert_eq!(claims_for_app(&house.app, &journey).await["preferred_username"], "seven");
    mailing.assert_not_linked().await;
    assert_eq!(house.app.count("users").await, 3);
}

/// LK-11, LK-12: connecting needs no open door, being new does.
#[tokio::test(flavor = "multi_thread")]
async fn closed_doors_let_in_who_connects() {
    let mailing = Mailing::with("[signup]\nfederated = \"closed\"").await;
    let house = &mailing.house;
    let mut browser = house.passing();
    let page = mailing.asked(&mut browser).await;
    let refused = decline(&mut browser, &page).await;
    let refused = browser.follow(refused).await.last().clone();
    assert_eq!(refused.status, 403);
    assert!(refused.text().contains("code: signup_closed"), "{}", refused.text());
    let mut browser = house.passing();
    let page = mailing.asked(&mut browser).await;
    let page = type_code(&mut browser, &page, &mailing.code().await).await;
    let journey = browser.follow(page).await;
    assert_eq!(claims_for_app(&house.app, &journey).await["preferred_username"], "bob");
    assert_eq!(house.app.count("users").await, 2);
}

/// RC-15: five tries, however they come; a wrong one is said, kept, and changes nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_code_cannot_be_guessed() {
    let mailing = Mailing::build().await;
    let house = &mailing.house;
    let mut browser = house.passing();
    let page = mailing.asked(&mut browser).await;
    let code = mailing.code().await;
    for _ in 0..5 {
        let answer = type_code(&mut browser, &page, &another(&code)).await;
        assert_eq!(answer.status, 422, "{}", answer.text());
    }
    let witness = Witness::of(&house.app).await;
    let answer = type_code(&mut browser, &page, &code).await;
    let event = witness.only_refusal().await.unwrap();
    assert_eq!((event.action.as_str(), event.reason.as_deref()), ("link", Some("too_many_codes")));
    is_refusal_page(&answer, 410, &event).unwrap();
    mailing.assert_not_linked().await;
    let refusals = house.app.refusals("link").await;
    assert_eq!(refusals.iter().filter(|reason| *reason == "wrong_code").count(), 5, "{refusals:?}");
}

/// RC-15: an address gets ten codes a day, and nobody gets in by an empty one.
#[tokio::test(flavor = "multi_thread")]
async fn an_address_gets_so_many_codes() {
    let mailing = Mailing::build().await;
    let house = &mailing.house;
    for _ in 0..10 {
        mailing.asked(&mut house.passing()).await;
        mailing.mails().await;
        // The brake on mails to one address is not what this is about.
        house.app.clock.advance(3_600);
    }
    let before = mailing.mails().await;
    let mut browser = house.passing();
    let page = mailing.asked(&mut browser).await;
    assert!(page.text().contains("No further code"), "{}", page.text());
    assert_eq!((before, mailing.mails().await), (10, 10));
    let token = page.forms()[0].value("csrf").unwrap().to_owned();
    let flow = page.url.query().unwrap().to_owned();
    let form = [("csrf", token.as_str()), ("code", "")];
    let answer = browser.post_form(&format!("/login/connect?{flow}"), &form).await;
    assert_eq!(answer.status, 422);
    mailing.assert_not_linked().await;
}

/// LK-07: the code is for this identity, in this browser, within its time, and once.
#[tokio::test(flavor = "multi_thread")]
async fn a_code_counts_for_whom_it_was_asked() {
    let mailing = Mailing::build().await;
    let house = &mailing.house;

    // Another subject comes back: it is asked itself, and the code of the first is no good to it.
    let mut browser = house.passing();
    let page = mailing.asked(&mut browser).await;
    let code = mailing.code().await;
    house.kc.set_person(bob_there("8", &json!(true)));
    let answer = type_code(&mut browser, &page, &code).await;
    let page = browser.follow(answer).await.last().clone();
    assert_eq!(page.url.path(), "/login/connect", "{}", page.text());
    let code_of_8 = mailing.code().await;
    if code_of_8 != code {
        assert_eq!(type_code(&mut browser, &page, &code).await.status, 422);
    }
    mailing.assert_not_linked().await;

    // Another browser has no use for the page.
    let answer = house.passing().get(page.url.as_str()).await;
    assert_eq!(answer.status, 403, "{}", answer.text());

    // Another sign-in has a code of its own.
    let mut other = house.passing();
    let theirs = mailing.asked(&mut other).await;
    let own = mailing.code().await;
    if own != code_of_8 {
        assert_eq!(type_code(&mut other, &theirs, &code_of_8).await.status, 422);
    }

    // Time runs out.
    house.app.clock.advance(15 * 60);
    let answer = type_code(&mut other, &theirs, &own).await;
    assert_eq!(answer.status, 410, "{}", answer.text());
    mailing.assert_not_linked().await;
}

/// LK-07: what was proved is gone with the sign-in: not again after the link was taken away.
#[tokio::test(flavor = "multi_thread")]
async fn a_code_links_once() {
    let mailing = Mailing::build().await;
    let house = &mailing.house;
    let mut browser = house.passing();
    let page = mailing.asked(&mut browser).await;
    let code = mailing.code().await;
    let first = type_code(&mut browser, &page, &code).await;
    browser.follow(first).await;
    assert_eq!(house.identities("bob").await.len(), 1);
    let mut own = house.signed_in("bob").await;
    let account = own.get("/account").await;
    let forms = account.forms();
    let unlink = forms.iter().find(|form| form.action.path() == "/account/unlink").unwrap();
    own.submit(&account, unlink).await;
    assert_eq!(house.identities("bob").await.len(), 0);
    assert_eq!(mailing.mails().await, 3, "adding and removing are told");
    let answer = type_code(&mut browser, &page, &code).await;
    assert!(answer.text().contains("code: flow_expired"), "{}", answer.text());
    assert_eq!(house.identities("bob").await.len(), 0);
}

/// LK-02, LK-04: what was proved before the account's owner changed the locks proves nothing after it.
#[tokio::test(flavor = "multi_thread")]
async fn a_code_is_void_when_the_account_has_changed() {
    let mailing = Mailing::build().await;
    let house = &mailing.house;
    let mut browser = house.passing();
    let page = mailing.asked(&mut browser).await;
    let typed = type_code(&mut browser, &page, &mailing.code().await).await;
    assert!(typed.location().unwrap().as_str().contains("prompt=select_account"));
    let verb = ["set-password", "bob", "--password-stdin", "--permanent"];
    user_verb(&house.app, &verb, "a quite different horse").await;
    let journey = browser.follow(typed).await;
    assert_eq!(claims_for_app(&house.app, &journey).await["preferred_username"], "seven");
    mailing.assert_not_linked().await;
}

/// LK-09: whatever a stranger adds to an address or a form, the address is the upstream's word and the
/// mailbox is the account's.
#[tokio::test(flavor = "multi_thread")]
async fn the_address_cannot_be_edited_on_the_way() {
    let mailing = Mailing::build().await;
    let house = &mailing.house;
    house.kc.set_person(json!({"sub": "7", "preferred_username": "seven",
                               "email": "mallory@evil.test"}));
    let mut browser = house.passing();
    let page = browser.get(&authorize_path("web", &[("email", ADDRESS)])).await;
    let flow = page.location_param("flow").unwrap();
    let start = format!("/upstream/kc/start?flow={flow}&email={ADDRESS}");
    let journey = browser.visit(&start).await;
    assert_eq!(claims_for_app(&house.app, &journey).await["preferred_username"], "seven");
    let seven = user(&house.app, "seven").await;
    assert_eq!(seven.email.as_deref(), Some("mallory@evil.test"));

    house.kc.set_person(bob_there("8", &json!(true)));
    let mut browser = house.passing();
    let page = mailing.asked(&mut browser).await;
    let token = page.forms()[0].value("csrf").unwrap().to_owned();
    let to = format!("/login/connect?{}", page.url.query().unwrap());
    let form = [("csrf", token.as_str()), ("instead", "new"), ("email", "carol@corp.test")];
    let answer = browser.post_form(&to, &form).await;
    browser.follow(answer).await;
    assert_eq!(mailing.mails().await, 1);
    assert_eq!(house.app.count("users WHERE email = 'carol@corp.test'").await, 0);
    mailing.assert_not_linked().await;
}

/// LK-01, LK-05: nobody is offered an account that is not proved to be the address's, is not the only
/// one, is shut, or is guarded by more than a mailbox.
#[tokio::test(flavor = "multi_thread")]
async fn doubtful_accounts_are_not_offered() {
    for doubt in ["unverified", "word of an upstream", "disabled", "two factors"] {
        let mailing = Mailing::build().await;
        let house = &mailing.house;
        match doubt {
            "unverified" => house.rewrite("bob", |bob| bob.email_verified = Some(false)).await,
            "word of an upstream" => {
                let squat = |bob: &mut keywright::store::users::User| {
                    bob.email_issuer = Some("https://elsewhere.test".to_owned());
                };
                house.rewrite("bob", squat).await;
            }
            "disabled" => {
                let bob = user(&house.app, "bob").await;
                let mut connection = house.app.app.connection().await.unwrap();
                let now = house.app.app.now();
                let shut = keywright::store::users::disable(&mut connection, &bob.id, now).await;
                assert!(shut.unwrap());
            }
            _ => {
                let mut browser = house.signed_in("bob").await;
                set_up(&house.app, &mut browser).await;
            }
        }
        let before = mailing.mails().await;
        let journey = sign_in_at(&mut house.passing(), "kc").await;
        let claims = claims_for_app(&house.app, &journey).await;
        assert_eq!(claims["preferred_username"], "seven", "{doubt}");
        assert_eq!(mailing.mails().await, before, "{doubt}");
        mailing.assert_not_linked().await;
    }
}

/// A form that is not ours moves nothing (SS-05).
#[tokio::test(flavor = "multi_thread")]
async fn a_strange_form_connects_nobody() {
    let mailing = Mailing::build().await;
    let mut browser = mailing.house.passing();
    let page = mailing.asked(&mut browser).await;
    let code = mailing.code().await;
    let to = format!("/login/connect?{}", page.url.query().unwrap());
    let witness = Witness::of(&mailing.house.app).await;
    let answer = browser.post_form(&to, &[("csrf", "x"), ("code", code.as_str())]).await;
    let event = witness.only_refusal().await.unwrap();
    assert_eq!(event.reason.as_deref(), Some("form_not_ours"));
    is_refusal_page(&answer, 403, &event).unwrap();
    mailing.assert_not_linked().await;
}

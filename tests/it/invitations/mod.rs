//! Invitations: who gets in by one, with what, how often, and who does not.

mod accepting;
mod federated;
mod links;

use keywright::{
    accounts::invitations::{self as rules, Offer},
    foundation::{clock::Span, ids::InvitationId},
    store::invitations::{self, Invitation, InvitationKind},
};

use crate::support::{
    app::TestApp,
    browser::{Browser, Form, Page},
};

pub(crate) const PASSWORD: &str = "seven purple Herons 41";
const INVITE: &str = "[signup]\nlocal = \"invite\"\nfederated = \"closed\"\n";

pub(crate) fn offer() -> Offer {
    Offer {
        kind: InvitationKind::Account,
        email: None,
        mailed: false,
        groups: vec!["staff".to_owned()],
        uses: 1,
        life: Span::from_days(7),
    }
}

fn offer_to(email: &str, mailed: bool) -> Offer {
    Offer { email: Some(email.to_owned()), mailed, ..offer() }
}

/// Makes an invitation; its row, and the path of its link.
pub(crate) async fn make(app: &TestApp, offer: Offer) -> (Invitation, String) {
    let (row, secret) = offer.draw(app.app.random(), app.app.now());
    invitations::insert(&mut app.app.connection().await.unwrap(), &row).await.unwrap();
    let link = rules::link(&app.app.urls, &secret);
    let path = link.as_str().strip_prefix("https://id.test").unwrap().to_owned();
    (row, path)
}

async fn uses_left(app: &TestApp, id: &InvitationId) -> i64 {
    let mut connection = app.app.connection().await.unwrap();
    invitations::find(&mut connection, id).await.unwrap().unwrap().uses_left
}

async fn house() -> TestApp {
    TestApp::builder().config(INVITE).start().await
}

/// Opens a link; the page that it leads to.
pub(crate) async fn open(browser: &mut Browser, path: &str) -> Page {
    browser.visit(path).await.last().clone()
}

/// From the page of an invitation to the form of a new account.
pub(crate) async fn form(browser: &mut Browser, page: &Page) -> (Page, Form) {
    let link = page.links().into_iter().find(|link| link.path() == "/signup");
    let link = link.unwrap_or_else(|| panic!("no way to an account: {}", page.text()));
    let page = browser.get(link.as_str()).await;
    assert_eq!(page.status, 200, "{}", page.text());
    let form = page.form_to("/signup");
    (page, form)
}

pub(crate) fn filled(form: &Form, username: &str) -> Form {
    form.clone().fill("username", username).fill("password", PASSWORD)
}

/// Opens a link and makes an account by it, as far as it goes.
pub(crate) async fn join(browser: &mut Browser, path: &str, username: &str) -> Page {
    let page = open(browser, path).await;
    if page.status != 200 {
        return page;
    }
    let (page, form) = form(browser, &page).await;
    browser.submit(&page, &filled(&form, username)).await
}

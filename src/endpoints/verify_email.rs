//! `GET|POST /verify-email`: confirming that an address is one's own, or taking a change of it back.
//!
//! The link speaks for an account, whoever happens to be signed in at the browser (RC-13): the page
//! says whose it is, and nothing happens before the person says so (RC-06).

use askama::Template;
use axum::{
    extract::{Request, State},
    http::StatusCode,
    response::Response,
};

use crate::{
    accounts::verification::{self, Verified},
    app::{App, Whence},
    audit::Event,
    foundation::{clock::Timestamp, digest::TokenDigest},
    store::{
        StoreError, StoreResult, audit_events,
        one_time_links::{LinkPurpose, OneTimeLink},
        users::User,
    },
    urls::path,
    web::{
        address, csrf,
        error::{Link, PageError},
        opened_link,
        pages::{self, PageFrame, page},
        params,
    },
};

const ACTION: &str = "verify_email";

#[derive(Template)]
#[template(path = "verify_email/confirm.html")]
struct ConfirmPage {
    page: PageFrame,
    csrf: String,
    link: String,
    email: String,
    username: String,
    is_undo: bool,
}

/// `GET /verify-email`.
pub async fn show(State(app): State<App>, request: Request) -> Result<Response, PageError> {
    let now = app.now();
    let from = address::of(&app, request.extensions(), request.headers());
    let (headers, params) = params::of_page(request).await?;
    if let Some(token) = params.get(opened_link::TOKEN) {
        let here = (path::VERIFY_EMAIL, ACTION);
        return opened_link::open(&app, (&headers, from), token, here).await;
    }
    let (opened, name, mark) = opened_link::find(&app, &headers, &params, ACTION).await?;
    let (link, user) = match opened.digest() {
        Some(digest) => look(&app, &digest, now).await?,
        None => return Err(opened_link::gone(ACTION, "link_not_opened")),
    };
    let template = ConfirmPage {
        page: PageFrame::new(&app),
        csrf: csrf::token(&app, &mark),
        link: name.to_owned(),
        email: link.email.unwrap_or_default(),
        username: user.username,
        is_undo: link.purpose == LinkPurpose::UndoEmail,
    };
    Ok(page(StatusCode::OK, &template))
}

async fn look(
    app: &App,
    digest: &TokenDigest,
    now: Timestamp,
) -> Result<(OneTimeLink, User), PageError> {
    let mut connection = app.connection().await?;
    let found = verification::look(&mut connection, digest, now).await?;
    found.ok_or_else(|| opened_link::gone(ACTION, "link_gone"))
}

/// `POST /verify-email`.
pub async fn post(State(app): State<App>, request: Request) -> Result<Response, PageError> {
    let now = app.now();
    let from = address::of(&app, request.extensions(), request.headers()).to_string();
    let (headers, params) = params::of_page(request).await?;
    if !csrf::is_own(&app, &headers, params.get(csrf::FIELD)) {
        return Err(PageError::forged_form().event(Event::refused(ACTION, "form_not_ours")));
    }
    let (opened, ..) = opened_link::find(&app, &headers, &params, ACTION).await?;
    let digest = opened.digest();
    let digest = digest.ok_or_else(|| opened_link::gone(ACTION, "link_not_opened"))?;
    let (link, user) = look(&app, &digest, now).await?;
    let confirming = Confirming { app: &app, link, whence: Whence { address: &from, at: now } };
    match confirming.confirm(&digest).await? {
        Verified::Yes(_, email) => Ok(confirming.done(&email)),
        Verified::Gone => Err(opened_link::gone(ACTION, "link_gone")),
        Verified::Taken => {
            Err(taken().event(Event::refused(ACTION, "address_taken").user(&user.id)))
        }
    }
}

/// A link that is being used.
struct Confirming<'a> {
    app: &'a App,
    link: OneTimeLink,
    whence: Whence<'a>,
}

impl Confirming<'_> {
    async fn confirm(&self, digest: &TokenDigest) -> StoreResult<Verified> {
        let Self { app, whence, .. } = self;
        let mut connection = app.connection().await?;
        connection
            .transaction(async |conn| {
                let verified = verification::confirm(conn, digest, &app.clients, whence.at).await?;
                if let Verified::Yes(before, email) = &verified {
                    let row = self.event(before, email).row(whence.at, app.random());
                    audit_events::insert(conn, &row).await?;
                    if self.link.purpose == LinkPurpose::ChangeEmail {
                        self.tell_former_address(conn, before, email).await?;
                    }
                }
                Ok::<_, StoreError>(verified)
            })
            .await
    }

    async fn tell_former_address(
        &self,
        conn: &mut crate::store::Connection,
        before: &User,
        email: &str,
    ) -> StoreResult<()> {
        let former = before.email.as_deref().filter(|_| before.email_verified == Some(true));
        if let Some(former) = former {
            let app = self.app;
            app.queue_address_changed(conn, (before, former), email, self.whence).await?;
        }
        Ok(())
    }

    fn event(&self, before: &User, email: &str) -> Event {
        let action = match self.link.purpose {
            LinkPurpose::ChangeEmail => "email_changed",
            LinkPurpose::UndoEmail => "email_restored",
            _ => "email_verified",
        };
        let event = Event::done(action).user(&before.id).address(self.whence.address);
        event.detail("email", email)
    }

    fn done(&self, email: &str) -> Response {
        let (heading, text) = match self.link.purpose {
            LinkPurpose::UndoEmail => (
                "The change is undone",
                format!(
                    "{email} is the address of your account again. Everybody was signed out, and the \
                     password and what was added to the account lately no longer count. Choose a new \
                     password now."
                ),
            ),
            _ => (
                "Your address is confirmed",
                format!("{email} is yours. You can use it to sign in."),
            ),
        };
        let is_undo = self.link.purpose == LinkPurpose::UndoEmail && self.app.recovery_is_open();
        let (href, label) = if is_undo {
            (path::RECOVERY, "Choose a new password")
        } else {
            (path::ACCOUNT, "Go to your account")
        };
        let action = Link { href: href.to_owned(), label: label.to_owned() };
        pages::done(self.app, heading, text, action)
    }
}

fn taken() -> PageError {
    PageError::new(
        "address_taken",
        "This address belongs to another account",
        "You have confirmed it for another account before. An address can belong to one only.",
    )
    .status(StatusCode::CONFLICT)
    .next_step("Sign in with that account, or give this one another address.")
    .action(path::ACCOUNT, "Go to your account")
}

//! Answering those who want to get back into an account: looking whether there is one, and writing
//! the mail. It is done here and not where it is asked, so that nobody can tell from the answer, or
//! from its time, who has an account (PW-09, RC-16).

use crate::{
    accounts::{
        one_time_links::{self, NewLink, OpenedLink},
        recovery::{self, Found},
    },
    app::App,
    audit::Event,
    foundation::{
        clock::{Span, Timestamp},
        names::email_key,
        opaque::Opaque,
    },
    mail::Message,
    store::{
        Connection, StoreError,
        mail_outbox::{self, MailKind},
        one_time_links::LinkPurpose,
        recovery_requests::{self, RecoveryRequest},
        users::User,
    },
    urls::path,
};

const BATCH: i64 = 32;

/// Answers everybody who waits.
pub async fn answer_all(app: &App) -> anyhow::Result<()> {
    loop {
        let asked = recovery_requests::list(&mut app.connection().await?, BATCH).await?;
        if asked.is_empty() || app.stopping.is_cancelled() {
            return Ok(());
        }
        for request in &asked {
            answer(app, request).await?;
        }
    }
}

/// What was found out, and the link and code that were sent.
type Answer = (Event, Option<(Opaque, String)>);

/// Looks for the account and queues the mail, together with taking the wish away: neither is lost,
/// and neither happens twice.
async fn answer(app: &App, request: &RecoveryRequest) -> anyhow::Result<()> {
    let now = app.now();
    let mut connection = app.connection().await?;
    let answered: Result<Option<Answer>, StoreError> = connection
        .transaction(async |conn| {
            if !recovery_requests::take(conn, &request.id).await? {
                return Ok(None);
            }
            look(app, conn, request, now).await.map(Some)
        })
        .await;
    let Some((event, sent)) = answered? else {
        return Ok(());
    };
    if let Some((link, code)) = sent {
        // Should this fail, the link in the mail still works.
        OpenedLink::send_code(&app.state, &request.opened, &link, &code).await?;
    }
    // What was typed where there is no account may be anything, a password too (LG-01).
    app.audit.note(event.address(request.address.clone()));
    Ok(())
}

async fn look(
    app: &App,
    conn: &mut Connection,
    request: &RecoveryRequest,
    now: Timestamp,
) -> Result<Answer, StoreError> {
    Ok(match recovery::find(conn, &request.name).await? {
        Found::Account(user, email) => {
            let sent = send(app, conn, (&user, &email), request, now).await?;
            (Event::done("recovery_asked").user(&user.id), sent)
        }
        Found::Elsewhere(user, email) => {
            let message = app.sign_in_elsewhere(conn, &user).await?;
            let _ = app.queue_mail(conn, &email, &message, now).await?;
            (Event::refused("recovery", "no_password").user(&user.id), None)
        }
        Found::Nobody(reason) => (Event::refused("recovery", reason), None),
    })
}

/// Makes the link and queues the mail. Answers the code that was written beside it, if there is one.
async fn send(
    app: &App,
    conn: &mut Connection,
    (user, email): (&User, &str),
    request: &RecoveryRequest,
    now: Timestamp,
) -> Result<Option<(Opaque, String)>, StoreError> {
    let new = NewLink {
        purpose: LinkPurpose::Recover,
        user: &user.id,
        email: Some(email),
        life: recovery::LIFE,
    };
    let day = now.minus(Span::from_days(1));
    let (key, kind) = (email_key(email), MailKind::Recover);
    let sent = mail_outbox::count_of_kind_to(conn, &key, kind, day).await?;
    let code = (sent < recovery::CODES_PER_DAY).then(|| one_time_links::code(app.random()));
    let link = one_time_links::secret(app.random());
    let message = Message::Recover {
        link: app.link_to(path::RECOVERY, &link),
        code: code.clone(),
        minutes: recovery::minutes(),
        address_of_request: request.address.clone(),
    };
    let queued = app.queue_mail(conn, email, &message, now).await?;
    if queued.refusal().is_some() {
        // The link of the last mail stays good: nobody shuts another out by asking too often.
        return Ok(None);
    }
    new.keep(conn, &link, now).await?;
    Ok(code.map(|code| (link, code)))
}

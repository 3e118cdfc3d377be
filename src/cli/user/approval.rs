//! `keywright user approve|refuse`: what becomes of those who wait (`signup.approval`).

use anyhow::ensure;

use super::find;
use crate::{
    accounts::{approval, verification::is_verified_here},
    audit::Event,
    cli::{output::say, tools::Tools},
    foundation::{clock::Timestamp, names::email_key},
    mail::{Link, Mail, Message},
    store::{
        Connection, audit_events,
        users::{self, User},
    },
    urls::{Urls, path},
};

/// Lets somebody in who waits.
pub(super) async fn approve(tools: &Tools, username: &str) -> anyhow::Result<()> {
    let mail = Mail::new(&tools.config, tools.rows_ring().await?.into(), tools.random())?;
    let now = tools.now();
    let mut connection = tools.connection().await?;
    let (user, told) = connection
        .transaction(async |conn| {
            let user = find(conn, username).await?;
            let opened = approval::approve(conn, &user.id, now).await?;
            ensure!(opened, "{} does not wait; see: keywright user list --waiting", user.username);
            keep(tools, conn, "account_approved", &user).await?;
            let told = tell(tools, conn, &mail, &user, now).await?;
            Ok((user, told))
        })
        .await?;
    say(&format!("{} can sign in now.", user.username));
    if !told {
        say("No mail tells them; do it yourself.");
    }
    Ok(())
}

/// Erases an account that waits.
pub(super) async fn refuse(tools: &Tools, username: &str) -> anyhow::Result<()> {
    let mut connection = tools.connection().await?;
    let user = connection
        .transaction(async |conn| {
            let user = find(conn, username).await?;
            let erased = approval::refuse(conn, &user.id).await?;
            ensure!(erased, "{} does not wait; see: keywright user list --waiting", user.username);
            keep(tools, conn, "account_refused", &user).await?;
            Ok(user)
        })
        .await?;
    say(&format!(
        "{} is erased. To keep somebody out who would come again: keywright user disable, instead.",
        user.username
    ));
    Ok(())
}

/// The event names the account, because nothing else may be left of it.
async fn keep(
    tools: &Tools,
    conn: &mut Connection,
    action: &'static str,
    user: &User,
) -> anyhow::Result<()> {
    let event = Event::done(action).user(&user.id).detail("username", user.username.as_str());
    let row = event.detail("by", "command line").row(tools.now(), &*tools.random());
    audit_events::insert(conn, &row).await?;
    Ok(())
}

/// Tells the person, unless the address is proved to be somebody else's; `false` if there is no way.
async fn tell(
    tools: &Tools,
    conn: &mut Connection,
    mail: &Mail,
    user: &User,
    now: Timestamp,
) -> anyhow::Result<bool> {
    let (Some(email), true) = (&user.email, mail.is_configured()) else {
        return Ok(false);
    };
    if user.email_verified != Some(true) {
        let others = users::list_of_address(conn, &email_key(email)).await?;
        if others.iter().any(|other| other.id != user.id && is_verified_here(other)) {
            return Ok(false);
        }
    }
    let urls = Urls::new(tools.config.server.issuer.clone());
    let sign_in = Link::new(&urls, path::ACCOUNT, &[]);
    let message = Message::AccountApproved { username: user.username.clone(), sign_in };
    Ok(mail.queue(conn, email, &message, now).await?.refusal().is_none())
}

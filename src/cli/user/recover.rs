//! `keywright user recover|reset-factors`: ways back in where mail is not, or everybody is locked out.

use clap::Args;
use serde_json::json;

use anyhow::ensure;

use super::{find, note};
use crate::{
    accounts::{
        factors,
        one_time_links::{self, NewLink},
    },
    audit::Event,
    cli::{
        output::{say, say_json},
        tools::Tools,
    },
    config::PasswordLogin,
    foundation::clock::Span,
    mail::Link,
    sessions,
    store::{
        grants::RevokedBecause,
        one_time_links::LinkPurpose,
        passkeys, personal_access_tokens,
        users::{self, AccountKind},
    },
    urls::{Urls, path},
};

#[derive(Debug, Args)]
pub(in crate::cli) struct Recover {
    /// The username.
    username: String,
    /// For how many minutes the link is good.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..=1440))]
    minutes: u32,
    /// Take the password and all passkeys away and end all sessions and tokens at once, because somebody else may have
    /// them; otherwise that happens when the link is used.
    #[arg(long)]
    lock_out: bool,
    /// As one line of JSON.
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(tools: &Tools, recover: &Recover) -> anyhow::Result<()> {
    ensure!(
        tools.config.passwords.login == PasswordLogin::On,
        "passwords.login = \"off\": a new password would lead nowhere; set it to \"on\" first"
    );
    let mut connection = tools.connection().await?;
    let user = find(&mut connection, &recover.username).await?;
    ensure!(
        user.disabled_at.is_none(),
        "{0} is shut; see: keywright user enable {0}",
        user.username
    );
    ensure!(
        user.kind == AccountKind::Person,
        "{} is a service account: nobody signs in to it",
        user.username
    );
    let (clients, now) = (tools.clients(), tools.now());
    let secret = one_time_links::secret(&*tools.random());
    let life = Span::from_minutes(recover.minutes);
    let link = NewLink { purpose: LinkPurpose::Recover, user: &user.id, email: None, life };
    connection
        .transaction(async |conn| {
            link.keep(conn, &secret, now).await?;
            if recover.lock_out {
                let _ = users::remove_password(conn, &user.id, now).await?;
                passkeys::delete_of_user(conn, &user.id).await?;
                let because = RevokedBecause::PasswordChanged;
                personal_access_tokens::revoke_of_user(conn, &user.id, now).await?;
                sessions::end_all_of_user(conn, &user.id, &clients, because, now).await?;
            }
            let event = Event::done("recovery_link_made").user(&user.id);
            note(tools, conn, event.detail("locked_out", recover.lock_out)).await
        })
        .await?;
    let urls = Urls::new(tools.config.server.issuer.clone());
    let link = Link::new(&urls, path::RECOVERY, &[("token", secret.reveal().expose())]);
    if recover.json {
        say_json(&json!({ "link": link.as_str(), "expires_at": now.plus(life) }));
        return Ok(());
    }
    say(link.as_str());
    say(&format!(
        "Give this link to {} and to nobody else. It works once, for {} minutes.",
        user.username, recover.minutes
    ));
    Ok(())
}

/// Whoever has lost the phone and the codes signs in with the password alone, until they set up another
/// factor; where one is required, at the next sign-in.
pub(super) async fn reset_factors(tools: &Tools, username: &str) -> anyhow::Result<()> {
    let mut connection = tools.connection().await?;
    let user = find(&mut connection, username).await?;
    let (clients, now) = (tools.clients(), tools.now());
    connection
        .transaction(async |conn| {
            factors::remove_all(conn, &user.id).await?;
            personal_access_tokens::revoke_of_user(conn, &user.id, now).await?;
            let because = RevokedBecause::FactorsReset;
            sessions::end_all_of_user(conn, &user.id, &clients, because, now).await?;
            note(tools, conn, Event::done("factors_reset").user(&user.id)).await
        })
        .await?;
    say(&format!(
        "{} has no second factor and no passkey any more; all sessions have ended.",
        user.username
    ));
    Ok(())
}

//! `keywright admin link`: a link that makes an administrator, once.
//!
//! Whoever can run this on the host with the server's configuration can read the database anyway: it is
//! the way back in when every administrator is lost, and there is none on the web (LK-14).

use clap::Subcommand;
use serde_json::json;

use super::{
    output::{say, say_json},
    tools::Tools,
};
use crate::{
    accounts::{
        administrators,
        invitations::{self, Offer},
    },
    app::App,
    audit::Event,
    config::Config,
    foundation::{clock::Timestamp, random::Random},
    mail::Link,
    store::{
        Connection, StoreError, StoreResult, audit_events,
        invitations::{self as rows, InvitationKind},
        role_holders::Except,
    },
    urls::Urls,
};

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Print a link that makes whoever opens it first an administrator. It is good for one hour.
    Link {
        /// As one line of JSON.
        #[arg(long)]
        json: bool,
    },
}

pub(super) async fn run(config: Config, verb: Verb) -> anyhow::Result<()> {
    let Verb::Link { json } = verb;
    let tools = Tools::open_or_make(config).await?;
    let (now, random) = (tools.now(), tools.random());
    let urls = Urls::new(tools.config.server.issuer.clone());
    let offer = Offer::of_administration(InvitationKind::Administrator);
    let mut connection = tools.connection().await?;
    let (link, until) =
        connection.transaction(async |conn| make(conn, offer, &urls, &*random, now).await).await?;
    if json {
        say_json(&json!({ "link": link.as_str(), "expires_at": until }));
        return Ok(());
    }
    say(link.as_str());
    say(&format!(
        "Whoever opens it can become an administrator, once, until {}.",
        until.for_people()
    ));
    Ok(())
}

/// Keeps an offer, with its event, and answers its link.
async fn make(
    conn: &mut Connection,
    offer: Offer,
    urls: &Urls,
    random: &dyn Random,
    now: Timestamp,
) -> StoreResult<(Link, Timestamp)> {
    let (row, secret) = offer.draw(random, now);
    rows::insert(conn, &row).await?;
    let event = Event::done("invitation_made").detail("kind", row.kind.as_str());
    let event = event.detail("invitation", row.id.as_str()).detail("by", "command line");
    audit_events::insert(conn, &event.row(now, random)).await?;
    Ok((invitations::link(urls, &secret), row.expires_at))
}

/// Prints a link for the first administrator, as long as there never was one. Of all that were printed
/// one counts.
pub(super) async fn offer_first(app: &App) -> anyhow::Result<()> {
    let now = app.now();
    let mut connection = app.connection().await?;
    let offered = connection
        .transaction(async |conn| {
            let meanings = conn.meanings();
            if !administrators::is_first_wanted(conn, &meanings).await? {
                return Ok(None);
            }
            let offer = Offer::of_administration(InvitationKind::FirstAdministrator);
            make(conn, offer, &app.urls, app.random(), now).await.map(Some)
        })
        .await;
    let offered: Option<(Link, Timestamp)> = offered.map_err(|error: StoreError| error)?;
    let meanings = connection.meanings();
    if offered.is_none()
        && !administrators::any(&mut connection, &meanings, Except::default()).await?
    {
        tracing::warn!("nobody administers any more; for a new link: keywright admin link");
    }
    if let Some((link, until)) = offered {
        say("There is no administrator yet. Open this link to become the first one:");
        say(link.as_str());
        say(&format!(
            "It is good once, until {}. For another one: keywright admin link",
            until.for_people()
        ));
    }
    Ok(())
}

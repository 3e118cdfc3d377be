//! `keywright invite create|list|revoke`: letting people in who could not come otherwise.

use anyhow::{bail, ensure};
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::{
    output::{say, say_json, say_table},
    tools::Tools,
};
use crate::{
    accounts::{
        groups::name_fault,
        invitations::{self, Offer, uselessness},
        toggles::{self, Door, SaidBy},
    },
    audit::Event,
    config::{Config, PasswordLogin, Problems, SignupMode},
    foundation::{
        clock::{Span, Timestamp},
        ids::InvitationId,
        names::{email_key, is_email},
    },
    mail::{Link, Mail, Message},
    store::{
        Connection, audit_events,
        invitations::{self as rows, Invitation, InvitationKind},
        users,
    },
    urls::Urls,
};

/// How many invitations are listed.
const LISTED: i64 = 500;
/// For how long one can be good.
const LONGEST: Span = Span::from_days(366);

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Make an invitation: a link, printed here or sent by mail.
    Create(Create),
    /// List the invitations, the newest first. Their links are not kept.
    List {
        /// As one line of JSON.
        #[arg(long)]
        json: bool,
    },
    /// Take an invitation back.
    Revoke {
        /// Its id, as it is listed.
        id: String,
    },
}

#[derive(Debug, Args)]
pub(super) struct Create {
    /// Whom it is for: nobody else can use it. Where there is mail, the link goes there and is not printed.
    #[arg(long, value_name = "ADDRESS")]
    email: Option<String>,
    /// A group that it gives; may stand several times.
    #[arg(long = "group", value_name = "GROUP")]
    groups: Vec<String>,
    /// How many can use it.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    uses: u32,
    /// For how long it is good.
    #[arg(long, default_value = "7d", value_name = "SPAN")]
    expires: String,
    /// Print the link even if there is mail. The address then has to be verified otherwise.
    #[arg(long, requires = "email")]
    no_mail: bool,
    /// As one line of JSON.
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(config: Config, verb: Verb) -> anyhow::Result<()> {
    let tools = Tools::open(config).await?;
    match verb {
        Verb::Create(create) => make(&tools, create).await,
        Verb::List { json } => list(&tools, json).await,
        Verb::Revoke { id } => revoke(&tools, &id).await,
    }
}

/// The invitation that was asked for, if it makes sense.
fn offer(create: &Create, mailed: bool) -> anyhow::Result<Offer> {
    if let Some(email) = create.email.as_ref().filter(|email| !is_email(email)) {
        bail!("--email {email:?}: is not a plain address such as \"anna@example.org\"");
    }
    for group in &create.groups {
        if let Some(fault) = name_fault(group) {
            bail!("--group {group:?}: {fault}");
        }
    }
    ensure!(create.groups.len() <= 100, "--group: an invitation gives at most 100 groups");
    let life = Span::parse(&create.expires).filter(|life| *life > Span::ZERO && *life <= LONGEST);
    let Some(life) = life else {
        bail!(
            "--expires {:?}: must be a time span such as \"7d\" or \"12h\", at most a year",
            create.expires
        );
    };
    ensure!(
        create.email.is_none() || create.uses == 1,
        "--uses {}: an invitation for one address has one use",
        create.uses
    );
    let (email, groups, uses) = (create.email.clone(), create.groups.clone(), create.uses);
    Ok(Offer { kind: InvitationKind::Account, email, mailed, groups, uses, life })
}

async fn make(tools: &Tools, create: Create) -> anyhow::Result<()> {
    let mail = Mail::new(&tools.config, tools.rows_ring().await?.into(), tools.random())?;
    let mailed = create.email.is_some() && mail.is_configured() && !create.no_mail;
    let (row, secret) = offer(&create, mailed)?.draw(&*tools.random(), tools.now());
    let urls = Urls::new(tools.config.server.issuer.clone());
    let link = invitations::link(&urls, &secret);
    let mut connection = tools.connection().await?;
    refuse_in_vain(tools, &mut connection).await?;
    if let Some(address) = &create.email
        && !users::taken_addresses(&mut connection, &[email_key(address)]).await?.is_empty()
    {
        bail!("--email {address:?}: is the verified address of an account already");
    }
    keep(tools, &mut connection, &row, mailed.then_some((&mail, &link))).await?;
    tell(&row, &link, create.json);
    Ok(())
}

/// Keeps the invitation with its event and, if it goes by mail, its mail.
async fn keep(
    tools: &Tools,
    connection: &mut Connection,
    row: &Invitation,
    mail: Option<(&Mail, &Link)>,
) -> anyhow::Result<()> {
    let (now, random) = (tools.now(), tools.random());
    let event = Event::done("invitation_made").detail("invitation", row.id.as_str());
    let event = event.detail("groups", row.groups.to_vec().join(", "));
    let event = event.detail("kind", row.kind.as_str()).detail("by", "command line");
    let event = event.row(now, &*random);
    connection
        .transaction(async |conn| {
            rows::insert(conn, row).await?;
            audit_events::insert(conn, &event).await?;
            let Some(((mail, link), address)) = mail.zip(row.email.as_deref()) else {
                return Ok(());
            };
            let by = "An administrator".to_owned();
            let message = Message::Invite { by, link: link.clone(), until: row.expires_at };
            let queued = mail.queue(conn, address, &message, now).await?;
            if let Some(reason) = queued.refusal() {
                bail!("nothing was made, because the mail was not taken: {reason}");
            }
            Ok(())
        })
        .await
}

/// An invitation that lets nobody in would disappoint somebody.
async fn refuse_in_vain(tools: &Tools, connection: &mut Connection) -> anyhow::Result<()> {
    let config = &tools.config;
    let set = toggles::read(connection).await?;
    let local = toggles::in_force(&config.signup, set, Door::Local);
    if local.said_by == SaidBy::Switch {
        let fix =
            "both doors are shut (DISABLE_SIGNUP), and invitations open neither; unset it first";
        bail!(Problems::one("signup.disabled", fix));
    }
    let by_form = config.passwords.login == PasswordLogin::On && local.mode != SignupMode::Closed;
    let by_upstream = config.upstreams.iter().any(|upstream| upstream.enabled);
    ensure!(
        by_form || by_upstream,
        "nobody could use it: the form is closed and there is no upstream; open the form to those who \
         are invited: keywright signup set --local invite"
    );
    Ok(())
}

fn tell(row: &Invitation, link: &Link, as_json: bool) {
    // A link that went by mail proves who reads mail there, as long as nobody else sees it.
    let shown = (!row.mailed).then(|| link.as_str());
    if as_json {
        say_json(&json!({
            "id": row.id, "link": shown, "email": row.email, "mailed": row.mailed,
            "expires_at": row.expires_at,
        }));
        return;
    }
    let until = row.expires_at.for_people();
    match (shown, &row.email) {
        (Some(link), _) => {
            say(link);
            say(&format!("Good until {until}. It is not shown again; {} names it.", row.id));
        }
        (None, address) => {
            let address = address.as_deref().unwrap_or_default();
            say(&format!("The link goes to {address}, and is good until {until}."));
        }
    }
}

fn state(row: &Invitation, now: Timestamp) -> &'static str {
    match uselessness(row, now).map(invitations::Useless::reason) {
        None => "open",
        Some("invitation_used") => "used",
        Some("invitation_revoked") => "taken back",
        Some(_) => "ended",
    }
}

async fn list(tools: &Tools, as_json: bool) -> anyhow::Result<()> {
    let now = tools.now();
    let all = rows::list_newest(&mut tools.connection().await?, LISTED).await?;
    if as_json {
        let in_json = |row: &Invitation| -> Value {
            json!({
                "id": row.id, "kind": row.kind, "state": state(row, now), "email": row.email,
                "mailed": row.mailed, "groups": row.groups.to_vec(), "uses_left": row.uses_left,
                "created_at": row.created_at, "expires_at": row.expires_at,
            })
        };
        say_json(&all.iter().map(in_json).collect());
        return Ok(());
    }
    let row = |row: &Invitation| {
        vec![
            row.id.to_string(),
            state(row, now).to_owned(),
            row.kind.to_string(),
            row.email.clone().unwrap_or_else(|| "-".to_owned()),
            row.groups.to_vec().join(", "),
            row.uses_left.to_string(),
            row.expires_at.rfc3339(),
        ]
    };
    let heads = ["ID", "STATE", "FOR", "ADDRESS", "GROUPS", "USES LEFT", "GOOD UNTIL"];
    say_table(&heads, &all.iter().map(row).collect::<Vec<_>>());
    Ok(())
}

async fn revoke(tools: &Tools, id: &str) -> anyhow::Result<()> {
    let (now, random, id) = (tools.now(), tools.random(), InvitationId::new(id));
    let event = Event::done("invitation_revoked").detail("invitation", id.as_str());
    let event = event.detail("by", "command line").row(now, &*random);
    let mut connection = tools.connection().await?;
    connection
        .transaction(async |conn| {
            ensure!(
                rows::revoke(conn, &id, now).await?,
                "there is no open invitation {id}; see: keywright invite list"
            );
            audit_events::insert(conn, &event).await?;
            Ok(())
        })
        .await?;
    say(&format!("The invitation {id} is taken back."));
    Ok(())
}

//! `keywright user grant|revoke`: groups and roles that are given here.

use anyhow::{bail, ensure};
use clap::Args;

use super::find;
use crate::{
    accounts::{administrators, groups::name_fault},
    audit::Event,
    cli::{output::say, tools::Tools},
    config::is_role,
    foundation::text_list::TextList,
    store::{
        Connection, audit_events,
        groups::ADMINISTRATOR,
        users::{self, Person},
    },
};

/// The most groups that one account can have.
const MOST: usize = 500;

#[derive(Debug, Args)]
pub(in crate::cli) struct Rights {
    /// The username.
    username: String,
    /// A group; may stand several times.
    #[arg(long = "group", value_name = "GROUP")]
    groups: Vec<String>,
    /// A role; may stand several times. "admin" administers Keywright.
    #[arg(long = "role", value_name = "ROLE")]
    roles: Vec<String>,
}

impl Rights {
    fn check(&self) -> anyhow::Result<()> {
        ensure!(
            !self.groups.is_empty() || !self.roles.is_empty(),
            "name what: --group GROUP or --role ROLE"
        );
        for group in &self.groups {
            if let Some(fault) = name_fault(group) {
                bail!("--group {group:?}: {fault}");
            }
        }
        for role in &self.roles {
            ensure!(
                is_role(role),
                "--role {role:?}: must have 1 to 64 of: letters, digits, dots, hyphens, underscores, colons"
            );
        }
        Ok(())
    }
}

/// Gives an account groups and roles.
pub(super) async fn grant(tools: &Tools, rights: &Rights) -> anyhow::Result<()> {
    rights.check()?;
    let with = |list: &TextList, more: &[String]| {
        let mut all = list.to_vec();
        let new: Vec<String> = more.iter().filter(|text| !all.contains(text)).cloned().collect();
        all.extend(new);
        all
    };
    change(tools, rights, "rights_granted", with).await?;
    say(&format!("{} now has what you named.", rights.username));
    Ok(())
}

/// Takes groups and roles away from an account.
pub(super) async fn revoke(tools: &Tools, rights: &Rights) -> anyhow::Result<()> {
    rights.check()?;
    let without = |list: &TextList, gone: &[String]| {
        list.to_vec().into_iter().filter(|text| !gone.contains(text)).collect()
    };
    change(tools, rights, "rights_revoked", without).await?;
    say(&format!(
        "{} has what you named no longer: at once here, in apps as soon as their access tokens end.",
        rights.username
    ));
    Ok(())
}

async fn change(
    tools: &Tools,
    rights: &Rights,
    action: &'static str,
    changed: impl Fn(&TextList, &[String]) -> Vec<String>,
) -> anyhow::Result<()> {
    let (now, random) = (tools.now(), tools.random());
    let mut connection = tools.connection().await?;
    connection
        .transaction(async |conn| {
            administrators::hold(conn).await?;
            let user = find(conn, &rights.username).await?;
            let Some(before) = users::find_person(conn, &user.id).await? else {
                bail!("{} has just been deleted", rights.username);
            };
            let groups = changed(&user.groups, &rights.groups);
            ensure!(groups.len() <= MOST, "an account can have at most {MOST} groups");
            let groups: TextList = groups.iter().collect();
            let roles: TextList = changed(&user.roles, &rights.roles).iter().collect();
            if groups == user.groups && roles == user.roles {
                bail!("nothing changed: look at what there is with: keywright user list --json");
            }
            let _ = users::set_rights(conn, &user.id, (&groups, &roles), now).await?;
            keep_administrators(conn, &before).await?;
            let event = Event::done(action).user(&user.id).detail("by", "command line");
            let event = event.detail("groups", rights.groups.join(", "));
            let event = event.detail("roles", rights.roles.join(", ")).row(now, &*random);
            audit_events::insert(conn, &event).await?;
            Ok(())
        })
        .await
}

/// Refuses to take the role from the last who administers; notes it when somebody does for the first
/// time.
async fn keep_administrators(conn: &mut Connection, before: &Person) -> anyhow::Result<()> {
    let after = users::find_person(conn, &before.user.id).await?;
    if after.is_some_and(|person| person.is_administrator()) {
        administrators::note_first(conn).await?;
        return Ok(());
    }
    refuse_last(conn, before).await
}

/// Refuses to lose the last who administers.
pub(super) async fn refuse_last(conn: &mut Connection, person: &Person) -> anyhow::Result<()> {
    ensure!(
        administrators::remain_besides(conn, person).await?,
        "{} is the last administrator; make another one first: keywright user grant NAME --role {ADMINISTRATOR}",
        person.user.username
    );
    Ok(())
}

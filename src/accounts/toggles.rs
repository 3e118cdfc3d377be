//! Who may get an account: the two doors, who has said how far each is open, and whether whoever comes
//! in waits for an administrator.
//!
//! `signup.disabled` (`DISABLE_SIGNUP`) beats what was set at run time, and that beats the rest of the
//! configuration.

use crate::{
    config::{SignupMode, SignupSettings},
    store::{Connection, QueryResult, StoreResult, facts},
};

text_enum! {
    /// A way to an account.
    Door {
        /// The form for local accounts.
        Local = "local",
        /// The first sign-in at an upstream.
        Federated = "federated",
    }
}

impl Door {
    /// The fact under which a setting is kept.
    pub const fn fact(self) -> &'static str {
        match self {
            Self::Local => "signup.local",
            Self::Federated => "signup.federated",
        }
    }
}

text_enum! {
    /// Who has said how far a door is open.
    SaidBy {
        /// The switch that shuts both.
        Switch = "disabled",
        /// An administrator, at run time.
        RunTime = "run time",
        /// The configuration.
        File = "configuration",
    }
}

/// How far a door is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Toggle {
    /// To whom.
    pub mode: SignupMode,
    /// Says who.
    pub said_by: SaidBy,
}

/// The fact under which it is kept whether newcomers wait.
pub const APPROVAL: &str = "signup.approval";

/// Whether newcomers wait for an administrator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Approval {
    /// Whether they do.
    pub needed: bool,
    /// Says who.
    pub said_by: SaidBy,
}

/// What was set at run time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SetHere {
    /// For the form.
    pub local: Option<SignupMode>,
    /// For the upstreams.
    pub federated: Option<SignupMode>,
    /// Whether newcomers wait.
    pub approval: Option<bool>,
}

impl SetHere {
    /// What these facts say; those of other names do not count.
    pub fn of_facts(facts: &[(String, i64)]) -> Self {
        let of = |door: Door| {
            let (_, value) = facts.iter().find(|(name, _)| name == door.fact())?;
            SignupMode::ALL.get(usize::try_from(*value).ok()?).copied()
        };
        let approval = facts.iter().find(|(name, _)| name == APPROVAL);
        Self {
            local: of(Door::Local),
            federated: of(Door::Federated),
            approval: approval.map(|(_, value)| *value != 0),
        }
    }
}

/// How far a door is open, all told.
pub fn in_force(settings: &SignupSettings, set: SetHere, door: Door) -> Toggle {
    let (here, file) = match door {
        Door::Local => (set.local, settings.local),
        Door::Federated => (set.federated, settings.federated),
    };
    match here {
        _ if settings.disabled => Toggle { mode: SignupMode::Closed, said_by: SaidBy::Switch },
        Some(mode) => Toggle { mode, said_by: SaidBy::RunTime },
        None => Toggle { mode: file, said_by: SaidBy::File },
    }
}

/// Whether newcomers wait, all told.
pub fn approval_in_force(settings: &SignupSettings, set: SetHere) -> Approval {
    set.approval.map_or(Approval { needed: settings.approval, said_by: SaidBy::File }, |needed| {
        Approval { needed, said_by: SaidBy::RunTime }
    })
}

/// What was set at run time, read anew.
pub async fn read(conn: &mut Connection) -> StoreResult<SetHere> {
    let names = [Door::Local.fact(), Door::Federated.fact(), APPROVAL];
    Ok(SetHere::of_facts(&facts::list(conn, &names).await?))
}

/// Sets a door at run time; without a mode the configuration decides again.
pub async fn set(conn: &mut Connection, door: Door, mode: Option<SignupMode>) -> QueryResult<()> {
    let number = mode.and_then(|mode| SignupMode::ALL.iter().position(|own| *own == mode));
    match number.and_then(|number| i64::try_from(number).ok()) {
        Some(number) => facts::set(conn, door.fact(), number).await?,
        None => facts::delete(conn, door.fact()).await?,
    };
    Ok(())
}

/// Sets at run time whether newcomers wait; with nothing the configuration decides again.
pub async fn set_approval(conn: &mut Connection, needed: Option<bool>) -> QueryResult<()> {
    match needed {
        Some(needed) => facts::set(conn, APPROVAL, i64::from(needed)).await?,
        None => facts::delete(conn, APPROVAL).await?,
    };
    Ok(())
}

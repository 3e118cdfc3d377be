//! Who may get an account, and who administers.

use crate::{
    accounts::{
        administrators, groups,
        toggles::{self, Door},
    },
    config::Config,
    federation::Finding,
    store::{Store, role_holders::Except},
};

/// Looks at the doors, and for an administrator.
pub(super) async fn examine(config: &Config, store: &Store) -> Vec<Finding> {
    vec![doors(config, store).await, administrator(config, store).await]
}

async fn doors(config: &Config, store: &Store) -> Finding {
    const CHECK: &str = "signup";
    let set = async { toggles::read(&mut store.connection().await?).await };
    match set.await {
        Ok(set) => {
            let told = |door: &Door| {
                let toggle = toggles::in_force(&config.signup, set, *door);
                format!("{door} is {} (by: {})", toggle.mode, toggle.said_by)
            };
            Finding::pass(CHECK, Door::ALL.iter().map(told).collect::<Vec<_>>().join(", "))
        }
        Err(error) => Finding::fail(CHECK, error.to_string(), "look at the database's log"),
    }
}

async fn administrator(config: &Config, store: &Store) -> Finding {
    const CHECK: &str = "administrator";
    let found = async {
        let mut connection = store.connection().await?;
        let meanings = groups::load(&mut connection, &config.groups).await?;
        administrators::any(&mut connection, &meanings, Except::default()).await
    };
    match found.await {
        Ok(true) => Finding::pass(CHECK, "there is one whose account is open"),
        Ok(false) => {
            Finding::warn(CHECK, "there is none", "make a link for one: keywright admin link")
        }
        Err(error) => Finding::fail(CHECK, error.to_string(), "look at the database's log"),
    }
}

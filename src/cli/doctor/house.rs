//! What the house itself needs: its stores, its keys, its public address.

use std::time::Duration;

use url::Url;

use crate::{
    app::{self, Ambient},
    config::{Config, DatabaseUrl, Problems, StateUrl},
    ephemeral::{EphemeralStore as _, RedisStore},
    federation::{FaultKind, Finding, HttpClient, find_provider},
    keys::{KeyState, secret_key, state_of},
    protocol::jwa::SigningAlgorithm,
    store::{Access, Store, is_first, pending, signing_keys},
};

/// How long our own server may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// Looks at everything but the upstreams.
pub(super) async fn examine(config: &Config, ambient: &Ambient, http: &HttpClient) -> Vec<Finding> {
    let (clients, upstreams) = (config.clients.len(), config.upstreams.len());
    let what = format!("it can be used: apps: {clients}, upstreams: {upstreams}");
    let mut found = vec![Finding::pass("configuration", what)];
    match database(config).await {
        Ok(store) => {
            found.push(Finding::pass("database", format!("{}, up to date", store.kind())));
            found.extend(keys(config, ambient, &store).await);
            found.extend(super::people::examine(config, &store).await);
        }
        Err(finding) => found.push(*finding),
    }
    found.push(state(config).await);
    found.push(issuer(config, http).await);
    found.push(super::mail::examine(config).await);
    found
}

/// An error as one sentence.
fn sentence(error: &anyhow::Error) -> String {
    match error.downcast_ref::<Problems>().and_then(|problems| problems.iter().next()) {
        Some(problem) => problem.to_string(),
        None => format!("{error:#}"),
    }
}

async fn database(config: &Config) -> Result<Store, Box<Finding>> {
    const CHECK: &str = "database";
    let failed = |error: anyhow::Error| {
        let fix = match &config.database.url {
            DatabaseUrl::Sqlite(_) => "mend the file, or start the server first, which makes it",
            DatabaseUrl::Postgres(_) => {
                "look at address, password and TLS (sslmode), and at its log"
            }
        };
        Box::new(Finding::fail(CHECK, sentence(&error), fix))
    };
    let store = Store::open(&config.database, Access::Visitor).map_err(failed)?;
    let missing = pending(&store).await.map_err(failed)?;
    match missing.last() {
        None => Ok(store),
        Some(_) if missing.iter().any(|name| is_first(name)) => {
            let fix = "start the server, or run: keywright migrate";
            Err(Box::new(Finding::fail(CHECK, "it is empty", fix)))
        }
        Some(name) => {
            let what = format!("it has not seen the migration {name} yet");
            Err(Box::new(Finding::fail(CHECK, what, "run: keywright migrate")))
        }
    }
}

/// Whether the secret key is the right one, and there is something to sign with.
async fn keys(config: &Config, ambient: &Ambient, store: &Store) -> Vec<Finding> {
    vec![secret_key_of(config, store).await, signing_keys_of(ambient, store).await]
}

async fn secret_key_of(config: &Config, store: &Store) -> Finding {
    const CHECK: &str = "secret_key";
    let right = async {
        match app::existing_rows_ring(config)? {
            Some(ring) => anyhow::Ok(secret_key::is_right(store, &ring).await?),
            None => Ok(None),
        }
    };
    match right.await {
        Ok(Some(true)) => Finding::pass(CHECK, "it is the one that the database was written with"),
        Ok(Some(false)) => {
            let what = "it is not the one that the database was written with";
            let fix = "set the former key, or list it in secrets.previous_secret_keys";
            Finding::fail(CHECK, what, fix)
        }
        Ok(None) => {
            let what = "there is none here, or nothing was written with it yet";
            Finding::warn(CHECK, what, "start the server once; give the doctor what the server has")
        }
        Err(error) => Finding::fail(CHECK, sentence(&error), "mend secrets.secret_key"),
    }
}

async fn signing_keys_of(ambient: &Ambient, store: &Store) -> Finding {
    const CHECK: &str = "signing_keys";
    let rows = async {
        let mut connection = store.connection().await?;
        anyhow::Ok(signing_keys::list(&mut connection).await?)
    };
    let rows = match rows.await {
        Ok(rows) => rows,
        Err(error) => return Finding::fail(CHECK, sentence(&error), "look at the database's log"),
    };
    let now = ambient.clock.now();
    let signs = |alg: SigningAlgorithm| {
        rows.iter().any(|row| row.alg == alg && state_of(row, now) == KeyState::Signing)
    };
    let lacking: Vec<&str> =
        SigningAlgorithm::ALL.iter().filter(|alg| !signs(**alg)).map(|alg| alg.as_str()).collect();
    if lacking.is_empty() {
        return Finding::pass(CHECK, "there is one for each algorithm");
    }
    let what = format!("nothing signs with {}", lacking.join(", "));
    Finding::fail(CHECK, what, "start the server, which makes them; then: keywright key list")
}

async fn state(config: &Config) -> Finding {
    const CHECK: &str = "state";
    let StateUrl::Redis(url) = &config.state.url else {
        return Finding::pass(CHECK, "it is kept in the process: for one instance");
    };
    let answered = match RedisStore::new(url, 1) {
        Ok(store) => store.ping().await.map_err(anyhow::Error::from),
        Err(error) => Err(error),
    };
    match answered {
        Ok(()) => Finding::pass(CHECK, "Redis answers"),
        Err(error) => {
            let fix = "look at address, password and TLS (rediss://) of state.url";
            Finding::fail(CHECK, sentence(&error), fix)
        }
    }
}

/// Whether the world finds us under the name that stands in every token.
async fn issuer(config: &Config, http: &HttpClient) -> Finding {
    const CHECK: &str = "issuer";
    let issuer = config.server.issuer.as_str();
    let seen = match Url::parse(issuer) {
        Ok(url) => find_provider(&url, http, PATIENCE).await,
        Err(error) => {
            return Finding::fail(CHECK, error.to_string(), "mend server.issuer");
        }
    };
    match seen {
        Ok(()) => Finding::pass(CHECK, format!("{issuer} answers, under its own name")),
        Err(fault) if fault.kind == FaultKind::Unavailable => {
            let what = format!("{issuer} does not answer from here ({fault})");
            let fix =
                "start the server; if it runs: look at the proxy, the certificate and the name";
            Finding::warn(CHECK, what, fix)
        }
        Err(fault) => {
            let what = format!("something else answers at {issuer} ({fault})");
            Finding::fail(CHECK, what, "compare server.issuer with what the proxy passes on")
        }
    }
}

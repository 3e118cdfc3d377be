//! The database underneath: migrations, transactions, races and purging, on both kinds.

mod migrations;
mod purge;
mod races;
pub(crate) mod raw;
mod rows;
mod transactions;

use std::sync::Arc;

use keywright::{
    config::{self, Environment},
    store::{Access, Connection, Store, StoreError},
};

use crate::support::database::{SECRET_KEY, TestDatabase};

/// A store on this database, as a verb of the command line opens one.
fn open(url: &str) -> Store {
    let text = format!("[database]\nurl = {url:?}\nmax_connections = 8\n");
    // PostgreSQL asks for a secret key, which no test here needs.
    let text = format!("{text}[secrets]\nsecret_key = {SECRET_KEY:?}\n");
    let config = config::parse(&text, &Environment::new()).unwrap();
    Store::open(&config.database, Access::Founder).unwrap()
}

/// A store on a database of its own that is up to date.
async fn fresh() -> (Arc<Store>, TestDatabase) {
    let database = TestDatabase::new().await;
    (Arc::new(open(&database.url)), database)
}

/// A connection, however many others are waiting for one.
async fn connection(store: &Store) -> Connection {
    loop {
        match store.connection().await {
            Ok(connection) => return connection,
            Err(StoreError::Unreachable(cause)) => assert!(cause.contains("waiting"), "{cause}"),
            Err(error) => panic!("{error}"),
        }
    }
}

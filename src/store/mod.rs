//! SQL: everything that must survive, be revoked, or be checked for reuse. One file per table.
//!
//! PostgreSQL and SQLite share one schema, one row struct and one query body; `on_backend!` pastes
//! the body once per database, and rustc checks it for both. Functions here take a connection and
//! never begin a transaction: that is for endpoints and jobs. Races are decided by conditional
//! updates and unique columns, not by isolation levels.

#[macro_use]
mod connection;
mod error;
mod migrations;
mod open;
mod postgres;
mod schema;
mod sqlite;

pub mod audit_events;
pub mod consents;
pub mod deletions;
pub mod facts;
pub mod grants;
pub mod groups;
pub mod identities;
pub mod instances;
pub mod invitations;
pub mod leases;
pub mod logout_deliveries;
pub mod mail_outbox;
pub mod one_time_links;
pub mod passkeys;
pub mod password_guesses;
pub mod personal_access_tokens;
pub mod pictures;
pub mod purge;
pub mod recovery_codes;
pub mod recovery_requests;
pub mod refresh_tokens;
pub mod revoked_access_tokens;
pub mod role_holders;
pub mod sessions;
pub mod signing_keys;
pub mod totp_factors;
pub mod user_attributes;
pub mod users;
pub mod waiting_accounts;
pub mod whole;

pub use connection::Connection;
pub use diesel::{QueryResult, result::Error as QueryError};
pub use error::{StoreError, StoreResult};
pub use migrations::{is_first, migrate, migrate_to, pending, versions};
pub use open::{Access, Store};

//! Whole journeys against the production wiring.
//!
//! Without anything in the environment: SQLite and in-process state. With `TEST_DATABASE_URL` and
//! `TEST_REDIS_URL` the same tests run on PostgreSQL and Redis.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a test that cannot go on has failed"
)]
#![allow(clippy::large_futures, clippy::too_many_lines, reason = "tests tell whole stories")]

mod support {
    pub(crate) mod app;
    pub(crate) mod browser;
    mod canary;
    pub(crate) mod clock;
    pub(crate) mod database;
    pub(crate) mod fake_upstream;
    pub(crate) mod http;
    pub(crate) mod inbox;
    pub(crate) mod journey;
    pub(crate) mod line;
    pub(crate) mod received;
    pub(crate) mod redis_server;
    pub(crate) mod server;
    pub(crate) mod smtp;
}

mod accounts;
mod addresses;
mod admin_link;
mod api;
mod assurance;
mod authorize;
mod backup;
mod bearer;
mod choosing;
mod cli;
mod client_auth;
mod codes;
mod conformance;
mod consent;
mod demo;
mod documents;
mod dpop;
mod edge;
mod ephemeral;
mod groups;
mod heritage;
mod http;
mod invitations;
mod jose;
mod journeys;
mod keys;
mod leases;
mod linking;
mod logout;
mod mail;
mod openidconnect_client;
mod outages;
mod own_account;
mod own_pages;
mod pages;
mod password;
mod personal_access_tokens;
mod recovery;
mod refresh;
mod replacing;
mod round_trips;
mod second_factor;
mod service_accounts;
mod session_token;
mod sessions;
mod signup;
mod stores;
mod token;
mod two_instances;
mod upstream;
mod watching;

//! Keywright: an identity provider that federates.
//!
//! To upstream identity providers it is a relying party; to an organization's apps it is an
//! OpenID Provider. This is the map of the house; a module uses only modules of a lower layer,
//! and `tests/architecture.rs` proves it.
//!
//! | layer | module | what it owns |
//! |---|---|---|
//! | 9 | [`cli`] | one file per verb of the command line |
//! | 8 | [`router`], [`server`], [`jobs`] | every route on one page; listening; what happens without a request |
//! | 7 | [`endpoints`] | one file or folder per thing the world can call |
//! | 6++ | [`authorization`] | authorization requests: where they come from, and whether they are good |
//! | 6+ | [`dispatcher`], [`grant_types`] | sign-ins: what comes next, and the way back to the app; who gets which tokens for which proof |
//! | 6 | [`web`] | HTTP plumbing that knows no journey |
//! | 5+ | [`leases`] | for how long an upstream's word counts |
//! | 5 | [`app`] | the composition root, built from the configuration |
//! | 4+ | [`accounts`], [`backup`] | people: passwords, second factors, sign-up rules; the whole database in one file |
//! | 4 | [`tokens`], [`sessions`], [`interactions`], [`federation`], [`mail`], [`audit`] | the rules |
//! | 4- | [`keys`], [`clients`] | signing keys, their states, the JWKS; the apps |
//! | 3 | [`store`], [`ephemeral`], [`metrics`] | SQL; short-lived shared state; the numbers |
//! | 2 | [`urls`] | our own addresses |
//! | 2- | [`config`] | typed settings |
//! | 1 | [`protocol`] | the words of OAuth and OpenID Connect |
//! | 0 | [`foundation`] | time, chance, secrets, ids, portable columns |

#[macro_use]
pub mod foundation;
pub mod accounts;
pub mod app;
pub mod audit;
pub mod authorization;
pub mod backup;
pub mod cli;
pub mod clients;
pub mod config;
pub mod dispatcher;
pub mod endpoints;
pub mod ephemeral;
pub mod federation;
pub mod grant_types;
pub mod interactions;
pub mod jobs;
pub mod keys;
pub mod leases;
pub mod mail;
pub mod metrics;
pub mod protocol;
pub mod router;
pub mod server;
pub mod sessions;
pub mod store;
pub mod tokens;
pub mod urls;
pub mod web;

//! Signing keys: their schedules, the JWKS, signing and verifying.
//!
//! Rotation nobody notices: a key is *announced* (every instance learns of it), *published* (it
//! stands in the JWKS), *signing*, *retiring* (it no longer signs, but tokens it signed are still
//! good) and *gone*. The dates are decided when its successor is made and never moved except by an
//! operator in an emergency, so every instance knows them long before they matter and no leader is
//! needed. The JWKS may be cached until its next change and no longer than `keys.jwks_max_age`; a
//! key signs only after it has been published for at least the longest lifetime that was ever
//! handed out. So whoever honours `max-age` never meets an unknown `kid`.
//!
//! This is the only user of josekit.

mod client_certificate;
mod client_key;
mod foreign;
mod foreign_jwt;
mod jws;
mod key_set;
mod material;
mod proof_key;
mod published_key;
mod rotation;
mod schedule;
pub mod secret_key;
mod signing_keys;
mod thumbprint;

pub use client_certificate::{Authorities, ClientCertificate};
pub use client_key::ClientKey;
pub use foreign::ForeignKey;
pub use foreign_jwt::{ForeignJwt, Unreadable};
pub use jws::{JwsFault, TokenType, parse_unverified};
pub use key_set::{Jwks, KeySet};
pub use proof_key::ProofKey;
pub use published_key::{JwksFault, MAX_JWKS, PublishedKey, read_jwks};
pub use rotation::{Rotation, state_of};
pub use schedule::{KeyState, Policy, Schedule};
pub use signing_keys::{KeyError, SigningKeys};

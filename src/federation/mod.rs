//! Upstreams: identity providers at which people sign in. We are their relying party.
//!
//! A sign-in is [`Upstream::begin`], the person's visit there, and [`Upstream::complete`]. Identity
//! comes from a fully validated ID token and nothing else; UserInfo only adds claims about the same
//! subject. Only upstreams that are set up as OAuth 2.0 servers have no ID token (UP-13). What the claims mean here is decided by a pure function, [`mapping::map`].
//!
//! This is the only user of openidconnect and oauth2. It knows no SQL.

mod as_client;
mod assurance;
mod client_auth;
pub mod client_view;
mod clocks;
mod dpop;
mod endpoints;
mod exchange;
mod fault;
mod finding;
mod health;
mod http;
mod id_token;
mod inside;
mod introspection;
mod kept;
mod logout_token;
pub mod mapping;
mod metadata;
mod pushed;
mod remote_keys;
mod upstream;

pub use assurance::ACR_TOO_LOW;
pub use fault::{FaultKind, UpstreamFault};
pub use finding::{Finding, Verdict};
pub use http::HttpClient;
pub use id_token::ID_TOKEN_LEEWAY;
pub use logout_token::LogoutNotice;
pub use mapping::{MappedPerson, gates};
pub use metadata::find_provider;
pub use remote_keys::RemoteKeys;
pub use upstream::{
    Asserted, Begin, Begun, Confirmed, ConfirmedBy, KeptTokens, Returned, SecretEnd, Unconfirmed,
    Upstream, Upstreams,
};

use crate::foundation::strict_json;

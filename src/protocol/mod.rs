//! The words of OAuth 2.0 and OpenID Connect, as types. Pure: no I/O, no time, no chance.

pub mod acr;
pub mod distinguished_name;
pub mod error;
pub mod jwa;
pub mod pkce;
pub mod redirect_uri;
pub mod scope;
pub mod words;

//! What tokens are good for: introspection, revocation, UserInfo, and what discovery promises.

mod discovery;
mod introspection;
mod revocation;
mod userinfo;

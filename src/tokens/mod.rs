//! What we issue, and the rules of each kind of token.

pub mod access;
pub mod claims;
pub mod codes;
pub mod id_token;
pub mod logout_token;
pub mod personal;
pub mod refresh;

//! One file or folder per thing that the world can call. No endpoint knows another one.

pub mod account;
pub mod api;
pub mod authorize;
pub mod consent;
pub mod discovery;
pub mod health;
pub mod introspect;
pub mod login;
pub mod logout;
pub mod mail;
pub mod par;
pub mod picture;
pub mod recovery;
pub mod revoke;
pub mod session_token;
pub mod signup;
pub mod token;
pub mod userinfo;
pub mod verify_email;

//! People: their passwords and second factors, and how an account comes to be.

pub mod factors;
pub mod linking;
pub mod local;
pub mod passwords;
pub mod provisioning;
pub mod recorded;
pub mod signup;

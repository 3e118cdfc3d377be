//! People: what they are called, their passwords, and how an account comes to be.

pub mod names;
pub mod passwords;
pub mod provisioning;

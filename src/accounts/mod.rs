//! People: their passwords, and how an account comes to be.

pub mod deletion;
pub mod linking;
pub mod local;
pub mod one_time_links;
pub mod passwords;
pub mod provisioning;
pub mod recorded;
pub mod recovery;
pub mod signup;
pub mod verification;

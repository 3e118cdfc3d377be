//! People: their passwords and second factors, how an account comes to be, and what they may.

pub mod administrators;
pub mod approval;
pub mod attributes;
pub mod deletion;
pub mod factors;
pub mod groups;
pub mod house_rules;
pub mod invitations;
pub mod linking;
pub mod local;
pub mod one_time_links;
pub mod own_password;
pub mod passwords;
pub mod pictures;
pub mod provisioning;
pub mod recorded;
pub mod recovery;
pub mod signup;
pub mod toggles;
pub mod verification;

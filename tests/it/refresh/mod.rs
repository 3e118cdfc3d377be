//! Refresh tokens: a family has one living branch, and dies when it should.

pub(crate) mod family;
pub(crate) mod outside;

mod endings;
mod entitlement;
mod leaks;
mod races;
mod rotation;
mod scope;

//! One's own account: what one is called, and its end.

mod attributes;
mod deletion;
mod picture;
mod profile;

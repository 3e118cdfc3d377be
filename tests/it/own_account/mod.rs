//! One's own account: what one is called, the way back to a form after a new proof, and the end.

mod attributes;
mod deletion;
mod picture;
mod profile;
mod proof;

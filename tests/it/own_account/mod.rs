//! One's own account: what one is called, and its end.

mod deletion;
mod profile;

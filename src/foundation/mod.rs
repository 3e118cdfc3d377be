//! What everything else stands on: time, chance, secrets, ids and portable columns.
//!
//! Nothing here knows OAuth, HTTP or SQL statements. Values that come from outside the process
//! (the time, random bytes) enter through the traits [`clock::Clock`] and [`random::Random`], so
//! that a test can hold them still.

#[macro_use]
pub mod column;
pub mod clock;
pub mod digest;
pub mod ids;
pub mod language_tag;
pub mod names;
pub mod opaque;
pub mod random;
pub mod seal;
pub mod secret;
pub mod strict_json;
pub mod text_list;

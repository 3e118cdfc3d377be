//! Authorization requests (RFC 6749 §4.1.1, OIDC Core §3.1.2.1): where their parameters come from, and
//! whether they are good.
//!
//! A request is judged by the same checks whether a browser brings it or the client itself has pushed it
//! before, and is judged anew when the browser comes: what the client may do may have changed.

mod checks;
pub mod pushed;

pub use checks::{RequestFault, check, check_pushed};

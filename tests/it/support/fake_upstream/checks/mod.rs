//! The provider itself, with the `openidconnect` crate as relying party: an honest sign-in works,
//! every listed attack really reaches the wire, and a careful client refuses it.

mod attacks;
mod honest;
mod relying_party;
mod wire;

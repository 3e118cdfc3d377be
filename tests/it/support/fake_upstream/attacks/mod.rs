//! Lies that a relying party must refuse, each with a name to show when one gets through.
//!
//! A test loops over a list, applies each attack and expects the sign-in to fail:
//! `for attack in attacks::id_token_claims() { attack.apply(&upstream); .. }`.
//! The lists are for a provider with RS256 keys, except the one that says otherwise.

mod claims;
mod headers;
mod responses;
mod shapes;
mod signatures;

use super::{FakeUpstream, Misbehaviour};

pub(crate) use claims::id_token_claims;
pub(crate) use headers::id_token_headers;
pub(crate) use responses::{
    authorization_responses, broken_documents, metadata, slow_or_endless, token_responses,
    unverified_email_flags, userinfo,
};
pub(crate) use shapes::id_token_shapes;
pub(crate) use signatures::{ecdsa_signatures, id_token_signatures, key_sets};

/// One named lie.
pub(crate) struct Attack {
    /// What is wrong, in a few words.
    pub(crate) name: String,
    lie: Box<dyn Fn(&mut Misbehaviour) + Send + Sync>,
}

impl Attack {
    fn new(
        name: impl Into<String>,
        lie: impl Fn(&mut Misbehaviour) + Send + Sync + 'static,
    ) -> Self {
        Self { name: name.into(), lie: Box::new(lie) }
    }

    /// Makes the provider tell this lie and no other.
    pub(crate) fn apply(&self, upstream: &FakeUpstream) {
        upstream.behave();
        upstream.misbehave(|lies| (self.lie)(lies));
    }
}

//! Everything a test can ask the provider to do wrong. The default is honest.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::edits::Edits;
use super::faults::{Fault, FaultPlan};
use super::key_set::KeySet;
use super::odd_keys::OddKey;
use super::requests::Endpoint;
use super::signature::Signature;

/// Changes header and claims of an ID token before it is signed.
pub(crate) type TokenTransform =
    Arc<dyn Fn(&mut Map<String, Value>, &mut Map<String, Value>) + Send + Sync>;

/// Changes a text.
pub(crate) type TextTransform = Arc<dyn Fn(String) -> String + Send + Sync>;

/// Changes a JSON document.
pub(crate) type JsonTransform = Arc<dyn Fn(Value) -> Value + Send + Sync>;

/// The shape of the userinfo answer (OIDC Core §5.3.2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum UserinfoShape {
    /// A JSON object.
    #[default]
    Object,
    /// The object inside a JSON array.
    Array,
    /// A JWT signed with the provider's key.
    Jwt,
    /// A JWT signed with a key of somebody else.
    ForeignJwt,
}

/// What the provider does wrong. Edits come first, then transforms, then faults.
#[derive(Clone, Default)]
pub(crate) struct Misbehaviour {
    /// Members of the discovery document.
    pub(crate) metadata: Edits,
    /// What the JWKS endpoint publishes.
    pub(crate) key_set: KeySet,
    /// A bad key that is published alone and signs everything.
    pub(crate) odd_key: Option<OddKey>,
    /// Any other change to the JWKS document.
    pub(crate) key_set_transform: Option<JsonTransform>,
    /// Parameters of the authorization response: `code`, `state`, `iss`, `error`.
    pub(crate) authorization_response: Edits,
    /// Members of the ID token's header.
    pub(crate) header: Edits,
    /// Claims of the ID token.
    pub(crate) claims: Edits,
    /// How the ID token is signed.
    pub(crate) signature: Signature,
    /// Any other change to header and claims, before signing.
    pub(crate) id_token_transform: Option<TokenTransform>,
    /// A change to the header's JSON text, before signing.
    pub(crate) header_text: Option<TextTransform>,
    /// A change to the payload's JSON text, before signing: duplicate members, numbers out of range.
    pub(crate) payload_text: Option<TextTransform>,
    /// A change to the finished token.
    pub(crate) compact: Option<TextTransform>,
    /// Members of the token response.
    pub(crate) token_response: Edits,
    /// Accepts a code a second time.
    pub(crate) accept_used_codes: bool,
    /// Gives whoever refreshes the tokens of the person of the moment, whoever that is.
    pub(crate) other_subject_at_refresh: bool,
    /// Members of the userinfo answer.
    pub(crate) userinfo: Edits,
    /// Members of the answer to a pushed request.
    pub(crate) pushed_request: Edits,
    /// Members of the introspection answer.
    pub(crate) introspection: Edits,
    /// The shape of the userinfo answer.
    pub(crate) userinfo_shape: UserinfoShape,
    pub(super) faults: BTreeMap<Endpoint, FaultPlan>,
}

impl Misbehaviour {
    /// Breaks an endpoint until the provider behaves again.
    pub(crate) fn fault(&mut self, endpoint: Endpoint, fault: Fault) {
        self.faults.insert(endpoint, FaultPlan::always(fault));
    }

    /// Breaks an endpoint for its next `times` requests.
    pub(crate) fn fault_times(&mut self, endpoint: Endpoint, times: usize, fault: Fault) {
        self.faults.insert(endpoint, FaultPlan::times(fault, times));
    }

    /// Changes header and claims of every ID token before it is signed.
    pub(crate) fn transform_id_token(
        &mut self,
        change: impl Fn(&mut Map<String, Value>, &mut Map<String, Value>) + Send + Sync + 'static,
    ) {
        self.id_token_transform = Some(Arc::new(change));
    }

    /// Changes the JSON text of the header before it is signed.
    pub(crate) fn rewrite_header(
        &mut self,
        change: impl Fn(String) -> String + Send + Sync + 'static,
    ) {
        self.header_text = Some(Arc::new(change));
    }

    /// Changes the JSON text of the payload before it is signed.
    pub(crate) fn rewrite_payload(
        &mut self,
        change: impl Fn(String) -> String + Send + Sync + 'static,
    ) {
        self.payload_text = Some(Arc::new(change));
    }

    /// Changes the finished compact token.
    pub(crate) fn rewrite_token(
        &mut self,
        change: impl Fn(String) -> String + Send + Sync + 'static,
    ) {
        self.compact = Some(Arc::new(change));
    }

    /// Changes the JWKS document.
    pub(crate) fn transform_key_set(
        &mut self,
        change: impl Fn(Value) -> Value + Send + Sync + 'static,
    ) {
        self.key_set_transform = Some(Arc::new(change));
    }
}

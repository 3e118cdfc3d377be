//! Authorization codes (RFC 6749 §4.1.2): what a code stands for while it waits to be redeemed.
//!
//! The payload is short-lived state. That a code was used is a fact of the database: the grant's
//! row carries the code's digest, so a second use is recognised even when this payload is lost.

use serde::{Deserialize, Serialize};

use crate::{
    ephemeral::{EphemeralResult, Key, KeyKind, ShortLivedState},
    foundation::{
        clock::{Span, Timestamp},
        digest::TokenDigest,
        ids::{ClientId, SessionId, TraceId, UserId},
        opaque::{Opaque, OpaqueKind},
        random::Random,
        secret::Secret,
    },
    protocol::{pkce::CodeChallenge, scope::Scope},
};

/// A code is burnt after so many failed redemptions.
const MAX_FAILURES: u64 = 5;

/// What a code stands for.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CodePayload {
    /// To whom it was issued.
    pub client_id: ClientId,
    /// Where it was sent.
    pub redirect_uri: String,
    /// What was granted.
    pub scope: Scope,
    /// What the ID token has to carry.
    pub nonce: Option<String>,
    /// What the verifier has to hash to.
    pub code_challenge: Option<CodeChallenge>,
    /// The thumbprint of the key that whoever redeems it has to hold (RFC 9449 §10).
    pub dpop_jkt: Option<String>,
    /// Who granted it.
    pub user_id: UserId,
    /// In which browser session.
    pub session_id: SessionId,
    /// When it was issued.
    pub issued_at: Timestamp,
    /// The story of the sign-in.
    pub trace_id: TraceId,
}

/// Issues a code.
pub async fn issue_code(
    state: &ShortLivedState,
    payload: &CodePayload,
    life: Span,
    random: &dyn Random,
) -> EphemeralResult<Secret> {
    let code = Opaque::generate(OpaqueKind::AuthorizationCode, random);
    state.put(&payload_key(&code.digest()), payload, life).await?;
    Ok(code.reveal())
}

/// What the code stands for, if it is still good.
pub async fn find_code(
    state: &ShortLivedState,
    digest: &TokenDigest,
    life: Span,
    now: Timestamp,
) -> EphemeralResult<Option<CodePayload>> {
    let payload: Option<CodePayload> = state.get(&payload_key(digest)).await?;
    Ok(payload.filter(|payload| now <= payload.issued_at.plus(life)))
}

/// Counts a failed redemption; the fifth burns the code (CD-04).
pub async fn note_failure(state: &ShortLivedState, digest: &TokenDigest) -> EphemeralResult<()> {
    let failures = state.increment(&Key::of_digest(KeyKind::CodeFailures, digest)).await?;
    if failures >= MAX_FAILURES {
        state.remove(&payload_key(digest)).await?;
    }
    Ok(())
}

fn payload_key(digest: &TokenDigest) -> Key {
    Key::of_digest(KeyKind::AuthorizationCode, digest)
}

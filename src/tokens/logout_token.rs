//! Logout tokens: how an app is told that a session has ended (OIDC Back-Channel Logout §2.4).

use serde_json::json;

use super::access::Issuing;
use crate::{
    clients::Client,
    foundation::{
        clock::Span,
        digest::base64url,
        ids::{SessionId, UserId},
        random,
    },
    keys::{KeyError, TokenType},
};

/// The member of `events` that makes a logout token one.
pub const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";
/// How long one is good. Each try gets a new one.
const LIFE: Span = Span::from_minutes(2);

/// Issues a logout token.
pub fn issue_logout_token(
    issuing: Issuing<'_>,
    client: &Client,
    user: &UserId,
    session: &SessionId,
) -> Result<String, KeyError> {
    let claims = json!({
        "iss": issuing.issuer,
        "aud": client.id(),
        "sub": user,
        "sid": session,
        "iat": issuing.now,
        "exp": issuing.now.plus(LIFE),
        "jti": base64url(&random::bytes::<18>(issuing.random)),
        "events": { EVENT: {} },
    });
    let alg = client.settings.id_token_signing_alg;
    issuing.keys.sign(alg, TokenType::Logout, &claims, issuing.now)
}

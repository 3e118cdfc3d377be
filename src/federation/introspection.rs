//! Asking an upstream whether one of its tokens is alive (RFC 7662).

use serde_json::{Map, Value};

use super::{
    as_client,
    fault::UpstreamFault,
    http::{Answer, HttpClient},
    strict_json,
};
use crate::config::UpstreamSettings;

/// Whether an access token is alive, as the upstream says.
pub(super) async fn is_active(
    http: &HttpClient,
    settings: &UpstreamSettings,
    endpoint: &str,
    (access_token, subject): (&str, &str),
    proof: &[(&'static str, String)],
) -> Result<bool, UpstreamFault> {
    let form = [("token", access_token), ("token_type_hint", "access_token")];
    let answer = as_client::post(http, settings, endpoint, &form, proof).await?;
    let claims = claims(&answer)?;
    let Some(Value::Bool(active)) = claims.get("active") else {
        return Err(malformed("it does not say whether the token is active"));
    };
    match claims.get("sub") {
        // RFC 7662 §2.2: the name is optional; another one is somebody else (UP-12).
        Some(own) if *active && own.as_str() != Some(subject) => {
            let detail = "the token belongs to somebody else now";
            Err(UpstreamFault::unacceptable("upstream_introspection_subject", detail))
        }
        _ => Ok(*active),
    }
}

/// What stands in the answer. Whatever else than an answer comes is no word about the person: who has
/// to prove something there are we.
fn claims(answer: &Answer) -> Result<Map<String, Value>, UpstreamFault> {
    if answer.status != 200 {
        let detail = format!("introspection answered with status {}", answer.status);
        return Err(UpstreamFault::unavailable("upstream_introspection_failed", detail));
    }
    strict_json::object(&answer.body).ok_or_else(|| malformed("it is not a JSON object"))
}

fn malformed(detail: &str) -> UpstreamFault {
    UpstreamFault::unacceptable("upstream_introspection_malformed", detail)
}

//! Pushed authorization requests (RFC 9126): what a sign-in asks goes straight to the upstream, which
//! answers with a name for it. Nobody at the browser can read or change it.

use serde_json::Value;
use url::Url;

use super::{
    as_client,
    fault::{FaultKind, UpstreamFault},
    http::{Answer, HttpClient},
    strict_json,
};
use crate::config::UpstreamSettings;

/// The longest name of a request that is passed on to a browser.
const MAX_REQUEST_URI: usize = 512;

/// Pushes a request: the parameters of this address. Answers the address that names them.
pub(super) async fn push(
    http: &HttpClient,
    settings: &UpstreamSettings,
    (endpoint, authorization_endpoint): (&str, &str),
    address: &str,
    proof: &[(&'static str, String)],
) -> Result<String, UpstreamFault> {
    let (mut bare, full) = (parsed(authorization_endpoint)?, parsed(address)?);
    // What stands in the endpoint's own address stays there.
    let own = bare.query_pairs().count();
    let pairs: Vec<_> = full.query_pairs().skip(own).collect();
    let form: Vec<(&str, &str)> =
        pairs.iter().map(|(name, value)| (name.as_ref(), value.as_ref())).collect();
    let answer = as_client::post(http, settings, endpoint, &form, proof).await?;
    let request_uri = request_uri(&answer)?;
    bare.query_pairs_mut()
        .append_pair("client_id", &settings.client_id)
        .append_pair("request_uri", &request_uri);
    Ok(bare.into())
}

/// Whether a request that could not be pushed may go through the browser, where nobody insists: the
/// endpoint is away, or not for us. A request that was judged and refused would be refused there too.
pub(super) fn may_do_without(fault: &UpstreamFault) -> bool {
    fault.kind == FaultKind::Unavailable || fault.reason == "upstream_par_not_for_us"
}

fn parsed(address: &str) -> Result<Url, UpstreamFault> {
    Url::parse(address).map_err(|error| UpstreamFault::unacceptable("upstream_address", error))
}

/// The name that the request was given (RFC 9126 §2.2).
fn request_uri(answer: &Answer) -> Result<String, UpstreamFault> {
    match answer.status {
        200 | 201 => {}
        404 | 405 | 429 | 500.. => {
            let detail =
                format!("the endpoint for pushed requests answered with status {}", answer.status);
            return Err(UpstreamFault::unavailable("upstream_par_failed", detail));
        }
        status => return Err(refused(status, &answer.body)),
    }
    let malformed = |detail: &str| UpstreamFault::unacceptable("upstream_par_malformed", detail);
    let document = strict_json::object(&answer.body)
        .ok_or_else(|| malformed("the answer to a pushed request is not a JSON object"))?;
    let lives = document.get("expires_in").and_then(Value::as_u64).is_some_and(|life| life > 0);
    if !lives {
        return Err(malformed("expires_in is not a number of seconds to come"));
    }
    let name = document.get("request_uri").and_then(Value::as_str).unwrap_or_default();
    let fits = (1..=MAX_REQUEST_URI).contains(&name.len());
    if !fits || !name.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(malformed("request_uri is missing, too long or not printable"));
    }
    Ok(name.to_owned())
}

fn refused(status: u16, body: &[u8]) -> UpstreamFault {
    let error = as_client::error_in(body).unwrap_or_default();
    let detail = format!("a pushed request was refused with status {status}: {error:?}");
    // RFC 9126 §2.3, RFC 6749 §5.2: this way is not for us.
    if error == "unauthorized_client" {
        return UpstreamFault::unacceptable("upstream_par_not_for_us", detail);
    }
    UpstreamFault::unacceptable("upstream_par_refused", detail)
}

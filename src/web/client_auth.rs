//! Client authentication (RFC 6749 §2.3): who calls an OAuth endpoint, proved before anything else.

use std::{net::IpAddr, sync::Arc};

use axum::http::{HeaderMap, StatusCode, header};
use base64::Engine as _;
use url::form_urlencoded;

use super::{
    error::WireError,
    params::Params,
    throttle::{self, Brake},
};
use crate::{
    app::App,
    audit::{Event, printable},
    clients::Client,
    foundation::{ids::ClientId, secret::Secret},
    protocol::error::{ErrorCode, OAuthError},
};

const CHALLENGE: &str = "Basic realm=\"keywright\"";

/// What a caller presents.
struct Credentials {
    client_id: String,
    secret: Option<Secret>,
    challenge: Option<&'static str>,
}

/// Proves who calls. Public clients are who they say they are; what they may do is limited to what
/// needs no proof.
pub async fn authenticate(
    app: &App,
    headers: &HeaderMap,
    params: &Params,
    from: IpAddr,
) -> Result<Arc<Client>, WireError> {
    if params.get("client_assertion").is_some() || params.get("client_assertion_type").is_some() {
        let fault = "client assertions are not accepted here";
        return Err(told(OAuthError::invalid_client(fault), headers));
    }
    prove(app, headers, (params.get("client_id"), params.get("client_secret")), from).await
}

/// The same for what says in another way who calls: the `client_id` and the secret that stand in the
/// body, as far as they do.
pub async fn prove(
    app: &App,
    headers: &HeaderMap,
    in_body: (Option<&str>, Option<&str>),
    from: IpAddr,
) -> Result<Arc<Client>, WireError> {
    let credentials = read(headers, in_body).map_err(|error| told(error, headers))?;
    let client = app.clients.find(&credentials.client_id);
    let proved = client.filter(|client| match &credentials.secret {
        Some(secret) => client.has_secret(secret.expose()),
        None => client.is_public(),
    });
    match proved {
        Some(client) => Ok(client),
        None => Err(refuse(app, &credentials, from).await),
    }
}

fn told(error: OAuthError, headers: &HeaderMap) -> WireError {
    // RFC 6749 §5.2: whoever came with the header is told what the header has to be.
    let used =
        error.code == ErrorCode::InvalidClient && headers.contains_key(header::AUTHORIZATION);
    WireError { challenge: used.then_some(CHALLENGE), ..error.into() }
}

async fn refuse(app: &App, credentials: &Credentials, from: IpAddr) -> WireError {
    let client_id = ClientId::new(printable(&credentials.client_id));
    let known = app.clients.find(&credentials.client_id).is_some();
    let brake = throttle::client_failure(app, known.then_some(&client_id), from).await;
    WireError {
        error: OAuthError::invalid_client("the client is unknown or its credentials are wrong"),
        event: Some(Event::refused("client_authentication", "invalid_client").client(&client_id)),
        challenge: credentials.challenge,
        status: (brake == Brake::On).then_some(StatusCode::TOO_MANY_REQUESTS),
    }
}

fn read(
    headers: &HeaderMap,
    (client_id, in_body): (Option<&str>, Option<&str>),
) -> Result<Credentials, OAuthError> {
    let mut lines = headers.get_all(header::AUTHORIZATION).iter();
    let Some(line) = lines.next() else {
        let Some(client_id) = client_id else {
            return Err(OAuthError::invalid_client("the client did not say who it is"));
        };
        let secret = in_body.map(Secret::new);
        return Ok(Credentials { client_id: client_id.to_owned(), secret, challenge: None });
    };
    if in_body.is_some() || lines.next().is_some() {
        // RFC 6749 §2.3: not more than one method in each request.
        return Err(OAuthError::invalid_request("the client authenticates in more than one way"));
    }
    let credentials = basic(line.as_bytes());
    let credentials = credentials
        .ok_or_else(|| OAuthError::invalid_client("the Authorization header cannot be read"))?;
    if client_id.is_some_and(|id| id != credentials.client_id) {
        return Err(OAuthError::invalid_client(
            "client_id is not that of the Authorization header",
        ));
    }
    Ok(credentials)
}

/// Reads `Basic`: base64 of id and secret, each form-encoded (RFC 6749 §2.3.1).
fn basic(line: &[u8]) -> Option<Credentials> {
    let line = std::str::from_utf8(line).ok()?;
    let (scheme, encoded) = line.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") || encoded.len() > 8 * 1_024 {
        return None;
    }
    let bytes = base64::engine::general_purpose::STANDARD.decode(encoded).ok()?;
    let text = zeroize::Zeroizing::new(String::from_utf8(bytes).ok()?);
    let (id, secret) = text.split_once(':')?;
    let challenge = Some(CHALLENGE);
    Some(Credentials {
        client_id: form_decode(id)?,
        secret: Some(Secret::new(form_decode(secret)?)),
        challenge,
    })
}

/// Undoes form-encoding. Text that is plainly not encoded stands for itself, because many clients
/// forget to encode.
fn form_decode(text: &str) -> Option<String> {
    if !text.contains(['%', '+']) {
        return Some(text.to_owned());
    }
    let mut rest = text.as_bytes();
    while let Some(at) = rest.iter().position(|byte| *byte == b'%') {
        let digits = rest.get(at + 1..at + 3)?;
        if !digits.iter().all(u8::is_ascii_hexdigit) {
            return None;
        }
        rest = rest.get(at + 3..)?;
    }
    // Parsed as the value of a pair, whose name and separators cannot be in it any more.
    let safe = text.replace('&', "%26").replace('=', "%3D");
    let (decoded, _) = form_urlencoded::parse(safe.as_bytes()).next()?;
    (!decoded.contains('\u{fffd}')).then(|| decoded.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(text: &[u8]) -> Vec<u8> {
        let base64 = base64::engine::general_purpose::STANDARD.encode(text);
        format!("Basic {base64}").into_bytes()
    }

    #[test]
    fn basic_credentials_are_form_decoded() {
        let read = basic(&encoded(b"web%3A1:s+e%2Bcret%26%3D")).unwrap();
        assert_eq!(read.client_id, "web:1");
        assert_eq!(read.secret.unwrap().expose(), "s e+cret&=");
        let plain = basic(&encoded(b"web:s3cret/=")).unwrap();
        assert_eq!(plain.secret.unwrap().expose(), "s3cret/=");
    }

    /// TK-06: what cannot be read is refused without a panic.
    #[test]
    fn malformed_basic_credentials_are_refused() {
        for wrong in [
            b"Basic".to_vec(),
            b"Basic ".to_vec(),
            b"Basic !!!".to_vec(),
            b"Bearer x".to_vec(),
            encoded(b"nocolon"),
            encoded(b"a:%zz"),
            encoded(b"a:%2"),
            encoded(b"a:%"),
            encoded(b"a:%ff%fe"),
            encoded(b"\xff:\xfe"),
            encoded(&vec![b'a'; 32_768]),
            b"\xff".to_vec(),
        ] {
            assert!(basic(&wrong).is_none(), "{:?}", String::from_utf8_lossy(&wrong));
        }
    }
}

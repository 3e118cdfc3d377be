//! Secrets that are sent: in the header or in the form (RFC 6749 §2.3.1).

use axum::http::{HeaderMap, header};
use base64::Engine as _;
use url::form_urlencoded;

use crate::{foundation::secret::Secret, protocol::error::OAuthError};

pub(super) const CHALLENGE: &str = "Basic realm=\"keywright\"";

/// What a caller presents.
pub(super) struct Credentials {
    pub(super) client_id: String,
    pub(super) secret: Option<Secret>,
    pub(super) challenge: Option<&'static str>,
}

/// Reads what stands in the header, or else in the body.
pub(super) fn read(
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

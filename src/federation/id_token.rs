//! Validation of an upstream's ID token (OIDC Core §3.1.3.7), by the letter.
//!
//! The algorithm must be one that the administrator allows and the key's own; the header chooses
//! nothing but which published key is meant. What is present but cannot be read is never taken
//! for absent.

use serde_json::{Map, Value};

use super::{fault::UpstreamFault, strict_json};
use crate::{
    foundation::{
        clock::{Span, Timestamp},
        digest::{base64url, constant_time_eq, from_base64url},
    },
    keys::PublishedKey,
};

/// By how much the clocks of the upstream and ours may differ.
pub const ID_TOKEN_LEEWAY: Span = Span::from_seconds(60);
/// Stands in an issuer where the tenant does.
pub(super) const TENANT_PLACE: &str = "{tenantid}";
const MAX_LENGTH: usize = 64 * 1_024;
const MAX_HEADER: usize = 8 * 1_024;
const MAX_LIFE: Span = Span::from_days(1);
const MAX_SUBJECT: usize = 255;

/// What the ID token has to agree with.
#[derive(Debug)]
pub(super) struct Expected<'a> {
    /// May hold [`TENANT_PLACE`].
    pub(super) issuer: &'a str,
    /// The tenants that may sign in; all where none is listed.
    pub(super) tenants: &'a [String],
    pub(super) client_id: &'a str,
    pub(super) nonce: Nonce<'a>,
    pub(super) algorithms: &'a [String],
    pub(super) access_token: &'a str,
    pub(super) now: Timestamp,
}

/// What is known of the `nonce` of an ID token.
#[derive(Clone, Copy, Debug)]
pub(super) enum Nonce<'a> {
    /// It has to be there (OIDC Core §3.1.3.7, step 11).
    Required(&'a str),
    /// A refreshed token may leave it out, but may have no other (OIDC Core §12.2).
    IfPresent(&'a str),
}

/// A validated ID token.
#[derive(Debug)]
pub(super) struct ValidIdToken {
    pub(super) subject: String,
    pub(super) claims: Map<String, Value>,
}

/// Why an ID token was refused.
#[derive(Debug)]
pub(super) enum IdTokenFault {
    /// No key that we know fits. Fetching the JWKS again may help.
    UnknownKey(UpstreamFault),
    /// Nothing will help.
    Refused(UpstreamFault),
}

impl From<UpstreamFault> for IdTokenFault {
    fn from(fault: UpstreamFault) -> Self {
        Self::Refused(fault)
    }
}

fn refused(reason: &'static str, detail: impl std::fmt::Display) -> UpstreamFault {
    UpstreamFault::unacceptable(reason, detail)
}

/// Validates an ID token that came from the token endpoint.
pub(super) fn validate(
    token: &str,
    keys: &[PublishedKey],
    expected: &Expected<'_>,
) -> Result<ValidIdToken, IdTokenFault> {
    let claims = verify_signature(token, keys, expected.algorithms, &["JWT"])?;
    check_parties(&claims.payload, expected)?;
    check_times(&claims.payload, expected.now)?;
    check_nonce(&claims.payload, expected.nonce)?;
    check_access_token_hash(&claims, expected.access_token)?;
    let subject = subject(&claims.payload)?;
    Ok(ValidIdToken { subject, claims: claims.payload })
}

/// What one of the provider's keys has signed.
pub(super) struct Signed {
    alg: String,
    pub(super) payload: Map<String, Value>,
}

/// Verifies a JWT of the provider whose `typ`, if it has one, is one of `types` (RFC 8725 §3.11).
pub(super) fn verify_signature(
    token: &str,
    keys: &[PublishedKey],
    algorithms: &[String],
    types: &[&str],
) -> Result<Signed, IdTokenFault> {
    let malformed = |detail: &str| refused("id_token_malformed", detail);
    if token.len() > MAX_LENGTH {
        return Err(malformed("it is larger than 64 KiB").into());
    }
    let parts: Vec<&str> = token.splitn(4, '.').collect();
    let [header, payload, signature] = parts.as_slice() else {
        return Err(malformed("it has not three parts").into());
    };
    if header.len() > MAX_HEADER {
        return Err(malformed("its header is larger than 8 KiB").into());
    }
    let decode =
        |part: &str| from_base64url(part).ok_or_else(|| malformed("a part is not base64url"));
    let header_object = strict_json::object(&decode(header)?)
        .ok_or_else(|| malformed("its header is not a JSON object"))?;
    let alg = check_header(&header_object, algorithms, types)?;
    let key = choose_key(&header_object, &alg, keys)?;
    let signed = token.get(..header.len() + 1 + payload.len()).unwrap_or_default();
    if !key.verifies(&alg, signed.as_bytes(), &decode(signature)?) {
        // The provider may have a new key under an old name (FT-36): worth one look.
        let fault = refused("id_token_signature", "it is not the key's");
        return Err(IdTokenFault::UnknownKey(fault));
    }
    let payload = strict_json::object(&decode(payload)?)
        .ok_or_else(|| malformed("its claims are not a JSON object without repeated names"))?;
    Ok(Signed { alg, payload })
}

fn check_header(
    header: &Map<String, Value>,
    algorithms: &[String],
    types: &[&str],
) -> Result<String, UpstreamFault> {
    let alg = header.get("alg").and_then(Value::as_str).unwrap_or_default();
    if !algorithms.iter().any(|allowed| allowed == alg) {
        let hint = if alg.starts_with("HS") {
            ". The provider signs with the client secret; select a signing key there"
        } else {
            ""
        };
        let detail = format!("{alg:?} is not among {}{hint}", algorithms.join(", "));
        return Err(refused("id_token_algorithm", detail));
    }
    if header.contains_key("crit") || header.contains_key("b64") || header.contains_key("zip") {
        return Err(refused("id_token_malformed", "its header wants extensions"));
    }
    match header.get("typ") {
        None => Ok(alg.to_owned()),
        Some(Value::String(typ)) if types.iter().any(|own| typ.eq_ignore_ascii_case(own)) => {
            Ok(alg.to_owned())
        }
        Some(other) => Err(refused("id_token_type", format!("typ is {other}"))),
    }
}

fn choose_key<'k>(
    header: &Map<String, Value>,
    alg: &str,
    keys: &'k [PublishedKey],
) -> Result<&'k PublishedKey, IdTokenFault> {
    let kty = match alg.get(..2) {
        Some("RS" | "PS") => "RSA",
        Some("ES") => "EC",
        _ => "OKP",
    };
    let usable =
        |key: &&PublishedKey| key.kty == kty && key.alg.as_deref().is_none_or(|own| own == alg);
    let mut candidates = keys.iter().filter(usable);
    let unknown =
        |detail: String| IdTokenFault::UnknownKey(refused("id_token_key_unknown", detail));
    match header.get("kid") {
        Some(Value::String(kid)) => candidates
            .find(|key| key.kid.as_ref() == Some(kid))
            .ok_or_else(|| unknown(format!("no {alg} key is called {:.100}", format!("{kid:?}")))),
        Some(_) => Err(refused("id_token_malformed", "kid is not a text").into()),
        None => match (candidates.next(), candidates.next()) {
            (Some(only), None) => Ok(only),
            (None, _) => Err(unknown(format!("there is no {alg} key"))),
            (Some(_), Some(_)) => {
                Err(refused("id_token_key_unknown", "no kid, and several keys would do").into())
            }
        },
    }
}

/// The tenant of the person, if it is one of those that may sign in (UP-19). Without a list nothing
/// is believed, and a templated issuer then is nobody's.
fn check_tenant<'c>(
    claims: &'c Map<String, Value>,
    tenants: &[String],
) -> Result<&'c str, UpstreamFault> {
    if tenants.is_empty() {
        return Ok(TENANT_PLACE);
    }
    let tenant = claims.get("tid").and_then(Value::as_str).unwrap_or_default();
    if tenants.iter().any(|own| own == tenant) {
        return Ok(tenant);
    }
    let detail = format!("the tenant {tenant:.60?} is not listed");
    Err(UpstreamFault::not_invited("upstream_tenant", detail))
}

/// `iss`, `aud` and `azp` (OIDC Core §3.1.3.7, steps 2 to 5).
fn check_parties(
    claims: &Map<String, Value>,
    expected: &Expected<'_>,
) -> Result<(), UpstreamFault> {
    check_issuer(claims, expected.issuer, expected.tenants)?;
    let audience = check_audience(claims, expected.client_id)?;
    match claims.get("azp") {
        None if audience == 1 => Ok(()),
        Some(Value::String(azp)) if azp == expected.client_id => Ok(()),
        _ => Err(refused("id_token_audience", "azp does not name us")),
    }
}

/// `iss`, where `{tenantid}` stands for a tenant that may sign in.
pub(super) fn check_issuer(
    claims: &Map<String, Value>,
    expected: &str,
    tenants: &[String],
) -> Result<(), UpstreamFault> {
    let tenant = check_tenant(claims, tenants)?;
    let wanted = expected.replace(TENANT_PLACE, tenant);
    let issuer = claims.get("iss").and_then(Value::as_str);
    if issuer != Some(&wanted) {
        let detail = format!("{issuer:?} instead of {wanted:?}");
        return Err(refused("id_token_issuer", detail));
    }
    Ok(())
}

/// `aud` names us; how many it names.
pub(super) fn check_audience(
    claims: &Map<String, Value>,
    client_id: &str,
) -> Result<usize, UpstreamFault> {
    let audience: Vec<&Value> = match claims.get("aud") {
        Some(one @ Value::String(_)) => vec![one],
        Some(Value::Array(several)) => several.iter().collect(),
        _ => return Err(refused("id_token_audience", "aud is missing")),
    };
    if !audience.iter().any(|own| own.as_str() == Some(client_id))
        || audience.iter().any(|any| !any.is_string())
    {
        return Err(refused("id_token_audience", "aud does not name us"));
    }
    Ok(audience.len())
}

/// `exp`, `iat`, `nbf` (steps 9 and 10): whole or broken seconds, present or absent, never unreadable.
fn check_times(claims: &Map<String, Value>, now: Timestamp) -> Result<(), UpstreamFault> {
    let early = now.minus(ID_TOKEN_LEEWAY);
    let late = now.plus(ID_TOKEN_LEEWAY);
    let expires = moment(claims, "exp")?.ok_or_else(|| refused("id_token_expired", "no exp"))?;
    let issued = moment(claims, "iat")?.ok_or_else(|| refused("id_token_issued_at", "no iat"))?;
    if expires < early {
        return Err(refused("id_token_expired", clock_hint("it expired at", expires, now)));
    }
    if issued > late {
        return Err(refused("id_token_issued_at", clock_hint("it was issued at", issued, now)));
    }
    if expires.since(issued) > MAX_LIFE {
        return Err(refused("id_token_expired", "it lives longer than a day"));
    }
    match moment(claims, "nbf")? {
        Some(from) if from > late => {
            Err(refused("id_token_not_yet_valid", clock_hint("it is good from", from, now)))
        }
        _ => moment(claims, "auth_time").map(drop),
    }
}

fn clock_hint(what: &str, at: Timestamp, now: Timestamp) -> String {
    format!("{what} {at:?}, and here it is {now:?}: compare the clocks")
}

/// A `NumericDate` that a clock can show.
pub(super) fn moment(
    claims: &Map<String, Value>,
    name: &str,
) -> Result<Option<Timestamp>, UpstreamFault> {
    let Some(value) = claims.get(name) else {
        return Ok(None);
    };
    let fault = || refused("id_token_malformed", format!("{name} is not a time"));
    Timestamp::from_numeric_date(value).map(Some).ok_or_else(fault)
}

fn check_nonce(claims: &Map<String, Value>, expected: Nonce<'_>) -> Result<(), UpstreamFault> {
    let expected = match expected {
        Nonce::IfPresent(_) if !claims.contains_key("nonce") => return Ok(()),
        Nonce::Required(expected) | Nonce::IfPresent(expected) => expected,
    };
    let nonce = claims.get("nonce").and_then(Value::as_str);
    let same = nonce.is_some_and(|own| constant_time_eq(own.as_bytes(), expected.as_bytes()));
    same.then_some(()).ok_or_else(|| refused("id_token_nonce", "it is not the one we sent"))
}

/// `at_hash`, if there, belongs to the access token (OIDC Core §3.1.3.8). Unknown is wrong (JW-19).
fn check_access_token_hash(signed: &Signed, access_token: &str) -> Result<(), UpstreamFault> {
    use sha2::{Digest as _, Sha256, Sha384, Sha512};
    let Some(claim) = signed.payload.get("at_hash") else {
        return Ok(());
    };
    let bytes = access_token.as_bytes();
    let full = match signed.alg.as_str() {
        alg if alg.ends_with("256") => Sha256::digest(bytes).to_vec(),
        alg if alg.ends_with("384") => Sha384::digest(bytes).to_vec(),
        _ => Sha512::digest(bytes).to_vec(),
    };
    let half = base64url(full.get(..full.len() / 2).unwrap_or_default());
    let same = claim.as_str().is_some_and(|own| constant_time_eq(own.as_bytes(), half.as_bytes()));
    same.then_some(()).ok_or_else(|| refused("id_token_at_hash", "at_hash is of another token"))
}

/// `sub`: printable ASCII, 1 to 255 characters (OIDC Core §2, JW-24).
fn subject(claims: &Map<String, Value>) -> Result<String, UpstreamFault> {
    let subject = claims.get("sub").and_then(Value::as_str).unwrap_or_default();
    if !is_subject(subject) {
        return Err(refused("id_token_subject", "sub is missing, too long or not plain ASCII"));
    }
    Ok(subject.to_owned())
}

/// Whether a text can name somebody for ever.
pub(super) fn is_subject(subject: &str) -> bool {
    let printable = subject.bytes().all(|byte| (0x20..=0x7e).contains(&byte));
    !subject.trim().is_empty() && subject.len() <= MAX_SUBJECT && printable
}

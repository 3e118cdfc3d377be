//! Tokens that are bound to a key (RFC 9449): what a server checks of a proof, to the letter.

use axum::http::HeaderValue;
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use josekit::jwk::Jwk;
use josekit::jws::{self, ES256};
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use super::requests::Recorded;
use super::server::answer;
use super::state::{Access, Proofs, State, unique};
use super::token::Refusal;

const INVALID: &str = "invalid_dpop_proof";

/// The thumbprint of the key that a request proves, if it has a proof.
pub(super) fn check(
    state: &mut State,
    request: &Recorded,
    token: Option<&str>,
) -> Result<Option<String>, Refusal> {
    let mut proofs = request.headers.get_all("dpop").iter();
    let (proof, more) = (proofs.next(), proofs.next());
    let Some(proof) = proof.filter(|_| state.offers.proofs != Proofs::Unknown) else {
        return Ok(None);
    };
    if more.is_some() {
        return Err(Refusal(400, INVALID, "two proofs"));
    }
    let proof = proof.to_str().ok().ok_or(Refusal(400, INVALID, "not a text"))?;
    let (jwk, claims) = opened(proof).ok_or(Refusal(400, INVALID, "malformed or bad signature"))?;
    let text = |name: &str| claims.get(name).and_then(Value::as_str);
    if state.offers.changing_nonce {
        state.offers.nonce = Some(unique("nonce"));
    }
    let nonce = state.offers.nonce.as_deref();
    if nonce.is_some() && text("nonce") != nonce {
        return Err(Refusal(400, "use_dpop_nonce", "a nonce is missing"));
    }
    let address = format!("{}{}", state.origin(), request.uri.path());
    let hash = token.map(|token| URL_SAFE_NO_PAD.encode(Sha256::digest(token)));
    let age = claims.get("iat").and_then(Value::as_i64).map(|at| (state.now() - at).abs());
    let good = text("htm") == Some(request.method.as_str())
        && text("htu") == Some(&address)
        && text("ath") == hash.as_deref()
        && age.is_some_and(|age| age <= 10)
        && state.proofs.insert(text("jti").unwrap_or_default().to_owned());
    if good && state.offers.proofs == Proofs::LookedAt {
        return Ok(None);
    }
    if good { Ok(Some(thumbprint(&jwk))) } else { Err(Refusal(400, INVALID, "another request's")) }
}

/// Header key and claims of a proof whose signature is good (RFC 9449 §4.3).
fn opened(proof: &str) -> Option<(Map<String, Value>, Map<String, Value>)> {
    let header = URL_SAFE_NO_PAD.decode(proof.split('.').next()?).ok()?;
    let header: Value = serde_json::from_slice(&header).ok()?;
    let jwk = header.get("jwk")?.as_object()?.clone();
    let fits = header["typ"] == "dpop+jwt" && header["alg"] == "ES256" && !jwk.contains_key("d");
    let verifier = ES256.verifier_from_jwk(&Jwk::from_map(jwk.clone()).ok()?).ok()?;
    let (payload, _) = jws::deserialize_compact(proof, &verifier).ok().filter(|_| fits)?;
    Some((jwk, serde_json::from_slice(&payload).ok()?))
}

/// RFC 7638 §3.
fn thumbprint(jwk: &Map<String, Value>) -> String {
    let members: Map<String, Value> = ["crv", "kty", "x", "y"]
        .into_iter()
        .map(|name| (name.to_owned(), jwk.get(name).cloned().unwrap_or_default()))
        .collect();
    URL_SAFE_NO_PAD.encode(Sha256::digest(json!(members).to_string()))
}

/// A bound token opens nothing without a proof of its key; one that is not is a bearer token.
pub(super) fn check_access(
    state: &mut State,
    request: &Recorded,
    access: &Access,
    (scheme, token): (&str, &str),
) -> Result<(), Response> {
    if access.jkt.is_none() {
        return if scheme == "Bearer" { Ok(()) } else { Err(answer::unauthorized()) };
    }
    match check(state, request, Some(token)) {
        Ok(jkt) if jkt == access.jkt && scheme == "DPoP" => Ok(()),
        Ok(_) => Err(answer::unauthorized()),
        Err(Refusal(_, code, _)) => {
            let mut response = answer::unauthorized();
            let challenge =
                HeaderValue::try_from(format!("DPoP error=\"{code}\"")).expect("a header");
            response.headers_mut().insert("www-authenticate", challenge);
            Err(with_nonce(state, response))
        }
    }
}

/// The answer with the nonce of the moment, if there is one.
pub(super) fn with_nonce(state: &State, mut response: Response) -> Response {
    if let Some(nonce) = &state.offers.nonce {
        let nonce = HeaderValue::try_from(nonce).expect("a header");
        response.headers_mut().insert("dpop-nonce", nonce);
    }
    response
}

//! Requests that prove the possession of a key, to which an upstream's tokens are bound (RFC 9449).

use std::time::Duration;

use reqwest::{Request, header::HeaderValue};
use serde_json::{Value, json};

use super::{
    as_client,
    fault::UpstreamFault,
    http::{Answer, HttpClient, MAX_BODY},
};
use crate::{
    foundation::{
        clock::Timestamp,
        digest::{base64url, sha256},
        random::{self, Random},
    },
    keys::ProofKey,
};

const PROOF: &str = "dpop";
const NONCE: &str = "dpop-nonce";
const WANTS_NONCE: &str = "use_dpop_nonce";
const MAX_NONCE: usize = 512;

/// Who makes the proofs of one exchange.
#[derive(Clone, Copy)]
pub(super) struct Prover<'a> {
    pub(super) key: &'a ProofKey,
    pub(super) random: &'a dyn Random,
    pub(super) now: Timestamp,
}

/// An access token, with whoever can show that it is ours where it is bound to a key.
#[derive(Clone, Copy)]
pub(super) struct Access<'a> {
    pub(super) token: &'a str,
    pub(super) prover: Option<Prover<'a>>,
}

impl<'a> Access<'a> {
    /// A token that is good for whoever holds it (RFC 6750).
    pub(super) const fn bearer(token: &'a str) -> Self {
        Self { token, prover: None }
    }

    /// Gets what the token opens: as a bearer, or with a proof for this very token (RFC 9449 §7.1).
    pub(super) async fn get(
        &self,
        http: &HttpClient,
        url: &str,
        patience: Duration,
    ) -> Result<Answer, UpstreamFault> {
        let Some(prover) = self.prover else {
            return http.get(url, Some(self.token), patience, MAX_BODY).await;
        };
        let url = url::Url::parse(url)
            .map_err(|error| UpstreamFault::unacceptable("upstream_address", error))?;
        let mut request = Request::new(reqwest::Method::GET, url);
        let mut value = HeaderValue::try_from(format!("DPoP {}", self.token))
            .map_err(|error| UpstreamFault::unacceptable("upstream_token_malformed", error))?;
        value.set_sensitive(true);
        let headers = request.headers_mut();
        headers.insert(reqwest::header::AUTHORIZATION, value);
        headers.insert(reqwest::header::ACCEPT, HeaderValue::from_static("application/json"));
        prover.send(http, request, Some(self.token), patience).await
    }
}

impl Prover<'_> {
    /// Sends a request with a proof; once more, with the nonce that the server wants to see in it
    /// (RFC 9449 §8, §9). What was refused for want of a nonce was not looked at: nothing is spent.
    pub(super) async fn send(
        &self,
        http: &HttpClient,
        request: Request,
        access_token: Option<&str>,
        patience: Duration,
    ) -> Result<Answer, UpstreamFault> {
        let again = request.try_clone();
        let proved = self.prove(request, access_token, None)?;
        let answer = http.send(proved, patience, MAX_BODY).await?;
        match (again, wanted_nonce(&answer)?) {
            (Some(again), Some(nonce)) => {
                let proved = self.prove(again, access_token, Some(&nonce))?;
                http.send(proved, patience, MAX_BODY).await
            }
            _ => Ok(answer),
        }
    }

    /// The request with its proof: for this method and address, this token, once (RFC 9449 §4.2).
    fn prove(
        &self,
        mut request: Request,
        access_token: Option<&str>,
        nonce: Option<&str>,
    ) -> Result<Request, UpstreamFault> {
        let mut address = request.url().clone();
        address.set_query(None);
        address.set_fragment(None);
        let required = [
            ("jti", json!(base64url(&random::bytes::<16>(self.random)))),
            ("htm", json!(request.method().as_str())),
            ("htu", json!(address.as_str())),
            ("iat", json!(self.now.unix())),
        ];
        let hash = access_token.map(|token| ("ath", json!(base64url(&sha256(token.as_bytes())))));
        let nonce = nonce.map(|nonce| ("nonce", json!(nonce)));
        let claims = required.into_iter().chain(hash).chain(nonce);
        let claims: Value = claims.map(|(name, value)| (name.to_owned(), value)).collect();
        let proof = self.key.prove(&claims).map_err(|error| unfit(&error))?;
        let proof = HeaderValue::try_from(proof).map_err(|error| unfit(&error))?;
        request.headers_mut().insert(PROOF, proof);
        Ok(request)
    }
}

fn unfit(error: &dyn std::fmt::Display) -> UpstreamFault {
    UpstreamFault::unacceptable("dpop_key_unfit", error)
}

/// Whether a refusal is about the proof, and not about the token or whose it is: clocks that differ,
/// a nonce (RFC 9449 §7.1).
pub(super) fn is_about_proof(answer: &Answer) -> bool {
    challenges_with(answer, "invalid_dpop_proof") || challenges_with(answer, WANTS_NONCE)
}

fn challenges_with(answer: &Answer, error: &str) -> bool {
    let lines = answer.headers.get_all(reqwest::header::WWW_AUTHENTICATE).iter();
    lines.filter_map(|line| line.to_str().ok()).any(|line| line.contains(error))
}

/// The nonce that the server wants to see, if that is what it says.
fn wanted_nonce(answer: &Answer) -> Result<Option<String>, UpstreamFault> {
    let challenged = challenges_with(answer, WANTS_NONCE);
    let says = challenged || as_client::error_in(&answer.body).as_deref() == Some(WANTS_NONCE);
    if !matches!(answer.status, 400 | 401) || !says {
        return Ok(None);
    }
    let nonce = answer.headers.get(NONCE).and_then(|nonce| nonce.to_str().ok());
    // RFC 9449 §8.1: NQCHAR.
    let allowed = |byte: u8| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\';
    match nonce {
        Some(nonce) if (1..=MAX_NONCE).contains(&nonce.len()) && nonce.bytes().all(allowed) => {
            Ok(Some(nonce.to_owned()))
        }
        _ => {
            let detail = "it wants a DPoP nonce, and gives none that could be sent";
            Err(UpstreamFault::unacceptable("upstream_token_malformed", detail))
        }
    }
}

//! Proofs that whoever brings a request holds a key (RFC 9449): tokens are bound to it, so that they are of
//! no use to whoever finds them.
//!
//! A proof is for one method and one address of ours, at this moment, once; at a resource also for one
//! token. Where `tokens.dpop_nonces` is on, it carries a nonce of ours that is minutes old at most, so that
//! none can be made for later.

use axum::{
    http::{HeaderMap, HeaderValue, StatusCode},
    response::Response,
};
use url::Url;

use super::{bearer::Presented, error::WireError};
use crate::{
    app::App,
    clients::Client,
    ephemeral::{EphemeralError, Key, KeyKind},
    foundation::{
        clock::{Span, Timestamp},
        digest::{base64url, constant_time_eq, sha256},
    },
    keys::ForeignJwt,
    protocol::error::{ErrorCode, OAuthError},
    tokens::access::VerifiedAccessToken,
};

macro_rules! algorithms {
    () => {
        "algs=\"RS256 RS384 RS512 PS256 PS384 PS512 ES256 ES384 EdDSA\""
    };
}

/// How a bound token is shown (RFC 9449 §7.1). The algorithms are those of foreign signatures.
pub const CHALLENGE: &str = concat!("DPoP realm=\"keywright\", ", algorithms!());
const INVALID_TOKEN: &str =
    concat!("DPoP realm=\"keywright\", error=\"invalid_token\", ", algorithms!());
const INVALID_PROOF: &str =
    concat!("DPoP realm=\"keywright\", error=\"invalid_dpop_proof\", ", algorithms!());
const WANTS_NONCE: &str =
    concat!("DPoP realm=\"keywright\", error=\"use_dpop_nonce\", ", algorithms!());

const HEADER: &str = "dpop";
const NONCE_HEADER: &str = "dpop-nonce";
/// By how much the clock of the client and ours may differ, and so for how long a proof is good.
const LEEWAY: Span = Span::from_seconds(60);
/// For how long a nonce of ours is good.
const NONCE_LIFE: Span = Span::from_minutes(5);
/// The longest `jti` that is read.
const MAX_ID: usize = 512;

/// What a proof has to be for.
#[derive(Clone, Copy, Debug)]
pub struct Purpose<'r> {
    /// The method of the request.
    pub method: &'r str,
    /// The path of the endpoint.
    pub path: &'r str,
    /// The access token that comes with it, at a resource.
    pub access_token: Option<&'r str>,
}

/// Why nothing is proved.
#[derive(Debug)]
pub enum Unproved {
    /// The proof is not good.
    Wrong(&'static str),
    /// It has no nonce of ours, or an old one (RFC 9449 §8).
    WantsNonce,
    /// Nobody can tell whether it was used before.
    Unknown(EphemeralError),
}

impl From<Unproved> for OAuthError {
    fn from(unproved: Unproved) -> Self {
        match unproved {
            Unproved::Wrong(why) => Self::new(ErrorCode::InvalidDpopProof, why),
            Unproved::WantsNonce => {
                let wanted = "the DPoP proof has to carry the nonce of the DPoP-Nonce header";
                Self::new(ErrorCode::UseDpopNonce, wanted)
            }
            Unproved::Unknown(error) => error.into(),
        }
    }
}

/// A proof that is good, and not yet used up.
#[derive(Debug)]
pub struct Proof {
    /// The thumbprint of the key that made it.
    pub key: String,
    name: Key,
    kept_for: Span,
}

impl Proof {
    /// Uses it up. Asked late, when more than a proof was shown: strangers, who can make any number of
    /// them, leave nothing behind.
    pub async fn use_up(&self, app: &App) -> Result<(), Unproved> {
        match app.state.insert_new(&self.name, self.kept_for).await {
            Ok(true) => Ok(()),
            Ok(false) => Err(Unproved::Wrong("the DPoP proof was used before")),
            Err(error) => Err(Unproved::Unknown(error)),
        }
    }
}

/// The proof of the key to which the tokens of a client are to be bound; none if it shows none. A client
/// whose tokens are always bound has to show one (RFC 9449 §5.2).
pub fn proof_for_tokens(
    app: &App,
    client: &Client,
    headers: &HeaderMap,
    path: &str,
    now: Timestamp,
) -> Result<Option<Proof>, OAuthError> {
    let purpose = Purpose { method: "POST", path, access_token: None };
    let proof = read(app, headers, purpose, now)?;
    if proof.is_none() && client.settings.dpop_bound_access_tokens {
        let missing = "the tokens of this client are bound to a key: the DPoP proof is missing";
        return Err(OAuthError::new(ErrorCode::InvalidDpopProof, missing));
    }
    Ok(proof)
}

/// The proof that stands in the header, if it is good for this request; nothing without one.
pub fn read(
    app: &App,
    headers: &HeaderMap,
    purpose: Purpose<'_>,
    now: Timestamp,
) -> Result<Option<Proof>, Unproved> {
    let mut lines = headers.get_all(HEADER).iter();
    let Some(line) = lines.next() else {
        return Ok(None);
    };
    if lines.next().is_some() {
        return Err(Unproved::Wrong("there is more than one DPoP header"));
    }
    let jwt = line.to_str().ok().and_then(ForeignJwt::read);
    let jwt = jwt.ok_or(Unproved::Wrong("the DPoP proof is no JWT that can be read"))?;
    let issued = check_claims(app, &jwt, purpose, now).map_err(Unproved::Wrong)?;
    let key = jwt.own_key();
    let key = key.ok_or(Unproved::Wrong("the DPoP proof is not signed by the key in it"))?;
    check_nonce(app, &jwt, now)?;
    let id = format!("{key} {} {}", purpose.path, jwt.text("jti").unwrap_or_default());
    let name = Key::of_text(KeyKind::DpopProof, &id);
    // For as long as it would be taken again.
    let kept_for = issued.plus(LEEWAY).since(now).plus(Span::from_seconds(1));
    Ok(Some(Proof { key, name, kept_for }))
}

/// Whether a token is shown as it has to be: one that is bound to a key with a proof of that key for this
/// very token, every other one as a bearer token (RFC 9449 §7).
pub async fn check_token(
    app: &App,
    headers: &HeaderMap,
    purpose: Purpose<'_>,
    (token, shown): (&VerifiedAccessToken, &Presented<'_>),
    now: Timestamp,
) -> Result<(), WireError> {
    let challenged = |challenge, error: OAuthError| {
        // At the token endpoint a proof that is not good is a bad request; at a resource, nobody is known.
        let status = Some(StatusCode::UNAUTHORIZED);
        Err(WireError { challenge: Some(challenge), status, ..error.into() })
    };
    let bound = match (token.confirmation().jkt, shown) {
        (None, Presented::Token(_)) => return Ok(()),
        (Some(key), Presented::Bound(_)) => key,
        _ => {
            // RFC 9449 §7.2: whoever has found a token does not get around its key.
            let fault = "the token is bound to a key, or was shown as if it were";
            return challenged(INVALID_TOKEN, OAuthError::invalid_token(fault));
        }
    };
    let used = match read(app, headers, purpose, now) {
        Ok(Some(proof)) if proof.key == bound => proof.use_up(app).await,
        Ok(Some(_)) => {
            let fault = "the DPoP proof is not of the key that the token is bound to";
            return challenged(INVALID_TOKEN, OAuthError::invalid_token(fault));
        }
        Ok(None) => Err(Unproved::Wrong("the DPoP proof is missing")),
        Err(unproved) => Err(unproved),
    };
    match used {
        Ok(()) => Ok(()),
        Err(Unproved::Unknown(error)) => Err(error.into()),
        Err(unproved @ Unproved::WantsNonce) => challenged(WANTS_NONCE, unproved.into()),
        Err(unproved @ Unproved::Wrong(_)) => challenged(INVALID_PROOF, unproved.into()),
    }
}

/// Everything but signature, nonce and replay (RFC 9449 §4.3); when it was issued.
fn check_claims(
    app: &App,
    jwt: &ForeignJwt<'_>,
    purpose: Purpose<'_>,
    now: Timestamp,
) -> Result<Timestamp, &'static str> {
    if !jwt.header.contains_key("typ") || !jwt.is_typed(&["dpop+jwt"]) {
        return Err("the typ of the DPoP proof is not dpop+jwt");
    }
    if jwt.text("jti").is_none_or(|id| id.is_empty() || id.len() > MAX_ID) {
        return Err("the DPoP proof has no jti, or a very long one");
    }
    if jwt.text("htm") != Some(purpose.method) {
        return Err("htm is not the method of the request");
    }
    if !jwt.text("htu").is_some_and(|address| is_same(app, address, purpose.path)) {
        return Err("htu is not the address of the request");
    }
    let issued = jwt.moment("iat").map_err(|_unreadable| "iat is not a time")?;
    let issued = issued.ok_or("the DPoP proof has no iat")?;
    if issued > now.plus(LEEWAY) || issued < now.minus(LEEWAY) {
        return Err("iat is more than a minute away: compare the clocks");
    }
    if let Some(token) = purpose.access_token {
        let hash = base64url(&sha256(token.as_bytes()));
        let same = |own: &str| constant_time_eq(own.as_bytes(), hash.as_bytes());
        if !jwt.text("ath").is_some_and(same) {
            return Err("ath is not the hash of the access token");
        }
    }
    Ok(issued)
}

/// Whether an address is that of an endpoint of ours, without query and fragment, however the host and an
/// implied port are written (RFC 9449 §4.3, RFC 3986 §6.2).
fn is_same(app: &App, address: &str, path: &str) -> bool {
    let plain = |text: &str| {
        let mut url = Url::parse(text).ok()?;
        let bare = url.username().is_empty() && url.password().is_none();
        url.set_query(None);
        url.set_fragment(None);
        bare.then_some(url)
    };
    let own = plain(&app.urls.absolute(path));
    own.is_some() && plain(address) == own
}

/// The nonce is one of ours that is not too old. It needs no store: it tells its time, under a key of ours.
fn check_nonce(app: &App, jwt: &ForeignJwt<'_>, now: Timestamp) -> Result<(), Unproved> {
    if !app.config.tokens.dpop_nonces {
        return Ok(());
    }
    let good = jwt.text("nonce").is_some_and(|nonce| {
        let Some((at, mac)) = nonce.split_once('.') else {
            return false;
        };
        let made = at.parse().ok().map(Timestamp::from_unix);
        let fresh = made.is_some_and(|at| at <= now.plus(LEEWAY) && now.since(at) <= NONCE_LIFE);
        let is_it = |own: [u8; 32]| constant_time_eq(base64url(&own).as_bytes(), mac.as_bytes());
        fresh && app.dpop_ring.macs(&[at.as_bytes()]).any(is_it)
    });
    if good { Ok(()) } else { Err(Unproved::WantsNonce) }
}

/// The answer with a nonce for the next proof, where proofs have to carry one (RFC 9449 §8.2).
pub fn with_nonce(app: &App, mut response: Response, now: Timestamp) -> Response {
    if app.config.tokens.dpop_nonces {
        let at = now.unix().to_string();
        let nonce = format!("{at}.{}", base64url(&app.dpop_ring.mac(&[at.as_bytes()])));
        if let Ok(nonce) = HeaderValue::try_from(nonce) {
            response.headers_mut().insert(NONCE_HEADER, nonce);
        }
    }
    response
}

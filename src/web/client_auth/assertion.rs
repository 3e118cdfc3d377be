//! Signed assertions: `private_key_jwt` and `client_secret_jwt` (RFC 7523 §3, OIDC Core §9).
//!
//! An assertion is for us, from the client itself, for a few minutes, once. Its claims are looked at
//! before its signature, so that nothing is fetched for what could not be good anyway; whether it was
//! used before is asked last, so that strangers leave nothing behind.

use std::sync::Arc;

use super::{Caller, note, refuse_because};
use crate::{
    app::App,
    clients::Client,
    config::AssertionAudience,
    ephemeral::{Key, KeyKind},
    foundation::clock::{Span, Timestamp},
    keys::ForeignJwt,
    protocol::{
        error::OAuthError,
        jwa::{FOREIGN_ALGORITHMS, SECRET_ALGORITHMS},
        words::AuthMethod,
    },
    urls::path,
    web::{error::WireError, params::Params},
};

const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
/// What an assertion may call itself, if it says what it is: the second word is that of the revision of
/// RFC 7523. Anything else is a JWT of another kind (RFC 8725 §3.11).
const TYPES: &[&str] = &["JWT", "client-authentication+jwt"];
/// By how much the clock of the client and ours may differ.
const LEEWAY: Span = Span::from_seconds(60);
/// The longest time for which an assertion is good, and so for which it is remembered.
const LONGEST: Span = Span::from_minutes(5);

/// Proves who calls by the assertion in the form.
pub(super) async fn prove(
    app: &App,
    caller: &Caller<'_>,
    params: &Params,
) -> Result<Arc<Client>, WireError> {
    let other = params.get("client_secret").is_some()
        || caller.headers.contains_key(axum::http::header::AUTHORIZATION);
    if other {
        // RFC 6749 §2.3: not more than one method in each request.
        let fault = "the client authenticates in more than one way";
        return Err(OAuthError::invalid_request(fault).into());
    }
    let text = params.get("client_assertion").unwrap_or_default();
    let jwt = ForeignJwt::read(text);
    let claimed = jwt.as_ref().and_then(|jwt| jwt.text("sub"));
    let claimed = claimed.or_else(|| params.get("client_id")).unwrap_or_default();
    let refused = async |why: String| Err(refuse_because(app, caller, claimed, why).await);
    let Some(jwt) = &jwt else {
        return refused("the assertion is no JWT that can be read".to_owned()).await;
    };
    let now = app.now();
    let (client, expires) = match examine(app, caller, params, jwt, now) {
        Ok(examined) => examined,
        Err(why) => return refused(why.to_owned()).await,
    };
    if let Err(why) = check_signature(app, &client, jwt, now).await {
        return refused(why).await;
    }
    let id = format!("{} {}", client.id(), jwt.text("jti").unwrap_or_default());
    let key = Key::of_text(KeyKind::ClientAssertion, &id);
    // Remembered for as long as it would be taken again (RFC 7523 §3, item 7).
    if !app.state.insert_new(&key, expires.plus(LEEWAY).since(now)).await? {
        return refused("the assertion was used before".to_owned()).await;
    }
    Ok(client)
}

/// Everything but the signature: the client that it is about, and when it ends.
fn examine(
    app: &App,
    caller: &Caller<'_>,
    params: &Params,
    jwt: &ForeignJwt<'_>,
    now: Timestamp,
) -> Result<(Arc<Client>, Timestamp), &'static str> {
    if params.get("client_assertion_type") != Some(ASSERTION_TYPE) {
        return Err("client_assertion_type is not that of a JWT");
    }
    let subject = jwt.text("sub").unwrap_or_default();
    if jwt.text("iss") != Some(subject) {
        return Err("iss and sub are not the same client");
    }
    if params.get("client_id").is_some_and(|id| id != subject) {
        return Err("client_id is not that of the assertion");
    }
    let client = app.clients.find(subject).ok_or("there is no such client")?;
    if !client.auth_method().is_assertion() {
        return Err("the client does not prove itself by assertions");
    }
    check_header(&client, jwt)?;
    if !is_for_us(app, caller, &client, jwt) {
        return Err("aud does not name us");
    }
    if jwt.text("jti").is_none_or(str::is_empty) {
        return Err("jti is missing");
    }
    let expires = check_times(jwt, now)?;
    Ok((client, expires))
}

/// The algorithm is one of the client's method, and the one that it has named if it has (RFC 8725 §3.1).
fn check_header(client: &Client, jwt: &ForeignJwt<'_>) -> Result<(), &'static str> {
    let alg = jwt.alg();
    let of_method = match client.auth_method() {
        AuthMethod::PrivateKeyJwt => FOREIGN_ALGORITHMS.contains(&alg),
        _ => SECRET_ALGORITHMS.iter().any(|(own, _)| *own == alg),
    };
    let named = client.settings.token_endpoint_auth_signing_alg.as_deref();
    if !of_method || named.is_some_and(|named| named != alg) {
        return Err("alg is not one that the client may use");
    }
    jwt.is_typed(TYPES).then_some(()).ok_or("typ is that of another kind of JWT")
}

/// Every audience is one of ours: whoever takes the assertion elsewhere, or brings one from elsewhere,
/// has nothing. The issuer alone is what cannot be talked into by others' metadata (RFC 7523bis §4).
fn is_for_us(app: &App, caller: &Caller<'_>, client: &Client, jwt: &ForeignJwt<'_>) -> bool {
    use serde_json::Value::{Array, String};
    let issuer = app.urls.issuer();
    let Some(audience) = jwt.claims.get("aud") else {
        return false;
    };
    if client.settings.assertion_audience == AssertionAudience::Issuer {
        return audience.as_str() == Some(issuer);
    }
    let ours = |name: &serde_json::Value| {
        name.as_str().is_some_and(|name| {
            let endpoints = [path::TOKEN, caller.path].map(|path| app.urls.absolute(path));
            name == issuer || endpoints.iter().any(|own| own == name)
        })
    };
    match audience {
        String(_) => ours(audience),
        Array(several) => !several.is_empty() && several.iter().all(ours),
        _ => false,
    }
}

/// `exp`, `iat` and `nbf` (RFC 7523 §3, items 4 to 6); when it ends.
fn check_times(jwt: &ForeignJwt<'_>, now: Timestamp) -> Result<Timestamp, &'static str> {
    let moment = |name: &str| jwt.moment(name).map_err(|_unreadable| "a time is none");
    let expires = moment("exp")?.ok_or("exp is missing")?;
    let (early, late) = (now.minus(LEEWAY), now.plus(LEEWAY));
    if expires <= early {
        return Err("it has expired");
    }
    if expires > late.plus(LONGEST) {
        return Err("exp is more than five minutes ahead");
    }
    if let Some(issued) = moment("iat")? {
        if issued > late {
            return Err("iat is in the future");
        }
        if issued < early.minus(LONGEST) {
            return Err("iat is more than five minutes ago");
        }
    }
    if moment("nbf")?.is_some_and(|from| from > late) {
        return Err("nbf is in the future");
    }
    Ok(expires)
}

async fn check_signature(
    app: &App,
    client: &Client,
    jwt: &ForeignJwt<'_>,
    now: Timestamp,
) -> Result<(), String> {
    let wrong = "the signature is not that of the client";
    if client.auth_method() == AuthMethod::ClientSecretJwt {
        let mut secrets = client.secrets().values(now);
        let known = secrets.find(|(_, secret)| jwt.is_signed_with(secret.expose().as_bytes()));
        let (known, _) = known.ok_or(wrong)?;
        note(app, client, known);
        return Ok(());
    }
    let keys = app.client_keys.find(client.id(), now).await.map_err(|fault| fault.to_string())?;
    if jwt.is_signed_by(&keys) {
        return Ok(());
    }
    // The client may have a new key.
    let newer = app.client_keys.find_newer(client.id(), &keys, now).await;
    match newer.map_err(|fault| fault.to_string())? {
        Some(newer) if jwt.is_signed_by(&newer) => Ok(()),
        _ => Err(wrong.to_owned()),
    }
}

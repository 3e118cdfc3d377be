//! Whole sign-ins: by way of the upstream (F1), by a session (F3), and the code exchange of both.

use std::sync::Arc;

use anyhow::Context as _;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{AppendHeaders, IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use url::form_urlencoded::Serializer;

use super::Ceiling;
use super::people::{ACR, Arrival, Grant, People, SignedIn, Which, new_id, seconds};
use super::requests::{Form, Refusal, authenticate, cookie};
use super::tokens::{LIFETIME, TokenResponse, access_token};
use super::upstream::Upstream;
use crate::settings::{CALLBACK, UPSTREAM_CLIENT};
use crate::signing::{Kind, digest, digest_text, now, random_text};

/// The cookie of a sign-in under way, and that of a session.
const BROWSER: &str = "bench_browser";
const SESSION: &str = "bench_session";
/// How the upstream signs people in (RFC 8176).
const AMR: [&str; 1] = ["pwd"];

/// What whole sign-ins need.
pub(super) struct SignIns {
    pub(super) people: People,
    pub(super) upstream: Upstream,
    /// Where the upstream sends people back to.
    pub(super) callback: String,
}

/// What an app has asked for.
#[derive(Serialize, Deserialize)]
struct Wish {
    client: String,
    redirect_uri: String,
    scope: String,
    state: String,
    nonce: String,
    challenge: String,
    trace: String,
}

/// A sign-in while the person is at the upstream.
#[derive(Serialize, Deserialize)]
struct Pending {
    wish: Wish,
    /// The digest of the browser's cookie.
    browser: String,
    upstream_nonce: String,
    upstream_verifier: String,
}

/// What a code stands for.
#[derive(Serialize, Deserialize)]
struct Issued {
    wish: Wish,
    session: String,
}

/// The claims of an ID token for somebody who is signed in.
#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    sub: &'a str,
    aud: &'a str,
    iat: u64,
    exp: u64,
    auth_time: i64,
    sid: &'a str,
    amr: [&'static str; 1],
    acr: &'static str,
    nonce: &'a str,
    at_hash: String,
    preferred_username: &'a str,
    name: Option<&'a str>,
    picture: Option<&'a str>,
    email: Option<&'a str>,
    email_verified: Option<bool>,
}

/// `GET /authorize`: to the upstream, or back to the app at once if there is a session.
pub(super) async fn authorize(
    State(ceiling): State<Arc<Ceiling>>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Result<Response, Refusal> {
    let wish = read_wish(&ceiling, &query.unwrap_or_default())?;
    if let Some(secret) = cookie(&headers, SESSION) {
        let which = Which::Digest(&digest(secret));
        let signed_in = ceiling.sign_ins.people.signed_in(which).await?;
        let signed_in = signed_in.ok_or_else(Refusal::unauthorized)?;
        let location = issue_code(&ceiling, wish, signed_in.session).await?;
        return Ok(see_other(&location, []));
    }
    let (state, browser) = (random_text::<32>()?, random_text::<32>()?);
    let pending = Pending {
        wish,
        browser: digest_text(&browser),
        upstream_nonce: random_text::<32>()?,
        upstream_verifier: random_text::<32>()?,
    };
    let value = serde_json::to_vec(&pending)?;
    ceiling.store.put(&pending_key(&state), &value).await?;
    let SignIns { upstream, callback, .. } = &ceiling.sign_ins;
    let query = Serializer::new(String::new())
        .append_pair("response_type", "code")
        .append_pair("client_id", UPSTREAM_CLIENT)
        .append_pair("redirect_uri", callback)
        .append_pair("scope", "openid profile email")
        .append_pair("state", &state)
        .append_pair("nonce", &pending.upstream_nonce)
        .append_pair("code_challenge", &digest_text(&pending.upstream_verifier))
        .append_pair("code_challenge_method", "S256")
        .finish();
    let location = format!("{}?{query}", upstream.authorization_endpoint);
    Ok(see_other(&location, [set_cookie(BROWSER, &browser, 600)]))
}

/// `GET /callback`: back from the upstream, and on to the app with a code and a session.
pub(super) async fn callback(
    State(ceiling): State<Arc<Ceiling>>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Result<Response, Refusal> {
    let answer = Form::parse(query.unwrap_or_default().as_bytes());
    let pending = ceiling.store.take(&pending_key(answer.get("state")?)).await?;
    let pending = pending.ok_or_else(|| Refusal::bad("state"))?;
    let pending: Pending = serde_json::from_slice(&pending)?;
    let SignIns { people, upstream, callback } = &ceiling.sign_ins;
    let browser = cookie(&headers, BROWSER).map(digest_text);
    if browser.as_ref() != Some(&pending.browser) || answer.get("iss")? != upstream.issuer {
        return Err(Refusal::unauthorized());
    }
    let Pending { wish, upstream_nonce, upstream_verifier, .. } = pending;
    let code = answer.get("code")?;
    let asserted = upstream.redeem(code, callback, &upstream_verifier, &upstream_nonce).await?;
    let (session, secret) = (new_id(), random_text::<32>()?);
    let agent = headers.get(header::USER_AGENT).and_then(|agent| agent.to_str().ok());
    let arrival = Arrival {
        issuer: upstream.issuer.clone(),
        subject: asserted.subject,
        groups: serde_json::to_string(&asserted.groups)?,
        claims: asserted.claims,
        profile: asserted.profile,
        session: session.clone(),
        digest: digest(&secret),
        trace: wish.trace.clone(),
        client: wish.client.clone(),
        user_agent: agent.unwrap_or_default().to_owned(),
        at: seconds(),
    };
    people.arrive(arrival).await?;
    let location = issue_code(&ceiling, wish, session).await?;
    let cookies = [set_cookie(SESSION, &secret, 30 * 24 * 3600), set_cookie(BROWSER, "", 0)];
    Ok(see_other(&location, cookies))
}

/// `POST /token`: a code for an access token and an ID token, both ES256.
pub(super) async fn token(
    State(ceiling): State<Arc<Ceiling>>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Refusal> {
    let form = Form::parse(&body);
    let client = authenticate(&ceiling, &headers)?;
    let code = form.get("code")?;
    let issued = ceiling.store.take(&code_key(code)).await?;
    let invalid = || Refusal::bad("invalid_grant");
    let issued: Issued = serde_json::from_slice(&issued.ok_or_else(invalid)?)?;
    let Issued { wish, session } = issued;
    let proven = form.get("grant_type")? == "authorization_code"
        && wish.challenge == digest_text(form.get("code_verifier")?)
        && wish.redirect_uri == form.get("redirect_uri")?
        && wish.client == client;
    if !proven {
        return Err(invalid());
    }
    let people = &ceiling.sign_ins.people;
    let signed_in = people.signed_in(Which::Id(&session)).await?.ok_or_else(invalid)?;
    let access = access_token(&ceiling, &ceiling.es256, &client, &signed_in.user, &wish.scope)?;
    let id = id_token(&ceiling, &wish, &signed_in, &access)?;
    let grant = Grant {
        id: new_id(),
        user: signed_in.user,
        client,
        session,
        code_digest: digest(code),
        challenge: wish.challenge,
        redirect_uri: wish.redirect_uri,
        scope: wish.scope,
        auth_time: signed_in.auth_time,
        trace: wish.trace,
        at: seconds(),
    };
    if !people.grant(grant).await? {
        return Err(invalid());
    }
    let mut response = TokenResponse::new(&access);
    response.id_token = Some(&id);
    response.answer()
}

fn read_wish(ceiling: &Ceiling, query: &str) -> Result<Wish, Refusal> {
    let form = Form::parse(query.as_bytes());
    let text = |name: &str| form.get(name).map(str::to_owned);
    let known = ceiling.clients.contains_key(form.get("client_id")?)
        && form.get("redirect_uri")? == CALLBACK
        && form.get("response_type")? == "code"
        && form.get("code_challenge_method")? == "S256";
    if !known {
        return Err(Refusal::bad("invalid_request"));
    }
    Ok(Wish {
        client: text("client_id")?,
        redirect_uri: text("redirect_uri")?,
        scope: text("scope")?,
        state: text("state")?,
        nonce: text("nonce")?,
        challenge: text("code_challenge")?,
        trace: random_text::<6>()?,
    })
}

/// Keeps a code and answers the address that takes it to the app.
async fn issue_code(ceiling: &Ceiling, wish: Wish, session: String) -> anyhow::Result<String> {
    let code = random_text::<32>()?;
    let issued = Issued { wish, session };
    ceiling.store.put(&code_key(&code), &serde_json::to_vec(&issued)?).await?;
    let query = Serializer::new(String::new())
        .append_pair("code", &code)
        .append_pair("state", &issued.wish.state)
        .append_pair("iss", &ceiling.issuer)
        .finish();
    Ok(format!("{}?{query}", issued.wish.redirect_uri))
}

fn id_token(
    ceiling: &Ceiling,
    wish: &Wish,
    signed_in: &SignedIn,
    access: &str,
) -> anyhow::Result<String> {
    let (iat, hash) = (now(), digest(access));
    let half = hash.get(..16).context("a digest of 32 bytes")?;
    let profile = &signed_in.profile;
    let claims = Claims {
        iss: &ceiling.issuer,
        sub: &signed_in.user,
        aud: &wish.client,
        iat,
        exp: iat + LIFETIME,
        auth_time: signed_in.auth_time,
        sid: &signed_in.session,
        amr: AMR,
        acr: ACR,
        nonce: &wish.nonce,
        at_hash: URL_SAFE_NO_PAD.encode(half),
        preferred_username: &signed_in.username,
        name: profile.name.as_deref(),
        picture: profile.picture.as_deref(),
        email: profile.email.as_deref(),
        email_verified: profile.email_verified,
    };
    ceiling.es256.sign(Kind::IdToken, &claims)
}

fn see_other<const COOKIES: usize>(location: &str, cookies: [String; COOKIES]) -> Response {
    let head = [(header::LOCATION, location), (header::CACHE_CONTROL, "no-store")];
    let cookies = AppendHeaders(cookies.map(|cookie| (header::SET_COOKIE, cookie)));
    (StatusCode::SEE_OTHER, head, cookies).into_response()
}

fn set_cookie(name: &str, value: &str, seconds: u32) -> String {
    format!("{name}={value}; Max-Age={seconds}; Path=/; HttpOnly; SameSite=Lax")
}

fn pending_key(state: &str) -> String {
    format!("bench-sign-in:{}", digest_text(state))
}

fn code_key(code: &str) -> String {
    format!("bench-issued:{}", digest_text(code))
}

//! UserInfo (OIDC Core §5.3): what an app may know about the person behind an access token.

use axum::{
    extract::{Request, State},
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use serde_json::{Map, Value, json};

use crate::{
    app::App,
    clients::Client,
    foundation::{
        clock::Timestamp,
        opaque::{Opaque, OpaqueKind},
    },
    protocol::{error::OAuthError, scope::OPENID},
    store::users::Person,
    tokens::{access::VerifiedAccessToken, claims},
    urls::path,
    web::{
        address,
        bearer::{self, Bearer, Presented},
        client_auth::certificate,
        dpop::{self, Purpose},
        error::{WireError, json},
        params,
        personal_access_token::{self, Showing},
    },
};

const CHALLENGE: &str = "Bearer realm=\"keywright\"";
const INVALID: &str = "Bearer realm=\"keywright\", error=\"invalid_token\"";
const INSUFFICIENT: &str =
    "Bearer realm=\"keywright\", error=\"insufficient_scope\", scope=\"openid\"";

/// `GET` and `POST /userinfo`.
pub async fn userinfo(State(app): State<App>, request: Request) -> Response {
    let now = app.now();
    let response = tell(&app, request, now).await.into_response();
    dpop::with_nonce(&app, response, now)
}

async fn tell(app: &App, request: Request, now: Timestamp) -> Result<Response, WireError> {
    let from = address::of(app, request.extensions(), request.headers());
    let by_proxy = address::is_by_proxy(app, request.extensions());
    let (method, uri) = (request.method().clone(), request.uri().clone());
    let headers = request.headers().clone();
    let body = params::body(request).await;
    let in_query = uri.query().is_some_and(|query| !query.is_empty());
    let form = params::of_form(&uri, &headers, body);
    if in_query || form.is_ok_and(|form| form.get("access_token").is_some()) {
        // RFC 6750 §2, §5.3: a token is brought in one way, and never in an address.
        return Err(OAuthError::invalid_request("the token belongs in the header").into());
    }
    let shown = bearer::read(&headers);
    let token = match shown {
        Presented::Token(token) | Presented::Bound(token) => token,
        Presented::Malformed => return Err(invalid()),
        Presented::Nothing => return Ok(challenge()),
    };
    if let Some(secret) = Opaque::parse(OpaqueKind::PersonalAccessToken, token) {
        if shown != Presented::Token(token) {
            return Err(invalid());
        }
        return about_owner(app, &secret, Showing::to_us(from, &headers), now).await;
    }
    let verified = VerifiedAccessToken::verify(&app.keys, app.urls.issuer(), token, now);
    let verified = verified.ok_or_else(invalid)?;
    if let Some(bound) = verified.confirmation().certificate {
        // RFC 8705 §3: of no use on anybody else's connection.
        let shown = certificate::shown(app, &headers, by_proxy);
        let its_own = shown.is_some_and(|shown| shown.thumbprint() == bound);
        its_own.then_some(()).ok_or_else(invalid)?;
    }
    let purpose =
        Purpose { method: method.as_str(), path: path::USERINFO, access_token: Some(token) };
    dpop::check_token(app, &headers, purpose, (&verified, &shown), now).await?;
    about(app, &verified, now).await
}

/// What the app of a good token may know.
async fn about(
    app: &App,
    verified: &VerifiedAccessToken,
    now: Timestamp,
) -> Result<Response, WireError> {
    let scope = verified.scope();
    match bearer::find_standing(app, verified, now).await? {
        None => Err(invalid()),
        Some(Bearer::Person(standing)) if scope.contains(OPENID) => {
            let (grant, person) = *standing;
            let client = app.clients.find(verified.client_id().as_str()).ok_or_else(invalid)?;
            let person = complete(app, &client, person).await?;
            let told = claims::for_app(&client, grant.upstream.as_ref(), &person, &scope);
            Ok(answer(&person, told))
        }
        Some(Bearer::Program(good)) if scope.contains(OPENID) => {
            let client = app.clients.find(verified.client_id().as_str()).ok_or_else(invalid)?;
            let upstream = good.token.upstream.as_ref();
            let person = complete(app, &client, good.person).await?;
            Ok(answer(&person, claims::for_app(&client, upstream, &person, &scope)))
        }
        Some(_) => Err(insufficient()),
    }
}

/// The person with all that the app is told; asks the database only where there is more.
async fn complete(app: &App, client: &Client, person: Person) -> Result<Person, WireError> {
    if client.settings.claims.iter().all(|claim| claim.attribute.is_none()) {
        return Ok(person);
    }
    Ok(claims::complete(&mut app.connection().await?, client, person).await?)
}

/// A personal access token belongs to no app: its program is told what its scopes say, and nothing of
/// any app's own.
async fn about_owner(
    app: &App,
    secret: &Opaque,
    showing: Showing,
    now: Timestamp,
) -> Result<Response, WireError> {
    let Ok(good) = personal_access_token::find(app, secret, now).await? else {
        return Err(invalid());
    };
    let scope = good.scope_here(app);
    personal_access_token::note_use(app, &good.token, showing, now).await;
    if !scope.contains(OPENID) {
        return Err(insufficient());
    }
    Ok(answer(&good.person, claims::about(&good.person, &scope)))
}

fn answer(person: &Person, told: Map<String, Value>) -> Response {
    let mut all = Map::new();
    all.insert("sub".to_owned(), json!(person.user.id));
    all.extend(told);
    json(StatusCode::OK, &all)
}

fn insufficient() -> WireError {
    WireError {
        challenge: Some(INSUFFICIENT),
        ..OAuthError::insufficient_scope("the token has no scope openid").into()
    }
}

fn invalid() -> WireError {
    WireError {
        challenge: Some(INVALID),
        ..OAuthError::invalid_token("the token is unknown, expired or revoked").into()
    }
}

/// Without a token there is nothing to say but how to bring one (RFC 6750 §3.1, RFC 9449 §7.1).
fn challenge() -> Response {
    let no_store = (header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    let mut response = (StatusCode::UNAUTHORIZED, [no_store]).into_response();
    for way in [CHALLENGE, dpop::CHALLENGE] {
        response.headers_mut().append(header::WWW_AUTHENTICATE, HeaderValue::from_static(way));
    }
    response
}

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
    protocol::{
        error::OAuthError,
        scope::{OPENID, Scope},
    },
    store::{grants::Grant, users::Person},
    tokens::{access::VerifiedAccessToken, claims},
    web::{
        bearer::{self, Bearer, Presented},
        error::{WireError, json},
        params,
    },
};

const CHALLENGE: &str = "Bearer realm=\"keywright\"";
const INVALID: &str = "Bearer realm=\"keywright\", error=\"invalid_token\"";
const INSUFFICIENT: &str =
    "Bearer realm=\"keywright\", error=\"insufficient_scope\", scope=\"openid\"";

/// `GET` and `POST /userinfo`.
pub async fn userinfo(State(app): State<App>, request: Request) -> Result<Response, WireError> {
    let now = app.now();
    let (uri, headers) = (request.uri().clone(), request.headers().clone());
    let body = params::body(request).await;
    let in_query = uri.query().is_some_and(|query| !query.is_empty());
    let form = params::of_form(&uri, &headers, body);
    if in_query || form.is_ok_and(|form| form.get("access_token").is_some()) {
        // RFC 6750 §2, §5.3: a token is brought in one way, and never in an address.
        return Err(OAuthError::invalid_request("the token belongs in the header").into());
    }
    let token = match bearer::read(&headers) {
        Presented::Token(token) => token,
        Presented::Malformed => return Err(invalid()),
        Presented::Nothing => return Ok(challenge()),
    };
    let verified = VerifiedAccessToken::verify(&app.keys, app.urls.issuer(), token, now);
    let verified = verified.ok_or_else(invalid)?;
    let scope = verified.scope();
    match bearer::find_standing(&app, &verified, now).await? {
        None => Err(invalid()),
        Some(Bearer::Person(standing)) if scope.contains(OPENID) => {
            let (grant, person) = *standing;
            let client = app.clients.find(verified.client_id().as_str()).ok_or_else(invalid)?;
            Ok(json(StatusCode::OK, &claims_of(&client, &grant, &person, &scope)))
        }
        Some(_) => Err(WireError {
            challenge: Some(INSUFFICIENT),
            ..OAuthError::insufficient_scope("the token has no scope openid").into()
        }),
    }
}

fn claims_of(client: &Client, grant: &Grant, person: &Person, scope: &Scope) -> Map<String, Value> {
    let mut all = Map::new();
    all.insert("sub".to_owned(), json!(person.user.id));
    all.extend(claims::for_app(client, grant, person, scope));
    all
}

fn invalid() -> WireError {
    WireError {
        challenge: Some(INVALID),
        ..OAuthError::invalid_token("the token is unknown, expired or revoked").into()
    }
}

/// Without a token there is nothing to say but how to bring one (RFC 6750 §3.1).
fn challenge() -> Response {
    let headers = [
        (header::WWW_AUTHENTICATE, HeaderValue::from_static(CHALLENGE)),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    (StatusCode::UNAUTHORIZED, headers).into_response()
}

//! `/api/v1/me`: the account behind an access token, and what its owner changes of it.
//!
//! To read takes the access token. To change anything takes the access token and the live refresh token
//! of the same family: one of them alone, out of a log or a page, is not enough. For what decides who
//! gets in, the present password comes on top.

pub(super) mod change;
pub(super) mod deletion;
mod proved;

use axum::{
    extract::{Request, State},
    http::{HeaderMap, StatusCode},
    response::Response,
};
use serde::Serialize;
use serde_json::{Map, Value};
use std::{net::IpAddr, sync::Arc};
use utoipa::ToSchema;

use super::{call, document::Refusal};
use crate::{
    app::App,
    clients::Client,
    dispatcher::second_factor,
    foundation::clock::Timestamp,
    protocol::scope::{OPENID, Scope},
    store::{
        grants::Grant,
        users::{Person, User},
    },
    tokens::{access::VerifiedAccessToken, claims},
    web::{
        address,
        bearer::{self, Bearer, Presented},
        error::json,
        problem::Problem,
    },
};

const INVALID: &str = "Bearer realm=\"keywright\", error=\"invalid_token\"";

/// Whose address it is.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum EmailState {
    /// There is none.
    None,
    /// Nobody has shown that it is theirs.
    Unverified,
    /// It is the person's.
    Verified,
}

/// The account.
#[derive(Serialize, ToSchema)]
struct Me {
    /// Its id.
    sub: String,
    /// What UserInfo says as far as the scope of the token reaches (OIDC Core §5.1).
    #[serde(flatten)]
    #[schema(value_type = Object)]
    claims: Map<String, Value>,
    /// Whether it has an address, and whose that is.
    email_state: EmailState,
    /// Whether it has a password here.
    has_password: bool,
    /// Whether it has a second factor.
    has_second_factor: bool,
}

/// Who an access token speaks for.
struct Speaker {
    client: Arc<Client>,
    grant: Grant,
    person: Person,
    scope: Scope,
}

/// Says who is signed in.
#[utoipa::path(
    get,
    operation_id = "me",
    path = "/api/v1/me",
    security(("token" = [])),
    responses(
        (status = 200, description = "The account", body = Me),
        (status = 401, description = "`invalid_token`", body = Refusal),
        (status = 403, description = "`insufficient_scope`, `unauthorized_client`, `origin_not_allowed`", body = Refusal),
    )
)]
pub(super) async fn show(State(app): State<App>, request: Request) -> Result<Response, Problem> {
    let now = app.now();
    let Speaker { client, grant, person, scope } = speaker(&app, request.headers(), now).await?;
    let person = claims::complete(&mut app.connection().await?, &client, person).await?;
    let claims = claims::for_app(&client, grant.upstream.as_ref(), &person, &scope);
    let has_second_factor = second_factor::has(&app, &person.user.id).await?;
    let me = Me {
        sub: person.user.id.as_str().to_owned(),
        claims,
        email_state: email_state(&person.user),
        has_password: person.user.password_hash.is_some(),
        has_second_factor,
    };
    Ok(json(StatusCode::OK, &me))
}

fn email_state(user: &User) -> EmailState {
    match (&user.email, user.email_verified) {
        (None, _) => EmailState::None,
        (Some(_), Some(true)) => EmailState::Verified,
        (Some(_), _) => EmailState::Unverified,
    }
}

/// The person and the app of the token in the header. What was given to a program, or to a client for
/// itself, is no sign-in (PT-07).
async fn speaker(app: &App, headers: &HeaderMap, now: Timestamp) -> Result<Speaker, Problem> {
    let Presented::Token(token) = bearer::read(headers) else {
        return Err(invalid());
    };
    let verified = VerifiedAccessToken::verify(&app.keys, app.urls.issuer(), token, now);
    // What is bound to a key is nothing without its proof, which this API does not know (RFC 9449 §7.2).
    let verified = verified.filter(VerifiedAccessToken::is_bearer).ok_or_else(invalid)?;
    let client = app.clients.find(verified.client_id().as_str()).ok_or_else(invalid)?;
    let standing = bearer::find_standing(app, &verified, now).await?.ok_or_else(invalid)?;
    call::check(&client, headers)?;
    let scope = verified.scope();
    match standing {
        Bearer::Person(standing) if scope.contains(OPENID) => {
            let (grant, person) = *standing;
            Ok(Speaker { client, grant, person, scope })
        }
        _ => {
            let detail = "the token is of no sign-in, or has no scope openid";
            Err(Problem::new(StatusCode::FORBIDDEN, "insufficient_scope", detail))
        }
    }
}

fn invalid() -> Problem {
    let detail = "the access token is missing, unknown, expired or revoked";
    let problem = Problem::new(StatusCode::UNAUTHORIZED, "invalid_token", detail);
    Problem { challenge: Some(INVALID), ..problem }
}

/// From where a request comes.
fn from(app: &App, request: &Request) -> IpAddr {
    address::of(app, request.extensions(), request.headers())
}

//! Tokens for a session that has just begun without a code: the person has signed in on the app's own
//! form, and there is no browser to carry anything. The family is like that of a code, and dies with the
//! session, the password and the account like every other.

use super::{
    Exchange, Story, TokenResponse,
    authorization_code::{check_person, keep_with_refresh_token, lease_end},
};
use crate::{
    foundation::{
        ids::{GrantId, SessionId, TraceId},
        opaque::{Opaque, OpaqueKind},
    },
    protocol::{
        error::OAuthError,
        scope::{OFFLINE_ACCESS, Scope},
        words::GrantType,
    },
    store::{
        StoreError,
        grants::{self, Grant},
        sessions::{self, Session},
    },
    tokens::claims,
    web::error::WireError,
};

const ENDED: OAuthError = OAuthError::invalid_grant("the session is over");

/// Whether a family came of no code. Then no browser knows its session either.
pub fn is_direct(grant: &Grant) -> bool {
    grant.redirect_uri.is_empty()
}

/// Tokens for the client, of this session.
pub async fn grant(
    exchange: &Exchange<'_>,
    session: &SessionId,
    scope: &Scope,
    trace: &TraceId,
) -> Result<TokenResponse, WireError> {
    let unknown = Story { trace: Some(trace), user: None };
    let mut connection = exchange.app.connection().await?;
    let found = sessions::find(&mut connection, session).await.map_err(StoreError::from)?;
    let Some((session, person)) = found else {
        return Err(exchange.refuse(ENDED, "session_ended", unknown));
    };
    let story = Story { user: Some(&session.user_id), ..unknown };
    check_person(exchange, &session, &person, story)?;
    let until = lease_end(exchange, &session, story)?;
    let grant = new_grant(exchange, &session, scope, trace);
    // Signed before the transaction, which is then short.
    let person = claims::complete(&mut connection, exchange.client, person).await?;
    let response = exchange.tokens_for(&grant, &person, scope, None, until)?;
    let offline =
        scope.contains(OFFLINE_ACCESS) && exchange.client.may_use(GrantType::RefreshToken);
    let kept = if offline {
        keep_with_refresh_token(exchange, &mut connection, &grant).await?
    } else {
        let inserted = grants::insert(&mut connection, &grant).await;
        inserted.map_err(StoreError::from)?.then_some(None)
    };
    match kept {
        Some(refresh_token) => Ok(TokenResponse { refresh_token, ..response }),
        None => Err(exchange.refuse(ENDED, "session_ended", story)),
    }
}

fn new_grant(exchange: &Exchange<'_>, session: &Session, scope: &Scope, trace: &TraceId) -> Grant {
    let (app, now) = (exchange.app, exchange.now);
    Grant {
        id: GrantId::generate(app.random(), now),
        user_id: session.user_id.clone(),
        client_id: exchange.client.id().clone(),
        session_id: session.id.clone(),
        // The code of nobody: what it is the digest of is forgotten here.
        code_digest: Opaque::generate(OpaqueKind::AuthorizationCode, app.random()).digest(),
        code_challenge: None,
        redirect_uri: String::new(),
        scope: scope.to_string(),
        auth_time: session.auth_time,
        amr: session.amr.clone(),
        acr: session.acr,
        created_at: now,
        expires_at: now.plus(app.config.tokens.refresh_absolute_lifetime),
        revoked_at: None,
        revoked_because: None,
        trace_id: trace.clone(),
        upstream: session.upstream.clone(),
        dpop_jkt: None,
    }
}

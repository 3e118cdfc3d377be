//! A code for tokens (RFC 6749 §4.1.3, OIDC Core §3.1.3).
//!
//! The grant's row carries the code's digest, unique, and is written with the refresh token in one
//! transaction: a code is redeemed once, whatever races and whatever the short-lived state forgets.
//! A second redemption by whoever could have made the first ends everything that came of it.

use super::{Exchange, Story, TokenResponse};
use crate::{
    config::ConsentPolicy,
    foundation::{
        clock::Timestamp,
        digest::TokenDigest,
        ids::GrantId,
        opaque::{Opaque, OpaqueKind},
    },
    leases::{self, Standing},
    protocol::{
        error::OAuthError,
        pkce::CodeChallenge,
        scope::{OFFLINE_ACCESS, Scope},
        words::GrantType,
    },
    sessions as session_rules,
    store::{
        Connection, StoreError, StoreResult, consents,
        grants::{self, Grant, RevokedBecause},
        sessions::{self, Session},
        users::Person,
    },
    tokens::{
        claims,
        codes::{self, CodePayload},
        refresh,
    },
    web::error::WireError,
};

const UNKNOWN: OAuthError = OAuthError::invalid_grant("the code is unknown, expired or used");

/// Tokens for the code of the request.
pub async fn redeem(exchange: &Exchange<'_>) -> Result<TokenResponse, WireError> {
    let text = exchange.param("code", "code is missing")?;
    let Some(code) = Opaque::parse(OpaqueKind::AuthorizationCode, text) else {
        return Err(exchange.refuse(UNKNOWN, "code_malformed", Story::default()));
    };
    let digest = code.digest();
    let payload = find(exchange, &digest).await?;
    check_binding(exchange, &digest, &payload).await?;
    exchange.use_proof().await?;
    if payload.code_challenge.is_some() {
        // Only the client itself, who has just proved to be it, tightens its ratchet.
        let app = exchange.app;
        app.clients.note_pkce(exchange.client, async || app.connection().await).await?;
    }
    let story = Story { trace: Some(&payload.trace_id), user: Some(&payload.user_id) };

    let mut connection = exchange.app.connection().await?;
    let standing = sessions::find(&mut connection, &payload.session_id).await;
    let admitted = match standing.map_err(StoreError::from)? {
        Some((session, person)) => {
            check_person(exchange, &session, &person, story).map(|()| (session, person))
        }
        None => Err(exchange.refuse(UNKNOWN, "session_ended", story)),
    };
    let (session, person) = match admitted {
        Ok(admitted) => admitted,
        // A code that was used before is a replay, whatever else has changed since (CD-06).
        Err(_) if revoke_first(&mut connection, &digest, exchange.now).await? => {
            return Err(exchange.refuse(UNKNOWN, "code_replay", story));
        }
        Err(refusal) => return Err(refusal),
    };
    if !still_agreed(exchange, &mut connection, &payload).await? {
        return Err(exchange.refuse(UNKNOWN, "consent_taken_back", story));
    }
    let until = lease_end(exchange, &session, story)?;
    let grant = new_grant(exchange, &payload, &session, digest);
    // Signed before the transaction, which is then short.
    let (scope, nonce) = (&payload.scope, payload.nonce.as_deref());
    let person = claims::complete(&mut connection, exchange.client, person).await?;
    let response = exchange.tokens_for(&grant, &person, scope, nonce, until)?;
    let kept = keep(exchange, &mut connection, &grant, &payload).await?;
    let Kept::Yes(refresh_token) = kept else {
        return Err(match kept {
            Kept::SessionEnded => exchange.refuse(UNKNOWN, "session_ended", story),
            _ => exchange.refuse(UNKNOWN, "code_replay", story),
        });
    };
    Ok(TokenResponse { refresh_token, ..response })
}

/// What the code stands for. A code that is gone may have been used: then whoever presents it again
/// with everything that belongs to it ends the family.
async fn find(exchange: &Exchange<'_>, digest: &TokenDigest) -> Result<CodePayload, WireError> {
    let (app, now) = (exchange.app, exchange.now);
    let life = app.config.tokens.authorization_code_lifetime;
    let found = codes::find_code(&app.state, digest, life, now).await;
    if let Ok(Some(payload)) = found {
        return Ok(payload);
    }
    let mut connection = app.connection().await?;
    let used = grants::find_by_code(&mut connection, digest).await.map_err(StoreError::from)?;
    let Some(grant) = used else {
        // That a code was used is known without the short-lived state; that it is good is not.
        found?;
        return Err(exchange.refuse(UNKNOWN, "code_unknown", Story::default()));
    };
    let story = Story { trace: Some(&grant.trace_id), user: Some(&grant.user_id) };
    let challenge = grant.code_challenge.as_deref().and_then(CodeChallenge::parse);
    let fitting = grant.client_id == *exchange.client.id()
        && exchange.params.get("redirect_uri") == Some(&grant.redirect_uri)
        && verifier_fits(exchange, challenge.as_ref());
    if !fitting {
        // A replay without the proofs is a guess, and no weapon (CD-07).
        return Err(exchange.refuse(UNKNOWN, "code_replay_without_proof", story));
    }
    let because = RevokedBecause::CodeReplayed;
    let revoked = grants::revoke(&mut connection, &grant.id, because, now).await;
    revoked.map_err(StoreError::from)?;
    Err(exchange.refuse(UNKNOWN, "code_replay", story))
}

/// The code belongs to this client, this address and this verifier (RFC 6749 §4.1.3, RFC 7636 §4.6).
async fn check_binding(
    exchange: &Exchange<'_>,
    digest: &TokenDigest,
    payload: &CodePayload,
) -> Result<(), WireError> {
    let story = Story { trace: Some(&payload.trace_id), user: Some(&payload.user_id) };
    if payload.client_id != *exchange.client.id() {
        return Err(exchange.refuse(UNKNOWN, "code_of_another_client", story));
    }
    let (error, reason) = if exchange.params.get("redirect_uri") != Some(&payload.redirect_uri) {
        let fault = "redirect_uri is not the one of the authorization request";
        (OAuthError::invalid_grant(fault), "redirect_uri_mismatch")
    } else if !verifier_fits(exchange, payload.code_challenge.as_ref()) {
        (OAuthError::invalid_grant("code_verifier does not fit the code"), "pkce_mismatch")
    } else if payload.dpop_jkt.is_some() && payload.dpop_jkt.as_deref() != exchange.key() {
        // RFC 9449 §10.
        let fault = "the DPoP proof is not of the key that the code is bound to";
        (OAuthError::invalid_grant(fault), "dpop_key_mismatch")
    } else {
        return Ok(());
    };
    codes::note_failure(&exchange.app.state, digest).await?;
    Err(exchange.refuse(error, reason, story))
}

/// A verifier that fits the challenge; none where there was no challenge (RFC 9700 §4.8.2).
fn verifier_fits(exchange: &Exchange<'_>, challenge: Option<&CodeChallenge>) -> bool {
    match (challenge, exchange.params.get("code_verifier")) {
        (Some(challenge), Some(verifier)) => challenge.is_met_by(verifier),
        (None, None) => true,
        _ => false,
    }
}

/// The session is alive and the person may still enter (AZ-28, CD-13).
pub(super) fn check_person(
    exchange: &Exchange<'_>,
    session: &Session,
    person: &Person,
    story: Story<'_>,
) -> Result<(), WireError> {
    let settings = &exchange.app.config.sessions;
    if !session_rules::is_live(session, person, settings, exchange.now) {
        return Err(exchange.refuse(UNKNOWN, "session_ended", story));
    }
    // Within the minute of the code, the person may have come another way.
    match exchange.client.turns_away(person, session.upstream.as_ref(), session.acr) {
        Some(reason) => Err(exchange.refuse(UNKNOWN, reason, story)),
        None => Ok(()),
    }
}

/// Whether the person still agrees to what the app gets, where they were to be asked (RT-08).
async fn still_agreed(
    exchange: &Exchange<'_>,
    conn: &mut Connection,
    payload: &CodePayload,
) -> StoreResult<bool> {
    if exchange.client.settings.consent == ConsentPolicy::Never {
        return Ok(true);
    }
    let consent = consents::find(conn, &payload.user_id, exchange.client.id()).await?;
    Ok(consent.is_some_and(|row| payload.scope.is_within(&Scope::from(row.scope))))
}

/// When the lease of the session ends: no token outlives it. It was renewed when the code was
/// issued, if that was due.
pub(super) fn lease_end(
    exchange: &Exchange<'_>,
    session: &Session,
    story: Story<'_>,
) -> Result<Option<Timestamp>, WireError> {
    let limit = exchange.client.settings.max_staleness;
    let ends = leases::end(exchange.app, &Standing::of(session), limit);
    match ends {
        Some(ends) if ends <= exchange.now => Err(exchange.refuse(UNKNOWN, "lease_lost", story)),
        _ => Ok(ends),
    }
}

fn new_grant(
    exchange: &Exchange<'_>,
    payload: &CodePayload,
    session: &Session,
    digest: TokenDigest,
) -> Grant {
    let (app, now) = (exchange.app, exchange.now);
    Grant {
        id: GrantId::generate(app.random(), now),
        user_id: payload.user_id.clone(),
        client_id: payload.client_id.clone(),
        session_id: payload.session_id.clone(),
        code_digest: digest,
        code_challenge: payload.code_challenge.as_ref().map(|c| c.as_str().to_owned()),
        redirect_uri: payload.redirect_uri.clone(),
        scope: payload.scope.to_string(),
        auth_time: session.auth_time,
        amr: session.amr.clone(),
        acr: session.acr,
        created_at: now,
        expires_at: now.plus(app.config.tokens.refresh_absolute_lifetime),
        revoked_at: None,
        revoked_because: None,
        trace_id: payload.trace_id.clone(),
        upstream: session.upstream.clone(),
        // RFC 9449 §5: whoever proves who they are needs no second binding.
        dpop_jkt: exchange.key().filter(|_| exchange.client.is_public()).map(str::to_owned),
    }
}

enum Kept {
    Yes(Option<String>),
    SessionEnded,
    Replayed,
}

/// Stores the use of the code, and the refresh token with it.
async fn keep(
    exchange: &Exchange<'_>,
    connection: &mut Connection,
    grant: &Grant,
    payload: &CodePayload,
) -> StoreResult<Kept> {
    let with_refresh_token =
        payload.scope.contains(OFFLINE_ACCESS) && exchange.client.may_use(GrantType::RefreshToken);
    let kept = if with_refresh_token {
        keep_with_refresh_token(exchange, connection, grant).await?
    } else {
        grants::insert(connection, grant).await?.then_some(None)
    };
    if let Some(refresh_token) = kept {
        return Ok(Kept::Yes(refresh_token));
    }
    let replayed = revoke_first(connection, &grant.code_digest, exchange.now).await?;
    Ok(if replayed { Kept::Replayed } else { Kept::SessionEnded })
}

/// Both or neither; nothing if the grant cannot be.
pub(super) async fn keep_with_refresh_token(
    exchange: &Exchange<'_>,
    connection: &mut Connection,
    grant: &Grant,
) -> StoreResult<Option<Option<String>>> {
    let (app, now) = (exchange.app, exchange.now);
    connection
        .transaction(async |conn| {
            if !grants::insert(conn, grant).await? {
                return Ok(None);
            }
            let (ends, policy) = (grant.expires_at, app.refresh_policy());
            let token =
                refresh::issue_first(conn, &grant.id, ends, policy, app.random(), now).await?;
            Ok(Some(Some(token.expose().to_owned())))
        })
        .await
}

/// Ends what came of the first use of a code, if there was one.
async fn revoke_first(
    conn: &mut Connection,
    code: &TokenDigest,
    now: Timestamp,
) -> StoreResult<bool> {
    let Some(first) = grants::find_by_code(conn, code).await? else {
        return Ok(false);
    };
    grants::revoke(conn, &first.id, RevokedBecause::CodeReplayed, now).await?;
    Ok(true)
}

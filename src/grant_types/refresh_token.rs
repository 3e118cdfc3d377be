//! A refresh token for new tokens (RFC 6749 §6, RFC 9700 §4.14.2). Needs the database alone.

use super::{Exchange, Story, TokenResponse, direct::is_direct};
use crate::{
    app::App,
    audit::Event,
    clients::{Client, Clients},
    foundation::{
        clock::{Span, Timestamp},
        ids::UpstreamSlug,
        opaque::{Opaque, OpaqueKind},
    },
    leases::{Held, Standing},
    protocol::{
        error::{ErrorCode, OAuthError},
        scope::Scope,
    },
    sessions as session_rules,
    store::{
        Connection, StoreError, StoreResult, audit_events,
        grants::{self, Grant, RevokedBecause},
        refresh_tokens::{self, Found, RefreshToken},
        sessions,
        users::Person,
    },
    tokens::{
        claims,
        refresh::{self, RefreshRules, Rotated},
    },
    web::error::WireError,
};

const UNKNOWN: OAuthError =
    OAuthError::invalid_grant("the refresh token is unknown, expired, revoked or used");

/// More refreshes than this of one family within [`LOOP_SPAN`] are an app that runs in a circle.
const LOOP: i64 = 30;
const LOOP_SPAN: Span = Span::from_minutes(1);

/// New tokens for this refresh token, as the app presents it.
pub async fn refresh(exchange: &Exchange<'_>, text: &str) -> Result<TokenResponse, WireError> {
    let Some(presented) = Opaque::parse(OpaqueKind::RefreshToken, text) else {
        return Err(exchange.refuse(UNKNOWN, "refresh_token_malformed", Story::default()));
    };
    go_on(exchange, &presented).await
}

/// Whether the family of this token has been refreshed so often just now that it can only be by
/// mistake. A page that reloads itself at each answer does that, and nobody is there to stop it.
pub async fn runs_in_a_circle(
    conn: &mut Connection,
    presented: &Opaque,
    now: Timestamp,
) -> StoreResult<bool> {
    let since = now.minus(LOOP_SPAN);
    let issued = refresh_tokens::issued_since(conn, &presented.digest(), since).await?;
    Ok(issued > LOOP)
}

/// New tokens for this refresh token, however it came.
pub async fn go_on(
    exchange: &Exchange<'_>,
    presented: &Opaque,
) -> Result<TokenResponse, WireError> {
    let found = find(exchange, presented).await?;
    check_family(exchange, &found.grant)?;
    let held = hold(exchange, &found).await?;
    let found = match held {
        Held::Asked(_) => {
            let found = find(exchange, presented).await?;
            check_family(exchange, &found.grant)?;
            found
        }
        _ => found,
    };
    let Found { token: row, grant, person, upstream, .. } = found;
    let story = Story::of(&grant);
    exchange.use_proof().await?;
    let mut connection = exchange.app.connection().await?;
    let granted = Scope::from(grant.scope.clone());
    if let Some((reason, because)) =
        no_longer_allowed(exchange, &grant, &granted, (&person, upstream.as_ref()))
    {
        let revoked = grants::revoke(&mut connection, &grant.id, because, exchange.now).await;
        revoked.map_err(StoreError::from)?;
        return Err(exchange.refuse(UNKNOWN, reason, story));
    }
    let scope = narrowed(exchange, granted)?;
    // OIDC Core §12.2: no nonce when refreshing.
    let person = claims::complete(&mut connection, exchange.client, person).await?;
    let response = exchange.tokens_for(&grant, &person, &scope, None, held.until())?;
    match rotate(exchange, &mut connection, presented, &row, &grant).await? {
        Rotated::Successor(token) => {
            Ok(TokenResponse { refresh_token: Some(token.expose().to_owned()), ..response })
        }
        Rotated::Reused => Err(exchange.refuse(UNKNOWN, "refresh_reuse", story)),
        Rotated::Expired => Err(exchange.refuse(UNKNOWN, "refresh_token_expired", story)),
    }
}

async fn find(exchange: &Exchange<'_>, presented: &Opaque) -> Result<Found, WireError> {
    let mut connection = exchange.app.connection().await?;
    let found = refresh_tokens::find(&mut connection, &presented.digest()).await;
    let unknown = || exchange.refuse(UNKNOWN, "refresh_token_unknown", Story::default());
    found.map_err(StoreError::from)?.ok_or_else(unknown)
}

/// The upstream that signed the person in still stands by its word.
async fn hold(exchange: &Exchange<'_>, found: &Found) -> Result<Held, WireError> {
    let Some(confirmed_at) = found.confirmed_at else {
        // The session is gone, and nobody knows who stood by it.
        let error = OAuthError::invalid_grant("the person has to sign in again");
        return Err(exchange.refuse(error, "session_gone", Story::of(&found.grant)));
    };
    let standing = Standing {
        session: found.grant.session_id.clone(),
        upstream: found.upstream.clone(),
        confirmed_at,
    };
    exchange.hold(&standing, Story::of(&found.grant)).await
}

/// The family is this client's and alive, and whoever asks holds its key. Another client's attempt harms nobody (RT-09).
fn check_family(exchange: &Exchange<'_>, grant: &Grant) -> Result<(), WireError> {
    let reason = if grant.client_id != *exchange.client.id() {
        "refresh_token_of_another_client"
    } else if grant.revoked_at.is_some() {
        "grant_revoked"
    } else if grant.expires_at <= exchange.now {
        "grant_expired"
    } else if grant.dpop_jkt.is_some() && grant.dpop_jkt.as_deref() != exchange.key() {
        // RFC 9449 §5: of no use to whoever has found it. Nothing of it is used up.
        let fault = "the DPoP proof is not of the key that the refresh token is bound to";
        let error = OAuthError::new(ErrorCode::InvalidDpopProof, fault);
        return Err(exchange.refuse(error, "dpop_key_mismatch", Story::of(grant)));
    } else {
        return Ok(());
    };
    Err(exchange.refuse(UNKNOWN, reason, Story::of(grant)))
}

/// Whether the person and the client have lost what was granted (RT-10, UP-22).
fn no_longer_allowed(
    exchange: &Exchange<'_>,
    grant: &Grant,
    granted: &Scope,
    (person, upstream): (&Person, Option<&UpstreamSlug>),
) -> Option<(&'static str, RevokedBecause)> {
    let client = exchange.client;
    // The way by which it was granted, and the one whose word the session rests on.
    let ways = [grant.upstream.as_ref(), upstream];
    let reason = ways.into_iter().find_map(|way| client.turns_away(person, way, grant.acr));
    if let Some(reason) = reason {
        let shut = person.user.disabled_at.is_some();
        let because =
            if shut { RevokedBecause::UserDisabled } else { RevokedBecause::NoLongerAllowed };
        return Some((reason, because));
    }
    let lost = !granted.is_within(&client.scope);
    lost.then_some(("scope_no_longer_allowed", RevokedBecause::NoLongerAllowed))
}

/// The scope of the new access token: what is asked, within what was granted (RFC 6749 §6).
fn narrowed(exchange: &Exchange<'_>, granted: Scope) -> Result<Scope, OAuthError> {
    let Some(text) = exchange.params.get("scope") else {
        return Ok(granted);
    };
    let asked = Scope::parse(text)
        .ok_or_else(|| OAuthError::invalid_scope("scope is too long or cannot be read"))?;
    if asked.is_empty() || !asked.is_within(&granted) {
        return Err(OAuthError::invalid_scope("scope reaches beyond what was granted"));
    }
    Ok(asked)
}

/// Rotates. Reuse ends the family in the same transaction, which commits although the request is
/// refused.
async fn rotate(
    exchange: &Exchange<'_>,
    connection: &mut Connection,
    presented: &Opaque,
    row: &RefreshToken,
    grant: &Grant,
) -> StoreResult<Rotated> {
    let (app, now) = (exchange.app, exchange.now);
    let rules = RefreshRules { policy: app.refresh_policy(), ring: &app.refresh_ring };
    connection
        .transaction(async |conn| {
            let ends = grant.expires_at;
            let rotated = refresh::rotate(conn, presented, row, ends, rules, now).await?;
            if matches!(rotated, Rotated::Reused) {
                grants::revoke(conn, &grant.id, RevokedBecause::RefreshReused, now).await?;
            }
            Ok(rotated)
        })
        .await
}

/// Ends the family of a token that its client no longer wants. What is unknown is as good as ended
/// (RFC 7009 §2.2).
pub async fn give_back(
    app: &App,
    client: &Client,
    presented: &Opaque,
    because: RevokedBecause,
    now: Timestamp,
) -> StoreResult<()> {
    let mut connection = app.connection().await?;
    let found = refresh_tokens::find(&mut connection, &presented.digest()).await;
    let Some(Found { grant, .. }) = found.map_err(StoreError::from)? else {
        return Ok(());
    };
    if grant.client_id != *client.id() {
        note_foreign(app, client);
        return Ok(());
    }
    let event = Event::done("revoke").client(client.id()).user(&grant.user_id);
    let event = event.trace(&grant.trace_id).row(now, app.random());
    connection
        .transaction(async |conn| {
            if end(conn, &grant, &app.clients, because, now).await? {
                audit_events::insert(conn, &event).await?;
            }
            Ok(())
        })
        .await
}

/// Ends a family, in the caller's transaction. One that came of no code takes its session with it, which
/// nothing else has. Answers whether anything was still alive.
pub async fn end(
    conn: &mut Connection,
    grant: &Grant,
    clients: &Clients,
    because: RevokedBecause,
    now: Timestamp,
) -> StoreResult<bool> {
    let revoked = grants::revoke(conn, &grant.id, because, now).await?;
    if !is_direct(grant) {
        return Ok(revoked);
    }
    let session = sessions::hold(conn, &grant.session_id).await?;
    let Some(session) = session.filter(|session| session.ended_at.is_none()) else {
        return Ok(revoked);
    };
    let ended = session_rules::end(conn, &session, clients, because, now).await?;
    Ok(revoked || ended)
}

/// Ends what the browser had for an app before it signed in anew: nobody could use it any more. That it
/// cannot be ended is no reason to keep the app's answer from it: what led there is used up.
pub async fn replace(app: &App, client: &Client, former: &Opaque, now: Timestamp) {
    let because = RevokedBecause::Replaced;
    if let Err(error) = give_back(app, client, former, because, now).await {
        tracing::warn!(%error, "a refresh token that was replaced could not be revoked");
    }
}

/// Whether the family of a token has ended because another sign-in took its place.
pub async fn was_replaced(app: &App, presented: &Opaque) -> StoreResult<bool> {
    let mut connection = app.connection().await?;
    let found = refresh_tokens::find(&mut connection, &presented.digest()).await?;
    let because = found.and_then(|found| found.grant.revoked_because);
    Ok(because == Some(RevokedBecause::Replaced))
}

/// Another client's token stays as it is, and the attempt is kept (IN-04).
pub fn note_foreign(app: &App, client: &Client) {
    app.audit.note(Event::refused("revoke", "token_of_another_client").client(client.id()));
}

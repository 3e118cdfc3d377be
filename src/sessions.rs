//! Browser sessions: who is signed in at this browser, since when, how, and through which upstream.
//!
//! The cookie holds a secret of which only the digest is stored. Whoever signs in gets a new secret
//! every time, so a planted cookie is worth nothing (SS-01).

use serde_json::json;

use crate::{
    clients::Clients,
    config::SessionSettings,
    foundation::{
        clock::{Span, Timestamp},
        digest::TokenDigest,
        ids::{SessionId, UpstreamSlug, UserId},
        opaque::{Opaque, OpaqueKind},
        random::Random,
        secret::Secret,
    },
    protocol::acr::Level,
    store::{
        Connection, StoreResult,
        audit_events::{self, AuditEvent},
        grants::{self, RevokedBecause},
        leases, logout_deliveries,
        one_time_links::{self, LinkPurpose},
        personal_access_tokens,
        sessions::{self, Room, Session},
        users::{AccountKind, Person},
    },
};

/// Use is noted at most this often, so that a busy session is not a write per request.
const TOUCH_INTERVAL: Span = Span::from_minutes(1);

/// A live session and its person.
#[derive(Clone, Debug)]
pub struct LiveSession {
    /// The session.
    pub session: Session,
    /// Whose it is.
    pub person: Person,
}

/// How somebody has just proved who they are.
#[derive(Clone, Debug)]
pub struct Proof {
    /// Who.
    pub user_id: UserId,
    /// At which upstream; none for a local password.
    pub upstream: Option<UpstreamSlug>,
    /// The upstream's own session.
    pub upstream_sid: Option<String>,
    /// When.
    pub auth_time: Timestamp,
    /// How (RFC 8176).
    pub amr: Vec<String>,
    /// At which level.
    pub acr: Level,
    /// From which address.
    pub address: String,
    /// With which browser.
    pub user_agent: String,
}

/// Whether a session is still good.
pub fn is_live(
    session: &Session,
    person: &Person,
    settings: &SessionSettings,
    now: Timestamp,
) -> bool {
    session.ended_at.is_none()
        && now < session.expires_at
        && now.since(session.last_seen_at) < settings.idle_lifetime
        && person.user.disabled_at.is_none()
        // Nobody signs in to a program's account, by whatever way somebody might think of.
        && person.user.kind == AccountKind::Person
}

/// The live session that a cookie names.
pub async fn find_live(
    conn: &mut Connection,
    digest: &TokenDigest,
    settings: &SessionSettings,
    now: Timestamp,
) -> StoreResult<Option<LiveSession>> {
    let Some((session, person)) = sessions::find_by_digest(conn, digest).await? else {
        return Ok(None);
    };
    if !is_live(&session, &person, settings, now) {
        return Ok(None);
    }
    if now.since(session.last_seen_at) >= TOUCH_INTERVAL {
        sessions::touch(conn, &session.id, now).await?;
    }
    Ok(Some(LiveSession { session, person }))
}

/// What beginning a session goes by.
#[derive(Clone, Copy)]
pub struct Policy<'a> {
    /// The lifetimes.
    pub settings: &'a SessionSettings,
    /// The apps, which are told when a session ends.
    pub clients: &'a Clients,
    /// Where chance comes from.
    pub random: &'a dyn Random,
}

impl std::fmt::Debug for Policy<'_> {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("Policy")
    }
}

/// Begins a session for who has just proved who they are, and answers the cookie's secret. The
/// former session of this browser ends: handing on its name if the same person came the same way, so
/// that apps see one session that was renewed; with all its tokens otherwise. The event
/// is kept with it.
pub async fn begin(
    conn: &mut Connection,
    former: Option<&Session>,
    proof: Proof,
    event: &AuditEvent,
    policy: Policy<'_>,
    now: Timestamp,
) -> StoreResult<(Session, Secret)> {
    let Policy { settings, clients, random } = policy;
    let secret = Opaque::generate(OpaqueKind::Session, random);
    // What hangs on the word of one upstream must not go on by the word of another, nor without any.
    let is_renewal =
        |former: &&Session| former.user_id == proof.user_id && former.upstream == proof.upstream;
    let renewed = former.filter(is_renewal);
    if let (Some(former), None) = (former, renewed) {
        end(conn, former, clients, RevokedBecause::Replaced, now).await?;
    }
    let session = Session {
        id: renewed.map_or_else(|| SessionId::generate(random, now), |former| former.id.clone()),
        digest: secret.digest(),
        user_id: proof.user_id,
        upstream: proof.upstream,
        upstream_sid: proof.upstream_sid,
        auth_time: proof.auth_time,
        amr: proof.amr.iter().collect(),
        acr: Some(proof.acr),
        created_at: renewed.map_or(now, |former| former.created_at),
        last_seen_at: now,
        confirmed_at: now,
        expires_at: now.plus(settings.absolute_lifetime),
        ended_at: None,
        address: proof.address,
        user_agent: proof.user_agent,
    };
    if renewed.is_some() && sessions::renew(conn, &session).await? {
        audit_events::insert(conn, event).await?;
        return Ok((session, secret.reveal()));
    }
    // A session that ended in this very moment is not renewed but replaced.
    let session = match renewed {
        Some(_) => Session { id: SessionId::generate(random, now), ..session },
        None => session,
    };
    let room =
        Room { most: settings.max_per_person, used_since: now.minus(settings.idle_lifetime) };
    for oldest in sessions::insert(conn, &session, event, room).await? {
        end(conn, &oldest, clients, RevokedBecause::TooManySessions, now).await?;
        audit_events::insert(conn, &too_many(&oldest, event, random)).await?;
    }
    Ok((session, secret.reveal()))
}

/// The event of a session that ended because a further one has begun.
fn too_many(oldest: &Session, begun: &AuditEvent, random: &dyn Random) -> AuditEvent {
    let because = RevokedBecause::TooManySessions.as_str();
    AuditEvent {
        // Sorts by time, like all our ids.
        id: UserId::generate(random, begun.at).as_str().to_owned(),
        action: "end_session".to_owned(),
        client_id: None,
        upstream: oldest.upstream.clone(),
        detail: json!({ "session": oldest.id, "because": because }).to_string(),
        ..begun.clone()
    }
}

/// Raises a session whose person has proved one thing more: a new secret (SS-01), more methods, a
/// higher level. When the first proof was given, and for how long it counts, stays as it is. Nothing,
/// if the session has ended.
pub async fn raise(
    conn: &mut Connection,
    session: &SessionId,
    (methods, level): (&[&str], Level),
    random: &dyn Random,
    now: Timestamp,
) -> StoreResult<Option<(Session, Secret)>> {
    let current = sessions::hold(conn, session).await?;
    let Some(current) = current.filter(|current| current.ended_at.is_none()) else {
        return Ok(None);
    };
    let secret = Opaque::generate(OpaqueKind::Session, random);
    let mut amr = current.amr.to_vec();
    for method in methods {
        if !amr.iter().any(|own| own == method) {
            amr.push((*method).to_owned());
        }
    }
    let session = Session {
        digest: secret.digest(),
        amr: amr.iter().collect(),
        acr: current.acr.max(Some(level)),
        last_seen_at: now,
        ..current
    };
    let raised = sessions::renew(conn, &session).await?;
    Ok(raised.then(|| (session, secret.reveal())))
}

/// Ends a session and the families of tokens that began in it, and plans to tell the apps. Apps that
/// work offline keep theirs when the person merely signs out. Answers whether it was still alive.
pub async fn end(
    conn: &mut Connection,
    session: &Session,
    clients: &Clients,
    because: RevokedBecause,
    now: Timestamp,
) -> StoreResult<bool> {
    let ended = sessions::end(conn, &session.id, &session.user_id, now).await?;
    let keeping = match because {
        // OIDC Back-Channel Logout §2.7 says the same of an upstream's sign-out.
        RevokedBecause::SignedOut
        | RevokedBecause::UpstreamLogout
        | RevokedBecause::TooManySessions => clients.keeping_offline_access(),
        _ => Vec::new(),
    };
    grants::revoke_of_session(conn, &session.id, &keeping, because, now).await?;
    if ended {
        tell(conn, &session.id, clients, now).await?;
    }
    if session.upstream.is_some() && keeping.is_empty() {
        // Nothing is left that the upstream would be asked about.
        leases::delete(conn, &session.id).await?;
    }
    Ok(ended)
}

/// Ends every session that an account has begun through an upstream, with all families of tokens that
/// began in one of them, and plans to tell the apps.
pub async fn end_all_of_upstream(
    conn: &mut Connection,
    (user, upstream): (&UserId, &UpstreamSlug),
    clients: &Clients,
    because: RevokedBecause,
    now: Timestamp,
) -> StoreResult<()> {
    for session in sessions::list_of_upstream(conn, user, upstream).await? {
        end(conn, &session, clients, because, now).await?;
    }
    // What was made on the upstream's word does not outlive it.
    personal_access_tokens::revoke_of_upstream(conn, (user, upstream), now).await?;
    Ok(())
}

/// Ends every session of an account and every family of tokens, and plans to tell the apps.
pub async fn end_all_of_user(
    conn: &mut Connection,
    user: &UserId,
    clients: &Clients,
    because: RevokedBecause,
    now: Timestamp,
) -> StoreResult<()> {
    let ended = sessions::end_all_of_user(conn, user, None, now).await?;
    end_families(conn, (user, &ended), clients, because, now).await
}

/// Ends every session of an account but this one, and every family of tokens. This one goes on under
/// the new secret that is answered, and under no other; `None` if it has ended.
pub async fn end_all_others(
    conn: &mut Connection,
    own: &Session,
    policy: Policy<'_>,
    because: RevokedBecause,
    now: Timestamp,
) -> StoreResult<Option<Secret>> {
    let secret = Opaque::generate(OpaqueKind::Session, policy.random);
    let renewed = Session { digest: secret.digest(), ..own.clone() };
    if !sessions::renew(conn, &renewed).await? {
        return Ok(None);
    }
    let ended = sessions::end_all_of_user(conn, &own.user_id, Some(&own.id), now).await?;
    end_families(conn, (&own.user_id, &ended), policy.clients, because, now).await?;
    Ok(Some(secret.reveal()))
}

async fn end_families(
    conn: &mut Connection,
    (user, ended): (&UserId, &[SessionId]),
    clients: &Clients,
    because: RevokedBecause,
    now: Timestamp,
) -> StoreResult<()> {
    grants::revoke_of_user(conn, user, because, now).await?;
    // Nor does the address change by what a session that is over has begun (LK-04).
    one_time_links::forget(conn, user, &[LinkPurpose::ChangeEmail]).await?;
    if because.ends_what_programs_have() {
        // They do not come back with the account.
        personal_access_tokens::revoke_of_user(conn, user, now).await?;
    }
    for session in ended {
        tell(conn, session, clients, now).await?;
        leases::delete(conn, session).await?;
    }
    Ok(())
}

async fn tell(
    conn: &mut Connection,
    session: &SessionId,
    clients: &Clients,
    now: Timestamp,
) -> StoreResult<()> {
    let telling = clients.told_of_logout();
    if !telling.is_empty() {
        logout_deliveries::plan(conn, session, &telling, now).await?;
    }
    Ok(())
}

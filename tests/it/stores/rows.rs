//! Rows that other tests need.

use keywright::{
    foundation::{
        clock::{Span, Timestamp},
        digest::TokenDigest,
        ids::{ClientId, GrantId, SessionId, TraceId, UserId},
        random::OsRandom,
        text_list::TextList,
    },
    store::{
        Connection,
        audit_events::{AuditEvent, Outcome},
        grants::{self, Grant},
        refresh_tokens::{self, RefreshToken},
        sessions::{self, Room, Session},
        users::{self, AccountKind, User},
    },
};

use crate::support::clock::START;

pub(super) const NOW: Timestamp = Timestamp::from_unix(START);

/// The session of every grant here, which outlives them all.
pub(super) const SESSION: &str = "the session";

pub(super) fn digest(text: &str) -> TokenDigest {
    TokenDigest::of("test", text.as_bytes())
}

pub(super) async fn insert_user(conn: &mut Connection, username: &str) -> UserId {
    let user = User {
        id: UserId::generate(&OsRandom, NOW),
        username: username.to_owned(),
        username_key: username.to_owned(),
        email: None,
        email_key: None,
        email_verified: None,
        name: None,
        picture: None,
        password_hash: None,
        groups: TextList::default(),
        disabled_at: None,
        created_at: NOW,
        updated_at: NOW,
        email_issuer: None,
        roles: std::iter::empty::<&str>().collect(),
        kind: AccountKind::Person,
        locale: None,
        own_picture: None,
        password_temporary: false,
    };
    assert!(users::insert(conn, &user).await.unwrap());
    user.id
}

pub(super) fn grant(user: &UserId, code: &str, expires_at: Timestamp) -> Grant {
    Grant {
        id: GrantId::generate(&OsRandom, NOW),
        user_id: user.clone(),
        client_id: ClientId::new("web"),
        session_id: SessionId::new(SESSION),
        code_digest: digest(code),
        code_challenge: None,
        redirect_uri: "https://web.test/cb".to_owned(),
        scope: "openid".to_owned(),
        auth_time: NOW,
        amr: TextList::default(),
        acr: None,
        created_at: NOW,
        expires_at,
        revoked_at: None,
        revoked_because: None,
        trace_id: TraceId::new("AAAABBBB"),
        upstream: None,
        dpop_jkt: None,
    }
}

/// A family with its first refresh token, whose digest is that of `name`.
pub(super) async fn insert_family(
    conn: &mut Connection,
    user: &UserId,
    name: &str,
    expires_at: Timestamp,
) -> GrantId {
    insert_session_of_grants(conn, user).await;
    let grant = grant(user, &format!("code of {name}"), expires_at);
    assert!(grants::insert(conn, &grant).await.unwrap());
    let token = RefreshToken {
        digest: digest(name),
        grant_id: grant.id.clone(),
        generation: 1,
        issued_at: NOW,
        expires_at: NOW.plus(Span::from_days(7)),
        consumed_at: None,
    };
    assert!(refresh_tokens::insert(conn, &token).await.unwrap());
    grant.id
}

pub(super) async fn insert_session_of_grants(conn: &mut Connection, user: &UserId) {
    let id = SessionId::new(SESSION);
    if sessions::find(conn, &id).await.unwrap().is_none() {
        insert_session(conn, user, SESSION, NOW.plus(Span::from_days(10_000))).await;
    }
}

pub(super) fn event(id: &str, at: Timestamp) -> AuditEvent {
    AuditEvent {
        id: id.to_owned(),
        at,
        action: "test".to_owned(),
        outcome: Outcome::Done,
        reason: None,
        trace_id: None,
        user_id: None,
        client_id: None,
        upstream: None,
        address: None,
        detail: "{}".to_owned(),
    }
}

pub(super) async fn insert_session(
    conn: &mut Connection,
    user: &UserId,
    name: &str,
    expires_at: Timestamp,
) {
    let session = Session {
        id: SessionId::new(name),
        digest: digest(name),
        user_id: user.clone(),
        upstream: None,
        upstream_sid: None,
        auth_time: NOW,
        amr: TextList::default(),
        acr: None,
        created_at: NOW,
        last_seen_at: NOW,
        confirmed_at: NOW,
        expires_at,
        ended_at: None,
        address: "10.0.0.1".to_owned(),
        user_agent: "test".to_owned(),
    };
    let began =
        AuditEvent { action: "sign_in".to_owned(), ..event(&format!("beginning of {name}"), NOW) };
    let room = Room { most: 50, used_since: NOW.minus(Span::from_days(1)) };
    let beyond = sessions::insert(conn, &session, &began, room).await.unwrap();
    assert!(beyond.is_empty());
}

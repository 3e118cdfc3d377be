//! Audit events: what happened, and what was refused and why.

use diesel::QueryResult;
use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use super::{Connection, schema::audit_events};
use crate::foundation::{
    clock::Timestamp,
    ids::{ClientId, TraceId, UpstreamSlug, UserId},
};

text_enum! {
    /// How it ended.
    Outcome {
        /// It was done.
        Done = "done",
        /// It was refused.
        Refused = "refused",
    }
}

/// A row of `audit_events`.
#[derive(Clone, Debug, Queryable, Selectable, Insertable)]
#[diesel(table_name = audit_events, check_for_backend(diesel::pg::Pg, diesel::sqlite::Sqlite))]
#[diesel(treat_none_as_default_value = false)]
pub struct AuditEvent {
    /// Its id.
    pub id: String,
    /// When it happened.
    pub at: Timestamp,
    /// What was tried.
    pub action: String,
    /// How it ended.
    pub outcome: Outcome,
    /// Why it was refused, in one word.
    pub reason: Option<String>,
    /// The story it belongs to.
    pub trace_id: Option<TraceId>,
    /// Who did it.
    pub user_id: Option<UserId>,
    /// Which client.
    pub client_id: Option<ClientId>,
    /// Which upstream.
    pub upstream: Option<UpstreamSlug>,
    /// From where.
    pub address: Option<String>,
    /// Anything else, as a JSON object.
    pub detail: String,
}

/// Keeps an event.
pub async fn insert(conn: &mut Connection, event: &AuditEvent) -> QueryResult<usize> {
    on_backend!(conn, |conn| diesel::insert_into(audit_events::table)
        .values(event)
        .execute(conn)
        .await)
}

/// The events of one story, in their order.
pub async fn list_of_trace(conn: &mut Connection, trace: &TraceId) -> QueryResult<Vec<AuditEvent>> {
    on_backend!(conn, |conn| audit_events::table
        .filter(audit_events::trace_id.eq(trace))
        .order((audit_events::at, audit_events::id))
        .select(AuditEvent::as_select())
        .load(conn)
        .await)
}

/// The newest events about somebody, the newest first, from the given one on.
pub async fn list_of_user(
    conn: &mut Connection,
    user: &UserId,
    (from, limit): (i64, i64),
) -> QueryResult<Vec<AuditEvent>> {
    on_backend!(conn, |conn| audit_events::table
        .filter(audit_events::user_id.eq(user))
        .order((audit_events::at.desc(), audit_events::id.desc()))
        .offset(from)
        .limit(limit)
        .select(AuditEvent::as_select())
        .load(conn)
        .await)
}

/// The newest events, the newest first.
pub async fn list_newest(conn: &mut Connection, limit: i64) -> QueryResult<Vec<AuditEvent>> {
    on_backend!(conn, |conn| audit_events::table
        .order((audit_events::at.desc(), audit_events::id.desc()))
        .limit(limit)
        .select(AuditEvent::as_select())
        .load(conn)
        .await)
}

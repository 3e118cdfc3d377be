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

/// Which events are looked for.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// From when on.
    pub since: Option<Timestamp>,
    /// Before when.
    pub until: Option<Timestamp>,
    /// About this account.
    pub user: Option<UserId>,
    /// At this app.
    pub client: Option<ClientId>,
    /// By this upstream.
    pub upstream: Option<UpstreamSlug>,
    /// Of this action.
    pub action: Option<String>,
    /// That ended so.
    pub outcome: Option<Outcome>,
    /// From this network address.
    pub address: Option<String>,
}

/// In which order, and how many.
#[derive(Clone, Debug)]
pub enum Page {
    /// The newest ones, the newest first.
    Newest(i64),
    /// Those after this one, the oldest first.
    After(Option<(Timestamp, String)>, i64),
}

/// A page of the events that are wanted.
pub async fn list(
    conn: &mut Connection,
    wanted: &Wanted,
    page: &Page,
) -> QueryResult<Vec<AuditEvent>> {
    use audit_events as events;
    on_backend!(conn, |conn| {
        let mut query = events::table.select(AuditEvent::as_select()).into_boxed();
        if let Some(since) = wanted.since {
            query = query.filter(events::at.ge(since));
        }
        if let Some(until) = wanted.until {
            query = query.filter(events::at.lt(until));
        }
        if let Some(user) = &wanted.user {
            query = query.filter(events::user_id.eq(user));
        }
        if let Some(client) = &wanted.client {
            query = query.filter(events::client_id.eq(client));
        }
        if let Some(upstream) = &wanted.upstream {
            query = query.filter(events::upstream.eq(upstream));
        }
        if let Some(action) = &wanted.action {
            query = query.filter(events::action.eq(action));
        }
        if let Some(outcome) = wanted.outcome {
            query = query.filter(events::outcome.eq(outcome));
        }
        if let Some(address) = &wanted.address {
            query = query.filter(events::address.eq(address));
        }
        let query = match page {
            Page::Newest(limit) => {
                query.order((events::at.desc(), events::id.desc())).limit(*limit)
            }
            Page::After(None, limit) => query.order((events::at, events::id)).limit(*limit),
            Page::After(Some((at, id)), limit) => {
                let later = events::at.gt(*at).or(events::at.eq(*at).and(events::id.gt(id)));
                query.filter(later).order((events::at, events::id)).limit(*limit)
            }
        };
        query.load(conn).await
    })
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

//! The outbox of back-channel logout: which apps have to be told that a session has ended.
//!
//! A row is written in the transaction that ends the session, and stays as the receipt.

use diesel::QueryResult;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable};
use diesel_async::RunQueryDsl;

use super::{
    Connection,
    schema::{grants, logout_deliveries, sessions},
};
use crate::foundation::{
    clock::Timestamp,
    ids::{ClientId, GrantId, SessionId, UserId},
};

/// A row of `logout_deliveries`.
#[derive(Clone, Debug, Queryable, Selectable, Insertable)]
#[diesel(table_name = logout_deliveries, check_for_backend(diesel::pg::Pg, diesel::sqlite::Sqlite))]
#[diesel(treat_none_as_default_value = false)]
pub struct LogoutDelivery {
    /// The session that has ended.
    pub session_id: SessionId,
    /// Who is told.
    pub client_id: ClientId,
    /// Whose session it was.
    pub user_id: UserId,
    /// When it ended.
    pub ended_at: Timestamp,
    /// When the next try is due; none once it was delivered or given up.
    pub due_at: Option<Timestamp>,
    /// How often it was tried.
    pub tries: i64,
    /// When the app said that it had done it.
    pub delivered_at: Option<Timestamp>,
    /// How the last try failed.
    pub fault: Option<String>,
}

/// Plans to tell those of `clients` that were given tokens in this session.
pub async fn plan(
    conn: &mut Connection,
    session: &SessionId,
    clients: &[ClientId],
    now: Timestamp,
) -> QueryResult<()> {
    let told: Vec<(ClientId, UserId)> = on_backend!(conn, |conn| grants::table
        .filter(grants::session_id.eq(session).and(grants::client_id.eq_any(clients)))
        .select((grants::client_id, grants::user_id))
        .distinct()
        .load(conn)
        .await)?;
    for (client_id, user_id) in told {
        let row = LogoutDelivery {
            session_id: session.clone(),
            client_id,
            user_id,
            ended_at: now,
            due_at: Some(now),
            tries: 0,
            delivered_at: None,
            fault: None,
        };
        on_backend!(conn, |conn| diesel::insert_into(logout_deliveries::table)
            .values(&row)
            .on_conflict_do_nothing()
            .execute(conn)
            .await)?;
    }
    Ok(())
}

/// So many grants are looked at in one statement.
const AT_ONCE: i64 = 1_000;

/// Plans to tell those of `clients` that were given tokens in any session that ended at `ended_at`,
/// and would have lived longer.
pub async fn plan_for_all_ended(
    conn: &mut Connection,
    clients: &[ClientId],
    ended_at: Timestamp,
) -> QueryResult<usize> {
    let mut planned = 0;
    let mut after = GrantId::new("");
    loop {
        let ids: Vec<GrantId> = on_backend!(conn, |conn| grants::table
            .filter(grants::id.gt(&after))
            .order(grants::id)
            .limit(AT_ONCE)
            .select(grants::id)
            .load(conn)
            .await)?;
        let Some(last) = ids.last().cloned() else {
            return Ok(planned);
        };
        planned += plan_between(conn, (&after, &last), clients, ended_at).await?;
        after = last;
    }
}

async fn plan_between(
    conn: &mut Connection,
    (after, last): (&GrantId, &GrantId),
    clients: &[ClientId],
    ended_at: Timestamp,
) -> QueryResult<usize> {
    let told = grants::table
        .inner_join(sessions::table.on(sessions::id.eq(grants::session_id)))
        .filter(grants::id.gt(after).and(grants::id.le(last)))
        .filter(grants::client_id.eq_any(clients))
        .filter(sessions::ended_at.eq(ended_at).and(sessions::expires_at.gt(ended_at)))
        .select((
            grants::session_id,
            grants::client_id,
            grants::user_id,
            ended_at.into_sql::<BigInt>(),
            ended_at.into_sql::<Nullable<BigInt>>(),
            0_i64.into_sql::<BigInt>(),
        ))
        .distinct();
    let columns = (
        logout_deliveries::session_id,
        logout_deliveries::client_id,
        logout_deliveries::user_id,
        logout_deliveries::ended_at,
        logout_deliveries::due_at,
        logout_deliveries::tries,
    );
    on_backend!(conn, |conn| told
        .insert_into(logout_deliveries::table)
        .into_columns(columns)
        .on_conflict_do_nothing()
        .execute(conn)
        .await)
}

/// The clients that have to be told something by now.
pub async fn list_clients_due(conn: &mut Connection, now: Timestamp) -> QueryResult<Vec<ClientId>> {
    on_backend!(conn, |conn| logout_deliveries::table
        .filter(logout_deliveries::due_at.le(now))
        .select(logout_deliveries::client_id)
        .distinct()
        .load(conn)
        .await)
}

/// What a client has to be told by now, the oldest first.
pub async fn list_due(
    conn: &mut Connection,
    client: &ClientId,
    now: Timestamp,
    limit: i64,
) -> QueryResult<Vec<LogoutDelivery>> {
    on_backend!(conn, |conn| logout_deliveries::table
        .filter(logout_deliveries::due_at.le(now).and(logout_deliveries::client_id.eq(client)))
        .order(logout_deliveries::due_at)
        .limit(limit)
        .select(LogoutDelivery::as_select())
        .load(conn)
        .await)
}

/// Takes a try until `until`; `false` if another instance has it. Should this one die, the try is
/// due again then.
#[must_use = "false means that somebody else tries"]
pub async fn claim(
    conn: &mut Connection,
    delivery: &LogoutDelivery,
    until: Timestamp,
) -> QueryResult<bool> {
    let unclaimed = logout_deliveries::table
        .find((&delivery.session_id, &delivery.client_id))
        .filter(logout_deliveries::due_at.eq(delivery.due_at))
        .filter(logout_deliveries::tries.eq(delivery.tries));
    on_backend!(conn, |conn| diesel::update(unclaimed)
        .set((
            logout_deliveries::due_at.eq(Some(until)),
            logout_deliveries::tries.eq(delivery.tries + 1),
        ))
        .execute(conn)
        .await)
    .map(|rows| rows == 1)
}

/// Notes that the app was told.
pub async fn delivered(
    conn: &mut Connection,
    delivery: &LogoutDelivery,
    now: Timestamp,
) -> QueryResult<usize> {
    let row = logout_deliveries::table.find((&delivery.session_id, &delivery.client_id));
    on_backend!(conn, |conn| diesel::update(row)
        .set((
            logout_deliveries::due_at.eq(None::<Timestamp>),
            logout_deliveries::delivered_at.eq(Some(now)),
            logout_deliveries::fault.eq(None::<String>),
        ))
        .execute(conn)
        .await)
}

/// Notes how a try failed, and when the next one is; none gives up.
pub async fn failed(
    conn: &mut Connection,
    delivery: &LogoutDelivery,
    fault: &str,
    next: Option<Timestamp>,
) -> QueryResult<usize> {
    let row = logout_deliveries::table.find((&delivery.session_id, &delivery.client_id));
    on_backend!(conn, |conn| diesel::update(row)
        .set((logout_deliveries::due_at.eq(next), logout_deliveries::fault.eq(Some(fault))))
        .execute(conn)
        .await)
}

/// What became of telling the apps of a session.
pub async fn list_of_session(
    conn: &mut Connection,
    session: &SessionId,
) -> QueryResult<Vec<LogoutDelivery>> {
    on_backend!(conn, |conn| logout_deliveries::table
        .filter(logout_deliveries::session_id.eq(session))
        .order(logout_deliveries::client_id)
        .select(LogoutDelivery::as_select())
        .load(conn)
        .await)
}

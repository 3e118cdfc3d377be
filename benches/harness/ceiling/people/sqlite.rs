//! People in SQLite: one connection, because it has one writer.

#[path = "../../../../src/store/schema.rs"]
mod schema;

use std::sync::{Arc, Mutex};

use anyhow::{Context as _, bail};
use diesel::connection::SimpleConnection as _;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Binary, Nullable, Text};

use super::{
    ACR, ADDRESS, AMR, Arrival, Grant, LIFETIME, Profile, SignedIn, UPSTREAM, Which, new_id,
};
use schema::{audit_events, grants, identities, sessions, users};

/// Keywright's settings of a connection.
const SETUP: &str = "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; \
                     PRAGMA foreign_keys = ON; PRAGMA cache_size = -2000;";

pub(in super::super) struct File(Arc<Mutex<SqliteConnection>>);

/// The one session that fits, with its person.
macro_rules! found {
    ($connection:expr, $fits:expr) => {{
        let found: Option<(SessionColumns, AccountColumns, ProfileColumns, Option<String>)> =
            sessions::table
                .inner_join(users::table.left_join(identities::table))
                .filter($fits)
                .select((
                    (sessions::id, sessions::auth_time, sessions::ended_at, sessions::expires_at),
                    (users::id, users::disabled_at, users::username),
                    (users::email, users::email_verified, users::name, users::picture),
                    identities::groups.nullable(),
                ))
                .first($connection)
                .optional()?;
        Ok(found.map(|(session, account, profile, _)| signed_in(session, account, profile)))
    }};
}

type ProfileColumns = (Option<String>, Option<bool>, Option<String>, Option<String>);
type SessionColumns = (String, i64, Option<i64>, i64);
type AccountColumns = (String, Option<i64>, String);

impl From<ProfileColumns> for Profile {
    fn from((email, email_verified, name, picture): ProfileColumns) -> Self {
        Self { email, email_verified, name, picture }
    }
}

impl File {
    pub(super) fn open(path: &str, everybody: &str) -> anyhow::Result<Self> {
        let mut connection = SqliteConnection::establish(path)?;
        connection.batch_execute(SETUP)?;
        connection.batch_execute(everybody).context("people of the ceiling server")?;
        connection.batch_execute("ANALYZE")?;
        Ok(Self(Arc::new(Mutex::new(connection))))
    }

    pub(super) async fn arrive(&self, arrival: Arrival) -> anyhow::Result<()> {
        self.run(move |connection| {
            connection.immediate_transaction(|connection| {
                let user = confirm(connection, &arrival)?;
                begin_session(connection, &arrival, &user)
            })
        })
        .await
    }

    pub(super) async fn find(&self, which: Which<'_>) -> anyhow::Result<Option<SignedIn>> {
        match which {
            Which::Id(id) => {
                let id = id.to_owned();
                self.run(move |connection| found!(connection, sessions::id.eq(id))).await
            }
            Which::Digest(digest) => {
                let digest = digest.to_owned();
                self.run(move |connection| found!(connection, sessions::digest.eq(digest))).await
            }
        }
    }

    pub(super) async fn grant(&self, grant: Grant) -> anyhow::Result<bool> {
        self.run(move |connection| keep_grant(connection, &grant)).await.map(|rows| rows == 1)
    }

    /// Runs on the thread pool: SQLite waits for the disk.
    async fn run<T, F>(&self, work: F) -> anyhow::Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&mut SqliteConnection) -> anyhow::Result<T> + Send + 'static,
    {
        let connection = Arc::clone(&self.0);
        let done = tokio::task::spawn_blocking(move || {
            let Ok(mut connection) = connection.lock() else {
                bail!("the connection is lost");
            };
            work(&mut connection)
        });
        done.await?
    }
}

fn confirm(connection: &mut SqliteConnection, arrival: &Arrival) -> anyhow::Result<String> {
    let of_subject =
        identities::issuer.eq(&arrival.issuer).and(identities::subject.eq(&arrival.subject));
    diesel::update(identities::table.filter(of_subject))
        .set((
            identities::upstream.eq(UPSTREAM),
            identities::groups.eq(&arrival.groups),
            identities::claims.eq(&arrival.claims),
            identities::confirmed_at.eq(arrival.at),
        ))
        .execute(connection)?;
    let profile = (users::email, users::email_verified, users::name, users::picture);
    let known: Option<(String, Option<i64>, ProfileColumns)> = identities::table
        .inner_join(users::table)
        .filter(of_subject)
        .select((users::id, users::disabled_at, profile))
        .first(connection)
        .optional()?;
    let (user, disabled_at, profile) = known.context("somebody unknown signed in")?;
    if disabled_at.is_some() || Profile::from(profile) != arrival.profile {
        bail!("the account is not as it was made");
    }
    Ok(user)
}

fn begin_session(
    connection: &mut SqliteConnection,
    arrival: &Arrival,
    user: &str,
) -> anyhow::Result<()> {
    let session = (
        sessions::id.eq(&arrival.session),
        sessions::digest.eq(&arrival.digest),
        sessions::user_id.eq(user),
        sessions::upstream.eq(UPSTREAM),
        sessions::auth_time.eq(arrival.at),
        sessions::amr.eq(AMR),
        sessions::acr.eq(ACR),
        sessions::created_at.eq(arrival.at),
        sessions::last_seen_at.eq(arrival.at),
        sessions::confirmed_at.eq(arrival.at),
        sessions::expires_at.eq(arrival.at + LIFETIME),
        sessions::address.eq(ADDRESS),
        sessions::user_agent.eq(&arrival.user_agent),
    );
    diesel::insert_into(sessions::table).values(session).execute(connection)?;
    let event = (
        audit_events::id.eq(new_id()),
        audit_events::at.eq(arrival.at),
        audit_events::action.eq("signed_in"),
        audit_events::outcome.eq("done"),
        audit_events::trace_id.eq(&arrival.trace),
        audit_events::user_id.eq(user),
        audit_events::client_id.eq(&arrival.client),
        audit_events::upstream.eq(UPSTREAM),
        audit_events::address.eq(ADDRESS),
        audit_events::detail.eq("{}"),
    );
    diesel::insert_into(audit_events::table).values(event).execute(connection)?;
    Ok(())
}

fn signed_in(
    (session, auth_time, ended_at, expires_at): SessionColumns,
    (user, disabled_at, username): AccountColumns,
    profile: ProfileColumns,
) -> SignedIn {
    SignedIn {
        session,
        auth_time,
        user,
        username,
        profile: profile.into(),
        ended_at,
        expires_at,
        disabled_at,
    }
}

fn keep_grant(connection: &mut SqliteConnection, grant: &Grant) -> anyhow::Result<usize> {
    let live = sessions::table.find(&grant.session).filter(sessions::ended_at.is_null());
    let row = live.select((
        (&grant.id).into_sql::<Text>(),
        (&grant.user).into_sql::<Text>(),
        (&grant.client).into_sql::<Text>(),
        sessions::id,
        (&grant.code_digest).into_sql::<Binary>(),
        (&grant.challenge).into_sql::<Nullable<Text>>(),
        (&grant.redirect_uri).into_sql::<Text>(),
        (&grant.scope).into_sql::<Text>(),
        grant.auth_time.into_sql::<BigInt>(),
        AMR.into_sql::<Text>(),
        ACR.into_sql::<Nullable<Text>>(),
        grant.at.into_sql::<BigInt>(),
        (grant.at + LIFETIME).into_sql::<BigInt>(),
        (&grant.trace).into_sql::<Text>(),
        UPSTREAM.into_sql::<Nullable<Text>>(),
    ));
    let columns = (
        grants::id,
        grants::user_id,
        grants::client_id,
        grants::session_id,
        grants::code_digest,
        grants::code_challenge,
        grants::redirect_uri,
        grants::scope,
        grants::auth_time,
        grants::amr,
        grants::acr,
        grants::created_at,
        grants::expires_at,
        grants::trace_id,
        grants::upstream,
    );
    let kept = row
        .insert_into(grants::table)
        .into_columns(columns)
        .on_conflict(grants::code_digest)
        .do_nothing()
        .execute(connection)?;
    Ok(kept)
}

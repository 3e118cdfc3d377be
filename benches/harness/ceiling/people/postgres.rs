//! People in PostgreSQL.

use std::sync::{Mutex, PoisonError};

use anyhow::{Context as _, bail};
use tokio::sync::Semaphore;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, NoTls, Row, Statement};

use super::{
    ACR, ADDRESS, AMR, Arrival, Grant, LIFETIME, Profile, SignedIn, UPSTREAM, Which, new_id,
};

/// As many connections as the load has, and as Keywright opens.
const CONNECTIONS: usize = 16;

/// Commits are durable here exactly where Keywright's are.
const SETUP: &str = "SET synchronous_commit = on";

const CONFIRM: &str = "UPDATE identities \
    SET upstream = $3, groups = $4, claims = $5, confirmed_at = $6 \
    WHERE issuer = $1 AND subject = $2";
const KNOWN: &str = "SELECT users.id, users.disabled_at, \
           users.email, users.email_verified, users.name, users.picture \
    FROM identities INNER JOIN users ON identities.user_id = users.id \
    WHERE identities.issuer = $1 AND identities.subject = $2 LIMIT 1 FOR NO KEY UPDATE";
const BEGIN_SESSION: &str = "INSERT INTO sessions \
    (id, digest, user_id, upstream, upstream_sid, auth_time, amr, acr, created_at, last_seen_at, \
     confirmed_at, expires_at, ended_at, address, user_agent) \
    VALUES ($1, $2, $3, $4, NULL, $5, $6, $7, $5, $5, $5, $8, NULL, $9, $10)";
const NOTE_EVENT: &str = "INSERT INTO audit_events \
    (id, at, action, outcome, reason, trace_id, user_id, client_id, upstream, address, detail) \
    VALUES ($1, $2, 'signed_in', 'done', NULL, $3, $4, $5, $6, $7, '{}')";
const FIND: &str = "SELECT sessions.id AS session, sessions.auth_time, sessions.ended_at, \
           sessions.expires_at, users.id AS account, users.disabled_at, users.username, \
           users.email, users.email_verified, users.name, users.picture, identities.groups \
    FROM sessions INNER JOIN users ON sessions.user_id = users.id \
         LEFT JOIN identities ON identities.user_id = users.id ";
const KEEP_GRANT: &str = "INSERT INTO grants \
    (id, user_id, client_id, session_id, code_digest, code_challenge, redirect_uri, scope, \
     auth_time, amr, acr, created_at, expires_at, trace_id, upstream) \
    SELECT $1::text, $2::text, $3::text, sessions.id, $5::bytea, $6::text, $7::text, $8::text, \
           $9::bigint, $10::text, $11::text, $12::bigint, $13::bigint, $14::text, $15::text \
    FROM sessions WHERE sessions.id = $4 AND sessions.ended_at IS NULL FOR SHARE \
    ON CONFLICT (code_digest) DO NOTHING";

type Value<'a> = &'a (dyn ToSql + Sync);

/// Connections with everything prepared.
pub(in super::super) struct Pool {
    idle: Mutex<Vec<Prepared>>,
    permits: Semaphore,
}

struct Prepared {
    client: Client,
    confirm: Statement,
    known: Statement,
    begin_session: Statement,
    note_event: Statement,
    find_by_id: Statement,
    find_by_digest: Statement,
    keep_grant: Statement,
}

impl Pool {
    pub(super) async fn open(url: &str, everybody: &str) -> anyhow::Result<Self> {
        let mut idle = Vec::new();
        for number in 0..CONNECTIONS {
            let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
            tokio::spawn(connection);
            if number == 0 {
                client.batch_execute(everybody).await.context("people of the ceiling server")?;
                client.batch_execute("ANALYZE").await?;
            }
            idle.push(Prepared::new(client).await?);
        }
        Ok(Self { idle: Mutex::new(idle), permits: Semaphore::new(CONNECTIONS) })
    }

    pub(super) async fn arrive(&self, arrival: &Arrival) -> anyhow::Result<()> {
        let _permit = self.permits.acquire().await?;
        let connection = self.take()?;
        connection.arrive(arrival).await?;
        self.give_back(connection);
        Ok(())
    }

    pub(super) async fn find(&self, which: Which<'_>) -> anyhow::Result<Option<SignedIn>> {
        let _permit = self.permits.acquire().await?;
        let connection = self.take()?;
        let Prepared { client, find_by_id, find_by_digest, .. } = &connection;
        let rows = match which {
            Which::Id(id) => client.query(find_by_id, &[&id]).await?,
            Which::Digest(digest) => client.query(find_by_digest, &[&digest]).await?,
        };
        self.give_back(connection);
        rows.first().map(signed_in).transpose()
    }

    pub(super) async fn grant(&self, grant: &Grant) -> anyhow::Result<bool> {
        let _permit = self.permits.acquire().await?;
        let connection = self.take()?;
        let rows = connection.grant(grant).await?;
        self.give_back(connection);
        Ok(rows == 1)
    }

    fn take(&self) -> anyhow::Result<Prepared> {
        let taken = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        taken.context("a connection per permit")
    }

    /// Not called after an error: what became of the transaction is not known then.
    fn give_back(&self, connection: Prepared) {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
    }
}

impl Prepared {
    async fn new(client: Client) -> anyhow::Result<Self> {
        client.batch_execute(SETUP).await?;
        Ok(Self {
            confirm: client.prepare(CONFIRM).await?,
            known: client.prepare(KNOWN).await?,
            begin_session: client.prepare(BEGIN_SESSION).await?,
            note_event: client.prepare(NOTE_EVENT).await?,
            find_by_id: client.prepare(&format!("{FIND} WHERE sessions.id = $1")).await?,
            find_by_digest: client.prepare(&format!("{FIND} WHERE sessions.digest = $1")).await?,
            keep_grant: client.prepare(KEEP_GRANT).await?,
            client,
        })
    }

    /// Four round trips: begin, identity and account, session and event, commit.
    async fn arrive(&self, arrival: &Arrival) -> anyhow::Result<()> {
        let Arrival { issuer, subject, groups, claims, profile, at, .. } = arrival;
        let said: [Value<'_>; 6] = [issuer, subject, &UPSTREAM, groups, claims, at];
        let of_subject: [Value<'_>; 2] = [issuer, subject];
        self.client.batch_execute("BEGIN").await?;
        let (_, known) = futures_util::try_join!(
            self.client.execute(&self.confirm, &said),
            self.client.query_opt(&self.known, &of_subject),
        )?;
        let known = known.context("somebody unknown signed in")?;
        let user: &str = known.try_get("id")?;
        let disabled_at: Option<i64> = known.try_get("disabled_at")?;
        if disabled_at.is_some() || profile_of(&known)? != *profile {
            bail!("the account is not as it was made");
        }
        self.begin_session(arrival, user).await?;
        self.client.batch_execute("COMMIT").await?;
        Ok(())
    }

    async fn begin_session(&self, arrival: &Arrival, user: &str) -> anyhow::Result<()> {
        let Arrival { session, digest, trace, client, user_agent, at, .. } = arrival;
        let (event, expires_at) = (new_id(), at + LIFETIME);
        let event: [Value<'_>; 7] = [&event, at, trace, &user, client, &UPSTREAM, &ADDRESS];
        let session: [Value<'_>; 10] =
            [session, digest, &user, &UPSTREAM, at, &AMR, &ACR, &expires_at, &ADDRESS, user_agent];
        futures_util::try_join!(
            self.client.execute(&self.begin_session, &session),
            self.client.execute(&self.note_event, &event),
        )?;
        Ok(())
    }

    async fn grant(&self, grant: &Grant) -> anyhow::Result<u64> {
        let Grant { id, user, client, session, code_digest, challenge, .. } = grant;
        let Grant { redirect_uri, scope, auth_time, trace, at, .. } = grant;
        let expires_at = at + LIFETIME;
        let row: [Value<'_>; 15] = [
            id,
            user,
            client,
            session,
            code_digest,
            challenge,
            redirect_uri,
            scope,
            auth_time,
            &AMR,
            &ACR,
            at,
            &expires_at,
            trace,
            &UPSTREAM,
        ];
        Ok(self.client.execute(&self.keep_grant, &row).await?)
    }
}

fn profile_of(row: &Row) -> anyhow::Result<Profile> {
    Ok(Profile {
        email: row.try_get("email")?,
        email_verified: row.try_get("email_verified")?,
        name: row.try_get("name")?,
        picture: row.try_get("picture")?,
    })
}

fn signed_in(row: &Row) -> anyhow::Result<SignedIn> {
    Ok(SignedIn {
        session: row.try_get("session")?,
        auth_time: row.try_get("auth_time")?,
        user: row.try_get("account")?,
        username: row.try_get("username")?,
        profile: profile_of(row)?,
        ended_at: row.try_get("ended_at")?,
        expires_at: row.try_get("expires_at")?,
        disabled_at: row.try_get("disabled_at")?,
    })
}

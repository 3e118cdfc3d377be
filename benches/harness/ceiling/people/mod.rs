//! The people of the ceiling server's sign-ins, their sessions and their grants.
//!
//! The tables are Keywright's own, indexes included, and so are the statements: only the columns
//! that nobody needs here are not asked for. What travels together there travels together here.

mod postgres;
mod sqlite;

use crate::contest::PEOPLE;

/// Where the people are kept.
pub(super) enum People {
    Postgres(postgres::Pool),
    Sqlite(sqlite::File),
}

/// Somebody whom the upstream has just confirmed, and the session that begins with it.
pub(super) struct Arrival {
    pub(super) issuer: String,
    pub(super) subject: String,
    /// A JSON array.
    pub(super) groups: String,
    /// What the upstream said, as it said it.
    pub(super) claims: Vec<u8>,
    pub(super) profile: Profile,
    pub(super) session: String,
    pub(super) digest: Vec<u8>,
    pub(super) trace: String,
    pub(super) client: String,
    pub(super) user_agent: String,
    pub(super) at: i64,
}

/// What an upstream says about a person, and an account repeats.
#[derive(PartialEq, Eq)]
pub(super) struct Profile {
    pub(super) email: Option<String>,
    pub(super) email_verified: Option<bool>,
    pub(super) name: Option<String>,
    pub(super) picture: Option<String>,
}

/// A session that is found by its id or by the digest of its cookie.
pub(super) enum Which<'a> {
    Id(&'a str),
    Digest(&'a [u8]),
}

/// A live session with its person.
pub(super) struct SignedIn {
    pub(super) session: String,
    pub(super) auth_time: i64,
    pub(super) user: String,
    pub(super) username: String,
    pub(super) profile: Profile,
    ended_at: Option<i64>,
    expires_at: i64,
    disabled_at: Option<i64>,
}

/// A code that is redeemed.
pub(super) struct Grant {
    pub(super) id: String,
    pub(super) user: String,
    pub(super) client: String,
    pub(super) session: String,
    pub(super) code_digest: Vec<u8>,
    pub(super) challenge: String,
    pub(super) redirect_uri: String,
    pub(super) scope: String,
    pub(super) auth_time: i64,
    pub(super) trace: String,
    pub(super) at: i64,
}

const UPSTREAM: &str = "stub";
/// How the upstream signs people in (RFC 8176): a JSON array.
const AMR: &str = "[\"pwd\"]";
/// At which level.
pub(super) const ACR: &str = "urn:bench:single-factor";
const ADDRESS: &str = "127.0.0.1";
/// How long sessions and grants last, in seconds.
const LIFETIME: i64 = 30 * 24 * 3600;

impl People {
    /// Opens a migrated database and fills it with the people of the upstream.
    pub(super) async fn open(database: &str, issuer: &str) -> anyhow::Result<Self> {
        match database.strip_prefix("sqlite:") {
            Some(path) => sqlite::File::open(path, &everybody(issuer)).map(Self::Sqlite),
            None => postgres::Pool::open(database, &everybody(issuer)).await.map(Self::Postgres),
        }
    }

    /// One transaction: the identity confirmed and held with its account, the session, the event.
    pub(super) async fn arrive(&self, arrival: Arrival) -> anyhow::Result<()> {
        match self {
            Self::Postgres(pool) => pool.arrive(&arrival).await,
            Self::Sqlite(file) => file.arrive(arrival).await,
        }
    }

    /// The session with its person, if it is still good.
    pub(super) async fn signed_in(&self, which: Which<'_>) -> anyhow::Result<Option<SignedIn>> {
        let found = match self {
            Self::Postgres(pool) => pool.find(which).await?,
            Self::Sqlite(file) => file.find(which).await?,
        };
        let now = seconds();
        Ok(found.filter(|found| {
            found.ended_at.is_none() && found.disabled_at.is_none() && now < found.expires_at
        }))
    }

    /// Keeps the grant; `false` if the code was used before or the session has ended.
    pub(super) async fn grant(&self, grant: Grant) -> anyhow::Result<bool> {
        match self {
            Self::Postgres(pool) => pool.grant(&grant).await,
            Self::Sqlite(file) => file.grant(grant).await,
        }
    }
}

/// Accounts and identities as the stub upstream describes its people, in both databases' SQL.
fn everybody(issuer: &str) -> String {
    let numbers = format!(
        "WITH RECURSIVE numbers (n) AS \
         (SELECT 0 UNION ALL SELECT n + 1 FROM numbers WHERE n < {})",
        PEOPLE - 1
    );
    format!(
        "INSERT INTO users (id, username, username_key, email, email_key, email_verified, name, \
                            picture, groups, created_at, updated_at, email_issuer) {numbers} \
         SELECT '0199c1f2-0000-7000-8000-' || (100000000000 + n), 'person' || n, 'person' || n, \
                'person' || n || '@example.org', 'person' || n || '@example.org', TRUE, \
                'Person ' || n, 'https://people.example.org/' || n || '.png', '[]', 0, 0, \
                '{issuer}' FROM numbers; \
         INSERT INTO identities (id, user_id, upstream, issuer, subject, groups, created_at, \
                                 confirmed_at, linked_by, linked_at) {numbers} \
         SELECT '0199c1f2-0000-7000-8001-' || (100000000000 + n), \
                '0199c1f2-0000-7000-8000-' || (100000000000 + n), '{UPSTREAM}', '{issuer}', \
                'person-' || n, '[]', 0, 0, 'sign_up', 0 FROM numbers;"
    )
}

/// The id of a new row.
pub(super) fn new_id() -> String {
    uuid::Uuid::now_v7().to_string()
}

/// Now, as the tables count.
pub(super) fn seconds() -> i64 {
    i64::try_from(crate::signing::now()).unwrap_or(i64::MAX)
}

//! The outbox of mail: what has to leave, and what became of it.
//!
//! A row is written in the transaction of what it tells about. What it says holds links that open
//! accounts: it is sealed, and gone as soon as the mail has left or was given up. The rest stays as
//! the receipt, and for the brake to count.

use diesel::QueryResult;
use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use super::{Connection, purge::BATCH, schema::mail_outbox};
use crate::foundation::{clock::Timestamp, ids::MailId};

text_enum! {
    /// What a mail is about.
    MailKind {
        /// Proof of an address.
        VerifyEmail = "verify_email",
        /// The way back into an account.
        Recover = "recover",
        /// An invitation to have an account.
        Invite = "invite",
        /// Somebody wanted an account under an address that has one.
        AccountExists = "account_exists",
        /// The account of this address signs in elsewhere.
        SignInWithUpstream = "sign_in_with_upstream",
        /// A way to sign in was added or removed.
        MethodChanged = "method_changed",
        /// The code that connects an account elsewhere with the one here.
        ConnectCode = "connect_code",
        /// The address of the account is another now.
        AddressChanged = "address_changed",
        /// The account has a password now.
        PasswordAdded = "password_added",
        /// The account is deleted.
        AccountDeleted = "account_deleted",
        /// Somebody waits for an administrator.
        AccountWaits = "account_waits",
        /// The account may be used now.
        AccountApproved = "account_approved",
        /// A try of an administrator's.
        Test = "test",
    }
}

impl MailKind {
    /// What tells somebody about a change of their own account: a stranger cannot cause it, and must
    /// not be able to hold it up.
    pub const NOTICES: [Self; 4] =
        [Self::MethodChanged, Self::AddressChanged, Self::PasswordAdded, Self::AccountDeleted];

    /// Whether it holds the only way to undo what it tells of. It never waits behind other mail.
    pub const fn carries_a_way_back(self) -> bool {
        matches!(self, Self::AddressChanged | Self::AccountDeleted)
    }

    /// Whether this is such a notice.
    pub fn is_notice(self) -> bool {
        Self::NOTICES.contains(&self)
    }
}

/// A row of `mail_outbox`.
#[derive(Clone, Debug, Queryable, Selectable, Insertable)]
#[diesel(table_name = mail_outbox, check_for_backend(diesel::pg::Pg, diesel::sqlite::Sqlite))]
#[diesel(treat_none_as_default_value = false)]
pub struct OutgoingMail {
    /// Its id.
    pub id: MailId,
    /// What it is about.
    pub kind: MailKind,
    /// Whom it goes to.
    pub recipient: String,
    /// The canonical form of that address.
    pub recipient_key: String,
    /// What it says, sealed; nothing once it has left or was given up.
    pub letter: Option<Vec<u8>>,
    /// When it was written.
    pub created_at: Timestamp,
    /// From when on it is not sent any more.
    pub expires_at: Timestamp,
    /// When the next try is due; none once it has left or was given up.
    pub next_try_at: Option<Timestamp>,
    /// How often it was tried.
    pub tries: i64,
    /// When the mail server has taken it.
    pub sent_at: Option<Timestamp>,
    /// When it was given up.
    pub gave_up_at: Option<Timestamp>,
    /// How the last try failed.
    pub last_error: Option<String>,
}

/// Queues a mail.
pub async fn insert(conn: &mut Connection, mail: &OutgoingMail) -> QueryResult<usize> {
    on_backend!(conn, |conn| diesel::insert_into(mail_outbox::table)
        .values(mail)
        .execute(conn)
        .await)
}

/// Makes whoever else queues a mail to this recipient wait for the end of the transaction, so that
/// counting and queueing are one. In SQLite there is one writer at a time anyway.
pub async fn hold_recipient(conn: &mut Connection, recipient_key: &str) -> QueryResult<usize> {
    let lock = "SELECT pg_advisory_xact_lock(hashtextextended($1, 7))";
    on_backend!(
        conn,
        postgres
            | conn
            | diesel::sql_query(lock)
                .bind::<diesel::sql_types::Text, _>(recipient_key)
                .execute(conn)
                .await,
        sqlite | _conn | Ok(0)
    )
}

/// How many mails to a recipient were queued from `since` on: notices, or all others.
pub async fn count_to(
    conn: &mut Connection,
    recipient_key: &str,
    notices: bool,
    since: Timestamp,
) -> QueryResult<i64> {
    let of_kind = mail_outbox::kind.eq_any(MailKind::NOTICES).eq(notices);
    on_backend!(conn, |conn| mail_outbox::table
        .filter(mail_outbox::recipient_key.eq(recipient_key))
        .filter(mail_outbox::created_at.ge(since).and(of_kind))
        .count()
        .get_result(conn)
        .await)
}

/// How many mails of one kind to a recipient were queued from `since` on.
pub async fn count_of_kind_to(
    conn: &mut Connection,
    recipient_key: &str,
    kind: MailKind,
    since: Timestamp,
) -> QueryResult<i64> {
    on_backend!(conn, |conn| mail_outbox::table
        .filter(mail_outbox::recipient_key.eq(recipient_key).and(mail_outbox::kind.eq(kind)))
        .filter(mail_outbox::created_at.ge(since))
        .count()
        .get_result(conn)
        .await)
}

/// How many mails that are no notices were queued from `since` on.
pub async fn count_since(conn: &mut Connection, since: Timestamp) -> QueryResult<i64> {
    on_backend!(conn, |conn| mail_outbox::table
        .filter(mail_outbox::created_at.ge(since))
        .filter(mail_outbox::kind.ne_all(MailKind::NOTICES))
        .count()
        .get_result(conn)
        .await)
}

/// How many mails wait to leave.
pub async fn count_waiting(conn: &mut Connection) -> QueryResult<i64> {
    on_backend!(conn, |conn| mail_outbox::table
        .filter(mail_outbox::next_try_at.is_not_null())
        .count()
        .get_result(conn)
        .await)
}

/// What is due by now: what has not failed yet comes first, so that it waits for nothing that has.
pub async fn list_due(
    conn: &mut Connection,
    now: Timestamp,
    limit: i64,
) -> QueryResult<Vec<OutgoingMail>> {
    on_backend!(conn, |conn| mail_outbox::table
        .filter(mail_outbox::next_try_at.le(now))
        .order((mail_outbox::tries, mail_outbox::next_try_at, mail_outbox::id))
        .limit(limit)
        .select(OutgoingMail::as_select())
        .load(conn)
        .await)
}

/// Takes a try until `until`; `false` if another instance has it. Should this one die, the try is
/// due again then.
#[must_use = "false means that somebody else tries"]
pub async fn claim(
    conn: &mut Connection,
    mail: &OutgoingMail,
    until: Timestamp,
) -> QueryResult<bool> {
    let unclaimed = mail_outbox::table
        .find(&mail.id)
        .filter(mail_outbox::next_try_at.eq(mail.next_try_at))
        .filter(mail_outbox::tries.eq(mail.tries));
    on_backend!(conn, |conn| diesel::update(unclaimed)
        .set((mail_outbox::next_try_at.eq(Some(until)), mail_outbox::tries.eq(mail.tries + 1)))
        .execute(conn)
        .await)
    .map(|rows| rows == 1)
}

/// Notes that the mail server has taken it.
pub async fn sent(conn: &mut Connection, id: &MailId, now: Timestamp) -> QueryResult<usize> {
    on_backend!(conn, |conn| diesel::update(mail_outbox::table.find(id))
        .set((
            mail_outbox::next_try_at.eq(None::<Timestamp>),
            mail_outbox::sent_at.eq(Some(now)),
            mail_outbox::letter.eq(None::<Vec<u8>>),
            mail_outbox::last_error.eq(None::<String>),
        ))
        .execute(conn)
        .await)
}

/// Notes how the try that was claimed has failed, and when the next one is.
pub async fn failed(
    conn: &mut Connection,
    mail: &OutgoingMail,
    error: &str,
    next: Timestamp,
) -> QueryResult<usize> {
    on_backend!(conn, |conn| diesel::update(
        mail_outbox::table.find(&mail.id).filter(mail_outbox::tries.eq(mail.tries + 1))
    )
    .set((mail_outbox::next_try_at.eq(Some(next)), mail_outbox::last_error.eq(Some(error))))
    .execute(conn)
    .await)
}

/// Gives the mail up after the try that was claimed.
pub async fn give_up(
    conn: &mut Connection,
    mail: &OutgoingMail,
    error: &str,
    now: Timestamp,
) -> QueryResult<usize> {
    on_backend!(conn, |conn| diesel::update(
        mail_outbox::table.find(&mail.id).filter(mail_outbox::tries.eq(mail.tries + 1))
    )
    .set((
        mail_outbox::next_try_at.eq(None::<Timestamp>),
        mail_outbox::gave_up_at.eq(Some(now)),
        mail_outbox::letter.eq(None::<Vec<u8>>),
        mail_outbox::last_error.eq(Some(error)),
    ))
    .execute(conn)
    .await)
}

/// Everything that was queued for an address, the oldest first.
pub async fn list_to(conn: &mut Connection, recipient_key: &str) -> QueryResult<Vec<OutgoingMail>> {
    on_backend!(conn, |conn| mail_outbox::table
        .filter(mail_outbox::recipient_key.eq(recipient_key))
        .order((mail_outbox::created_at, mail_outbox::id))
        .select(OutgoingMail::as_select())
        .load(conn)
        .await)
}

/// Deletes a batch of what was queued before `before`.
pub async fn purge(conn: &mut Connection, before: Timestamp) -> QueryResult<usize> {
    let old: Vec<MailId> = on_backend!(conn, |conn| mail_outbox::table
        .filter(mail_outbox::created_at.lt(before))
        .select(mail_outbox::id)
        .limit(BATCH)
        .load(conn)
        .await)?;
    on_backend!(conn, |conn| diesel::delete(
        mail_outbox::table.filter(mail_outbox::id.eq_any(&old))
    )
    .execute(conn)
    .await)
}

//! Deleting what has expired, in small batches with a rest between them.

use std::time::Duration;

use crate::{
    accounts::passwords::guessing,
    app::App,
    foundation::clock::Span,
    store::{
        QueryResult, StoreResult, invitations, mail_outbox, one_time_links, purge as rows,
        signing_keys,
    },
};

/// What has expired stays for so long, for whoever wants to know what happened.
const KEPT_AFTERWARDS: Span = Span::from_days(7);
/// How long audit events stay.
const AUDIT_KEPT: Span = Span::from_days(90);
/// Gone keys stay in lists for so long.
const KEYS_KEPT: Span = Span::from_days(30);
const REST: Duration = Duration::from_millis(50);

/// Deletes everything that has expired.
pub async fn purge(app: &App) -> anyhow::Result<()> {
    if let Some(memory) = &app.memory {
        memory.forget_ended();
    }
    let now = app.now();
    let expired = now.minus(KEPT_AFTERWARDS);
    while one_batch(app, async |conn| rows::grants(conn, expired).await).await? {}
    while one_batch(app, async |conn| rows::sessions(conn, expired).await).await? {}
    while one_batch(app, async |conn| rows::logout_deliveries(conn, expired).await).await? {}
    while one_batch(app, async |conn| mail_outbox::purge(conn, expired).await).await? {}
    while one_batch(app, async |conn| one_time_links::purge(conn, now).await).await? {}
    while one_batch(app, async |conn| invitations::purge(conn, expired).await).await? {}
    while one_batch(app, async |conn| rows::personal_access_tokens(conn, expired).await).await? {}
    while one_batch(app, async |conn| rows::revoked_access_tokens(conn, now).await).await? {}
    let forgotten = now.minus(guessing::FORGOTTEN_AFTER);
    while one_batch(app, async |conn| rows::password_guesses(conn, forgotten).await).await? {}
    let old = now.minus(AUDIT_KEPT);
    while one_batch(app, async |conn| rows::audit_events(conn, old).await).await? {}
    let mut connection = app.connection().await?;
    signing_keys::purge(&mut connection, now.minus(KEYS_KEPT)).await?;
    Ok(())
}

/// Deletes one batch; `true` if there may be more.
async fn one_batch(
    app: &App,
    delete: impl AsyncFnOnce(&mut crate::store::Connection) -> QueryResult<usize>,
) -> StoreResult<bool> {
    let mut connection = app.connection().await?;
    let deleted = delete(&mut connection).await?;
    drop(connection);
    let full = i64::try_from(deleted).unwrap_or(0) >= rows::BATCH;
    if full {
        tokio::time::sleep(REST).await;
    }
    Ok(full)
}

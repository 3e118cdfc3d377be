//! Erasing the accounts that their owners have deleted, when they are due.

use crate::{
    app::App,
    audit::Event,
    store::{StoreError, audit_events, deletions},
};

const BATCH: i64 = 50;

/// Erases everything that is due.
pub async fn erase_deleted(app: &App) -> anyhow::Result<()> {
    let now = app.now();
    let mut connection = app.connection().await?;
    for deletion in deletions::list_due(&mut connection, now, BATCH).await? {
        let user = &deletion.user_id;
        let event = Event::done("account_erased").user(user).row(now, app.random());
        connection
            .transaction(async |conn| {
                if deletions::erase(conn, user, now).await? {
                    audit_events::insert(conn, &event).await?;
                }
                Ok::<_, StoreError>(())
            })
            .await?;
    }
    Ok(())
}

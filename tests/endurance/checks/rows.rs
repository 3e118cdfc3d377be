//! The tables themselves: whole, and without halves of transactions.

use anyhow::{bail, ensure};
use diesel::{Connection as _, connection::SimpleConnection as _};

/// What there must be none of.
const NEVER: &[(&str, &str)] = &[
    (
        "families with two living tokens",
        "(SELECT grant_id FROM refresh_tokens WHERE consumed_at IS NULL GROUP BY grant_id \
         HAVING count(*) > 1) AS doubles",
    ),
    (
        "families without a living token",
        "grants WHERE NOT EXISTS (SELECT 1 FROM refresh_tokens \
         WHERE refresh_tokens.grant_id = grants.id AND consumed_at IS NULL)",
    ),
    (
        "accounts without their event",
        // Who comes from an upstream signs in, and has an account by that.
        "users WHERE NOT EXISTS (SELECT 1 FROM audit_events WHERE audit_events.user_id = users.id \
         AND action = CASE WHEN password_hash IS NULL THEN 'sign_in' ELSE 'sign_up' END)",
    ),
    (
        "events of accounts that are not there",
        "audit_events WHERE action = 'sign_up' AND user_id IS NOT NULL \
         AND NOT EXISTS (SELECT 1 FROM users WHERE users.id = audit_events.user_id)",
    ),
    (
        "algorithms without exactly one newest key",
        "(SELECT alg FROM signing_keys WHERE dropped_at IS NULL GROUP BY alg \
         HAVING sum(CASE WHEN signs_until IS NULL THEN 1 ELSE 0 END) <> 1) AS keys",
    ),
    ("invitations used too often", "invitations WHERE uses_left < 0"),
];

#[derive(diesel::QueryableByName)]
struct Count {
    #[diesel(sql_type = diesel::sql_types::BigInt)]
    count: i64,
}

#[derive(diesel::QueryableByName)]
struct Integrity {
    #[diesel(sql_type = diesel::sql_types::Text)]
    integrity_check: String,
}

fn counting(table: &str) -> String {
    format!("SELECT count(*) AS count FROM {table}")
}

/// Fails with what is wrong.
pub(crate) fn check(url: &str) -> anyhow::Result<()> {
    let counts = match url.strip_prefix("sqlite:") {
        Some(file) => of_file(file)?,
        None => of_server(url)?,
    };
    for ((what, _), count) in NEVER.iter().zip(counts) {
        ensure!(count == 0, "{count} {what}");
    }
    Ok(())
}

fn of_file(file: &str) -> anyhow::Result<Vec<i64>> {
    use diesel::RunQueryDsl as _;
    let mut connection = diesel::SqliteConnection::establish(file)?;
    connection.batch_execute("PRAGMA busy_timeout = 10000")?;
    let lines: Vec<Integrity> =
        diesel::sql_query("PRAGMA integrity_check").load(&mut connection)?;
    if let [Integrity { integrity_check }] = &lines[..]
        && integrity_check == "ok"
    {
        let count = |(_, table): &(&str, &str)| {
            diesel::sql_query(counting(table)).get_result::<Count>(&mut connection)
        };
        let counts = NEVER.iter().map(count).collect::<Result<Vec<Count>, _>>()?;
        return Ok(counts.into_iter().map(|row| row.count).collect());
    }
    let said: Vec<&str> = lines.iter().map(|line| line.integrity_check.as_str()).collect();
    bail!("integrity_check: {}", said.join("; "))
}

fn of_server(url: &str) -> anyhow::Result<Vec<i64>> {
    use diesel_async::{AsyncConnection as _, RunQueryDsl as _};
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut connection = diesel_async::AsyncPgConnection::establish(url).await?;
        let mut counts = Vec::new();
        for (_, table) in NEVER {
            let row: Count = diesel::sql_query(counting(table)).get_result(&mut connection).await?;
            counts.push(row.count);
        }
        Ok(counts)
    })
}

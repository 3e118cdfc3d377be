//! Whether the checker of a day notices: each time something that was acknowledged is undone behind the
//! back of the house, in a house of its own, and the checker has to say so.

use std::{
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use anyhow::{anyhow, ensure};
use diesel::sql_query;
use diesel_async::{AsyncConnection as _, AsyncPgConnection, RunQueryDsl as _};

use super::{Day, Tally};
use crate::{day::strikes::Struck, deeds, ledger::Counts, rounds::look};

/// People live for so long between two looks.
const LIFE: Duration = Duration::from_secs(2);
/// What must have been done before there is something to lie about.
const PAST: [&str; 7] = [
    "access token revoked",
    "family revoked",
    "password changed",
    "program token revoked",
    "sign-in by the upstream",
    "sign-out",
    "token rotated",
];

/// What is undone.
enum Lie {
    /// The whole database is put back.
    Everything,
    /// By statements.
    Rows(&'static [&'static str]),
    /// By statements, after somebody has rotated the keys.
    Rotating(&'static [&'static str]),
    /// By statements, after new keys have taken over.
    Rotated(&'static [&'static str]),
}

/// Nobody waits for as long as a key is announced. What comes after is as it should be: published for longer
/// than anybody keeps the JWKS, and signing then.
const HURRY: &str = "UPDATE signing_keys SET \
    published_at = CASE WHEN signs_until IS NULL THEN extract(epoch FROM now())::bigint ELSE published_at END, \
    signs_from = CASE WHEN signs_until IS NULL THEN extract(epoch FROM now())::bigint + 14 ELSE signs_from END, \
    signs_until = CASE WHEN signs_until IS NOT NULL THEN extract(epoch FROM now())::bigint + 14 END";
/// After that the new keys sign.
const TAKEN_OVER: Duration = Duration::from_secs(16);

const LIES: [(&str, Lie); 8] = [
    ("the database is put back", Lie::Everything),
    (
        "sessions that are over live again",
        Lie::Rows(&["UPDATE sessions SET ended_at = NULL WHERE ended_at IS NOT NULL"]),
    ),
    (
        "what was revoked is good again",
        Lie::Rows(&[
            "UPDATE grants SET revoked_at = NULL, revoked_because = NULL WHERE revoked_at IS NOT NULL",
            "UPDATE personal_access_tokens SET revoked_at = NULL WHERE revoked_at IS NOT NULL",
            "DELETE FROM revoked_access_tokens",
        ]),
    ),
    (
        "refresh tokens that were used are unused",
        Lie::Rows(&["UPDATE refresh_tokens SET consumed_at = NULL WHERE consumed_at IS NOT NULL"]),
    ),
    (
        "who comes from the upstream is somebody else",
        Lie::Rows(&["UPDATE identities SET subject = subject || 'x'"]),
    ),
    (
        "passwords are lost",
        Lie::Rows(&["UPDATE users SET password_hash = NULL WHERE password_hash IS NOT NULL"]),
    ),
    (
        "a key signs that nobody could know",
        Lie::Rotating(&[
            "UPDATE signing_keys SET signs_until = published_at, gone_at = published_at + 1 \
             WHERE signs_until IS NOT NULL",
            "UPDATE signing_keys SET published_at = published_at - 600, signs_from = published_at - 300 \
             WHERE signs_until IS NULL",
        ]),
    ),
    (
        "keys are gone whose tokens live",
        Lie::Rotated(&[
            "UPDATE signing_keys SET gone_at = signs_until WHERE signs_until IS NOT NULL",
        ]),
    ),
];

/// Fails unless every lie is noticed.
pub(crate) fn prove(program: &Path, seed: u64) -> anyhow::Result<()> {
    for ((what, lie), number) in LIES.iter().zip(0..) {
        let mut day = Day::begin(program, seed + number)?;
        let mut past = Counts::default();
        while PAST.iter().any(|kind| !past.acknowledged.contains_key(kind)) {
            past.add(&calmly(&mut day)?);
        }
        tell(&mut day, lie)?;
        for person in day.homes.iter_mut().flat_map(|home| &mut home.people) {
            person.is_touched = true;
        }
        match calmly(&mut day) {
            Ok(_) => return Err(anyhow!(day.keep(&format!("{what}, and nobody has noticed it")))),
            Err(error) => println!("{what}: noticed: {error:#}"),
        }
    }
    Ok(())
}

/// People at work while nothing dies, and the checks.
fn calmly(day: &mut Day) -> anyhow::Result<Counts> {
    let (site, done) = (&*day.house.site, &AtomicBool::new(false));
    let homes = &mut day.homes;
    let worked: Vec<Result<(), String>> = thread::scope(|scope| {
        let workers: Vec<_> = homes
            .iter_mut()
            .map(|home| scope.spawn(move || deeds::work(home, site, done)))
            .collect();
        thread::sleep(LIFE);
        done.store(true, Ordering::Release);
        workers.into_iter().map(|worker| worker.join().unwrap()).collect()
    });
    for done in worked {
        done.map_err(|text| anyhow!("at work: {text}"))?;
    }
    let mut tally = Tally::default();
    day.check(&Struck::default(), &mut tally)?;
    Ok(tally.counts)
}

/// Tells a lie and starts everything again, so that nobody remembers better.
fn tell(day: &mut Day, lie: &Lie) -> anyhow::Result<()> {
    match lie {
        Lie::Everything => {
            day.house.kill();
            day.postgres.stop()?;
            day.postgres.copy(false)?;
            day.postgres.start_again()?;
            day.house.start()?;
            day.house.serves(Instant::now())?;
            calmly(day)?;
            day.house.kill();
            day.postgres.stop()?;
            day.postgres.copy(true)?;
            day.postgres.start_again()?;
        }
        Lie::Rows(statements) => {
            day.house.kill();
            execute(day.house.database(), statements)?;
        }
        Lie::Rotating(statements) => {
            day.house.program.run(0, &["key", "rotate"])?;
            look(&day.house)?;
            day.house.kill();
            execute(day.house.database(), statements)?;
        }
        Lie::Rotated(statements) => {
            day.house.program.run(0, &["key", "rotate"])?;
            day.house.kill();
            execute(day.house.database(), &[HURRY])?;
            let begun = Instant::now();
            day.house.start()?;
            day.house.serves(begun)?;
            while begun.elapsed() < TAKEN_OVER {
                calmly(day)?;
            }
            day.house.kill();
            execute(day.house.database(), statements)?;
        }
    }
    day.house.start()?;
    day.house.serves(Instant::now())?;
    Ok(())
}

fn execute(url: &str, statements: &[&str]) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut connection = AsyncPgConnection::establish(url).await?;
        for statement in statements {
            let rows = sql_query(*statement).execute(&mut connection).await?;
            ensure!(rows > 0, "there is nothing to undo: {statement}");
        }
        Ok(())
    })
}

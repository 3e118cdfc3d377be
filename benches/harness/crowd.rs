//! What many sign-ins at once do: to memory, to one another, and to everybody else.
//!
//! Everybody stands before the form, then all send it in the same moment. Whoever is told to come back
//! later does so. Meanwhile, and for a while before, somebody asks for the keys, for UserInfo and for
//! fresh tokens, each over and over, at a pace that is no load.

use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use serde_json::{Value, json};
use tokio::task::{JoinHandle, JoinSet};

use crate::flows::{Party, Tokens};
use crate::http::{Connection, basic, get, post};
use crate::load::Sample;
use crate::members::{self, Form, PASSWORD, Visitor};
use crate::options::CrowdArguments;
use crate::servers::{Keywright, Server, free_port};
use crate::settings::{APP_ES256, SECRET, Settings, WEB};

/// How often each of the bystanders asks.
const PACE: Duration = Duration::from_millis(5);
/// Who is told to come back so often is lost.
const MOST_RETURNS: usize = 100;
/// What bystanders may have to wait, as a multiple of what they wait without a crowd.
const FACTOR: f64 = 5.0;
const BYSTANDERS: [&str; 3] = ["JWKS", "UserInfo", "refresh"];

/// Lets the crowd in, and prints what came of it.
pub(crate) async fn run(arguments: CrowdArguments) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let (server, party) = start(folder.path(), arguments.people).await?;
    let before = watch(&party, 0, || async {
        tokio::time::sleep(Duration::from_secs_f64(arguments.seconds)).await;
        Ok(())
    });
    let ((), idle) = before.await?;
    let waiting = gather(&party, arguments.people).await?;
    let at_rest = high_water_mib(&server)?;
    let (ends, busy) = watch(&party, 1, || rush(waiting)).await?;
    let found = Found {
        people: arguments.people,
        limit: arguments.memory,
        at_rest,
        peak: high_water_mib(&server)?,
        idle,
        busy,
        ends,
    };
    found.print()?;
    if let Some(path) = &arguments.json {
        std::fs::write(path, format!("{:#}\n", found.json()))?;
    }
    if !found.ends.lost.is_empty() || found.peak > found.limit {
        bail!("the crowd was too much");
    }
    Ok(())
}

async fn start(folder: &std::path::Path, people: usize) -> anyhow::Result<(Server, Party)> {
    let (port, management_port) = (free_port()?, free_port()?);
    let settings = Settings {
        port,
        management_port,
        database: format!("sqlite:{}", folder.join("crowd.sqlite").display()),
        state: "memory:".to_owned(),
        // Nobody goes there.
        upstream_port: free_port()?,
        is_proxied: true,
    };
    let keywright = Keywright::configure(folder, "crowd", &settings.toml())?;
    // The last two are bystanders.
    members::import(&keywright, &members::many(people + 2)?)?;
    let mut server = keywright.serve()?;
    server.ready(&Party::new("127.0.0.1", management_port)).await?;
    Ok((server, Party::new("localhost", port)))
}

/// Everybody before the form.
async fn gather(party: &Party, people: usize) -> anyhow::Result<Vec<(Visitor, Form, String)>> {
    let mut waiting = Vec::with_capacity(people);
    for number in 0..people {
        let mut visitor = Visitor::new(party, APP_ES256);
        visitor.from = format!("X-Forwarded-For: 10.1.{}.{}\r\n", number / 250, number % 250);
        let form = visitor.open().await?;
        waiting.push((visitor, form, members::name(number)));
    }
    Ok(waiting)
}

/// How it ended for the crowd.
#[derive(Default)]
struct Ends {
    /// Seconds to the tokens, ascending.
    signed_in: Vec<f64>,
    /// How often somebody was told to come back.
    returns: usize,
    /// Why somebody did not get in.
    lost: Vec<String>,
}

/// Everybody at once.
async fn rush(waiting: Vec<(Visitor, Form, String)>) -> anyhow::Result<Ends> {
    let begun = Instant::now();
    let mut crowd = JoinSet::new();
    for (visitor, form, name) in waiting {
        crowd.spawn(async move {
            let mut returns = 0;
            let end = enter(visitor, form, &name, &mut returns).await;
            (end.map(|()| begun.elapsed().as_secs_f64()), returns)
        });
    }
    let mut ends = Ends::default();
    while let Some(done) = crowd.join_next().await {
        let (end, returns) = done?;
        ends.returns += returns;
        match end {
            Ok(seconds) => ends.signed_in.push(seconds),
            Err(why) => ends.lost.push(format!("{why:#}")),
        }
    }
    ends.signed_in.sort_by(f64::total_cmp);
    Ok(ends)
}

async fn enter(
    mut visitor: Visitor,
    mut form: Form,
    name: &str,
    returns: &mut usize,
) -> anyhow::Result<()> {
    loop {
        let answer = visitor.give(&mut form, name, PASSWORD).await?;
        if answer.status != 503 {
            return visitor.tokens(&answer).await.map(|_| ());
        }
        *returns += 1;
        if *returns > MOST_RETURNS {
            bail!("told to come back {returns} times");
        }
        let seconds = answer.retry_after.context("a 503 without Retry-After")?;
        tokio::time::sleep(Duration::from_secs(seconds)).await;
    }
}

/// What the bystanders saw while something happened.
async fn watch<T, F: Future<Output = anyhow::Result<T>>>(
    party: &Party,
    which: usize,
    happening: impl FnOnce() -> F,
) -> anyhow::Result<(T, Vec<Sample>)> {
    let tokens = bystander(party, which).await?;
    let over = Arc::new(AtomicBool::new(false));
    let watchers: Vec<JoinHandle<anyhow::Result<Sample>>> = BYSTANDERS
        .iter()
        .map(|what| {
            let (party, over) = (party.clone(), Arc::clone(&over));
            let (access, refresh) = (tokens.access_token.clone(), tokens.refresh_token.clone());
            tokio::spawn(stand_by(party, what, access, refresh, over))
        })
        .collect();
    let happened = happening().await;
    over.store(true, Ordering::Release);
    let mut samples = Vec::new();
    for watcher in watchers {
        samples.push(watcher.await??);
    }
    Ok((happened?, samples))
}

/// Somebody signs in, whose tokens the bystanders use.
async fn bystander(party: &Party, which: usize) -> anyhow::Result<Tokens> {
    let mut visitor = Visitor::new(party, WEB);
    visitor.from = format!("X-Forwarded-For: 10.2.0.{which}\r\n");
    let mut form = visitor.open().await?;
    let answer = visitor.give(&mut form, &members::name(which), PASSWORD).await?;
    visitor.tokens(&answer).await
}

async fn stand_by(
    party: Party,
    what: &'static str,
    access: String,
    refresh: Option<String>,
    over: Arc<AtomicBool>,
) -> anyhow::Result<Sample> {
    let mut connection = Connection::new(party.address);
    let mut refresh = refresh.context("no refresh token came")?;
    let mut sample = Sample::default();
    // Who is told to come back has waited all the same.
    while !over.load(Ordering::Acquire) {
        let request = match what {
            "JWKS" => get(&party.host, "/.well-known/jwks.json", ""),
            "UserInfo" => {
                get(&party.host, "/userinfo", &format!("Authorization: Bearer {access}\r\n"))
            }
            _ => {
                let form = format!("grant_type=refresh_token&refresh_token={refresh}");
                post(&party.host, "/token", &basic(WEB, SECRET), &form)
            }
        };
        let begun = Instant::now();
        let response = connection.send(&request).await?;
        let took = begun.elapsed();
        sample.requests += 1;
        sample.latencies.push(u32::try_from(took.as_micros()).unwrap_or(u32::MAX));
        if response.status == 503 {
            sample.errors += 1;
        } else if response.status != 200 {
            bail!("{what}: {} {}", response.status, response.excerpt());
        } else if what == "refresh" {
            let tokens: Tokens = serde_json::from_slice(&response.body)?;
            refresh = tokens.refresh_token.context("no successor came")?;
        }
        tokio::time::sleep(PACE).await;
    }
    sample.latencies.sort_unstable();
    Ok(sample)
}

/// The most memory that the server has ever held, in MiB (proc(5), `VmHWM`).
fn high_water_mib(server: &Server) -> anyhow::Result<f64> {
    let path = format!("/proc/{}/status", server.pid());
    let text = std::fs::read_to_string(&path).with_context(|| path.clone())?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|rest| rest.split_ascii_whitespace().next()).context("no VmHWM")?;
    Ok(kib.parse::<f64>()? / 1024.0)
}

/// Everything that was found out.
struct Found {
    people: usize,
    limit: f64,
    at_rest: f64,
    peak: f64,
    idle: Vec<Sample>,
    busy: Vec<Sample>,
    ends: Ends,
}

impl Found {
    fn print(&self) -> std::io::Result<()> {
        let mut out = std::io::stdout().lock();
        let Ends { signed_in, returns, lost } = &self.ends;
        let last = signed_in.last().copied().unwrap_or_default();
        writeln!(
            out,
            "\n{} sign-ins at once: {} got in within {last:.1} s, told to come back {returns} \
             times, {} lost",
            self.people,
            signed_in.len(),
            lost.len()
        )?;
        for why in lost.iter().take(5) {
            writeln!(out, "  lost: {why}")?;
        }
        let verdict = if self.peak <= self.limit { "met" } else { "MISSED" };
        writeln!(
            out,
            "memory (VmHWM): {:.1} MiB before, {:.1} MiB at the most, of {:.0}: {verdict}",
            self.at_rest, self.peak, self.limit
        )?;
        writeln!(
            out,
            "\n{:<12}{:>8}{:>12}{:>12}{:>8}{:>6}{:>12}{:>12}{:>10}",
            "meanwhile",
            "idle",
            "p50 us",
            "p99 us",
            "crowd",
            "503",
            "p50 us",
            "p99 us",
            "p99 ratio"
        )?;
        for (what, (idle, busy)) in BYSTANDERS.iter().zip(self.idle.iter().zip(&self.busy)) {
            let ratio = ratio(idle, busy);
            writeln!(
                out,
                "{what:<12}{:>8}{:>12.0}{:>12.0}{:>8}{:>6}{:>12.0}{:>12.0}{ratio:>10.1}{}",
                idle.requests,
                idle.percentile(0.5),
                idle.percentile(0.99),
                busy.requests,
                busy.errors,
                busy.percentile(0.5),
                busy.percentile(0.99),
                if ratio <= FACTOR { "" } else { "  more than five times" },
            )?;
        }
        Ok(())
    }

    fn json(&self) -> Value {
        let bystanders = BYSTANDERS.iter().zip(self.idle.iter().zip(&self.busy));
        let bystanders = bystanders.map(|(what, (idle, busy))| {
            json!({
                "what": what, "ratio_of_p99": ratio(idle, busy), "turned_away": busy.errors,
                "idle_p50_us": idle.percentile(0.5), "idle_p99_us": idle.percentile(0.99),
                "crowd_p50_us": busy.percentile(0.5), "crowd_p99_us": busy.percentile(0.99),
            })
        });
        json!({
            "people": self.people, "signed_in": self.ends.signed_in.len(),
            "returns": self.ends.returns, "lost": self.ends.lost,
            "seconds_to_the_last": self.ends.signed_in.last(),
            "memory_mib_before": self.at_rest, "memory_mib_peak": self.peak,
            "bystanders": bystanders.collect::<Vec<_>>(),
        })
    }
}

fn ratio(idle: &Sample, busy: &Sample) -> f64 {
    busy.percentile(0.99) / idle.percentile(0.99).max(1.0)
}

//! A Keywright of one's own: a folder, stores, one or two instances, and what is known about them.

use std::{
    fs::{self, File},
    io::Write as _,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{self, Command},
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant, SystemTime},
};

use anyhow::{Context as _, bail};

use crate::{
    chance::Chance,
    instance::{Instance, Program, READY, time_can_pass},
    keys::KeyBook,
    settings::Settings,
    wire::send,
};

/// What workers and the checker know of a house.
pub(crate) struct Site {
    pub(crate) port: u16,
    /// The port of the upstream, where people sign in at one.
    pub(crate) upstream: Option<u16>,
    /// Whether a proxy stands before it, which stays when an instance dies.
    pub(crate) is_proxied: bool,
    /// How far its clock is ahead, in seconds.
    ahead: AtomicI64,
    pub(crate) keys: KeyBook,
    /// How often short-lived state was about to be lost, or was.
    losses: AtomicU64,
    /// The same of anything else.
    strikes: AtomicU64,
}

impl Site {
    /// The time in the house.
    pub(crate) fn now(&self) -> i64 {
        let real = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
        i64::try_from(real.as_secs()).unwrap() + self.ahead.load(Ordering::Relaxed)
    }

    /// Said before and after short-lived state is lost.
    pub(crate) fn forgets(&self) {
        self.losses.fetch_add(1, Ordering::SeqCst);
        self.strikes.fetch_add(1, Ordering::SeqCst);
    }

    /// Said before and after anything else dies.
    pub(crate) fn is_struck(&self) {
        self.strikes.fetch_add(1, Ordering::SeqCst);
    }

    /// A mark that changes when short-lived state is lost.
    pub(crate) fn losses(&self) -> u64 {
        self.losses.load(Ordering::SeqCst)
    }

    /// A mark that changes when anything dies.
    pub(crate) fn strikes(&self) -> u64 {
        self.strikes.load(Ordering::SeqCst)
    }
}

/// What a house is built of.
pub(crate) struct Plan<'p> {
    pub(crate) program: &'p Path,
    /// The addresses of database and state; without, SQLite and nothing.
    pub(crate) stores: Option<(String, String)>,
    /// The port of the issuer.
    pub(crate) port: u16,
    /// Those of the instances.
    pub(crate) instances: Vec<u16>,
    pub(crate) upstream: Option<u16>,
    /// How long tokens are good, in seconds.
    pub(crate) token_lifetime: u32,
}

/// A house with its folder and, while it stands, its processes.
pub(crate) struct House {
    pub(crate) instances: Vec<Instance>,
    pub(crate) program: Program,
    database: String,
    pub(crate) site: Arc<Site>,
    folder: tempfile::TempDir,
}

impl House {
    /// A house with one instance that has never run. `stores` are the addresses of database and state;
    /// without, SQLite and nothing.
    pub(crate) fn new(
        program: &Path,
        stores: Option<(String, String)>,
        chance: &mut Chance,
    ) -> Self {
        let port = Ports::new(chance).take();
        let (instances, upstream) = (vec![port], None);
        Self::build(Plan { program, stores, port, instances, upstream, token_lifetime: 900 })
    }

    /// A house that has never run.
    pub(crate) fn build(plan: Plan<'_>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (database, state) = plan.stores.unwrap_or_else(|| {
            let file = folder.path().join("keywright.db");
            (format!("sqlite:{}", file.display()), "memory:".to_owned())
        });
        let settings = Settings {
            port: plan.port,
            database: &database,
            state: &state,
            instances: plan.instances.len(),
            upstream: plan.upstream,
            token_lifetime: plan.token_lifetime,
        };
        fs::write(folder.path().join("keywright.toml"), settings.toml()).unwrap();
        let program = Program::new(plan.program, folder.path());
        let is_proxied = plan.instances.len() > 1;
        let instances = plan.instances.into_iter();
        let instances = instances.map(|port| Instance::new(program.clone(), port)).collect();
        let site = Arc::new(Site {
            port: plan.port,
            upstream: plan.upstream,
            is_proxied,
            ahead: AtomicI64::new(0),
            keys: KeyBook::default(),
            losses: AtomicU64::new(0),
            strikes: AtomicU64::new(0),
        });
        Self { instances, program, database, site, folder }
    }

    /// Where the database is.
    pub(crate) fn database(&self) -> &str {
        &self.database
    }

    fn ahead(&self) -> i64 {
        self.site.ahead.load(Ordering::Relaxed)
    }

    /// Starts everything; how long it took until the last was ready.
    pub(crate) fn start(&mut self) -> anyhow::Result<Duration> {
        let (ahead, begun) = (self.ahead(), Instant::now());
        for instance in &mut self.instances {
            instance.start(ahead)?;
        }
        Ok(begun.elapsed())
    }

    /// Waits until sign-ins can begin; how long since then.
    pub(crate) fn serves(&mut self, since: Instant) -> anyhow::Result<Duration> {
        for instance in &mut self.instances {
            instance.ready(since)?;
        }
        while since.elapsed() < READY {
            let answer = send(self.site.port, "GET /account HTTP/1.1\r\n", "");
            if answer.is_ok_and(|answer| answer.status == 303) {
                self.still_runs()?;
                return Ok(since.elapsed());
            }
            thread::sleep(Duration::from_millis(20));
        }
        let logs: Vec<String> = self.instances.iter().map(Instance::end_of_log).collect();
        bail!("nobody can sign in within {READY:?}:\n{}", logs.join("\n"))
    }

    /// `kill -9`.
    pub(crate) fn kill(&mut self) {
        self.instances.iter_mut().for_each(Instance::kill);
    }

    /// Copies the database file aside, or back from there; the house is down.
    pub(crate) fn copy_database(&self, back: bool) -> anyhow::Result<()> {
        let file = self.database.strip_prefix("sqlite:").context("only a file can be copied")?;
        for end in ["", "-wal", "-shm"] {
            let (own, aside) = (format!("{file}{end}"), format!("{file}{end}.aside"));
            let (from, to) = if back { (aside, own) } else { (own, aside) };
            if Path::new(&from).exists() {
                fs::copy(&from, &to)?;
            } else if Path::new(&to).exists() {
                fs::remove_file(&to)?;
            }
        }
        Ok(())
    }

    /// Fails if something has ended by itself.
    pub(crate) fn still_runs(&mut self) -> anyhow::Result<()> {
        self.instances.iter_mut().try_for_each(Instance::still_runs)
    }

    /// The next start is so much later.
    pub(crate) fn let_time_pass(&mut self, seconds: i64) {
        if time_can_pass() {
            self.site.ahead.fetch_add(seconds, Ordering::Relaxed);
        }
    }

    /// A verb, to be run.
    pub(crate) fn verb(&self, arguments: &[&str]) -> Command {
        self.program.verb(self.ahead(), arguments)
    }

    /// Runs a verb to its end; what it prints as JSON.
    pub(crate) fn run_json(&self, arguments: &[&str]) -> anyhow::Result<serde_json::Value> {
        Ok(serde_json::from_str(&self.program.run(self.ahead(), arguments)?)?)
    }

    /// What the logs say since the last look.
    pub(crate) fn check_log(&mut self, may_fail: bool) -> anyhow::Result<()> {
        self.instances.iter_mut().try_for_each(|instance| instance.check_log(may_fail))
    }

    /// Leaves what is needed to see what happened.
    pub(crate) fn keep(mut self) -> PathBuf {
        self.kill();
        self.folder.keep()
    }
}

/// Ports that are free with the one 10,000 above, below those that the system gives to connections: nobody
/// takes one while its server is down. Another run has others.
pub(crate) struct Ports {
    chance: Chance,
    taken: Vec<u16>,
}

impl Ports {
    pub(crate) fn new(chance: &mut Chance) -> Self {
        Self { chance: Chance::new(chance.bits(), process::id().into()), taken: Vec::new() }
    }

    /// The next one.
    pub(crate) fn take(&mut self) -> u16 {
        let is_free = |port: u16| TcpListener::bind(("127.0.0.1", port)).is_ok();
        loop {
            let port = 11_000 + u16::try_from(self.chance.below(9_000)).unwrap();
            if !self.taken.contains(&port) && is_free(port) && is_free(port + 10_000) {
                self.taken.push(port);
                return port;
            }
        }
    }
}

/// The path of a link that the house has made.
pub(crate) fn below_the_issuer(link: &str) -> &str {
    link.splitn(4, '/').nth(3).map_or(link, |rest| &link[link.len() - rest.len() - 1..])
}

/// Writes what a failure was about beside the rest.
pub(crate) fn leave_note(folder: &Path, text: &str) {
    let note = File::create(folder.join("failure"));
    // The note only repeats what is printed.
    let _ = note.and_then(|mut note| note.write_all(text.as_bytes()));
}

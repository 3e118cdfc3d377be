//! A Keywright of one's own: the program itself, started, killed, and looked at afterwards.

use std::{
    fs::{self, File},
    io::{Read as _, Seek as _, SeekFrom, Write as _},
    net::TcpListener,
    path::{Path, PathBuf},
    process::{self, Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
    thread,
    time::{Duration, Instant, SystemTime},
};

use anyhow::{Context as _, bail};

use crate::{
    chance::Chance,
    keys::KeyBook,
    ledger::PASSWORD_MARK,
    wire::{APPS, send},
};

/// For so long the previous refresh token gets the same answer again, in seconds.
pub(crate) const GRACE: i64 = 30;
/// Whoever is not ready by then never will be.
const READY: Duration = Duration::from_mins(1);
const SECRET_KEY: &str = "endurance-secret-key-0123456789abcdefghijklmnop";
/// Where Debian's package has the library by which a process sees another time.
const CLOCK_LIBRARY: &str = "/usr/lib/*/faketime/libfaketimeMT.so.1";

/// What workers and the checker know of a house.
pub(crate) struct Site {
    pub(crate) port: u16,
    /// How far its clock is ahead, in seconds.
    ahead: AtomicI64,
    pub(crate) keys: KeyBook,
    /// Short-lived state may be lost in this round.
    pub(crate) may_forget: AtomicBool,
}

impl Site {
    /// The time in the house.
    pub(crate) fn now(&self) -> i64 {
        let real = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
        i64::try_from(real.as_secs()).unwrap() + self.ahead.load(Ordering::Relaxed)
    }
}

/// A house with its folder and, while it stands, its process.
pub(crate) struct House {
    folder: tempfile::TempDir,
    management_port: u16,
    database: String,
    pub(crate) site: Arc<Site>,
    process: Option<Child>,
    /// How much of the log was looked at.
    read: u64,
    clock_library: Option<PathBuf>,
}

impl House {
    /// A house that has never run. `stores` are the addresses of database and state; without, SQLite and
    /// nothing.
    pub(crate) fn new(stores: Option<(String, String)>, chance: &mut Chance) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let port = free_port(&mut Chance::new(chance.bits(), process::id().into()));
        let (database, state) = stores.unwrap_or_else(|| {
            let file = folder.path().join("keywright.db");
            (format!("sqlite:{}", file.display()), "memory:".to_owned())
        });
        let management_port = port + 10_000;
        let text = settings((port, management_port), &database, &state);
        fs::write(folder.path().join("keywright.toml"), text).unwrap();
        let keys = KeyBook::default();
        let (ahead, may_forget) = (AtomicI64::new(0), AtomicBool::new(false));
        let site = Arc::new(Site { port, ahead, keys, may_forget });
        let clock_library = clock_library();
        Self { folder, management_port, database, site, process: None, read: 0, clock_library }
    }

    /// Where the database is.
    pub(crate) fn database(&self) -> &str {
        &self.database
    }

    /// The program with nothing of our own environment that would configure it, at the time of the house.
    fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_keywright"));
        command.env_clear().current_dir(self.folder.path());
        let ahead = self.site.ahead.load(Ordering::Relaxed);
        if let Some(library) = self.clock_library.as_ref().filter(|_| ahead > 0) {
            command.env("LD_PRELOAD", library).env("FAKETIME", format!("+{ahead}s"));
            // Time-outs and timers go by the clock that nobody sets.
            command.env("FAKETIME_DONT_FAKE_MONOTONIC", "1").env("DONT_FAKE_MONOTONIC", "1");
            command.env("NO_FAKE_STAT", "1");
        }
        command
    }

    fn log_file(&self) -> PathBuf {
        self.folder.path().join("log")
    }

    /// Starts it; how long it took to be ready.
    pub(crate) fn start(&mut self) -> anyhow::Result<Duration> {
        let log = File::options().create(true).append(true).open(self.log_file())?;
        let begun = Instant::now();
        let process = self
            .command()
            .arg("serve")
            .stdin(Stdio::null())
            // The first start prints a link for whoever becomes administrator.
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()?;
        self.process = Some(process);
        self.ready(begun)
    }

    /// Waits until it is ready; how long since then.
    pub(crate) fn ready(&mut self, since: Instant) -> anyhow::Result<Duration> {
        while since.elapsed() < READY {
            let answer = send(self.management_port, "GET /readyz HTTP/1.1\r\n", "");
            if answer.is_ok_and(|answer| answer.status == 200) {
                return Ok(since.elapsed());
            }
            if let Some(status) = self.process.as_mut().context("it does not run")?.try_wait()? {
                bail!("keywright has ended with {status}:\n{}", self.end_of_log());
            }
            thread::sleep(Duration::from_millis(3));
        }
        bail!("keywright is not ready within {READY:?}:\n{}", self.end_of_log())
    }

    /// Waits until sign-ins can begin; how long since then.
    pub(crate) fn serves(&mut self, since: Instant) -> anyhow::Result<Duration> {
        self.ready(since)?;
        while since.elapsed() < READY {
            let answer = send(self.site.port, "GET /account HTTP/1.1\r\n", "");
            if answer.is_ok_and(|answer| answer.status == 303) {
                self.still_runs()?;
                return Ok(since.elapsed());
            }
            thread::sleep(Duration::from_millis(20));
        }
        bail!("nobody can sign in within {READY:?}:\n{}", self.end_of_log())
    }

    /// `kill -9`.
    pub(crate) fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().unwrap();
            process.wait().unwrap();
        }
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

    /// Fails if it has ended by itself.
    pub(crate) fn still_runs(&mut self) -> anyhow::Result<()> {
        if let Some(status) = self.process.as_mut().and_then(|own| own.try_wait().unwrap()) {
            bail!("keywright has ended by itself with {status}:\n{}", self.end_of_log());
        }
        Ok(())
    }

    /// The next start is so much later.
    pub(crate) fn let_time_pass(&mut self, seconds: i64) {
        if self.clock_library.is_some() {
            self.site.ahead.fetch_add(seconds, Ordering::Relaxed);
        }
    }

    /// A verb, to be run.
    pub(crate) fn verb(&self, arguments: &[&str]) -> Command {
        let mut command = self.command();
        command.args(arguments).env("RUST_LOG", "warn").stdin(Stdio::null());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Runs a verb to its end; what it prints.
    pub(crate) fn run(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let output = self.verb(arguments).output()?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            bail!("keywright {}: {said}", arguments.join(" "));
        }
        Ok(String::from_utf8(output.stdout)?)
    }

    /// The same, with what it prints as JSON.
    pub(crate) fn run_json(&self, arguments: &[&str]) -> anyhow::Result<serde_json::Value> {
        Ok(serde_json::from_str(&self.run(arguments)?)?)
    }

    fn end_of_log(&self) -> String {
        let log = fs::read_to_string(self.log_file()).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(30)..].join("\n")
    }

    /// What the log says since the last look: no panic, no secret and, unless a store was killed, no
    /// error.
    pub(crate) fn check_log(&mut self, may_fail: bool) -> anyhow::Result<()> {
        let mut log = File::open(self.log_file())?;
        log.seek(SeekFrom::Start(self.read))?;
        let mut text = String::new();
        log.read_to_string(&mut text)?;
        self.read += u64::try_from(text.len())?;
        for line in text.lines() {
            let secret = SECRETS.iter().find(|secret| line.contains(**secret));
            if let Some(secret) = secret {
                bail!("{secret:?} stands in the log: {line}");
            }
            // That something is away for a moment is an error too, and nobody's fault.
            let is_away = may_fail || line.contains("\"code\":\"temporarily_unavailable\"");
            let is_error = line.contains("\"level\":\"ERROR\"") && !is_away;
            if line.contains("panicked") || is_error {
                bail!("the log has: {line}");
            }
        }
        Ok(())
    }

    /// Leaves what is needed to see what happened.
    pub(crate) fn keep(mut self) -> PathBuf {
        self.kill();
        let folder = std::mem::replace(&mut self.folder, tempfile::tempdir().unwrap());
        folder.keep()
    }
}

impl Drop for House {
    fn drop(&mut self) {
        self.kill();
    }
}

/// What no log may hold: the secrets of the configuration, what passwords and tokens look like.
const SECRETS: [&str; 10] = [
    SECRET_KEY,
    "-secret-of-the-endurance-run",
    PASSWORD_MARK,
    "kw_ac_",
    "kw_rt_",
    "kw_se_",
    "kw_ol_",
    "kw_in_",
    "kw_pat_",
    "eyJ",
];

/// A port that is free with the one of the probes, below those that the system gives to connections: nobody
/// takes it while the house is down. Another run has others.
fn free_port(chance: &mut Chance) -> u16 {
    loop {
        let port = 11_000 + u16::try_from(chance.below(9_000)).unwrap();
        let is_free = |port: u16| TcpListener::bind(("127.0.0.1", port)).is_ok();
        if is_free(port) && is_free(port + 10_000) {
            return port;
        }
    }
}

fn clock_library() -> Option<PathBuf> {
    let (before, after) = CLOCK_LIBRARY.split_once('*')?;
    let folders = fs::read_dir(before).ok()?;
    let found = folders.filter_map(Result::ok);
    let mut found = found.map(|folder| folder.path().join(after.trim_start_matches('/')));
    found.find(|file| file.exists())
}

/// Whether houses can be started at a later time.
pub(crate) fn time_can_pass() -> bool {
    clock_library().is_some()
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

fn settings((port, management_port): (u16, u16), database: &str, state: &str) -> String {
    let mut text = format!(
        r#"[server]
issuer = "http://localhost:{port}"
listen = "127.0.0.1:{port}"
management_listen = "127.0.0.1:{management_port}"

[database]
url = "{database}"

[state]
url = "{state}"

[secrets]
secret_key = "{SECRET_KEY}"

[tokens]
refresh_grace = "{GRACE}s"

[keys]
publish_lead = "10s"
jwks_max_age = "10s"

[sessions]
max_per_person = 1000

[passwords]
argon2_memory_kib = 64
argon2_passes = 1
min_strength = 0

[signup]
local = "open"
email = "off"

[rate_limits]
sign_in_per_minute = 1000000
sign_up_per_hour = 1000000
recovery_per_hour = 1000000
failed_accounts_per_network = 1000000
client_failures_per_minute = 1000000
max_new_flows = 1000000
"#
    );
    for app in &APPS {
        let kind = if app.is_public {
            "type = \"public\"".to_owned()
        } else {
            format!("secret = \"{}\"", app.secret())
        };
        text.push_str(&format!(
            "\n[[clients]]\nid = \"{}\"\nname = \"{}\"\n{kind}\nredirect_uris = [\"{}\"]\n\
             access_token_signing_alg = \"{}\"\nid_token_signing_alg = \"{}\"\n",
            app.id,
            app.id,
            app.callback(),
            app.algorithms.0,
            app.algorithms.1
        ));
    }
    text
}

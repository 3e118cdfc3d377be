//! The program itself: a file in a folder with its configuration, and a process of it that is started,
//! killed, told to stop, and looked at afterwards.

use std::{
    fs::{self, File},
    io::{Read as _, Seek as _, SeekFrom},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail, ensure};

use crate::{settings::SECRETS, wire::send};

/// Whoever is not ready by then never will be.
pub(crate) const READY: Duration = Duration::from_mins(1);
/// Whoever has not stopped by then is killed by those who run it.
const STOPPED: Duration = Duration::from_secs(40);
/// Where Debian's package has the library by which a process sees another time.
const CLOCK_LIBRARY: &str = "/usr/lib/*/faketime/libfaketimeMT.so.1";

/// The program, in a folder that has its configuration.
#[derive(Clone, Debug)]
pub(crate) struct Program {
    file: PathBuf,
    folder: PathBuf,
    clock_library: Option<PathBuf>,
}

impl Program {
    pub(crate) fn new(file: &Path, folder: &Path) -> Self {
        let (file, folder) = (file.to_owned(), folder.to_owned());
        Self { file, folder, clock_library: clock_library() }
    }

    /// Another version of it in the same folder.
    pub(crate) fn with_file(&self, file: &Path) -> Self {
        Self { file: file.to_owned(), ..self.clone() }
    }

    /// The program with nothing of our own environment that would configure it, in a time that is so many
    /// seconds ahead.
    pub(crate) fn command(&self, ahead: i64) -> Command {
        let mut command = Command::new(&self.file);
        command.env_clear().current_dir(&self.folder).stdin(Stdio::null());
        if let Some(library) = self.clock_library.as_ref().filter(|_| ahead > 0) {
            command.env("LD_PRELOAD", library).env("FAKETIME", format!("+{ahead}s"));
            // Time-outs and timers go by the clock that nobody sets.
            command.env("FAKETIME_DONT_FAKE_MONOTONIC", "1").env("DONT_FAKE_MONOTONIC", "1");
            command.env("NO_FAKE_STAT", "1");
        }
        command
    }

    /// A verb, to be run.
    pub(crate) fn verb(&self, ahead: i64, arguments: &[&str]) -> Command {
        let mut command = self.command(ahead);
        command.args(arguments).env("RUST_LOG", "warn");
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Runs a verb to its end; what it prints.
    pub(crate) fn run(&self, ahead: i64, arguments: &[&str]) -> anyhow::Result<String> {
        let output = self.verb(ahead, arguments).output()?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            bail!("keywright {}: {said}", arguments.join(" "));
        }
        Ok(String::from_utf8(output.stdout)?)
    }
}

fn clock_library() -> Option<PathBuf> {
    let (before, after) = CLOCK_LIBRARY.split_once('*')?;
    let folders = fs::read_dir(before).ok()?;
    let found = folders.filter_map(Result::ok);
    let mut found = found.map(|folder| folder.path().join(after.trim_start_matches('/')));
    found.find(|file| file.exists())
}

/// Whether processes can be started at a later time.
pub(crate) fn time_can_pass() -> bool {
    clock_library().is_some()
}

/// One server, or the place of one.
#[derive(Debug)]
pub(crate) struct Instance {
    pub(crate) program: Program,
    log: PathBuf,
    port: u16,
    management_port: u16,
    process: Option<Child>,
    /// How much of the log was looked at.
    read: u64,
}

impl Instance {
    /// One that has never run. Its probes are answered 10,000 above its port.
    pub(crate) fn new(program: Program, port: u16) -> Self {
        let log = program.folder.join(format!("log.{port}"));
        Self { program, log, port, management_port: port + 10_000, process: None, read: 0 }
    }

    /// Starts it; how long it took to be ready.
    pub(crate) fn start(&mut self, ahead: i64) -> anyhow::Result<Duration> {
        let begun = Instant::now();
        self.spawn(ahead)?;
        self.ready(begun)
    }

    /// The same, and again whenever it ends before it is ready, as whoever watches over it would do: a
    /// store may be away. Also how often it was started.
    pub(crate) fn start_patiently(&mut self) -> anyhow::Result<(Duration, u64)> {
        let begun = Instant::now();
        for tries in 1.. {
            self.spawn(0)?;
            while begun.elapsed() < READY {
                if self.is_ready() {
                    return Ok((begun.elapsed(), tries));
                }
                if self.has_ended()?.is_some() {
                    break;
                }
                thread::sleep(Duration::from_millis(10));
            }
            ensure!(begun.elapsed() < READY, "not ready within {READY:?}:\n{}", self.end_of_log());
            self.process = None;
            thread::sleep(Duration::from_millis(200));
        }
        bail!("it was not started")
    }

    fn spawn(&mut self, ahead: i64) -> anyhow::Result<()> {
        let log = File::options().create(true).append(true).open(&self.log)?;
        let at = |port: u16| format!("127.0.0.1:{port}");
        let process = self
            .program
            .command(ahead)
            .arg("serve")
            .env("KEYWRIGHT_SERVER__LISTEN", at(self.port))
            .env("KEYWRIGHT_SERVER__MANAGEMENT_LISTEN", at(self.management_port))
            // The first start prints a link for whoever becomes administrator.
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()?;
        self.process = Some(process);
        Ok(())
    }

    fn is_ready(&self) -> bool {
        let answer = send(self.management_port, "GET /readyz HTTP/1.1\r\n", "");
        answer.is_ok_and(|answer| answer.status == 200)
    }

    /// Waits until it is ready; how long since then.
    pub(crate) fn ready(&mut self, since: Instant) -> anyhow::Result<Duration> {
        while since.elapsed() < READY {
            if self.is_ready() {
                return Ok(since.elapsed());
            }
            self.still_runs()?;
            thread::sleep(Duration::from_millis(3));
        }
        bail!("keywright is not ready within {READY:?}:\n{}", self.end_of_log())
    }

    /// How it has ended, if it has.
    fn has_ended(&mut self) -> anyhow::Result<Option<ExitStatus>> {
        Ok(self.process.as_mut().context("it does not run")?.try_wait()?)
    }

    /// Fails if it has ended by itself.
    pub(crate) fn still_runs(&mut self) -> anyhow::Result<()> {
        if let Some(status) = self.has_ended()? {
            bail!("keywright has ended by itself with {status}:\n{}", self.end_of_log());
        }
        Ok(())
    }

    /// `kill -9`.
    pub(crate) fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().unwrap();
            process.wait().unwrap();
        }
    }

    /// Tells it to stop (SIGTERM) and waits until it has; how long that took.
    pub(crate) fn stop(&mut self) -> anyhow::Result<Duration> {
        let (begun, process) = (Instant::now(), self.process.as_ref().context("it does not run")?);
        let told = Command::new("kill").args(["-TERM", &process.id().to_string()]).status()?;
        ensure!(told.success(), "it cannot be told to stop");
        while begun.elapsed() < STOPPED {
            if let Some(status) = self.has_ended()? {
                self.process = None;
                ensure!(status.success(), "it has stopped with {status}:\n{}", self.end_of_log());
                return Ok(begun.elapsed());
            }
            thread::sleep(Duration::from_millis(5));
        }
        bail!("it has not stopped within {STOPPED:?}:\n{}", self.end_of_log())
    }

    pub(crate) fn end_of_log(&self) -> String {
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(30)..].join("\n")
    }

    /// What the log says since the last look: no panic, no secret and, unless a store was killed, no
    /// error.
    pub(crate) fn check_log(&mut self, may_fail: bool) -> anyhow::Result<()> {
        let mut log = File::open(&self.log)?;
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
}

impl Drop for Instance {
    fn drop(&mut self) {
        self.kill();
    }
}

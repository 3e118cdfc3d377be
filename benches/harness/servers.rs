//! Server processes: started, awaited, watched and ended.

use std::collections::VecDeque;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};

use crate::flows::Party;
use crate::http::{Connection, get};

/// How much of a server's log is kept for the message when it fails.
const TAIL: usize = 4 * 1024;
/// A server that is not ready by then never will be.
const READY: Duration = Duration::from_secs(30);
/// How long a server may drain.
const DRAIN: Duration = Duration::from_secs(15);

/// A running server; ended when dropped.
pub(crate) struct Server {
    name: &'static str,
    child: Child,
    tail: Arc<Mutex<VecDeque<u8>>>,
    started: Instant,
}

impl Server {
    /// Starts a program whose log is read, as a log collector would, and its end kept.
    pub(crate) fn spawn(name: &'static str, command: &mut Command) -> anyhow::Result<Self> {
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let started = Instant::now();
        let mut child = command.spawn().with_context(|| format!("starting {name}"))?;
        let tail = Arc::new(Mutex::new(VecDeque::new()));
        if let Some(mut log) = child.stderr.take() {
            let tail = Arc::clone(&tail);
            std::thread::spawn(move || {
                let mut bytes = [0; 8 * 1024];
                while let Ok(count @ 1..) = log.read(&mut bytes) {
                    let mut tail = tail.lock().unwrap_or_else(PoisonError::into_inner);
                    tail.extend(bytes.iter().take(count));
                    let excess = tail.len().saturating_sub(TAIL);
                    tail.drain(..excess);
                }
            });
        }
        Ok(Self { name, child, tail, started })
    }

    /// The process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits for the first 200 and says how long after the start it came.
    pub(crate) async fn ready(&mut self, party: &Party) -> anyhow::Result<Duration> {
        let request = get(&party.host, "/readyz", "");
        while self.started.elapsed() < READY {
            let answer = Connection::new(party.address).send(&request).await;
            if answer.is_ok_and(|response| response.status == 200) {
                return Ok(self.started.elapsed());
            }
            if let Some(status) = self.child.try_wait()? {
                bail!("{} ended with {status}:\n{}", self.name, self.log());
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        bail!("{} was not ready within {READY:?}:\n{}", self.name, self.log())
    }

    /// The end of its log.
    pub(crate) fn log(&self) -> String {
        let tail = self.tail.lock().unwrap_or_else(PoisonError::into_inner);
        let bytes: Vec<u8> = tail.iter().copied().collect();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Asks the process to end and waits for it.
    fn end(&mut self) {
        if matches!(self.child.try_wait(), Ok(Some(_))) {
            return;
        }
        let asked = Command::new("sh").arg("-c").arg(format!("kill -TERM {}", self.pid())).status();
        let deadline = Instant::now() + DRAIN;
        while asked.is_ok() && Instant::now() < deadline {
            if matches!(self.child.try_wait(), Ok(Some(_))) {
                return;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        eprintln!("{} did not end by itself; it is killed", self.name);
        // It may have ended in this very moment; either way it is gone.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.end();
    }
}

/// A Keywright with its folder and configuration.
pub(crate) struct Keywright {
    folder: PathBuf,
    config: PathBuf,
}

impl Keywright {
    /// Writes the configuration into a folder of its own.
    pub(crate) fn configure(parent: &Path, name: &str, toml: &str) -> anyhow::Result<Self> {
        let folder = parent.join(name);
        std::fs::create_dir_all(&folder)?;
        let config = folder.join("keywright.toml");
        std::fs::write(&config, toml)?;
        Ok(Self { folder, config })
    }

    /// Starts it.
    pub(crate) fn serve(&self) -> anyhow::Result<Server> {
        Server::spawn("keywright", self.command().arg("serve"))
    }

    /// Runs another verb to its end.
    pub(crate) fn run(&self, arguments: &[&str], input: &str) -> anyhow::Result<()> {
        let mut child = self
            .command()
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()?;
        if let Some(mut stdin) = child.stdin.take() {
            stdin.write_all(input.as_bytes())?;
        }
        let output = child.wait_with_output()?;
        if !output.status.success() {
            bail!("keywright {}: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr));
        }
        Ok(())
    }

    /// The binary of this build, with nothing of our own environment that would configure it.
    fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_keywright"));
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("KEYWRIGHT_") {
                command.env_remove(name);
            }
        }
        for name in ["DATABASE_URL", "REDIS_URL", "SECRET_KEY", "DISABLE_SIGNUP", "RUST_LOG"] {
            command.env_remove(name);
        }
        command.env("KEYWRIGHT_CONFIG", &self.config).current_dir(&self.folder);
        command
    }
}

/// This program in another role.
pub(crate) fn own_role(name: &'static str, arguments: &[(&str, String)]) -> anyhow::Result<Server> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg(name);
    for (option, value) in arguments {
        command.arg(option).arg(value);
    }
    Server::spawn(name, &mut command)
}

/// A port that is free now.
pub(crate) fn free_port() -> anyhow::Result<u16> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}

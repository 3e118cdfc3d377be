//! A PostgreSQL of this run's own, which may be killed like everything else.
//!
//! It is set up to lose what was committed a moment ago (`synchronous_commit = off`), as some operators do
//! it: Keywright asks for durable commits itself (FT-22). What reaches the operating system survives a
//! killed process, so that `fsync` may be off.

use std::{
    fs,
    net::{TcpListener, TcpStream},
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

use anyhow::{Context as _, bail, ensure};

/// A running server, or the place of one that was killed.
pub(crate) struct PostgresServer {
    folder: tempfile::TempDir,
    programs: PathBuf,
    port: u16,
    /// It refuses to run as root.
    user: Option<(u32, u32)>,
    process: Option<Child>,
}

/// The newest version that is installed.
fn programs() -> anyhow::Result<PathBuf> {
    let folders = fs::read_dir("/usr/lib/postgresql").context("PostgreSQL is not installed")?;
    let number = |path: &Path| path.file_name()?.to_str()?.parse::<u32>().ok();
    let versions = folders.filter_map(Result::ok).map(|folder| folder.path());
    let newest = versions.filter_map(|path| Some((number(&path)?, path))).max();
    let (_, newest) = newest.context("PostgreSQL is not installed")?;
    Ok(newest.join("bin"))
}

/// A number of a user or group, by `id`.
fn id(option: &str, name: Option<&str>) -> Option<u32> {
    let output = Command::new("id").arg(option).args(name).output().ok()?;
    String::from_utf8(output.stdout).ok()?.trim().parse().ok()
}

impl PostgresServer {
    /// Makes one on a free port, and starts it.
    pub(crate) fn start() -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let user = if id("-u", None) == Some(0) {
            let of = |name| Some((id("-u", Some(name))?, id("-g", Some(name))?));
            let user = of("postgres").or_else(|| of("nobody"));
            let (user, group) = user.context("there is nobody to run PostgreSQL as")?;
            std::os::unix::fs::chown(folder.path(), Some(user), Some(group))?;
            Some((user, group))
        } else {
            None
        };
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let mut server = Self { folder, programs: programs()?, port, user, process: None };
        let made = server
            .command("initdb")
            .args(["--username=keywright", "--auth=trust", "--encoding=UTF8"])
            .args(["--locale=C.UTF-8", "--no-sync"])
            .output()?;
        if !made.status.success() {
            bail!("initdb: {}", String::from_utf8_lossy(&made.stderr));
        }
        server.start_again()?;
        Ok(server)
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.programs.join(program));
        command.arg("-D").arg(self.folder.path().join("data")).current_dir(self.folder.path());
        command.stdin(Stdio::null());
        if let Some((user, group)) = self.user {
            command.uid(user).gid(group);
        }
        command
    }

    /// Starts it on its port, with what it has.
    pub(crate) fn start_again(&mut self) -> anyhow::Result<()> {
        let log = self.folder.path().join("log");
        let log = fs::File::options().create(true).append(true).open(log)?;
        let port = self.port.to_string();
        let process = self
            .command("postgres")
            .args(["-h", "127.0.0.1", "-p", &port, "-c", "unix_socket_directories="])
            .args(["-c", "max_connections=100", "-c", "synchronous_commit=off"])
            .args(["-c", "fsync=off", "-c", "wal_writer_delay=10s"])
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()?;
        self.process = Some(process);
        for _ in 0..600 {
            let asked = Command::new(self.programs.join("pg_isready"))
                .args(["-q", "-h", "127.0.0.1", "-p", &port])
                .status()?;
            if asked.success() {
                return Ok(());
            }
            thread::sleep(Duration::from_millis(50));
        }
        let log = fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
        bail!("PostgreSQL does not answer on port {port}: {log}")
    }

    /// `kill -9` of the server and of every process that it has started: nobody cleans up.
    pub(crate) fn kill(&mut self) {
        let Some(mut process) = self.process.take() else { return };
        let children = children_of(process.id());
        process.kill().unwrap();
        for child in children {
            // It may have ended by itself.
            let _ = Command::new("kill")
                .args(["-KILL", &child.to_string()])
                .stderr(Stdio::null())
                .status();
        }
        process.wait().unwrap();
        for _ in 0..100 {
            if TcpStream::connect(("127.0.0.1", self.port)).is_err() {
                break;
            }
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Tells it to end now, in order (SIGINT): whoever is connected is cut off.
    pub(crate) fn stop(&mut self) -> anyhow::Result<()> {
        let Some(mut process) = self.process.take() else { return Ok(()) };
        let told = Command::new("kill").args(["-INT", &process.id().to_string()]).status()?;
        ensure!(told.success() && process.wait()?.success(), "PostgreSQL has not stopped in order");
        Ok(())
    }

    /// Copies all that it has aside, or back from there; it is down.
    pub(crate) fn copy(&self, back: bool) -> anyhow::Result<()> {
        let (own, aside) = (self.folder.path().join("data"), self.folder.path().join("aside"));
        let (from, to) = if back { (aside, own) } else { (own, aside) };
        let gone = fs::remove_dir_all(&to);
        let copied = Command::new("cp").arg("-a").args([&from, &to]).status()?;
        ensure!(copied.success() && (gone.is_ok() || !back), "the data cannot be copied");
        Ok(())
    }

    /// A new database in it; its address.
    pub(crate) fn database(&self, name: &str) -> anyhow::Result<String> {
        let port = self.port.to_string();
        let made = Command::new(self.programs.join("createdb"))
            .args(["-h", "127.0.0.1", "-p", &port, "-U", "keywright", name])
            .output()?;
        if !made.status.success() {
            bail!("createdb: {}", String::from_utf8_lossy(&made.stderr));
        }
        Ok(format!("postgres://keywright@127.0.0.1:{port}/{name}"))
    }
}

/// The processes that a process has started.
fn children_of(parent: u32) -> Vec<u32> {
    let Ok(folders) = fs::read_dir("/proc") else { return Vec::new() };
    let numbers = folders.filter_map(|folder| folder.ok()?.file_name().to_str()?.parse().ok());
    numbers
        .filter(|process: &u32| {
            let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
            // The name in brackets may hold anything.
            let rest = stat.rsplit_once(") ").map_or("", |(_, rest)| rest);
            rest.split(' ').nth(1) == Some(&parent.to_string())
        })
        .collect()
}

impl Drop for PostgresServer {
    fn drop(&mut self) {
        self.kill();
    }
}

//! A Redis of one test's own, which the test may stop.

use std::{
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    time::Duration,
};

/// A running server, or the place of one that was killed.
pub(super) struct RedisServer {
    port: u16,
    folder: tempfile::TempDir,
    process: Option<Child>,
}

impl RedisServer {
    /// Starts one on a free port; nothing where Redis is not installed.
    pub(super) fn start() -> Option<Self> {
        let version = Command::new("redis-server").arg("--version").output();
        if !version.is_ok_and(|output| output.status.success()) {
            return None;
        }
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        let mut server = Self { port, folder: tempfile::tempdir().unwrap(), process: None };
        server.start_again();
        Some(server)
    }

    /// What `state.url` has to be.
    pub(super) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/0", self.port)
    }

    /// Starts it again on its port, with nothing in it.
    pub(super) fn start_again(&mut self) {
        assert!(self.process.is_none());
        let process = Command::new("redis-server")
            .args(["--bind", "127.0.0.1", "--save", "", "--appendonly", "no"])
            .args(["--port", &self.port.to_string()])
            .arg("--dir")
            .arg(self.folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        self.process = Some(process);
        for _ in 0..400 {
            if self.say("PING").is_some_and(|answer| answer.starts_with("+PONG")) {
                return;
            }
            std::thread::sleep(Duration::from_millis(25));
        }
        panic!("redis-server does not answer on port {}", self.port);
    }

    /// Kills it: connections break, and new ones are refused.
    pub(super) fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().unwrap();
            process.wait().unwrap();
        }
    }

    /// Lets it hang: connections are accepted and nothing is answered.
    pub(super) fn hang(&self) {
        self.signal("-STOP");
    }

    /// Lets it go on.
    pub(super) fn wake(&self) {
        self.signal("-CONT");
    }

    /// Forgets everything.
    pub(super) fn flush(&self) {
        assert_eq!(self.say("FLUSHALL").as_deref(), Some("+OK\r\n"));
    }

    fn signal(&self, name: &str) {
        let id = self.process.as_ref().expect("a running server").id().to_string();
        assert!(Command::new("kill").args([name, &id]).status().unwrap().success());
    }

    fn say(&self, command: &str) -> Option<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(2))).ok()?;
        stream.write_all(format!("{command}\r\n").as_bytes()).ok()?;
        let mut answer = [0; 64];
        let length = stream.read(&mut answer).ok()?;
        Some(String::from_utf8_lossy(&answer[..length]).into_owned())
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        if let Some(process) = &mut self.process {
            // A stopped process is killed all the same.
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

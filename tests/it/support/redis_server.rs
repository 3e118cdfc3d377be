//! A Redis of one test's own, which the test may stop: a server, one of a cluster, or a sentinel.

use std::{
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::Duration,
};

/// A running server, or the place of one that was killed.
pub(crate) struct RedisServer {
    port: u16,
    folder: tempfile::TempDir,
    process: Option<Child>,
    options: Vec<String>,
    /// A file and a word that stand before all options.
    first: Option<(PathBuf, &'static str)>,
}

impl RedisServer {
    /// Starts one on a free port; nothing where Redis is not installed.
    pub(crate) fn start() -> Option<Self> {
        Self::start_with(&[])
    }

    /// The same, with more options, as on its command line.
    pub(crate) fn start_with(options: &[&str]) -> Option<Self> {
        let version = Command::new("redis-server").arg("--version").output();
        if !version.is_ok_and(|output| output.status.success()) {
            return None;
        }
        let mut server = Self::on_a_free_port();
        server.options = options.iter().map(|option| (*option).to_owned()).collect();
        server.start_again();
        Some(server)
    }

    /// Starts a sentinel that watches this server as `master`, alone.
    pub(crate) fn sentinel_of(watched: &Self, master: &str) -> Self {
        let mut sentinel = Self::on_a_free_port();
        let text = format!(
            "sentinel monitor {master} 127.0.0.1 {} 1\nsentinel down-after-milliseconds {master} 500\n\
             sentinel failover-timeout {master} 3000\n",
            watched.port
        );
        let file = sentinel.folder.path().join("sentinel.conf");
        std::fs::write(&file, text).unwrap();
        sentinel.first = Some((file, "--sentinel"));
        sentinel.start_again();
        sentinel
    }

    fn on_a_free_port() -> Self {
        // A node of a cluster also listens 10,000 above its port.
        let port = (0..200).find_map(|_| {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let port = listener.local_addr().unwrap().port();
            (port < 55_000).then_some(port)
        });
        Self {
            port: port.expect("a port below 55,000"),
            folder: tempfile::tempdir().unwrap(),
            process: None,
            options: Vec::new(),
            first: None,
        }
    }

    /// The port it listens on.
    pub(crate) const fn port(&self) -> u16 {
        self.port
    }

    /// What `state.url` has to be.
    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/0", self.port)
    }

    /// Starts it again on its port, with nothing in it.
    pub(crate) fn start_again(&mut self) {
        assert!(self.process.is_none());
        let mut command = Command::new("redis-server");
        match &self.first {
            Some((file, word)) => command.arg(file).arg(word),
            None => command.args(["--save", "", "--appendonly", "no"]),
        };
        let process = command
            .args(["--bind", "127.0.0.1", "--port", &self.port.to_string()])
            .arg("--dir")
            .arg(self.folder.path())
            .args(&self.options)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        self.process = Some(process);
        for _ in 0..400 {
            if self.say("PING").is_some_and(|answer| {
                // Whoever wants a password or TLS first listens too.
                answer.starts_with("+PONG") || answer.starts_with("-NOAUTH")
            }) {
                return;
            }
            std::thread::sleep(Duration::from_millis(25));
        }
        panic!("redis-server does not answer on port {}", self.port);
    }

    /// Kills it: connections break, and new ones are refused.
    pub(crate) fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().unwrap();
            process.wait().unwrap();
        }
    }

    /// Lets it hang: connections are accepted and nothing is answered.
    pub(crate) fn hang(&self) {
        self.signal("-STOP");
    }

    /// Lets it go on.
    pub(crate) fn wake(&self) {
        self.signal("-CONT");
    }

    /// Forgets everything.
    pub(crate) fn flush(&self) {
        assert_eq!(self.say("FLUSHALL").as_deref(), Some("+OK\r\n"));
    }

    fn signal(&self, name: &str) {
        let id = self.process.as_ref().expect("a running server").id().to_string();
        assert!(Command::new("kill").args([name, &id]).status().unwrap().success());
    }

    /// Says something to it; what it answers.
    pub(crate) fn say(&self, command: &str) -> Option<String> {
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

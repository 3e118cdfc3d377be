//! Running the program in a folder of its own.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    path::PathBuf,
    process::{Child, Command, ExitStatus, Output, Stdio},
    time::Duration,
};

use serde_json::Value;
use tempfile::TempDir;

/// A working folder with an environment.
pub(super) struct Place {
    pub(super) folder: TempDir,
    pub(super) environment: BTreeMap<String, String>,
    /// Where the public listener waits.
    pub(super) port: u16,
    pub(super) management_port: u16,
    /// What the shell does before it becomes the program.
    before: String,
}

/// How a verb ended.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) status: Option<i32>,
    pub(super) out: String,
    pub(super) err: String,
}

/// A server that is running. It is killed when the test lets go of it.
pub(super) struct Server {
    child: Child,
    log: PathBuf,
    place: (u16, u16),
}

/// An answer to a request.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: String,
}

impl Answer {
    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("not JSON: {self:?}"))
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

impl Ended {
    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|_| panic!("not JSON: {self:?}"))
    }

    /// Asserts success.
    pub(super) fn ok(self) -> Self {
        assert_eq!(self.status, Some(0), "{self:?}");
        self
    }

    /// Asserts a failure whose explanation holds each of these texts, and that nothing was printed.
    pub(super) fn failed(self, status: i32, texts: &[&str]) -> Self {
        assert_eq!(self.status, Some(status), "{self:?}");
        for text in texts {
            assert!(self.err.contains(text), "{text:?} is missing: {}", self.err);
        }
        assert_eq!(self.out, "", "{self:?}");
        self
    }

    /// Asserts that none of these stands anywhere in what was printed.
    pub(super) fn shows_none_of(&self, secrets: &[&str]) {
        for secret in secrets {
            assert!(!self.out.contains(secret) && !self.err.contains(secret), "{secret}: {self:?}");
        }
    }
}

impl Place {
    /// A folder without any configuration but free ports to listen on.
    pub(super) fn new() -> Self {
        let mut place = Self {
            folder: tempfile::tempdir().unwrap(),
            environment: BTreeMap::new(),
            port: free_port(),
            management_port: free_port(),
            before: String::new(),
        };
        place.set("KEYWRIGHT_SERVER__LISTEN", &format!("127.0.0.1:{}", place.port));
        let management = format!("127.0.0.1:{}", place.management_port);
        place.set("KEYWRIGHT_SERVER__MANAGEMENT_LISTEN", &management);
        place
    }

    pub(super) fn set(&mut self, name: &str, value: &str) {
        self.environment.insert(name.to_owned(), value.to_owned());
    }

    /// Lets the program have so many files open.
    pub(super) fn limit_files(&mut self, most: u32) {
        self.before = format!("ulimit -n {most}; ");
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes `keywright.toml`.
    pub(super) fn configure(&self, text: &str) {
        fs::write(self.path("keywright.toml"), text).unwrap();
    }

    /// The program under an open umask, so that every restriction is its own doing.
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("/bin/sh");
        let script = format!("umask 000; {}exec \"$0\" \"$@\"", self.before);
        command
            .args(["-c", &script, env!("CARGO_BIN_EXE_keywright")])
            .args(arguments)
            .env_clear()
            .envs(&self.environment)
            .current_dir(self.folder.path());
        command
    }

    /// Runs a verb to its end.
    pub(super) fn run(&self, arguments: &[&str]) -> Ended {
        self.run_with_input(arguments, "")
    }

    pub(super) fn run_with_input(&self, arguments: &[&str], input: &str) -> Ended {
        let mut child = self
            .command(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // A verb that does not read it may have closed it.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        let output = child.wait_with_output().unwrap();
        Ended {
            status: output.status.code(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// Runs a verb that prints bytes.
    pub(super) fn output(&self, arguments: &[&str]) -> Output {
        self.command(arguments).stdin(Stdio::null()).output().unwrap()
    }

    /// Starts a server and waits until it is ready.
    pub(super) async fn serve(&self) -> Server {
        let mut server = self.begin_to_serve();
        for _ in 0..600 {
            if server.management("/readyz").is_ok_and(|answer| answer.status == 200) {
                return server;
            }
            let ended = server.child.try_wait().unwrap();
            assert!(ended.is_none(), "it ended with {ended:?}: {}", server.log());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("it does not become ready: {}", server.log())
    }

    /// Starts a server, and waits for nothing.
    pub(super) fn begin_to_serve(&self) -> Server {
        let log = self.path("log");
        let file = File::options().create(true).append(true).open(&log).unwrap();
        let child = self
            .command(&["serve"])
            .stdin(Stdio::null())
            .stdout(file.try_clone().unwrap())
            .stderr(file)
            .spawn()
            .unwrap();
        Server { child, log, place: (self.port, self.management_port) }
    }
}

impl Server {
    /// All that it printed and logged so far.
    pub(super) fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }

    pub(super) fn get(&self, path: &str) -> std::io::Result<Answer> {
        request(self.place.0, &format!("GET {path} HTTP/1.1\r\n"), "")
    }

    pub(super) fn management(&self, path: &str) -> std::io::Result<Answer> {
        request(self.place.1, &format!("GET {path} HTTP/1.1\r\n"), "")
    }

    /// Sends a signal by its name.
    pub(super) fn signal(&self, signal: &str) {
        let kill = format!("kill -{signal} {}", self.child.id());
        assert!(Command::new("/bin/sh").args(["-c", &kill]).status().unwrap().success());
    }

    /// Waits for its end.
    pub(super) async fn ended(&mut self) -> ExitStatus {
        for _ in 0..600 {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("it does not end: {}", self.log())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Posts a form as the client `web`.
pub(super) fn post(port: u16, path: &str, form: &[(&str, &str)]) -> std::io::Result<Answer> {
    let body: String =
        url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
    let head = format!(
        "POST {path} HTTP/1.1\r\nauthorization: {}\r\n\
         content-type: application/x-www-form-urlencoded\r\ncontent-length: {}\r\n",
        crate::support::app::basic("web"),
        body.len()
    );
    request(port, &head, &body)
}

/// One request on a connection of its own. An answer that is not complete is an error.
fn request(port: u16, head: &str, body: &str) -> std::io::Result<Answer> {
    let cut = || std::io::Error::from(std::io::ErrorKind::UnexpectedEof);
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    let text = format!("{head}host: localhost:{port}\r\nconnection: close\r\n\r\n{body}");
    stream.write_all(text.as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").ok_or_else(cut)?;
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).ok_or_else(cut)?;
    let length = head.lines().find_map(|line| {
        line.to_lowercase().strip_prefix("content-length: ")?.parse::<usize>().ok()
    });
    if length.is_some_and(|length| length != body.len()) {
        return Err(cut());
    }
    Ok(Answer { status, body: body.to_owned() })
}

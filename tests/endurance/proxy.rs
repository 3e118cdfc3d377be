//! nginx before two instances, with the very configuration that the documentation recommends.

use std::{
    fs,
    net::TcpStream,
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

use anyhow::{Context as _, bail, ensure};

use crate::traffic::NOBODY;

/// What `docs/operations.md` speaks of.
const RECOMMENDED: &str = include_str!("../../docs/packaging/nginx.conf");

/// A running nginx.
pub(crate) struct Proxy {
    process: Child,
    folder: tempfile::TempDir,
}

impl Proxy {
    /// Starts one on a port, before instances on these.
    pub(crate) fn start(port: u16, instances: &[u16]) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let file = folder.path().join("nginx.conf");
        fs::write(&file, configuration(folder.path(), port, instances)?)?;
        let log = fs::File::create(folder.path().join("output"))?;
        let process = Command::new(if Path::new("/usr/sbin/nginx").exists() {
            "/usr/sbin/nginx"
        } else {
            "nginx"
        })
        .arg("-p")
        .arg(folder.path())
        .arg("-c")
        .arg(&file)
        .arg("-e")
        .arg(folder.path().join("errors"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .context("nginx is not installed")?;
        let mut proxy = Self { process, folder };
        for _ in 0..200 {
            if TcpStream::connect(("127.0.0.1", port)).is_ok() {
                return Ok(proxy);
            }
            if proxy.process.try_wait()?.is_some() {
                break;
            }
            thread::sleep(Duration::from_millis(25));
        }
        let said = fs::read_to_string(proxy.folder.path().join("output")).unwrap_or_default();
        bail!("nginx does not answer on port {port}: {said}")
    }

    /// Fails if it has ended by itself.
    pub(crate) fn still_runs(&mut self) -> anyhow::Result<()> {
        let ended = self.process.try_wait()?;
        ensure!(ended.is_none(), "nginx has ended by itself");
        Ok(())
    }

    /// What it says about connections to instances, the last lines of it.
    pub(crate) fn end_of_log(&self) -> String {
        let log = fs::read_to_string(self.folder.path().join("errors")).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        // What was asked may hold a secret.
        let cut = |line: &&str| line.split(", request: ").next().unwrap_or_default().to_owned();
        let last = lines[lines.len().saturating_sub(8)..].iter();
        last.map(cut).collect::<Vec<_>>().join("\n")
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The recommended file with our addresses, without TLS, and with a mark on what nobody behind it has
/// answered.
fn configuration(folder: &Path, port: u16, instances: &[u16]) -> anyhow::Result<String> {
    let mut ports = instances.iter();
    let mut site = String::new();
    for line in RECOMMENDED.lines() {
        let word = line.split_whitespace().next().unwrap_or_default();
        match word {
            "server" if line.contains(":8080") => {
                let port = ports.next().context("more instances in the file than here")?;
                let (_, rest) = line.split_once(":8080").context("an address")?;
                site.push_str(&format!("    server 127.0.0.1:{port}{rest}\n"));
            }
            "listen" => site.push_str(&format!(
                "    listen 127.0.0.1:{port};\n    error_page 502 504 = @nobody;\n    \
                 location @nobody {{\n        add_header {NOBODY} yes always;\n        \
                 return 503 \"nobody is there\";\n    }}\n"
            )),
            "ssl_certificate" | "ssl_certificate_key" | "server_name" => {}
            _ => {
                site.push_str(line);
                site.push('\n');
            }
        }
    }
    ensure!(ports.next().is_none(), "fewer instances in the file than here");
    let folder = folder.display();
    let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
    let temporary = temporary.map(|name| format!("{name}_temp_path {folder}/{name};\n"));
    // One process, so that nothing is left behind when it is killed.
    Ok(format!(
        "daemon off;\nmaster_process off;\npid {folder}/pid;\nevents {{ worker_connections 1024; }}\n\
         http {{\naccess_log off;\n{}{site}}}\n",
        temporary.concat()
    ))
}

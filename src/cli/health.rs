//! `keywright health`: asks a server how it is, for the health checks of containers.
//!
//! An image holds this program and nothing else, no shell and no other client: what asks must be here.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use anyhow::{Context as _, bail};
use clap::Args;
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use super::output::say;
use crate::{
    config::{Config, Problems},
    urls::path,
};

/// How long one answer may take. Whoever runs health checks waits for five seconds or so.
const PATIENCE: Duration = Duration::from_secs(4);
/// More than any of these answers has.
const MAX_ANSWER: u64 = 256 * 1_024;

#[derive(Debug, Args)]
pub(super) struct Options {
    /// Ask a public listener instead, without TLS: whether it is the issuer, and publishes its keys.
    #[arg(long, value_name = "HOST:PORT")]
    at: Option<String>,
    /// The issuer that it should be. Without it, that of the configuration, which is not read otherwise.
    #[arg(long, value_name = "ADDRESS", requires = "at")]
    issuer: Option<String>,
}

pub(super) async fn run(
    load: impl Fn() -> Result<Config, Problems>,
    options: Options,
) -> anyhow::Result<()> {
    match (options.at, options.issuer) {
        (Some(at), Some(issuer)) => is_issuer(&at, &issuer).await,
        (Some(at), None) => is_issuer(&at, load()?.server.issuer.as_str()).await,
        (None, _) => is_ready(load()?.server.management_listen).await,
    }
}

/// Asks the server of this configuration whether it is ready.
async fn is_ready(listen: SocketAddr) -> anyhow::Result<()> {
    let address = way_to(listen).to_string();
    let answer = get(&address, "/readyz").await.with_context(|| {
        format!("no server is ready: {address} (server.management_listen) does not answer")
    })?;
    if answer.status != 200 {
        bail!("the server is not ready: {} {}", answer.status, answer.body.trim_end());
    }
    say("The server is ready.");
    Ok(())
}

/// Asks for what apps ask for first.
async fn is_issuer(at: &str, issuer: &str) -> anyhow::Result<()> {
    let metadata = document(at, path::OPENID_CONFIGURATION).await?;
    let named = metadata.get("issuer").and_then(Value::as_str);
    if named != Some(issuer) {
        let named = named.unwrap_or("nobody");
        bail!("{at} is {named:?}, and not {issuer:?}: compare its server.issuer");
    }
    let keys = document(at, path::JWKS).await?;
    let count = keys.get("keys").and_then(Value::as_array).map_or(0, Vec::len);
    if count == 0 {
        bail!("{at} publishes no keys");
    }
    say(&format!("{at} is {issuer} and publishes {count} keys."));
    Ok(())
}

async fn document(at: &str, path: &str) -> anyhow::Result<Value> {
    let answer = get(at, path).await.with_context(|| format!("{at} does not answer"))?;
    if answer.status != 200 {
        bail!("{at} answers {path} with status {}", answer.status);
    }
    let wrong = || format!("what {at} has at {path} is no JSON");
    serde_json::from_str(&answer.body).with_context(wrong)
}

/// Where to find from here whoever listens there: one who listens everywhere listens here, too.
fn way_to(listen: SocketAddr) -> SocketAddr {
    let here = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    SocketAddr::new(here, listen.port())
}

struct Answer {
    status: u16,
    body: String,
}

/// One request on a connection of its own. HTTP/1.0: the answer comes in one piece and ends with the
/// connection.
async fn get(at: &str, path: &str) -> anyhow::Result<Answer> {
    let exchange = async {
        let mut stream = TcpStream::connect(at).await?;
        let request = format!("GET {path} HTTP/1.0\r\nhost: {at}\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        stream.take(MAX_ANSWER).read_to_string(&mut answer).await?;
        anyhow::Ok(answer)
    };
    let late = || format!("nothing came within {} s", PATIENCE.as_secs());
    let answer = tokio::time::timeout(PATIENCE, exchange).await.with_context(late)??;
    let (head, body) = answer.split_once("\r\n\r\n").context("what came was no HTTP")?;
    let status = head.strip_prefix("HTTP/").and_then(|rest| rest.split(' ').nth(1));
    let status = status.and_then(|status| status.parse().ok()).context("what came was no HTTP")?;
    Ok(Answer { status, body: body.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::way_to;

    #[test]
    fn who_listens_everywhere_is_asked_here() {
        for (listen, asked) in [
            ("0.0.0.0:9090", "127.0.0.1:9090"),
            ("[::]:9090", "[::1]:9090"),
            ("127.0.0.1:9090", "127.0.0.1:9090"),
            ("10.0.0.7:9191", "10.0.0.7:9191"),
        ] {
            assert_eq!(way_to(listen.parse().unwrap()), asked.parse().unwrap());
        }
    }
}

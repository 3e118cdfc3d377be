//! Where a party of the demonstration is found: a free port of this computer.

use std::{
    io::ErrorKind,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
};

use anyhow::bail;
use tokio::net::TcpListener;

const TRIES: usize = 20;

/// A free port, listened on under every address that `localhost` stands for.
pub(super) struct Place {
    pub(super) listeners: Vec<TcpListener>,
    /// `http://localhost:PORT`.
    pub(super) origin: String,
}

impl Place {
    /// Finds a free port.
    pub(super) async fn find() -> anyhow::Result<Self> {
        for _ in 0..TRIES {
            let first = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
            let port = first.local_addr()?.port();
            let origin = format!("http://localhost:{port}");
            // Browsers may try IPv6 first; whoever sat there would get our visitors.
            match TcpListener::bind(SocketAddr::from((Ipv6Addr::LOCALHOST, port))).await {
                Ok(second) => return Ok(Self { listeners: vec![first, second], origin }),
                Err(error) if error.kind() == ErrorKind::AddrInUse => {}
                Err(_) => return Ok(Self { listeners: vec![first], origin }),
            }
        }
        bail!("no free port was found")
    }
}

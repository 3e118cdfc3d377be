//! Listening, answering, and stopping without losing anybody.
//!
//! Built on hyper itself, because the framework's own loop has no time limit for slow headers
//! (HT-01), no limit of connections, and no TLS. At the end the listener closes first, who waits in
//! line is let in, requests in flight may finish, and idle connections are told to go.

mod activity;
mod connection;
mod descriptors;
mod places;
mod proxy_protocol;
mod tls;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use anyhow::Context as _;
use axum::Router;
use ipnet::IpNet;
use tokio::{
    net::{TcpListener, TcpSocket, TcpStream},
    sync::OwnedSemaphorePermit,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use self::{connection::Hall, places::Places};
use crate::config::{Config, ConnectionSettings};

pub use tls::{Certificates, keep_fresh};

/// How long the loop rests when no connection can be accepted.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// So many connections may stand in the system's line.
const LINE: u32 = 1_024;
/// Probes come one by one.
const MAX_PROBES: usize = 64;

/// What connections may do, and how they begin.
#[derive(Clone, Debug)]
pub struct Terms {
    max_connections: usize,
    max_per_network: usize,
    stall: Duration,
    idle: Duration,
    /// Whose connections are not counted by network, and whose word on addresses counts.
    proxies: Vec<IpNet>,
    /// Whether those begin with a line that says for whom they are.
    proxy_protocol: bool,
    certificates: Option<Arc<Certificates>>,
}

impl Terms {
    /// Those of the public listener.
    pub fn of(config: &Config, certificates: Option<Arc<Certificates>>) -> Self {
        let mut terms = Self::with(&config.connections);
        let room = descriptors::room();
        if room < terms.max_connections {
            tracing::warn!(
                connections = room,
                "the process may not open more files (ulimit -n): fewer connections than connections.max"
            );
            terms.max_connections = room;
        }
        terms.proxies.clone_from(&config.server.trusted_proxies);
        terms.proxy_protocol = config.server.proxy_protocol;
        terms.certificates = certificates;
        terms
    }

    /// Those of a listener that nothing stands before, and that speaks without TLS.
    pub fn with(settings: &ConnectionSettings) -> Self {
        let many = |number| usize::try_from(number).unwrap_or(usize::MAX);
        Self {
            max_connections: many(settings.max),
            max_per_network: many(settings.max_per_network),
            stall: settings.stall_timeout.to_std(),
            idle: settings.idle_timeout.to_std(),
            proxies: Vec::new(),
            proxy_protocol: false,
            certificates: None,
        }
    }

    /// Those of the listener for probes.
    pub fn of_probes(config: &Config) -> Self {
        let mut terms = Self::with(&config.connections);
        (terms.max_connections, terms.max_per_network) = (MAX_PROBES, MAX_PROBES);
        terms
    }
}

/// An address that is ours, at which nobody is let in yet: whoever connects is refused, and a proxy asks
/// another server. One that listened would keep people waiting for as long as its start takes.
#[derive(Debug)]
pub struct Reserved {
    socket: TcpSocket,
    in_the_way: String,
}

/// Takes an address, or says what is in the way.
pub fn reserve(address: SocketAddr, setting: &str) -> anyhow::Result<Reserved> {
    let in_the_way = format!("{setting} = \"{address}\": cannot listen there; is it in use?");
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    // Connections of a former process that are not quite over are not in the way.
    socket.set_reuseaddr(true)?;
    socket.bind(address).with_context(|| in_the_way.clone())?;
    Ok(Reserved { socket, in_the_way })
}

impl Reserved {
    /// Lets people in from now on.
    pub fn open(self) -> anyhow::Result<TcpListener> {
        self.socket.listen(LINE).context(self.in_the_way)
    }
}

/// Answers on a listener until told to stop, then lets requests in flight finish.
pub async fn serve(
    listener: TcpListener,
    terms: Terms,
    router: Router,
    stopping: CancellationToken,
    drain: Duration,
) {
    let places = Places::new(terms.max_connections, terms.max_per_network);
    let hall = Arc::new(Hall::new(terms, router, Arc::clone(&places), stopping.clone()));
    let connections = TaskTracker::new();
    let attend = |stream: TcpStream, peer, place: OwnedSemaphorePermit| {
        let hall = Arc::clone(&hall);
        connections.spawn(async move {
            hall.attend(stream, peer).await;
            drop(place);
        });
    };
    let mut failing = false;
    loop {
        let accepted = tokio::select! {
            accepted = accept(&listener, &places) => accepted,
            () = stopping.cancelled() => break,
        };
        match accepted {
            Ok((stream, peer, place)) => {
                failing = false;
                attend(stream, peer, place);
            }
            Err(error) => {
                // Said once, and not twenty times a second for as long as there is no descriptor.
                if !failing {
                    tracing::warn!(%error, "a connection could not be accepted");
                }
                failing = true;
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    admit_the_line(listener, &places, attend);
    connections.close();
    if tokio::time::timeout(drain, connections.wait()).await.is_err() {
        tracing::warn!("requests in flight did not end in time and were cut off");
        hall.cut();
        connections.wait().await;
    }
}

/// The next connection, when there is a place for it: until then it waits in the system's line.
async fn accept(
    listener: &TcpListener,
    places: &Places,
) -> std::io::Result<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
    let place = places.wait().await.ok_or(std::io::ErrorKind::Other)?;
    let (stream, peer) = listener.accept().await?;
    Ok((stream, peer, place))
}

/// Whoever stands in line when the listener closes would be reset (FT-41): lets in as many as there
/// are places for.
fn admit_the_line(
    listener: TcpListener,
    places: &Places,
    attend: impl Fn(TcpStream, SocketAddr, OwnedSemaphorePermit),
) {
    // Never blocks: the socket of an asynchronous listener does not.
    let Ok(listener) = listener.into_std() else {
        return;
    };
    while let Some(place) = places.now() {
        let Ok((stream, peer)) = listener.accept() else {
            return;
        };
        let stream = stream.set_nonblocking(true).and_then(|()| TcpStream::from_std(stream));
        if let Ok(stream) = stream {
            attend(stream, peer, place);
        }
    }
}

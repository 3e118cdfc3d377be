//! The line between two programs, which a test can spoil: a TCP proxy on a loopback port.

use std::{net::SocketAddr, time::Duration};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
    task::JoinSet,
};

/// What is wrong with a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Nothing.
    None,
    /// Every piece arrives so much later.
    Late(Duration),
    /// What is asked arrives, and no answer does.
    Deaf,
    /// Nothing arrives any more, and nobody is told.
    Silent,
    /// Of the next answer only so many bytes arrive; then the connection ends, as does every new one.
    Torn(usize),
}

/// A running proxy. It ends, with all its connections, when it is dropped.
pub(crate) struct Line {
    port: u16,
    fault: watch::Sender<Fault>,
    _connections: JoinSet<()>,
}

impl Line {
    /// A good line to a server.
    pub(crate) async fn to(server: SocketAddr) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (fault, seen) = watch::channel(Fault::None);
        let mut connections = JoinSet::new();
        connections.spawn(accept(listener, server, seen));
        Self { port, fault, _connections: connections }
    }

    /// A good line to the server that an address names, and the address by this line.
    pub(crate) async fn before(address: &str) -> (Self, String) {
        let mut url = url::Url::parse(address).unwrap();
        let host = url.host_str().unwrap().to_owned();
        let server = tokio::net::lookup_host((host, url.port().unwrap())).await.unwrap().next();
        let line = Self::to(server.unwrap()).await;
        url.set_host(Some("127.0.0.1")).unwrap();
        url.set_port(Some(line.port)).unwrap();
        (line, url.into())
    }

    /// From now on this is wrong with it, also with connections that there are.
    pub(crate) fn spoil(&self, fault: Fault) {
        self.fault.send_replace(fault);
    }

    /// Everything is good again, for new connections; those that were spoilt have missed something.
    pub(crate) fn mend(&self) {
        self.fault.send_replace(Fault::None);
    }
}

async fn accept(listener: TcpListener, server: SocketAddr, fault: watch::Receiver<Fault>) {
    let mut connections = JoinSet::new();
    while let Ok((near, _)) = listener.accept().await {
        if matches!(*fault.borrow(), Fault::Torn(_)) {
            continue;
        }
        let Ok(far) = TcpStream::connect(server).await else { continue };
        let fault = fault.clone();
        connections.spawn(async move {
            let (near_in, near_out) = near.into_split();
            let (far_in, far_out) = far.into_split();
            // When one direction ends, the other does, and both programs hear of it.
            tokio::select! {
                () = pass(near_in, far_out, Way::Asking, fault.clone()) => {}
                () = pass(far_in, near_out, Way::Answering, fault) => {}
            }
        });
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Asking,
    Answering,
}

/// Passes on what comes, as well as the line allows.
async fn pass(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    way: Way,
    fault: watch::Receiver<Fault>,
) {
    let mut buffer = vec![0; 16_384];
    let mut missed = false;
    while let Ok(length @ 1..) = from.read(&mut buffer).await {
        let now = *fault.borrow();
        let lost = match now {
            Fault::Silent => true,
            Fault::Deaf => way == Way::Answering,
            Fault::None | Fault::Late(_) | Fault::Torn(_) => false,
        };
        missed |= lost;
        if missed {
            if lost {
                continue;
            }
            // What comes now would not be understood without what was lost.
            return;
        }
        let mut passed = &buffer[..length];
        if let Fault::Late(by) = now {
            tokio::time::sleep(by).await;
        }
        if let (Fault::Torn(after), Way::Answering) = (now, way) {
            passed = &passed[..after.min(length)];
        }
        if to.write_all(passed).await.is_err() || passed.len() < length {
            return;
        }
    }
}

//! The server over a real socket.

use std::{net::SocketAddr, time::Duration};

use keywright::server::{self, Terms};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;

use super::app::TestApp;

/// A request that is answered out of memory.
pub(crate) const KEYS: &str = "GET /.well-known/jwks.json HTTP/1.1\r\nhost: id.test\r\n\r\n";

/// A server on a port of loopback.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) stopping: CancellationToken,
    pub(crate) running: JoinHandle<()>,
}

impl Server {
    pub(crate) async fn start(app: &TestApp) -> Self {
        Self::start_on(app, Terms::of(&app.app.config, None)).await
    }

    /// One on whose connections these terms hold.
    pub(crate) async fn start_on(app: &TestApp, terms: Terms) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let stopping = CancellationToken::new();
        let (router, token) = (app.router.clone(), stopping.clone());
        let drain = Duration::from_secs(20);
        let running = tokio::spawn(server::serve(listener, terms, router, token, drain));
        Self { address, stopping, running }
    }

    pub(crate) async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// What comes on a connection of its own for these bytes, until it is closed.
    pub(crate) async fn say(&self, bytes: impl AsRef<[u8]>) -> String {
        let mut stream = self.connect().await;
        // The server may close before everything is sent.
        let _ = stream.write_all(bytes.as_ref()).await;
        read_all(&mut stream).await
    }

    /// Opens a connection that has asked once, and was answered.
    pub(crate) async fn rest(&self) -> TcpStream {
        let mut stream = self.connect().await;
        assert!(ask(&mut stream).await, "no answer");
        stream
    }
}

/// Asks for the keys, and answers whether they came.
pub(crate) async fn ask(stream: &mut TcpStream) -> bool {
    let mut buffer = [0; 16_384];
    stream.write_all(KEYS.as_bytes()).await.is_ok()
        && stream.read(&mut buffer).await.is_ok_and(|_| buffer.starts_with(b"HTTP/1.1 200"))
}

/// Reads until the other side closes.
pub(crate) async fn read_all(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    let reading = stream.read_to_end(&mut bytes);
    let read = tokio::time::timeout(Duration::from_secs(30), reading).await;
    // A reset after the answer is an end too.
    let _ = read.expect("the connection stays open");
    String::from_utf8_lossy(&bytes).into_owned()
}

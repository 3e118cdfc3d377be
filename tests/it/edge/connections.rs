//! How many connections there may be, and how long they may do nothing.

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpSocket, TcpStream},
};

use crate::support::{
    app::{TestApp, breathe},
    server::{KEYS, Server, ask, read_all},
};

async fn serve(lines: &str) -> (TestApp, Server) {
    let app = TestApp::builder().config(lines).start().await;
    let server = Server::start(&app).await;
    (app, server)
}

/// Tries until one is answered: places are given back beside what the client sees.
async fn rest_at_last(server: &Server) -> TcpStream {
    for _ in 0..200 {
        let mut stream = server.connect().await;
        if ask(&mut stream).await {
            return stream;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("no place is given back");
}

/// HT-01: one network takes so many connections and no more; whoever is there is not disturbed.
#[tokio::test(flavor = "multi_thread")]
async fn a_network_has_so_many_connections() {
    let (_app, server) = serve("[connections]\nmax_per_network = 3").await;
    let mut there = [server.rest().await, server.rest().await, server.rest().await];
    for _ in 0..5 {
        assert_eq!(server.say(KEYS).await, "", "closed without a word");
    }
    for stream in &mut there {
        assert!(ask(stream).await);
    }
    drop(there);
    rest_at_last(&server).await;
    server.stopping.cancel();
}

/// A proxy has as many as it needs: each is somebody else's.
#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_of_ours_is_no_network() {
    let (_app, server) = serve(
        "[connections]\nmax_per_network = 1\n\
         [server]\nissuer = \"https://id.test\"\ntrusted_proxies = [\"127.0.0.0/8\"]",
    )
    .await;
    let mut there = [server.rest().await, server.rest().await, server.rest().await];
    for stream in &mut there {
        assert!(ask(stream).await);
    }
    server.stopping.cancel();
}

/// FT-47: when all places are taken, whoever comes waits, and is let in when somebody goes.
#[tokio::test(flavor = "multi_thread")]
async fn when_all_places_are_taken_the_next_one_waits() {
    let (_app, server) = serve("[connections]\nmax = 2").await;
    let first = server.rest().await;
    let mut second = server.rest().await;
    let mut third = server.connect().await;
    third.write_all(KEYS.as_bytes()).await.unwrap();
    let mut buffer = [0; 12];
    let waiting = tokio::time::timeout(Duration::from_millis(500), third.read(&mut buffer)).await;
    assert!(waiting.is_err(), "{waiting:?}");
    assert!(ask(&mut second).await, "whoever is there is answered");
    drop(first);
    third.read_exact(&mut buffer).await.unwrap();
    assert_eq!(&buffer, b"HTTP/1.1 200");
    server.stopping.cancel();
}

/// A connection that rests is closed after its time, by HTTP/1.1 and by HTTP/2.
#[tokio::test(flavor = "multi_thread")]
async fn a_connection_does_not_rest_for_ever() {
    let (_app, server) = serve("[connections]\nidle_timeout = \"4s\"").await;
    let mut resting = server.rest().await;
    assert_eq!(read_all(&mut resting).await, "");
    let mut multiplexed = server.connect().await;
    multiplexed.write_all(&super::multiplexed::opening()).await.unwrap();
    multiplexed.write_all(&super::multiplexed::request(1)).await.unwrap();
    // Its own questions whether we are there do not keep it.
    let (mut from, mut to) = multiplexed.into_split();
    let asking = tokio::spawn(async move {
        let ping = super::multiplexed::frame(6, 0, 0, &[7; 8]);
        while to.write_all(&ping).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    });
    let mut read = Vec::new();
    let ended = tokio::time::timeout(Duration::from_secs(30), from.read_to_end(&mut read)).await;
    assert!(ended.is_ok(), "the connection stays open");
    assert!(!read.is_empty());
    asking.abort();
    server.stopping.cancel();
}

/// HT-02: somebody who asks and does not take the answers is not waited for.
#[tokio::test(flavor = "multi_thread")]
async fn whoever_does_not_read_is_closed() {
    let (_app, server) = serve("[connections]\nstall_timeout = \"4s\"").await;
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4_096).unwrap();
    let mut stream = socket.connect(server.address).await.unwrap();
    let asking = async {
        let many = KEYS.repeat(100);
        while stream.write_all(many.as_bytes()).await.is_ok() {}
    };
    let closed = tokio::time::timeout(Duration::from_secs(60), asking).await;
    assert!(closed.is_ok(), "the connection stays open");
    server.stopping.cancel();
}

/// A request that is being worked on, as far as it needs more from its client.
async fn begin(server: &Server) -> TcpStream {
    let mut stream = server.connect().await;
    let head = "POST /token HTTP/1.1\r\nhost: id.test\r\nconnection: close\r\n\
                content-type: application/x-www-form-urlencoded\r\ncontent-length: 3\r\n\r\na=";
    stream.write_all(head.as_bytes()).await.unwrap();
    stream
}

/// FT-48: more requests at once than can be worked on are told to come back, in the form that each
/// reads; what lies in memory is answered all the same. It is one event in a minute.
#[tokio::test(flavor = "multi_thread")]
async fn more_requests_than_can_be_worked_on_are_told_to_come_back() {
    let (app, server) = serve("[connections]\nmax_requests = 1").await;
    let mut first = begin(&server).await;
    let refused = "GET /nowhere HTTP/1.1\r\nhost: id.test\r\nconnection: close\r\n";
    let mut answer = String::new();
    for _ in 0..200 {
        // The one that takes the place may not have begun yet.
        answer = server.say(format!("{refused}\r\n")).await;
        if answer.starts_with("HTTP/1.1 503") {
            break;
        }
        breathe().await;
    }
    for part in ["HTTP/1.1 503", "retry-after: ", "\"temporarily_unavailable\"", "no-store"] {
        assert!(answer.contains(part), "{part} is not in {answer}");
    }
    let page = server.say(format!("{refused}accept: text/html\r\n\r\n")).await;
    assert!(page.starts_with("HTTP/1.1 503") && page.contains("code: too_busy\n"), "{page}");
    assert!(
        server
            .say(KEYS.replace("\r\n\r\n", "\r\nconnection: close\r\n\r\n"))
            .await
            .starts_with("HTTP/1.1 200")
    );
    let kept = app.refusals("page").await;
    assert_eq!(kept.iter().filter(|reason| *reason == "too_busy").count(), 1, "{kept:?}");
    first.write_all(b"b").await.unwrap();
    assert!(read_all(&mut first).await.contains("invalid_client"));
    assert!(server.say(format!("{refused}\r\n")).await.starts_with("HTTP/1.1 404"));
    server.stopping.cancel();
}

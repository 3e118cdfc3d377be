//! HTTP/2, frame by frame (RFC 9113).

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::support::{app::TestApp, server::Server};

const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// A frame (§4.1).
pub(super) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// What every connection begins with (§3.4).
pub(super) fn opening() -> Vec<u8> {
    [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".as_slice(), &frame(SETTINGS, 0, 0, &[])].concat()
}

/// The fields of a request for the keys (RFC 7541).
fn fields() -> Vec<u8> {
    let path = b"/.well-known/jwks.json";
    let length = u8::try_from(path.len()).unwrap();
    [&[0x82, 0x86, 0x04, length], path.as_slice(), b"\x01\x07id.test"].concat()
}

/// A request for the keys.
pub(super) fn request(stream: u32) -> Vec<u8> {
    frame(HEADERS, END_STREAM | END_HEADERS, stream, &fields())
}

/// Sends what is made for each odd number, in turn, and answers whether the other side gave up first.
async fn flood(server: &Server, count: u32, make: impl Fn(u32) -> Vec<u8>) -> bool {
    let mut stream = server.connect().await;
    stream.write_all(&opening()).await.unwrap();
    for number in 0..count {
        if stream.write_all(&make(2 * number + 1)).await.is_err() {
            return true;
        }
    }
    ends(&mut stream).await
}

async fn ends(stream: &mut TcpStream) -> bool {
    let mut all = Vec::new();
    let reading = stream.read_to_end(&mut all);
    tokio::time::timeout(Duration::from_secs(40), reading).await.is_ok()
}

/// HT-05: floods end their own connection, and nobody else's.
#[tokio::test(flavor = "multi_thread")]
async fn floods_end_their_own_connection() {
    let lines = "[connections]\nidle_timeout = \"6s\"\nstall_timeout = \"4s\"";
    let app = TestApp::builder().config(lines).start().await;
    let server = Server::start(&app).await;
    let cancel = 8_u32.to_be_bytes();
    // Rapid reset: asked and taken back at once.
    let reset = |id| [request(id), frame(RST_STREAM, 0, id, &cancel)].concat();
    assert!(flood(&server, 20_000, reset).await, "rapid reset");
    // Made you reset: faults that make us take back what was asked.
    let made = |id| [request(id), frame(WINDOW_UPDATE, 0, id, &[0; 4])].concat();
    assert!(flood(&server, 20_000, made).await, "made you reset");
    // A head without an end.
    let endless = |id| match id {
        1 => frame(HEADERS, END_STREAM, 1, &fields()),
        _ => frame(CONTINUATION, 0, 1, &[0x40, 1, b'x', 1, b'y']),
    };
    assert!(flood(&server, 200_000, endless).await, "continuation");
    assert!(flood(&server, 100_000, |_| frame(SETTINGS, 0, 0, &[])).await, "settings");
    assert!(flood(&server, 100_000, |_| frame(PING, 0, 0, &[1; 8])).await, "ping");
    // Answers that nobody lets us send.
    let shut = [0, 4, 0, 0, 0, 0];
    let window = |id| match id {
        1 => frame(SETTINGS, 0, 0, &shut),
        _ => request(id),
    };
    assert!(flood(&server, 90, window).await, "no window");

    let mut honest = server.connect().await;
    honest.write_all(&[opening(), request(1)].concat()).await.unwrap();
    let mut seen = Vec::new();
    while !String::from_utf8_lossy(&seen).contains("\"keys\"") {
        let mut buffer = [0; 16_384];
        let read = honest.read(&mut buffer).await.unwrap();
        assert!(read > 0, "{}", seen.escape_ascii());
        seen.extend_from_slice(&buffer[..read]);
    }
    server.stopping.cancel();
}

//! A small HTTP/1.1 client over one keep-alive connection.
//!
//! It exists because the load generator must cost little beside the server, and must show every
//! hop, header and connection as it is. It speaks what the servers under test answer with:
//! `Content-Length`, chunked bodies, and answers without a body.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, bail};
use bytes::{Buf as _, Bytes, BytesMut};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

const PATIENCE: Duration = Duration::from_secs(20);
const MAX_HEADERS: usize = 48;

/// What came back.
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) location: Option<String>,
    pub(crate) etag: Option<String>,
    /// In seconds.
    pub(crate) retry_after: Option<u64>,
    /// The values of all `Set-Cookie` headers, in order.
    pub(crate) cookies: Vec<String>,
    pub(crate) body: Bytes,
}

impl Response {
    /// The start of the body, for messages about an answer that was not expected.
    pub(crate) fn excerpt(&self) -> String {
        let text = String::from_utf8_lossy(&self.body);
        let mut excerpt: String = text.chars().take(300).collect();
        if let Some(location) = &self.location {
            excerpt.push_str(" -> ");
            excerpt.push_str(location);
        }
        excerpt
    }

    /// Fails unless the status is the expected one.
    pub(crate) fn expect(self, status: u16) -> anyhow::Result<Self> {
        if self.status != status {
            bail!("status {} instead of {status}: {}", self.status, self.excerpt());
        }
        Ok(self)
    }
}

/// One connection, reopened when the server has closed it.
pub(crate) struct Connection {
    address: SocketAddr,
    stream: Option<TcpStream>,
    buffer: BytesMut,
}

impl Connection {
    /// A connection that opens with the first request.
    pub(crate) fn new(address: SocketAddr) -> Self {
        Self { address, stream: None, buffer: BytesMut::with_capacity(16 * 1024) }
    }

    /// Sends a request and reads the whole answer.
    pub(crate) async fn send(&mut self, request: &[u8]) -> anyhow::Result<Response> {
        tokio::time::timeout(PATIENCE, self.send_patiently(request))
            .await
            .unwrap_or_else(|_| bail!("no answer from {} within {PATIENCE:?}", self.address))
            .inspect_err(|_| self.stream = None)
    }

    async fn send_patiently(&mut self, request: &[u8]) -> anyhow::Result<Response> {
        // A server may close an idle connection at any time; only then is a request sent twice.
        let reused = self.stream.is_some();
        match self.exchange(request).await? {
            Some(response) => Ok(response),
            None if reused => {
                self.stream = None;
                self.exchange(request).await?.context("the connection was closed without an answer")
            }
            None => bail!("the connection was closed without an answer"),
        }
    }

    /// `None` if the server closed the connection before the first byte of an answer.
    async fn exchange(&mut self, request: &[u8]) -> anyhow::Result<Option<Response>> {
        let mut stream = match self.stream.take() {
            Some(stream) => stream,
            None => self.open().await?,
        };
        self.buffer.clear();
        if stream.write_all(request).await.is_err() {
            return Ok(None);
        }
        let head = loop {
            if let Some(head) = Head::parse(&self.buffer)? {
                break head;
            }
            match stream.read_buf(&mut self.buffer).await {
                Ok(0) | Err(_) if self.buffer.is_empty() => return Ok(None),
                Ok(0) => bail!("the connection was closed within an answer"),
                read => read?,
            };
        };
        self.buffer.advance(head.length);
        let body = match head.body {
            Body::None => Bytes::new(),
            Body::Sized(length) => self.sized_body(&mut stream, length).await?,
            Body::Chunked => self.chunked_body(&mut stream).await?,
        };
        if !head.close {
            self.stream = Some(stream);
        }
        Ok(Some(Response { body, ..head.response }))
    }

    async fn open(&self) -> anyhow::Result<TcpStream> {
        let stream = TcpStream::connect(self.address)
            .await
            .with_context(|| format!("connecting to {}", self.address))?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    async fn sized_body(&mut self, stream: &mut TcpStream, length: usize) -> anyhow::Result<Bytes> {
        while self.buffer.len() < length {
            if stream.read_buf(&mut self.buffer).await? == 0 {
                bail!("the connection was closed within a body");
            }
        }
        Ok(self.buffer.split_to(length).freeze())
    }

    async fn chunked_body(&mut self, stream: &mut TcpStream) -> anyhow::Result<Bytes> {
        let mut body = BytesMut::new();
        loop {
            let size = loop {
                match httparse::parse_chunk_size(&self.buffer) {
                    Ok(httparse::Status::Complete((start, size))) => {
                        self.buffer.advance(start);
                        break usize::try_from(size)?;
                    }
                    Ok(httparse::Status::Partial) => {}
                    Err(_) => bail!("a chunk size that cannot be read"),
                }
                if stream.read_buf(&mut self.buffer).await? == 0 {
                    bail!("the connection was closed within a chunk size");
                }
            };
            let chunk = self.sized_body(stream, size + 2).await?;
            if size == 0 {
                return Ok(body.freeze());
            }
            body.extend_from_slice(chunk.get(..size).unwrap_or_default());
        }
    }
}

enum Body {
    None,
    Sized(usize),
    Chunked,
}

/// Status line and headers of an answer, read.
struct Head {
    response: Response,
    length: usize,
    body: Body,
    close: bool,
}

impl Head {
    fn parse(buffer: &[u8]) -> anyhow::Result<Option<Self>> {
        let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
        let mut parsed = httparse::Response::new(&mut headers);
        let length = match parsed.parse(buffer).context("an answer that is not HTTP")? {
            httparse::Status::Complete(length) => length,
            httparse::Status::Partial => return Ok(None),
        };
        let status = parsed.code.unwrap_or_default();
        let mut head = Self {
            response: Response {
                status,
                location: None,
                etag: None,
                retry_after: None,
                cookies: Vec::new(),
                body: Bytes::new(),
            },
            length,
            body: Body::Sized(0),
            close: parsed.version == Some(0),
        };
        for header in parsed.headers.iter() {
            head.note(header.name, header.value)?;
        }
        // RFC 9112 §6.3: these answers end with their headers, whatever they announce.
        if status < 200 || status == 204 || status == 304 {
            head.body = Body::None;
        }
        Ok(Some(head))
    }

    fn note(&mut self, name: &str, value: &[u8]) -> anyhow::Result<()> {
        let is = |wanted: &str| name.eq_ignore_ascii_case(wanted);
        let text = || String::from_utf8_lossy(value).into_owned();
        if is("content-length") {
            self.body = Body::Sized(text().trim().parse().context("content-length")?);
        } else if is("set-cookie") {
            self.response.cookies.push(text());
        } else if is("location") {
            self.response.location = Some(text());
        } else if is("etag") {
            self.response.etag = Some(text());
        } else if is("retry-after") {
            self.response.retry_after = text().trim().parse().ok();
        } else if is("transfer-encoding") && value.eq_ignore_ascii_case(b"chunked") {
            self.body = Body::Chunked;
        } else if is("connection") && value.eq_ignore_ascii_case(b"close") {
            self.close = true;
        }
        Ok(())
    }
}

/// The bytes of a GET request; `headers` are whole lines, each with its line end.
pub(crate) fn get(host: &str, target: &str, headers: &str) -> Vec<u8> {
    format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n{headers}\r\n").into_bytes()
}

/// The bytes of a form POST; `headers` are whole lines, each with its line end.
pub(crate) fn post(host: &str, target: &str, headers: &str, form: &str) -> Vec<u8> {
    format!(
        "POST {target} HTTP/1.1\r\nHost: {host}\r\n{headers}\
         Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{form}",
        form.len()
    )
    .into_bytes()
}

/// The `Authorization` line of a client (RFC 6749 §2.3.1); the names and secrets used here need no escaping.
pub(crate) fn basic(client: &str, secret: &str) -> String {
    use base64::Engine as _;
    let pair = base64::engine::general_purpose::STANDARD.encode(format!("{client}:{secret}"));
    format!("Authorization: Basic {pair}\r\n")
}

//! HTTP as the checker needs it: one connection for one request, never sent twice, and an answer that
//! is either whole or nothing.

use std::{
    io::{Error, ErrorKind, Read as _, Write as _},
    net::TcpStream,
    time::Duration,
};

use serde_json::Value;

use crate::traffic;

/// Whoever does not answer for so long hangs.
const PATIENCE: Duration = Duration::from_secs(30);

/// Why something was not done, as far as whoever asked can tell.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// Nobody took the request: nothing was done.
    Gone,
    /// There was no whole answer: it was done or not.
    Cut,
    /// The answer was 503: it was done or not.
    Away,
    /// A promise is broken.
    Broken(String),
}

impl Trouble {
    /// In a word.
    pub(crate) const fn name(&self) -> &'static str {
        match self {
            Self::Gone => "nobody there",
            Self::Cut => "no whole answer",
            Self::Away => "503",
            Self::Broken(_) => "begin again",
        }
    }
}

pub(crate) type Deed<T> = Result<T, Trouble>;

/// A broken promise.
pub(crate) fn broken<T>(text: impl Into<String>) -> Deed<T> {
    Err(Trouble::Broken(text.into()))
}

/// A whole answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Answer {
    /// All values of a header.
    pub(crate) fn headers<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        let own = self.headers.iter().filter(move |(key, _)| key.eq_ignore_ascii_case(name));
        own.map(|(_, value)| value.as_str())
    }

    pub(crate) fn location(&self) -> Option<&str> {
        self.headers("location").next()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_default()
    }

    /// A text of the answer's JSON.
    pub(crate) fn text(&self, name: &str) -> Option<String> {
        self.json().get(name)?.as_str().map(str::to_owned)
    }

    /// This answer, if it has one of these statuses.
    pub(crate) fn expect(self, what: &str, statuses: &[u16]) -> Deed<Self> {
        if statuses.contains(&self.status) {
            return Ok(self);
        }
        Err(self.unexpected(what))
    }

    /// What to say about an answer that should not have come. 503 is nobody's fault.
    pub(crate) fn unexpected(&self, what: &str) -> Trouble {
        if self.status == 503 {
            return Trouble::Away;
        }
        let said = said(&self.body);
        let to = self.location().map_or_else(String::new, |to| format!(" -> {to}"));
        Trouble::Broken(format!("{what}: {}{to}: {said}", self.status))
    }

    /// Whether an OAuth endpoint has refused with this error.
    pub(crate) fn refuses_with(&self, error: &str) -> bool {
        self.text("error").as_deref() == Some(error)
    }
}

/// What stands on a page, or the beginning of anything else.
fn said(body: &str) -> String {
    let main = body.split_once("<main").map_or(body, |(_, main)| main);
    let mut text = String::new();
    let mut inside = false;
    for letter in main.chars() {
        match letter {
            '<' => inside = true,
            '>' => inside = false,
            letter if !inside => text.push(letter),
            _ => {}
        }
    }
    text.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(400).collect()
}

/// Sends a request; `head` is its first lines, each with its end.
pub(crate) fn send(port: u16, head: &str, body: &str) -> Deed<Answer> {
    let answer = exchange(port, head, body);
    traffic::note(port, head, body, &answer);
    answer
}

fn exchange(port: u16, head: &str, body: &str) -> Deed<Answer> {
    let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) else {
        return Err(Trouble::Gone);
    };
    let request = format!(
        "{head}Host: localhost:{port}\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut bytes = Vec::new();
    let exchanged = stream
        .set_read_timeout(Some(PATIENCE))
        .and_then(|()| stream.write_all(request.as_bytes()))
        .and_then(|()| stream.read_to_end(&mut bytes));
    match exchanged {
        Err(error) if hangs(&error) => {
            let line = head.lines().next().unwrap_or_default();
            let path = line.split('?').next().unwrap_or_default();
            broken(format!("{path}: no answer within {PATIENCE:?}"))
        }
        // What came before the connection broke may have been all of it.
        Ok(_) | Err(_) => whole(&bytes),
    }
}

fn hangs(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}

/// The answer, if nothing of it is missing.
fn whole(bytes: &[u8]) -> Deed<Answer> {
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut head = httparse::Response::new(&mut headers);
    let length = match head.parse(bytes) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) => return Err(Trouble::Cut),
        Err(error) => return broken(format!("an answer that is not HTTP: {error}")),
    };
    let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
    let headers: Vec<(String, String)> = head
        .headers
        .iter()
        .map(|header| (header.name.to_ascii_lowercase(), text(header.value)))
        .collect();
    let announced = headers.iter().find(|(name, _)| name == "content-length");
    let announced = announced.and_then(|(_, value)| value.trim().parse::<usize>().ok());
    let body = &bytes[length..];
    match announced {
        Some(announced) if body.len() < announced => return Err(Trouble::Cut),
        Some(_) => {}
        None => return broken("an answer that does not say how long it is"),
    }
    Ok(Answer { status: head.code.unwrap_or_default(), headers, body: text(body) })
}

/// Posts a form as an app; a public one only says who it is.
pub(crate) fn post_as(port: u16, app: &App, path: &str, form: &[(&str, &str)]) -> Deed<Answer> {
    use base64::Engine as _;
    let mut fields = form.to_vec();
    let mut head =
        format!("POST {path} HTTP/1.1\r\nContent-Type: application/x-www-form-urlencoded\r\n");
    if app.is_public {
        fields.push(("client_id", app.id));
    } else {
        let pair = format!("{}:{}", app.id, app.secret());
        let pair = base64::engine::general_purpose::STANDARD.encode(pair);
        head.push_str(&format!("Authorization: Basic {pair}\r\n"));
    }
    send(port, &head, &encode(&fields))
}

/// Fetches something as the bearer of a token.
pub(crate) fn get_as_bearer(port: u16, path: &str, token: &str) -> Deed<Answer> {
    send(port, &format!("GET {path} HTTP/1.1\r\nAuthorization: Bearer {token}\r\n"), "")
}

/// Fields as a form sends them.
pub(crate) fn encode(fields: &[(&str, &str)]) -> String {
    url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish()
}

/// An app that signs people in.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct App {
    pub(crate) id: &'static str,
    pub(crate) is_public: bool,
    /// What its access tokens and its ID tokens are signed with.
    pub(crate) algorithms: (&'static str, &'static str),
}

impl App {
    pub(crate) fn secret(&self) -> String {
        format!("{}-secret-of-the-endurance-run-0123456789", self.id)
    }

    /// Where people are sent back to. Nothing listens there.
    pub(crate) fn callback(&self) -> String {
        format!("http://localhost:1/{}", self.id)
    }
}

/// All of them: together they use every key.
pub(crate) static APPS: [App; 3] = [
    App { id: "web", is_public: false, algorithms: ("ES256", "RS256") },
    App { id: "desk", is_public: false, algorithms: ("RS256", "EdDSA") },
    App { id: "page", is_public: true, algorithms: ("EdDSA", "ES256") },
];

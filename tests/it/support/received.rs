//! A mail as a mail server has received it.

use base64::{Engine as _, engine::general_purpose::STANDARD};

/// A mail that was taken.
#[derive(Clone, Debug)]
pub(crate) struct Received {
    /// The `MAIL FROM` line.
    pub(crate) from: String,
    /// The `RCPT TO` lines.
    pub(crate) to: Vec<String>,
    /// The mail itself.
    pub(crate) data: String,
    /// The same as it came over the wire, with doubled dots.
    pub(crate) raw: String,
    /// Whether it came over TLS.
    pub(crate) tls: bool,
    /// Who had logged in.
    pub(crate) user: Option<String>,
}

/// Header lines, unfolded (RFC 5322 §2.2.3).
fn unfold(head: &str) -> Vec<(String, String)> {
    let head = head.replace("\r\n ", " ").replace("\r\n\t", " ");
    let lines = head.split("\r\n").map(|line| line.split_once(": ").unwrap());
    lines.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

impl Received {
    /// All headers.
    pub(crate) fn headers(&self) -> Vec<(String, String)> {
        unfold(self.data.split_once("\r\n\r\n").unwrap().0)
    }

    /// The only header of this name.
    pub(crate) fn header(&self, name: &str) -> String {
        let mut found = self.headers();
        found.retain(|(own, _)| own.eq_ignore_ascii_case(name));
        assert_eq!(found.len(), 1, "{name}: {found:?}");
        found.remove(0).1
    }

    /// The text of the part of this type.
    pub(crate) fn part(&self, kind: &str) -> String {
        let content = self.header("Content-Type");
        let (_, boundary) = content.split_once("boundary=\"").unwrap();
        let boundary = format!("--{}", boundary.split('"').next().unwrap());
        let (_, body) = self.data.split_once("\r\n\r\n").unwrap();
        let parts = body.split(&boundary).filter(|part| part.contains("Content-Type"));
        let mut parts = parts.filter_map(|part| {
            let (head, body) = part.trim_start_matches("\r\n").split_once("\r\n\r\n").unwrap();
            let headers = unfold(head);
            let of = |name: &str| {
                headers.iter().find(|(own, _)| own == name).map(|(_, value)| value.clone()).unwrap()
            };
            of("Content-Type").starts_with(kind).then(|| {
                let body = body.strip_suffix("\r\n").unwrap_or(body);
                decode(body, &of("Content-Transfer-Encoding"))
            })
        });
        let part = parts.next().unwrap_or_else(|| panic!("no {kind} in {}", self.data));
        assert!(parts.next().is_none(), "{kind} stands twice");
        part
    }

    /// The text part.
    pub(crate) fn text(&self) -> String {
        self.part("text/plain")
    }

    /// The HTML part.
    pub(crate) fn html(&self) -> String {
        self.part("text/html")
    }
}

/// Undoes a transfer encoding (RFC 2045 §6).
fn decode(body: &str, encoding: &str) -> String {
    let bytes = match encoding {
        "7bit" => body.as_bytes().to_vec(),
        "base64" => STANDARD.decode(body.replace("\r\n", "")).unwrap(),
        "quoted-printable" => {
            let body = body.replace("=\r\n", "");
            let mut pieces = body.split('=');
            let mut bytes = pieces.next().unwrap().as_bytes().to_vec();
            for piece in pieces {
                bytes.push(u8::from_str_radix(&piece[..2], 16).unwrap());
                bytes.extend_from_slice(&piece.as_bytes()[2..]);
            }
            bytes
        }
        other => panic!("{other}"),
    };
    String::from_utf8(bytes).unwrap()
}

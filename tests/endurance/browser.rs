//! A person's browser: cookies, forms, and redirects up to the app.

use url::Url;

use crate::{
    html::{self, Form},
    wire::{self, Answer, Deed, broken, encode},
};

/// More hops than any way takes.
const MAX_HOPS: usize = 12;
/// What every session's secret begins with.
const SESSION: &str = "kw_se_";

/// One browser at one house.
#[derive(Clone, Debug)]
pub(crate) struct Browser {
    port: u16,
    cookies: Vec<(String, String)>,
}

/// Where redirects have led.
pub(crate) enum Landing {
    /// To a page of the house.
    Page(Page),
    /// Back to the app, with a code or without.
    App(Option<String>),
}

/// A page of the house, or of its upstream.
pub(crate) struct Page {
    pub(crate) path: String,
    pub(crate) answer: Answer,
    url: Url,
}

impl Landing {
    /// The page, where it should be one.
    pub(crate) fn page(self, what: &str) -> Deed<Page> {
        match self {
            Self::Page(page) => Ok(page),
            Self::App(_) => broken(format!("{what}: led to the app")),
        }
    }
}

impl Page {
    /// The form of this page that posts there.
    pub(crate) fn form(&self, path: &str) -> Option<Form> {
        let forms = html::forms(&self.answer.body, &self.url);
        forms.into_iter().find(|form| form.action.path() == path)
    }

    /// Where a link of this page leads that goes to this path.
    pub(crate) fn link(&self, path: &str) -> Option<String> {
        let links = html::links(&self.answer.body, &self.url);
        links.into_iter().find(|link| link.path() == path).map(String::from)
    }

    /// The same, where there has to be one.
    pub(crate) fn need_form(&self, path: &str) -> Deed<Form> {
        match self.form(path) {
            Some(form) => Ok(form),
            None => Err(self.answer.unexpected(&format!("{}: no form to {path}", self.path))),
        }
    }
}

impl Browser {
    /// A browser that nobody has used.
    pub(crate) const fn new(port: u16) -> Self {
        Self { port, cookies: Vec::new() }
    }

    /// Whether it carries a session, whatever that is worth.
    pub(crate) fn has_session(&self) -> bool {
        self.cookies.iter().any(|(_, value)| value.starts_with(SESSION))
    }

    /// Asks for a path of the house, or for an address.
    pub(crate) fn get(&mut self, at: &str) -> Deed<Answer> {
        let (port, path) = self.place_of(at);
        self.send(port, "GET", &path, "")
    }

    /// The port of an address, or of the house, and the path there.
    fn place_of(&self, at: &str) -> (u16, String) {
        let url = if at.starts_with('/') { None } else { Url::parse(at).ok() };
        match url.as_ref().and_then(|url| Some((url.port()?, url))) {
            Some((port, url)) => (port, url[url::Position::BeforePath..].to_owned()),
            None => (self.port, at.to_owned()),
        }
    }

    /// Sends a form with these fields filled in.
    pub(crate) fn submit(&mut self, form: &Form, filled: &[(&str, &str)]) -> Deed<Answer> {
        let mut fields: Vec<(&str, &str)> =
            form.fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        for (name, value) in filled {
            fields.retain(|(own, _)| own != name);
            fields.push((name, value));
        }
        let (port, action) = self.place_of(form.action.as_str());
        self.send(port, "POST", &action, &encode(&fields))
    }

    fn send(&mut self, port: u16, method: &str, path: &str, body: &str) -> Deed<Answer> {
        let mut head = format!(
            "{method} {path} HTTP/1.1\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0\r\n\
             Accept: text/html\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: document\r\n"
        );
        head.push_str(if method == "POST" {
            "Sec-Fetch-Site: same-origin\r\nOrigin: null\r\n\
             Content-Type: application/x-www-form-urlencoded\r\n"
        } else {
            "Sec-Fetch-Site: none\r\n"
        });
        if !self.cookies.is_empty() {
            let pairs = self.cookies.iter().map(|(name, value)| format!("{name}={value}"));
            head.push_str(&format!("Cookie: {}\r\n", pairs.collect::<Vec<_>>().join("; ")));
        }
        let answer = wire::send(port, &head, body)?;
        for cookie in answer.headers("set-cookie") {
            keep(&mut self.cookies, cookie);
        }
        Ok(answer)
    }

    /// Opens a path or an address, and follows its redirects.
    pub(crate) fn visit(&mut self, at: &str) -> Deed<Landing> {
        let answer = self.get(at)?;
        self.follow(at, answer)
    }

    /// Follows the redirects of an answer.
    pub(crate) fn follow(&mut self, from: &str, answer: Answer) -> Deed<Landing> {
        let (port, path) = self.place_of(from);
        let base = Url::parse(&format!("http://localhost:{port}")).expect("an address");
        let mut url = base.join(&path).expect("an address");
        let mut answer = answer;
        for _ in 0..MAX_HOPS {
            let to = answer.location().filter(|_| matches!(answer.status, 302 | 303));
            let Some(to) = to.map(str::to_owned) else {
                let path = url.path().to_owned();
                return Ok(Landing::Page(Page { path, answer, url }));
            };
            let Ok(next) = url.join(&to) else {
                return broken(format!("{}: redirected to no address", url.path()));
            };
            url = next;
            if url.port() == Some(1) {
                let code = url.query_pairs().find(|(name, _)| name == "code");
                return Ok(Landing::App(code.map(|(_, code)| code.into_owned())));
            }
            answer = self.get(url.as_str())?;
        }
        broken(format!("{from}: redirected again and again, the last time to {}", url.path()))
    }
}

/// Takes over what an answer sets (RFC 6265 §5.3, as far as one host needs it).
fn keep(cookies: &mut Vec<(String, String)>, set_cookie: &str) {
    let mut parts = set_cookie.split(';').map(str::trim);
    let Some((name, value)) = parts.next().and_then(|pair| pair.split_once('=')) else {
        return;
    };
    cookies.retain(|(kept, _)| kept != name);
    let gone = parts.any(|part| part.eq_ignore_ascii_case("max-age=0"));
    if !gone && !value.is_empty() {
        cookies.push((name.to_owned(), value.to_owned()));
    }
}

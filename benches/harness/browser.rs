//! A browser as far as a sign-in needs one: a cookie jar, and one hop at a time.

use crate::http::{self, Connection, Response};

/// What a browser sends along with each request.
const MANNERS: &str = "User-Agent: Mozilla/5.0 (X11; Linux x86_64) harness\r\n\
                       Accept: text/html,application/xhtml+xml;q=0.9,*/*;q=0.8\r\n\
                       Accept-Language: en\r\n";

/// The cookies of one person, for one host.
#[derive(Clone, Default)]
pub(crate) struct Jar {
    cookies: Vec<(String, String)>,
}

impl Jar {
    /// Takes over what an answer sets (RFC 6265 §5.3, as far as one host and one sitting need it).
    fn keep(&mut self, set_cookie: &str) {
        let mut parts = set_cookie.split(';').map(str::trim);
        let Some((name, value)) = parts.next().and_then(|pair| pair.split_once('=')) else {
            return;
        };
        self.cookies.retain(|(kept, _)| kept != name);
        let gone = parts.any(|part| part.eq_ignore_ascii_case("max-age=0"));
        if !gone && !value.is_empty() {
            self.cookies.push((name.to_owned(), value.to_owned()));
        }
    }

    fn header(&self) -> String {
        if self.cookies.is_empty() {
            return String::new();
        }
        let pairs: Vec<String> =
            self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        format!("Cookie: {}\r\n", pairs.join("; "))
    }
}

/// Posts a form of a page of this host, with more header lines, and keeps the cookies of the answer.
pub(crate) async fn submit(
    connection: &mut Connection,
    jar: &mut Jar,
    host: &str,
    (target, more, form): (&str, &str, &str),
) -> anyhow::Result<Response> {
    let own = "Sec-Fetch-Site: same-origin\r\nOrigin: null\r\n";
    let headers = format!("{MANNERS}{own}{more}{}", jar.header());
    let response = connection.send(&http::post(host, target, &headers, form)).await?;
    for cookie in &response.cookies {
        jar.keep(cookie);
    }
    Ok(response)
}

/// Fetches one page with the jar's cookies, and keeps those it sets. Follows nothing.
pub(crate) async fn visit(
    connection: &mut Connection,
    jar: &mut Jar,
    host: &str,
    target: &str,
) -> anyhow::Result<Response> {
    let headers = format!("{MANNERS}{}", jar.header());
    let response = connection.send(&http::get(host, target, &headers)).await?;
    for cookie in &response.cookies {
        jar.keep(cookie);
    }
    Ok(response)
}

/// Splits an address into `host:port` and the rest; a relative one has no host.
pub(crate) fn split(address: &str) -> (Option<&str>, &str) {
    let Some((_, rest)) = address.split_once("://") else {
        return (None, address);
    };
    match rest.find('/') {
        Some(at) => {
            rest.split_at_checked(at).map_or((None, address), |(host, path)| (Some(host), path))
        }
        None => (Some(rest), "/"),
    }
}

/// The value of a parameter in the query of an address, as it stands there.
pub(crate) fn parameter<'a>(address: &'a str, name: &str) -> Option<&'a str> {
    let (_, query) = address.split_once('?')?;
    query
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .find_map(|(key, value)| (key == name).then_some(value))
}

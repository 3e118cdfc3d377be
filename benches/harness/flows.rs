//! The journeys of more than one request, hop by hop.

use std::net::SocketAddr;

use anyhow::{Context as _, bail};
use serde::Deserialize;

use crate::browser::{Jar, parameter, split, visit};
use crate::http::{Connection, Response, basic, post};
use crate::settings::{CALLBACK, CALLBACK_ENCODED, SECRET, VERIFIER, WEB};
use crate::signing::digest_text;

/// More hops than this are a loop.
const MAX_HOPS: usize = 12;

/// One server: where it listens and what it is called.
#[derive(Clone)]
pub(crate) struct Party {
    pub(crate) address: SocketAddr,
    pub(crate) host: String,
}

impl Party {
    /// A server on a loopback port, called by a name.
    pub(crate) fn new(name: &str, port: u16) -> Self {
        Self { address: SocketAddr::from(([127, 0, 0, 1], port)), host: format!("{name}:{port}") }
    }
}

/// What the token endpoint answers.
#[derive(Deserialize)]
#[expect(clippy::struct_field_names, reason = "these are the names on the wire")]
pub(crate) struct Tokens {
    pub(crate) access_token: String,
    pub(crate) refresh_token: Option<String>,
    pub(crate) id_token: Option<String>,
}

/// One browser's connections to Keywright and to the upstream.
pub(crate) struct Traveller {
    keywright: Connection,
    keywright_host: String,
    upstream: Connection,
    upstream_host: String,
    /// The authorization request it begins with.
    request: String,
    /// The app it signs in to.
    client: &'static str,
}

enum Stop {
    App(String),
    Page(Response),
}

impl Traveller {
    /// A traveller who signs in to `client`, asking for `scope`.
    pub(crate) fn new(
        keywright: &Party,
        upstream: &Party,
        client: &'static str,
        scope: &str,
    ) -> Self {
        Self {
            keywright: Connection::new(keywright.address),
            keywright_host: keywright.host.clone(),
            upstream: Connection::new(upstream.address),
            upstream_host: upstream.host.clone(),
            request: authorization_request(client, scope),
            client,
        }
    }

    /// A new person signs in, from the app's redirect to the tokens.
    pub(crate) async fn sign_in(&mut self) -> anyhow::Result<Tokens> {
        let code = self.authorize(&mut Jar::default()).await?;
        self.exchange(&code).await
    }

    /// A person who has a session signs in once more: the first answer leads back to the app already.
    pub(crate) async fn sign_in_again(&mut self, jar: &mut Jar) -> anyhow::Result<Tokens> {
        let response = visit(&mut self.keywright, jar, &self.keywright_host, &self.request).await?;
        let back = response.location.as_deref().filter(|address| address.starts_with(CALLBACK));
        let code = back.and_then(|address| parameter(address, "code")).map(str::to_owned);
        let code =
            code.with_context(|| format!("the session did not do: {}", response.excerpt()))?;
        self.exchange(&code).await
    }

    /// A code for tokens, among them an ID token.
    async fn exchange(&mut self, code: &str) -> anyhow::Result<Tokens> {
        let form = exchange_form(code);
        let request = post(&self.keywright_host, "/token", &basic(self.client, SECRET), &form);
        let response = self.keywright.send(&request).await?.expect(200)?;
        let tokens: Tokens = serde_json::from_slice(&response.body)?;
        if tokens.id_token.is_none() {
            bail!("no ID token came");
        }
        Ok(tokens)
    }

    /// From the authorization request to a code; with a live session in the jar that is one hop.
    pub(crate) async fn authorize(&mut self, jar: &mut Jar) -> anyhow::Result<String> {
        let mut stop = self.travel(jar, &self.request.clone()).await?;
        // Where there is a choice, this person takes the upstream's button.
        if let Stop::Page(page) = &stop {
            let link = button(page).with_context(|| format!("no button on: {}", page.excerpt()))?;
            stop = self.travel(jar, &link).await?;
        }
        let Stop::App(address) = stop else {
            bail!("the sign-in ended on a page");
        };
        let code = parameter(&address, "code").map(str::to_owned);
        code.with_context(|| format!("the app was told {address}"))
    }

    /// From the authorization request of a new browser to the complete login page.
    pub(crate) async fn login_page(&mut self) -> anyhow::Result<Response> {
        match self.travel(&mut Jar::default(), &self.request.clone()).await? {
            Stop::Page(page) if page.body.trim_ascii_end().ends_with(b"</html>") => Ok(page),
            Stop::Page(page) => bail!("the page is not complete: {}", page.excerpt()),
            Stop::App(address) => bail!("there was no page on the way to {address}"),
        }
    }

    /// Follows redirects until a page, or until the app's address.
    async fn travel(&mut self, jar: &mut Jar, start: &str) -> anyhow::Result<Stop> {
        let mut address = start.to_owned();
        for _ in 0..MAX_HOPS {
            if address.starts_with(CALLBACK) {
                return Ok(Stop::App(address));
            }
            let (host, target) = split(&address);
            let response = if host == Some(self.upstream_host.as_str()) {
                let (connection, host) = (&mut self.upstream, &self.upstream_host);
                visit(connection, &mut Jar::default(), host, target).await?
            } else {
                visit(&mut self.keywright, jar, &self.keywright_host, target).await?
            };
            match (response.status, &response.location) {
                (302 | 303, Some(location)) => address.clone_from(location),
                (200, _) => return Ok(Stop::Page(response)),
                (status, _) => bail!("{address} answered {status}: {}", response.excerpt()),
            }
        }
        bail!("more than {MAX_HOPS} hops, the last to {address}")
    }
}

/// The body of a code exchange (RFC 6749 §4.1.3, RFC 7636 §4.5).
pub(crate) fn exchange_form(code: &str) -> String {
    format!(
        "grant_type=authorization_code&code={code}&redirect_uri={CALLBACK_ENCODED}\
         &code_verifier={VERIFIER}"
    )
}

/// The scope with which a client asks for what it may have.
pub(crate) fn scope_of(client: &str) -> &'static str {
    if client == WEB {
        "openid%20profile%20email%20offline_access"
    } else {
        "openid%20profile%20email"
    }
}

/// An authorization request with PKCE, state and nonce (RFC 6749 §4.1.1, OIDC Core §3.1.2.1).
pub(crate) fn authorization_request(client: &str, scope: &str) -> String {
    format!(
        "/authorize?response_type=code&client_id={client}&redirect_uri={CALLBACK_ENCODED}\
         &scope={scope}&state=s-0123456789abcdef&nonce=n-0123456789abcdef\
         &code_challenge={}&code_challenge_method=S256",
        digest_text(VERIFIER)
    )
}

/// The address behind the stub upstream's button.
fn button(page: &Response) -> Option<String> {
    let text = std::str::from_utf8(&page.body).ok()?;
    let at = text.find("/upstream/stub/start")?;
    let rest = text.get(at..)?;
    let end = rest.find(['"', '\''])?;
    Some(rest.get(..end)?.replace("&amp;", "&").replace("&#38;", "&"))
}

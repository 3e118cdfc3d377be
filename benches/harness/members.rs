//! People with a local password: how they come to be, and one of them at the sign-in form.

use std::fmt::Write as _;

use anyhow::{Context as _, anyhow, bail};
use argon2::{Algorithm, Argon2, Params, PasswordHasher as _, Version};
use serde_json::json;

use crate::browser::{Jar, parameter, submit, visit};
use crate::flows::{Party, Tokens, authorization_request, exchange_form, scope_of};
use crate::http::{Connection, Response, basic, post};
use crate::servers::Keywright;
use crate::settings::{CALLBACK, SECRET};

/// Everybody's password.
pub(crate) const PASSWORD: &str = "correct horse battery staple 42";
/// So many that nobody of them has too many sessions.
pub(crate) const MEMBERS: usize = 256;

/// argon2id with the parameters that Keywright has by default.
pub(crate) fn argon2() -> Argon2<'static> {
    // These are the defaults of the algorithm's own library too: 19 MiB, two passes, one lane.
    Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::default())
}

/// The hash of [`PASSWORD`].
pub(crate) fn hash() -> anyhow::Result<String> {
    let hashed = argon2().hash_password_with_salt(PASSWORD.as_bytes(), b"salt of benches!");
    Ok(hashed.map_err(|fault| anyhow!("argon2: {fault}"))?.to_string())
}

/// The name of one of many.
pub(crate) fn name(number: usize) -> String {
    format!("m{number:05}")
}

/// So many people with a password, as lines for `keywright user import`.
pub(crate) fn many(count: usize) -> anyhow::Result<String> {
    let hash = hash()?;
    let mut lines = String::new();
    for number in 0..count {
        let name = name(number);
        let email = format!("{name}@example.org");
        let line = json!({
            "username": name, "email": email, "email_verified": true, "password_hash": hash,
        });
        writeln!(lines, "{line}")?;
    }
    Ok(lines)
}

/// Gives these people accounts.
pub(crate) fn import(keywright: &Keywright, lines: &str) -> anyhow::Result<()> {
    keywright.run(&["migrate"], "")?;
    keywright.run(&["user", "import", "-"], lines)
}

/// A browser at the sign-in form.
pub(crate) struct Visitor {
    connection: Connection,
    host: String,
    client: &'static str,
    /// The authorization request it begins with.
    request: String,
    /// Where it says that it comes from, as a header line.
    pub(crate) from: String,
}

/// A form that waits for a name and a password.
pub(crate) struct Form {
    jar: Jar,
    target: String,
    csrf: String,
}

impl Visitor {
    pub(crate) fn new(server: &Party, client: &'static str) -> Self {
        Self {
            connection: Connection::new(server.address),
            host: server.host.clone(),
            client,
            request: authorization_request(client, scope_of(client)),
            from: String::new(),
        }
    }

    /// A new browser goes from the app to the form.
    pub(crate) async fn open(&mut self) -> anyhow::Result<Form> {
        let mut jar = Jar::default();
        let sent = visit(&mut self.connection, &mut jar, &self.host, &self.request).await?;
        let target = sent.location.clone().with_context(|| sent.excerpt())?;
        let page = visit(&mut self.connection, &mut jar, &self.host, &target).await?.expect(200)?;
        let text = std::str::from_utf8(&page.body)?;
        let (_, rest) = text.split_once("name=\"csrf\" value=\"").context("no form")?;
        let csrf = rest.split('"').next().unwrap_or_default().to_owned();
        Ok(Form { jar, target, csrf })
    }

    /// Sends the form.
    pub(crate) async fn give(
        &mut self,
        form: &mut Form,
        name: &str,
        password: &str,
    ) -> anyhow::Result<Response> {
        let body: String = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("csrf", &form.csrf)
            .append_pair("username", name)
            .append_pair("password", password)
            .finish();
        let sent = (form.target.as_str(), self.from.as_str(), body.as_str());
        submit(&mut self.connection, &mut form.jar, &self.host, sent).await
    }

    /// The tokens behind the answer of a sign-in that has come about.
    pub(crate) async fn tokens(&mut self, answer: &Response) -> anyhow::Result<Tokens> {
        let back = answer.location.as_deref().filter(|address| address.starts_with(CALLBACK));
        let code = back.and_then(|address| parameter(address, "code"));
        let code = code.with_context(|| format!("{}: {}", answer.status, answer.excerpt()))?;
        let form = exchange_form(code);
        let request = post(&self.host, "/token", &basic(self.client, SECRET), &form);
        let response = self.connection.send(&request).await?.expect(200)?;
        let tokens: Tokens = serde_json::from_slice(&response.body)?;
        if tokens.id_token.is_none() {
            bail!("no ID token came");
        }
        Ok(tokens)
    }
}

/// Members in turn, each in a new browser, up to the tokens.
pub(crate) struct Member {
    pub(crate) visitor: Visitor,
    pub(crate) first: usize,
    pub(crate) step: usize,
    pub(crate) turns: usize,
}

impl Member {
    pub(crate) async fn sign_in(&mut self) -> anyhow::Result<Tokens> {
        let number = (self.first + self.turns * self.step) % MEMBERS;
        self.turns += 1;
        let mut form = self.visitor.open().await?;
        let answer = self.visitor.give(&mut form, &name(number), PASSWORD).await?;
        self.visitor.tokens(&answer).await
    }
}

//! Links that prove an address or open an account, and the codes that stand for them.
//!
//! The secret of a link is never kept, and works once (RC-05). A link that is opened is not used
//! thereby: mail gateways open links too (RC-06). What was opened is remembered for that browser, so
//! that the secret leaves the address bar at once (RC-12), and is used by a form of our own.

use serde::{Deserialize, Serialize};

use crate::{
    ephemeral::{EphemeralResult, Key, KeyKind, ShortLivedState},
    foundation::{
        clock::{Span, Timestamp},
        digest::{TokenDigest, base64url, constant_time_eq, sha256},
        ids::UserId,
        opaque::{Opaque, OpaqueKind},
        random::{self, Random},
    },
    store::{
        Connection, QueryResult,
        one_time_links::{self as rows, LinkPurpose, OneTimeLink},
    },
};

/// So many wrong codes end what they were typed for (RC-15).
pub const MAX_WRONG_CODES: u64 = 5;

/// A link that is to be made.
#[derive(Clone, Copy, Debug)]
pub struct NewLink<'a> {
    /// What it is good for.
    pub purpose: LinkPurpose,
    /// For whose account.
    pub user: &'a UserId,
    /// The address it is sent to, or that it gives.
    pub email: Option<&'a str>,
    /// How long it is good.
    pub life: Span,
}

impl NewLink<'_> {
    /// Keeps it under this secret. Any older one of the account for the same purpose is gone.
    pub async fn keep(
        self,
        conn: &mut Connection,
        secret: &Opaque,
        now: Timestamp,
    ) -> QueryResult<()> {
        let link = OneTimeLink {
            digest: secret.digest(),
            purpose: self.purpose,
            user_id: self.user.clone(),
            email: self.email.map(str::to_owned),
            created_at: now,
            expires_at: now.plus(self.life),
        };
        rows::put(conn, &link).await.map(drop)
    }
}

/// The secret of a link.
pub fn secret(random: &dyn Random) -> Opaque {
    Opaque::generate(OpaqueKind::OneTimeLink, random)
}

/// A code to type, in place of a link to open: six digits.
pub fn code(random: &dyn Random) -> String {
    let number = u64::from_be_bytes(random::bytes(random)) % 1_000_000;
    format!("{number:06}")
}

/// A link in the browser that has opened it, or that has asked for one and waits for the code.
#[derive(Clone, Serialize, Deserialize)]
pub struct OpenedLink {
    browser: String,
    link: Option<String>,
    code: Option<String>,
    /// The sign-in in progress that waits for it.
    pub flow: Option<String>,
}

impl std::fmt::Debug for OpenedLink {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("OpenedLink(..)")
    }
}

/// What came of a code.
#[derive(Debug)]
pub enum Typed {
    /// It is the one that was sent: this is what the link would have opened, under a new name.
    Right(String),
    /// It is not. Nobody says whether there is one at all.
    Wrong,
    /// Too many were wrong, or too much time has passed.
    Over,
}

impl OpenedLink {
    /// What a browser has that has opened a link.
    pub fn opened(browser: &TokenDigest, link: &Opaque) -> Self {
        let link = Some(link.reveal().expose().to_owned());
        Self { browser: browser.to_text(), link, code: None, flow: None }
    }

    /// What a browser has that asks for a link, as a part of a sign-in in progress or by itself.
    pub fn asked(browser: &TokenDigest, flow: Option<&str>) -> Self {
        let flow = flow.map(str::to_owned);
        Self { browser: browser.to_text(), link: None, code: None, flow }
    }

    /// Keeps it; answers the name under which this browser finds it.
    pub async fn keep(
        &self,
        state: &ShortLivedState,
        random: &dyn Random,
    ) -> EphemeralResult<String> {
        let name = base64url(&random::bytes::<18>(random));
        state.put(&key(&name), self, KeyKind::OpenedLink.life()).await?;
        Ok(name)
    }

    /// What this browser knows by this name.
    pub async fn find(
        state: &ShortLivedState,
        name: &str,
        browser: &TokenDigest,
    ) -> EphemeralResult<Option<Self>> {
        let found: Option<Self> = state.get(&key(name)).await?;
        Ok(found.filter(|opened| opened.browser == browser.to_text()))
    }

    /// The digest of the link, if it is open here: not while its code has yet to be typed.
    pub fn digest(&self) -> Option<TokenDigest> {
        let text = self.link.as_deref().filter(|_| self.code.is_none())?;
        Opaque::parse(OpaqueKind::OneTimeLink, text).map(|link| link.digest())
    }

    /// Tells the browser that asked by which code it can open the link. Answers whether it still
    /// waits.
    pub async fn send_code(
        state: &ShortLivedState,
        name: &str,
        link: &Opaque,
        code: &str,
    ) -> EphemeralResult<bool> {
        let Some(mut asked) = state.get::<Self>(&key(name)).await? else {
            return Ok(false);
        };
        asked.link = Some(link.reveal().expose().to_owned());
        asked.code = Some(digest_of_code(name, code));
        state.put(&key(name), &asked, KeyKind::OpenedLink.life()).await?;
        Ok(true)
    }

    /// Tries a code. Counted before it is looked at, so that tries at once are no more tries (RC-15).
    pub async fn type_code(
        self,
        state: &ShortLivedState,
        (name, code): (&str, &str),
        random: &dyn Random,
    ) -> EphemeralResult<Typed> {
        let tries = state.increment(&Key::of_text(KeyKind::LinkCodes, name)).await?;
        if tries > MAX_WRONG_CODES {
            state.remove(&key(name)).await?;
            return Ok(Typed::Over);
        }
        let typed = digest_of_code(name, code);
        let sent = self.code.as_deref().unwrap_or_default();
        if !constant_time_eq(typed.as_bytes(), sent.as_bytes()) {
            return Ok(Typed::Wrong);
        }
        // Of two that type the right one at once, one opens the link.
        if state.take::<Self>(&key(name)).await?.is_none() {
            return Ok(Typed::Over);
        }
        Self { code: None, ..self }.keep(state, random).await.map(Typed::Right)
    }
}

/// What is kept of a code. It is worth nothing under another name.
pub fn digest_of_code(name: &str, code: &str) -> String {
    base64url(&sha256(format!("{name} {code}").as_bytes()))
}

fn key(name: &str) -> Key {
    Key::of_text(KeyKind::OpenedLink, name)
}

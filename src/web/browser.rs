//! What a request tells about its browser: the mark that flows are bound to, and the session.

use axum::http::{HeaderMap, HeaderValue};

use super::cookies::{self, Cookie};
use crate::{
    app::App,
    foundation::{
        clock::{Span, Timestamp},
        digest::TokenDigest,
        opaque::{Opaque, OpaqueKind},
        secret::Secret,
    },
    leases::{self, Held, Standing},
    protocol::acr::Level,
    sessions::{self, LiveSession},
    store::{StoreResult, sessions::Session},
};

/// How long a browser keeps its mark.
const MARK_LIFE: Span = Span::from_days(365);

/// The mark of a browser. It signs nobody in; it ties flows and forms to the browser they began in.
#[derive(Clone, Debug)]
pub struct BrowserMark {
    secret: Opaque,
    fresh: bool,
    /// The session that the browser carries beside it, whatever it is worth.
    session: Option<TokenDigest>,
}

impl BrowserMark {
    /// The mark that the browser carries, if it carries a good one.
    pub fn find(app: &App, headers: &HeaderMap) -> Option<Self> {
        let value = cookies::read(headers, Cookie::Browser, &app.urls)?;
        let secret = Opaque::parse(OpaqueKind::Browser, value)?;
        Some(Self { secret, fresh: false, session: session_at(app, headers) })
    }

    /// The mark that the browser carries, or a new one.
    pub fn find_or_make(app: &App, headers: &HeaderMap) -> Self {
        Self::find(app, headers).unwrap_or_else(|| Self {
            secret: Opaque::generate(OpaqueKind::Browser, app.random()),
            fresh: true,
            session: session_at(app, headers),
        })
    }

    /// The digest of the session that the browser carries.
    pub const fn session(&self) -> Option<&TokenDigest> {
        self.session.as_ref()
    }

    /// What is kept of the mark.
    pub fn digest(&self) -> TokenDigest {
        self.secret.digest()
    }

    /// The secret bits, under which form tokens are made.
    pub fn bits(&self) -> &[u8; 32] {
        self.secret.bits()
    }

    /// The cookie of a new mark.
    pub fn cookie(&self, app: &App) -> Option<HeaderValue> {
        if !self.fresh {
            return None;
        }
        cookies::set(Cookie::Browser, self.secret.reveal().expose(), MARK_LIFE, &app.urls)
    }
}

/// The digest of the session that a request carries.
fn session_at(app: &App, headers: &HeaderMap) -> Option<TokenDigest> {
    let value = cookies::read(headers, Cookie::Session, &app.urls)?;
    Opaque::parse(OpaqueKind::Session, value).map(|secret| secret.digest())
}

/// The cookie of a session whose secret this is.
pub fn session_cookie(
    app: &App,
    session: &Session,
    secret: &Secret,
    now: Timestamp,
) -> Option<HeaderValue> {
    let life = session.expires_at.since(now);
    cookies::set(Cookie::Session, secret.expose(), life, &app.urls)
}

/// Whether somebody has signed out at this browser a short while ago, and nobody in since.
pub fn has_signed_out(app: &App, headers: &HeaderMap) -> bool {
    cookies::read(headers, Cookie::SignedOut, &app.urls).is_some_and(|value| !value.is_empty())
}

/// The session of the browser, if it has one and the upstream that signed the person in still stands
/// by its word. `limit` is how old that word may be.
pub async fn held_session(
    app: &App,
    headers: &HeaderMap,
    limit: Option<Span>,
    now: Timestamp,
) -> StoreResult<Option<LiveSession>> {
    standing(app, headers, limit, now).await.map(AtBrowser::held)
}

/// Who is at a browser.
#[derive(Debug)]
pub enum AtBrowser {
    /// Nobody that it tells of.
    Nobody,
    /// Somebody of whom their upstream has to speak anew.
    Unheld(Box<LiveSession>),
    /// Somebody by whom their upstream stands.
    Held(Box<LiveSession>),
}

impl AtBrowser {
    /// The session, if it may be used.
    pub fn held(self) -> Option<LiveSession> {
        match self {
            Self::Held(live) => Some(*live),
            Self::Nobody | Self::Unheld(_) => None,
        }
    }
}

/// Who is at the browser, and whether the upstream that signed them in still stands by its word.
pub async fn standing(
    app: &App,
    headers: &HeaderMap,
    limit: Option<Span>,
    now: Timestamp,
) -> StoreResult<AtBrowser> {
    let Some(live) = session(app, headers, now).await?.filter(|live| is_whole(app, live)) else {
        return Ok(AtBrowser::Nobody);
    };
    let held = match leases::hold(app, &Standing::of(&live.session), limit, now).await? {
        Held::Free | Held::Until(_) => Some(live),
        Held::Asked(_) => session(app, headers, now).await?.filter(|live| is_whole(app, live)),
        Held::TooOld | Held::Pending | Held::Lost => {
            return Ok(AtBrowser::Unheld(Box::new(live)));
        }
    };
    Ok(held.map_or(AtBrowser::Nobody, |live| AtBrowser::Held(Box::new(live))))
}

/// Whether a session is worth what the groups of its person take: who has proved half of it is nobody
/// (MF-01).
fn is_whole(app: &App, live: &LiveSession) -> bool {
    let settings = &app.config.second_factors;
    settings.required_for_groups.is_empty()
        || live.session.acr >= Some(Level::MultiFactor)
        || !settings.required_for(&live.person.groups())
}

/// The live session of the browser, if it has one, whatever it is worth. Asks no database without a good cookie.
pub async fn session(
    app: &App,
    headers: &HeaderMap,
    now: Timestamp,
) -> StoreResult<Option<LiveSession>> {
    let value = cookies::read(headers, Cookie::Session, &app.urls);
    let Some(secret) = value.and_then(|value| Opaque::parse(OpaqueKind::Session, value)) else {
        return Ok(None);
    };
    let mut connection = app.connection().await?;
    sessions::find_live(&mut connection, &secret.digest(), &app.config.sessions, now).await
}

//! Logout tokens of an upstream: it says that a session there has ended (OIDC Back-Channel Logout
//! §2.6), checked to the letter.

use serde_json::{Map, Value};

use super::{
    fault::UpstreamFault,
    id_token::{self, ID_TOKEN_LEEWAY, IdTokenFault, moment},
};
use crate::{
    foundation::clock::{Span, Timestamp},
    keys::PublishedKey,
};

const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";
/// A logout token that was issued longer ago is a replay (UP-25).
const MAX_AGE: Span = Span::from_minutes(2);
const MAX_TEXT: usize = 255;

/// What the logout token has to agree with.
pub(super) struct Expected<'a> {
    pub(super) issuer: &'a str,
    pub(super) tenants: &'a [String],
    pub(super) client_id: &'a str,
    pub(super) algorithms: &'a [String],
    pub(super) now: Timestamp,
}

/// What has ended, as the upstream says.
#[derive(Debug, Clone)]
pub struct LogoutNotice {
    /// The upstream's issuer.
    pub issuer: String,
    /// Whose sessions; all of them where none is named.
    pub subject: Option<String>,
    /// Which session.
    pub session_id: Option<String>,
    /// The name of the token itself: it counts once.
    pub jti: String,
}

fn refused(reason: &'static str, detail: &str) -> UpstreamFault {
    UpstreamFault::unacceptable(reason, detail)
}

/// Validates a logout token.
pub(super) fn validate(
    token: &str,
    keys: &[PublishedKey],
    expected: &Expected<'_>,
) -> Result<LogoutNotice, IdTokenFault> {
    // Providers from before the name was made still write `JWT`; what it is, `events` says.
    let types = &["logout+jwt", "JWT"];
    let claims = id_token::verify_signature(token, keys, expected.algorithms, types)?.payload;
    id_token::check_issuer(&claims, expected.issuer, expected.tenants)?;
    id_token::check_audience(&claims, expected.client_id)?;
    check_times(&claims, expected.now)?;
    check_events(&claims)?;
    if claims.contains_key("nonce") {
        // Nothing that is an ID token may end a session.
        return Err(refused("logout_token_nonce", "it carries a nonce").into());
    }
    let notice = LogoutNotice {
        issuer: text(&claims, "iss")?.unwrap_or_default(),
        subject: text(&claims, "sub")?,
        session_id: text(&claims, "sid")?,
        jti: text(&claims, "jti")?.ok_or_else(|| refused("logout_token_jti", "jti is missing"))?,
    };
    if notice.subject.is_none() && notice.session_id.is_none() {
        return Err(refused("logout_token_subject", "it names neither sub nor sid").into());
    }
    Ok(notice)
}

fn check_times(claims: &Map<String, Value>, now: Timestamp) -> Result<(), UpstreamFault> {
    let missing = |name: &str| refused("logout_token_time", &format!("{name} is missing"));
    let issued = moment(claims, "iat")?.ok_or_else(|| missing("iat"))?;
    let expires = moment(claims, "exp")?.ok_or_else(|| missing("exp"))?;
    let too_old = now.since(issued) > MAX_AGE.plus(ID_TOKEN_LEEWAY);
    let ahead = issued > now.plus(ID_TOKEN_LEEWAY);
    if too_old || ahead || expires < now.minus(ID_TOKEN_LEEWAY) {
        let detail =
            format!("issued at {issued:?}, good until {expires:?}, and here it is {now:?}");
        return Err(refused("logout_token_time", &detail));
    }
    Ok(())
}

fn check_events(claims: &Map<String, Value>) -> Result<(), UpstreamFault> {
    let event = claims.get("events").and_then(|events| events.get(EVENT));
    let fits = event.is_some_and(Value::is_object);
    fits.then_some(()).ok_or_else(|| refused("logout_token_events", "it is about another event"))
}

/// A claim that, if it is there, is a text of sane length.
fn text(claims: &Map<String, Value>, name: &str) -> Result<Option<String>, UpstreamFault> {
    match claims.get(name) {
        None => Ok(None),
        Some(Value::String(text)) if !text.is_empty() && text.len() <= MAX_TEXT => {
            Ok(Some(text.clone()))
        }
        Some(_) => Err(refused("logout_token_malformed", &format!("{name} is not a short text"))),
    }
}

//! Personal access tokens: what a person gives to a program that acts for them.
//!
//! A token reaches as far as its owner let it, and never further than its owner does at the moment
//! it is used: nothing of a person's rights is copied into it. It is no proof that its owner is
//! there, so it opens no session and changes no credentials.

use crate::{
    config::{PersonalAccessTokens, TokenSettings},
    foundation::{
        clock::{Span, Timestamp},
        ids::{PersonalAccessTokenId, UpstreamSlug, UserId},
        opaque::{Opaque, OpaqueKind},
        random::Random,
        secret::Secret,
        text_list::TextList,
    },
    protocol::{acr::Level, scope::Scope},
    store::personal_access_tokens::PersonalAccessToken,
};

/// The longest name.
pub const LONGEST_NAME: usize = 100;
/// So many living tokens one account has at the most.
pub const MOST: usize = 100;

/// How long a new token is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Life {
    /// For so long.
    For(Span),
    /// Until it is revoked.
    Lasting,
}

/// What somebody wants a new token to be.
#[derive(Clone, Debug)]
pub struct Wish {
    /// What it is called.
    pub name: String,
    /// How far it is to reach.
    pub scope: Scope,
    /// How long it is good; none if that could not be read.
    pub life: Option<Life>,
}

/// What is wrong with a wish.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// There are to be no tokens.
    Off,
    /// The name is empty, too long, or no plain text.
    Name,
    /// The owner has a living token of this name.
    NameTaken,
    /// No scope, or one that its owner could not use.
    Scope,
    /// No time at all, or longer than is allowed.
    Life,
    /// The owner has too many.
    TooMany,
    /// The owner was signed out meanwhile.
    SessionOver,
}

impl Fault {
    /// The reason in one word, as events name it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Off => "personal_access_tokens_off",
            Self::Name => "name_unfit",
            Self::NameTaken => "name_taken",
            Self::Scope => "scope_beyond_rights",
            Self::Life => "life_too_long",
            Self::TooMany => "too_many_tokens",
            Self::SessionOver => "session_over",
        }
    }
}

impl Wish {
    /// What is wrong with it, as far as can be said without other tokens. `rights` is what its owner
    /// may do at this moment.
    pub fn faults(&self, rights: &Scope, settings: &TokenSettings) -> Vec<Fault> {
        if settings.personal_access_tokens == PersonalAccessTokens::Off {
            return vec![Fault::Off];
        }
        let mut faults = Vec::new();
        if !is_name(&self.name) {
            faults.push(Fault::Name);
        }
        if self.scope.is_empty() || !self.scope.is_within(rights) {
            faults.push(Fault::Scope);
        }
        if !self.life.is_some_and(|life| is_allowed(life, settings)) {
            faults.push(Fault::Life);
        }
        faults
    }
}

/// One line that shows what it says: no control characters, none without a width, none that turn
/// the line round.
fn is_name(name: &str) -> bool {
    let deceptive = |c: char| {
        c.is_control()
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}')
    };
    let length = name.chars().count();
    (1..=LONGEST_NAME).contains(&length) && name.trim() == name && !name.chars().any(deceptive)
}

fn is_allowed(life: Life, settings: &TokenSettings) -> bool {
    match life {
        Life::For(span) => span > Span::ZERO && span <= settings.personal_access_token_max_lifetime,
        Life::Lasting => settings.personal_access_tokens == PersonalAccessTokens::Lasting,
    }
}

/// Who makes a token, and how they had proved who they are.
#[derive(Clone, Copy, Debug)]
pub struct Maker<'a> {
    /// For whom it speaks.
    pub user: &'a UserId,
    /// The upstream by which they had come.
    pub upstream: Option<&'a UpstreamSlug>,
    /// At which level.
    pub level: Option<Level>,
    /// The network that they are in, which is known from now on.
    pub network: Option<&'a str>,
}

/// A new token and its secret, which is shown once.
pub fn make(
    wish: &Wish,
    maker: Maker<'_>,
    random: &dyn Random,
    now: Timestamp,
) -> (PersonalAccessToken, Secret) {
    let secret = Opaque::generate(OpaqueKind::PersonalAccessToken, random);
    let token = PersonalAccessToken {
        id: PersonalAccessTokenId::generate(random, now),
        digest: secret.digest(),
        user_id: maker.user.clone(),
        name: wish.name.clone(),
        scope: wish.scope.to_string(),
        upstream: maker.upstream.cloned(),
        acr: maker.level,
        created_at: now,
        expires_at: match wish.life {
            Some(Life::For(span)) => Some(now.plus(span)),
            Some(Life::Lasting) => None,
            // A wish with this fault is not granted; should it be, nothing comes of it.
            None => Some(now),
        },
        last_used_at: None,
        last_client: None,
        last_address: None,
        last_user_agent: None,
        networks: maker.network.into_iter().collect::<TextList>(),
        revoked_at: None,
    };
    (token, secret.reveal())
}

/// When a token dies: no later than the settings allow now, whatever they allowed when it was made
/// (PT-09). None if it lasts.
pub fn ends_at(token: &PersonalAccessToken, settings: &TokenSettings) -> Option<Timestamp> {
    let longest = token.created_at.plus(settings.personal_access_token_max_lifetime);
    match (token.expires_at, settings.personal_access_tokens) {
        (None, PersonalAccessTokens::Lasting) => None,
        (given, _) => Some(given.map_or(longest, |given| given.min(longest))),
    }
}

/// Why a token is dead; nothing if it is good as far as it knows itself.
pub fn death(
    token: &PersonalAccessToken,
    settings: &TokenSettings,
    now: Timestamp,
) -> Option<&'static str> {
    if settings.personal_access_tokens == PersonalAccessTokens::Off {
        Some("personal_access_tokens_off")
    } else if token.revoked_at.is_some() {
        Some("token_revoked")
    } else if ends_at(token, settings).is_some_and(|end| end <= now) {
        Some("token_expired")
    } else {
        None
    }
}

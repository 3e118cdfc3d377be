//! What the form for a new token asks, and what somebody wrote into it.

use crate::{
    config::{PersonalAccessTokens, TokenSettings},
    foundation::clock::Span,
    protocol::scope::Scope,
    tokens::personal::{Fault, LONGEST_NAME, Life, Wish},
    web::{csrf, params::Params},
};

/// The scopes are fields of their own, because no field may stand twice.
const SCOPE: &str = "scope.";
const NAME: &str = "name";
const LIFE: &str = "lifetime";
/// The word for a token that does not expire.
const LASTING: &str = "lasting";
/// The times that are offered, in days, as far as they are allowed.
const OFFERED: [u32; 5] = [7, 30, 90, 180, 365];

/// A scope that can be chosen.
pub(super) struct ScopeChoice {
    pub(super) field: String,
    pub(super) word: String,
    /// What it lets a program do, where we know.
    pub(super) meaning: Option<&'static str>,
    pub(super) chosen: bool,
}

/// A lifetime that can be chosen.
pub(super) struct LifeChoice {
    pub(super) value: String,
    pub(super) label: String,
    pub(super) chosen: bool,
}

/// What is wrong, by field.
#[derive(Default)]
pub(super) struct Problems {
    pub(super) name: Option<String>,
    pub(super) scope: Option<&'static str>,
    pub(super) life: Option<&'static str>,
    pub(super) other: Option<&'static str>,
}

impl Problems {
    pub(super) const fn is_any(&self) -> bool {
        self.name.is_some() || self.scope.is_some() || self.life.is_some() || self.other.is_some()
    }

    /// The faults in words for people.
    pub(super) fn of(faults: &[Fault]) -> Self {
        let mut problems = Self::default();
        for fault in faults {
            match fault {
                Fault::Name => {
                    problems.name =
                        Some(format!("Enter a name of 1 to {LONGEST_NAME} characters."));
                }
                Fault::SessionOver => {
                    problems.name = Some("You are signed out by now. Sign in again.".to_owned());
                }
                Fault::NameTaken => {
                    problems.name =
                        Some("You have a token of this name. Choose another.".to_owned());
                }
                Fault::Scope => {
                    problems.scope = Some("Choose at least one, of those that are listed.");
                }
                Fault::Life => problems.life = Some("Choose one of the times that are listed."),
                Fault::TooMany => {
                    problems.other = Some("You have too many tokens. Revoke one first.");
                }
                Fault::Off => problems.other = Some("Tokens are switched off here."),
            }
        }
        problems
    }
}

/// What somebody wrote; nothing if the form has fields that it does not have (PT-02).
pub(super) fn read(params: &Params) -> Option<Wish> {
    let known = |name: &str| [csrf::FIELD, NAME, LIFE].contains(&name) || name.starts_with(SCOPE);
    if !params.names().all(known) {
        return None;
    }
    let scope: Scope = params.names().filter_map(|name| name.strip_prefix(SCOPE)).collect();
    let life = params.get(LIFE).and_then(|value| match value {
        LASTING => Some(Life::Lasting),
        value => Span::parse(value).map(Life::For),
    });
    let name = params.get(NAME).unwrap_or_default().trim().to_owned();
    Some(Wish { name, scope, life })
}

/// The scopes that the person may choose.
pub(super) fn scopes(rights: &Scope, chosen: Option<&Wish>) -> Vec<ScopeChoice> {
    let choice = |word: &str| ScopeChoice {
        field: format!("{SCOPE}{word}"),
        word: word.to_owned(),
        meaning: meaning(word),
        chosen: chosen.is_some_and(|wish| wish.scope.contains(word)),
    };
    rights.iter().map(choice).collect()
}

fn meaning(word: &str) -> Option<&'static str> {
    match word {
        "openid" => Some("Know which account is yours"),
        "profile" => Some("See your name and picture"),
        "email" => Some("See your email address"),
        "groups" => Some("See your groups"),
        _ => None,
    }
}

/// The lifetimes that the person may choose.
pub(super) fn lives(settings: &TokenSettings, chosen: Option<&Wish>) -> Vec<LifeChoice> {
    let usual = settings.personal_access_token_lifetime;
    let longest = settings.personal_access_token_max_lifetime;
    let mut spans: Vec<Span> = OFFERED.map(Span::from_days).to_vec();
    spans.extend([usual]);
    spans.retain(|span| *span <= longest);
    spans.sort();
    spans.dedup();
    let life = chosen.and_then(|wish| wish.life).unwrap_or(Life::For(usual));
    let mut choices: Vec<LifeChoice> = spans
        .into_iter()
        .map(|span| LifeChoice {
            value: span.to_string(),
            label: in_words(span),
            chosen: life == Life::For(span),
        })
        .collect();
    if settings.personal_access_tokens == PersonalAccessTokens::Lasting {
        choices.push(LifeChoice {
            value: LASTING.to_owned(),
            label: "Until I revoke it".to_owned(),
            chosen: life == Life::Lasting,
        });
    }
    choices
}

fn in_words(span: Span) -> String {
    const UNITS: [(i64, &str); 4] =
        [(86_400, "day"), (3_600, "hour"), (60, "minute"), (1, "second")];
    let seconds = span.seconds();
    let unit = UNITS.iter().find(|(length, _)| seconds % length == 0);
    let (length, unit) = unit.copied().unwrap_or((1, "second"));
    match seconds / length {
        1 => format!("1 {unit}"),
        count => format!("{count} {unit}s"),
    }
}

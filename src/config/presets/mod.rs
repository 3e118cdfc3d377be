//! Presets: what is known about the kinds of upstreams, as data.
//!
//! Each is a small TOML file: what it asks the administrator, the issuer that follows from the
//! answers, and defaults for the very settings of `[[upstreams]]`. They are laid under what the
//! administrator wrote (see [`under`]), which the one reader then reads as if it had been typed.

mod pasted;
mod under;

use std::sync::LazyLock;

use serde::Deserialize;
use toml::{Table, Value};

use super::{problems::Problems, reading::Setting};

pub(super) use under::lay_under;

/// One kind of upstream.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Preset {
    /// The word that stands in `preset`.
    #[serde(skip)]
    pub name: &'static str,
    /// What the product is called.
    pub title: String,
    /// What only this kind asks, to find its addresses.
    #[serde(default)]
    pub asks: Vec<Ask>,
    /// The settings that have to be given besides.
    #[serde(default = "usual_needs")]
    pub needs: Vec<String>,
    /// Settings that matter for this kind and may be left out.
    #[serde(default)]
    pub optional: Vec<String>,
    /// The issuer, as it follows from the answers.
    pub issuer: Option<String>,
    /// Scopes that this kind refuses.
    #[serde(default)]
    pub(super) refused_scopes: Vec<String>,
    /// Tenants that are no tenant of anybody.
    #[serde(default)]
    pub(super) shared_tenants: Vec<String>,
    /// Other addresses there that people paste.
    #[serde(default)]
    pasted: Vec<String>,
    /// What holds unless the administrator says otherwise.
    #[serde(default)]
    defaults: Table,
    /// What holds besides, for those who have the setting of this name.
    #[serde(default)]
    with: Table,
}

/// One question of a preset.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ask {
    /// The key beside `preset`.
    pub name: String,
    /// What it means.
    pub meaning: String,
    /// How an answer looks.
    pub example: String,
    /// The answer of who does not answer.
    pub default: Option<String>,
    /// What stands before the answer, if there is one.
    #[serde(default)]
    before: String,
    /// What an answer looks like, as a regular expression.
    #[serde(default = "usual_answer")]
    fits: String,
}

fn usual_needs() -> Vec<String> {
    ["client_id", "client_secret"].map(str::to_owned).to_vec()
}

/// A host with an optional port, or one step of a path.
fn usual_answer() -> String {
    "[A-Za-z0-9._~-]+(?::[0-9]+)?".to_owned()
}

macro_rules! files {
    ($($name:literal),+ $(,)?) => {
        &[$(($name, include_str!(concat!($name, ".toml")))),+]
    };
}

const FILES: &[(&str, &str)] = files![
    "oidc",
    "oauth2",
    "apple",
    "auth0",
    "authelia",
    "authentik",
    "discord",
    "entra",
    "github",
    "gitlab",
    "google",
    "kanidm",
    "keycloak",
    "okta",
    "pocket-id",
    "rauthy",
    "zitadel",
];

static PRESETS: LazyLock<Vec<Preset>> = LazyLock::new(|| {
    let read = |(name, text): &(&'static str, &str)| {
        // A test proves that every file can be read.
        let preset = toml::from_str::<Preset>(text).ok()?;
        Some(Preset { name, ..preset })
    };
    FILES.iter().filter_map(read).collect()
});

/// All presets, the general ones first.
pub fn presets() -> &'static [Preset] {
    &PRESETS
}

fn find(name: &str) -> Option<&'static Preset> {
    PRESETS.iter().find(|preset| preset.name == name)
}

/// The preset of an upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PresetName(&'static str);

impl PresetName {
    /// The preset of those who name none.
    pub(super) const OIDC: Self = Self("oidc");

    /// What the product is called.
    pub(super) fn title(self) -> &'static str {
        self.preset().map_or(self.0, |preset| preset.title.as_str())
    }

    /// Whether client secrets end there whether anybody wants it or not.
    pub fn lets_secrets_end(self) -> bool {
        self.0 == "entra"
    }

    /// Whether a refresh token comes with every sign-in there, whatever the scopes.
    pub fn always_refreshes(self) -> bool {
        self.0 == "keycloak"
    }

    /// What is known about this kind.
    pub(super) fn preset(self) -> Option<&'static Preset> {
        find(self.0)
    }
}

impl Setting for PresetName {
    fn kind() -> String {
        let names: Vec<String> = FILES.iter().map(|(name, _)| format!("\"{name}\"")).collect();
        names.join(" or ")
    }

    fn read(value: &Value, path: &str, problems: &mut Problems) -> Option<Self> {
        let found = value.as_str().and_then(find);
        if found.is_none() {
            problems.add(path, value, format!("must be {}", Self::kind()));
        }
        found.map(|preset| Self(preset.name))
    }

    fn show(&self) -> String {
        format!("{:?}", self.0)
    }
}

#[cfg(test)]
mod tests;

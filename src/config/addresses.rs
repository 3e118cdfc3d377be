//! Settings that are addresses or patterns: the issuer, the stores, regular expressions.

use std::sync::Arc;

use regex::Regex;
use toml::Value;
use url::Url;

use super::{
    problems::Problems,
    reading::Setting,
    redis_url::{self, RedisUrl},
    values::read_text,
};
use crate::{foundation::secret::Secret, protocol::redirect_uri::is_loopback};

/// The issuer identifier: the bare public origin (OIDC Core §2, OIDC Discovery §3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issuer {
    text: String,
    loopback: bool,
}

impl Issuer {
    /// Reads an issuer, or says what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let url = Url::parse(text).map_err(|error| {
            format!("must be the public address, like \"https://id.example.org\" ({error})")
        })?;
        let origin = url.origin().ascii_serialization();
        let loopback = is_loopback(&url);
        match url.scheme() {
            "https" => {}
            "http" if loopback => {}
            "http" => {
                return Err(format!(
                    "http is for loopback only; write \"https://{}\"",
                    text.trim_start_matches("http://")
                ));
            }
            _ => return Err("must begin with https://".to_owned()),
        }
        if origin == text {
            return Ok(Self { text: origin, loopback });
        }
        Err(format!("must be the bare origin, without path, slash or user name; write {origin:?}"))
    }

    /// The issuer, byte for byte as it stands in every token.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether only this computer can reach it.
    pub fn is_loopback(&self) -> bool {
        self.loopback
    }

    /// Whether browsers reach it over TLS.
    pub fn is_https(&self) -> bool {
        self.text.starts_with("https:")
    }

    /// The issuer that `serve` has without configuration.
    pub(super) fn unconfigured() -> Self {
        Self { text: "http://localhost:8080".to_owned(), loopback: true }
    }
}

impl Setting for Issuer {
    fn kind() -> String {
        "address".to_owned()
    }

    fn read(value: &Value, path: &str, problems: &mut Problems) -> Option<Self> {
        read_text(value, path, problems, Self::parse)
    }

    fn show(&self) -> String {
        format!("{:?}", self.text)
    }
}

/// Which database: PostgreSQL, or a SQLite file.
#[derive(Clone, Debug)]
pub enum DatabaseUrl {
    /// `postgres://...`: the whole address, which may hold a password.
    Postgres(Secret),
    /// `sqlite:PATH`.
    Sqlite(std::path::PathBuf),
}

impl Setting for DatabaseUrl {
    const SECRET: bool = true;

    fn kind() -> String {
        "\"sqlite:PATH\" or \"postgres://USER@HOST/NAME?sslmode=verify-full\"".to_owned()
    }

    fn read(value: &Value, path: &str, problems: &mut Problems) -> Option<Self> {
        let text = value.as_str().unwrap_or_default();
        if text.starts_with("postgres://") || text.starts_with("postgresql://") {
            return Some(Self::Postgres(Secret::new(text)));
        }
        let file = text.strip_prefix("sqlite:").map(|file| file.trim_start_matches("//"));
        if let Some(file) = file.filter(|file| !file.is_empty()) {
            return Some(Self::Sqlite(file.into()));
        }
        // The value may hold a password: only its scheme is shown.
        let scheme = text.split_once(':').map_or("(no scheme)", |(scheme, _)| scheme);
        problems.add(path, scheme, format!("unknown kind of database; write {}", Self::kind()));
        None
    }

    fn show(&self) -> String {
        match self {
            Self::Postgres(_) => String::new(),
            Self::Sqlite(file) => format!("\"sqlite:{}\"", file.display()),
        }
    }
}

/// Where short-lived shared state is kept.
#[derive(Clone, Debug)]
pub enum StateUrl {
    /// `memory:`: in this process, which then must be the only one.
    Memory,
    /// In Redis.
    Redis(RedisUrl),
}

impl Setting for StateUrl {
    const SECRET: bool = true;

    fn kind() -> String {
        format!("\"memory:\", {}", redis_url::FORMS)
    }

    fn read(value: &Value, path: &str, problems: &mut Problems) -> Option<Self> {
        let text = value.as_str().unwrap_or_default();
        match text.split_once(':').map(|(scheme, _)| scheme) {
            Some("memory") => Some(Self::Memory),
            Some(scheme) if RedisUrl::is_scheme(scheme) => match RedisUrl::parse(text) {
                Ok(url) => Some(Self::Redis(url)),
                Err(why) => {
                    problems.add(path, "(not shown)", format!("{why}; write {}", Self::kind()));
                    None
                }
            },
            scheme => {
                let scheme = scheme.unwrap_or("(no scheme)");
                problems.add(path, scheme, format!("unknown kind; write {}", Self::kind()));
                None
            }
        }
    }

    fn show(&self) -> String {
        match self {
            Self::Memory => "\"memory:\"".to_owned(),
            Self::Redis(_) => String::new(),
        }
    }
}

/// A regular expression of the administrator's.
#[derive(Clone, Debug)]
pub struct Pattern(pub Arc<Regex>);

impl Setting for Pattern {
    fn kind() -> String {
        "regular expression".to_owned()
    }

    fn read(value: &Value, path: &str, problems: &mut Problems) -> Option<Self> {
        read_text(value, path, problems, |text| {
            let regex = regex::RegexBuilder::new(text).size_limit(1 << 20).build();
            regex.map(|regex| Self(Arc::new(regex))).map_err(|error| error.to_string())
        })
    }

    fn show(&self) -> String {
        format!("{:?}", self.0.as_str())
    }
}

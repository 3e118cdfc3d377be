//! The kinds of values that settings have.

use std::{net::SocketAddr, sync::Arc};

use ipnet::IpNet;
use regex::Regex;
use toml::Value;
use url::Url;

use super::{
    problems::Problems,
    reading::{Field, Setting},
};
use crate::{
    foundation::{clock::Span, ids, secret::Secret},
    protocol::redirect_uri::is_loopback,
};

/// Reads a value from a text; what is no text is a problem.
fn read_text<T>(
    value: &Value,
    path: &str,
    problems: &mut Problems,
    parse: impl FnOnce(&str) -> Result<T, String>,
) -> Option<T> {
    let Some(text) = value.as_str() else {
        problems.add(path, value, "must be a text in quotes");
        return None;
    };
    parse(text).map_err(|fault| problems.add(path, format!("{text:?}"), fault)).ok()
}

impl Setting for String {
    fn kind() -> String {
        "text".to_owned()
    }

    fn read(value: &Value, path: &str, problems: &mut Problems) -> Option<Self> {
        read_text(value, path, problems, |text| Ok(text.to_owned()))
    }

    fn show(&self) -> String {
        format!("{self:?}")
    }
}

impl Setting for Secret {
    const SECRET: bool = true;

    fn kind() -> String {
        "secret text".to_owned()
    }

    fn read(value: &Value, path: &str, problems: &mut Problems) -> Option<Self> {
        let Some(text) = value.as_str() else {
            problems.add_bare(path, "must be a text in quotes");
            return None;
        };
        Some(Self::new(text))
    }

    fn show(&self) -> String {
        String::new()
    }
}

impl Setting for bool {
    fn kind() -> String {
        "true or false".to_owned()
    }

    fn read(value: &Value, path: &str, problems: &mut Problems) -> Option<Self> {
        match value {
            Value::Boolean(yes) => Some(*yes),
            // Environment variables are always texts.
            Value::String(text) if text == "true" || text == "1" => Some(true),
            Value::String(text) if text == "false" || text == "0" => Some(false),
            other => {
                problems.add(path, other, "must be true or false");
                None
            }
        }
    }

    fn show(&self) -> String {
        self.to_string()
    }
}

impl Setting for u32 {
    fn kind() -> String {
        "number".to_owned()
    }

    fn read(value: &Value, path: &str, problems: &mut Problems) -> Option<Self> {
        let number = match value {
            Value::Integer(number) => Self::try_from(*number).ok(),
            Value::String(text) => text.parse().ok(),
            _ => None,
        };
        if number.is_none() {
            problems.add(path, value, "must be a whole number, not negative");
        }
        number
    }

    fn show(&self) -> String {
        self.to_string()
    }
}

impl Setting for Span {
    fn kind() -> String {
        "time span, like \"90s\", \"15m\", \"12h\", \"30d\"".to_owned()
    }

    fn read(value: &Value, path: &str, problems: &mut Problems) -> Option<Self> {
        let fault = "must be a time span such as \"90s\", \"15m\", \"12h\" or \"30d\"";
        match value {
            Value::Integer(seconds) => {
                let span = u32::try_from(*seconds).ok().map(Self::from_seconds);
                if span.is_none() {
                    problems.add(path, seconds, fault);
                }
                span
            }
            _ => read_text(value, path, problems, |text| {
                Self::parse(text).ok_or_else(|| fault.to_owned())
            }),
        }
    }

    fn show(&self) -> String {
        format!("\"{self}\"")
    }
}

impl<T: Setting> Setting for Option<T> {
    const SECRET: bool = T::SECRET;

    fn kind() -> String {
        T::kind()
    }

    fn read(value: &Value, path: &str, problems: &mut Problems) -> Option<Self> {
        T::read(value, path, problems).map(Some)
    }

    fn absent(_: &str, _: &mut Problems) -> Option<Self> {
        Some(None)
    }

    fn show(&self) -> String {
        self.as_ref().map(T::show).unwrap_or_default()
    }

    fn fields() -> Vec<Field> {
        T::fields()
    }
}

impl<T: Setting> Setting for Vec<T> {
    const SECRET: bool = T::SECRET;

    fn kind() -> String {
        format!("list of {}", T::kind())
    }

    fn read(value: &Value, path: &str, problems: &mut Problems) -> Option<Self> {
        let items = match value {
            Value::Array(items) => items.clone(),
            // In an environment variable: a TOML list, or words between commas.
            Value::String(text) => list_in_text(text),
            // `SECTION__0__KEY` and so on, in the order of the numbers.
            Value::Table(table) if table.keys().all(|key| key.parse::<u32>().is_ok()) => {
                let mut items: Vec<_> = table.iter().collect();
                items.sort_by_key(|(key, _)| key.parse::<u32>().unwrap_or(u32::MAX));
                items.into_iter().map(|(_, item)| item.clone()).collect()
            }
            other => {
                problems.add(path, other, "must be a list");
                return None;
            }
        };
        let read =
            |(index, item): (usize, &Value)| T::read(item, &format!("{path}.{index}"), problems);
        // Read every item before giving up, so that every problem is found.
        let items: Vec<Option<T>> = items.iter().enumerate().map(read).collect();
        items.into_iter().collect()
    }

    fn show(&self) -> String {
        format!("[{}]", self.iter().map(T::show).collect::<Vec<_>>().join(", "))
    }

    fn fields() -> Vec<Field> {
        T::fields()
    }
}

fn list_in_text(text: &str) -> Vec<Value> {
    let as_toml = format!("list = {text}").parse::<toml::Table>().ok();
    if let Some(Value::Array(items)) = as_toml.and_then(|table| table.get("list").cloned()) {
        return items;
    }
    let words = text.split(',').map(str::trim).filter(|word| !word.is_empty());
    words.map(|word| Value::String(word.to_owned())).collect()
}

macro_rules! parsed_setting {
    ($($type:ty: $kind:literal, $fault:literal);+ $(;)?) => {$(
        impl Setting for $type {
            fn kind() -> String {
                $kind.to_owned()
            }

            fn read(value: &Value, path: &str, problems: &mut Problems) -> Option<Self> {
                read_text(value, path, problems, |text| {
                    text.parse::<$type>().map_err(|error| format!("{} ({error})", $fault))
                })
            }

            fn show(&self) -> String {
                format!("\"{self}\"")
            }
        }
    )+};
}
parsed_setting! {
    SocketAddr: "address and port", "must be an IP address and a port, like \"127.0.0.1:8080\"";
    IpNet: "network", "must be a network such as \"10.0.0.0/8\"";
    Url: "address", "must be an absolute address such as \"https://sso.example.org\"";
}

macro_rules! text_setting {
    ($($type:ty),+) => {$(
        impl Setting for $type {
            fn kind() -> String {
                "text".to_owned()
            }

            fn read(value: &Value, path: &str, problems: &mut Problems) -> Option<Self> {
                read_text(value, path, problems, |text| Ok(Self::new(text)))
            }

            fn show(&self) -> String {
                format!("\"{self}\"")
            }
        }
    )+};
}
text_setting!(ids::ClientId, ids::UpstreamSlug);

/// Declares that a word enum is a setting.
macro_rules! word_setting {
    ($($type:ty),+ $(,)?) => {$(
        impl $crate::config::reading::Setting for $type {
            fn kind() -> String {
                let words: Vec<String> =
                    Self::ALL.iter().map(|word| format!("\"{word}\"")).collect();
                words.join(" or ")
            }

            fn read(
                value: &toml::Value,
                path: &str,
                problems: &mut $crate::config::Problems,
            ) -> Option<Self> {
                let word = value.as_str().and_then(Self::from_word);
                if word.is_none() {
                    problems.add(path, value, format!("must be {}", Self::kind()));
                }
                word
            }

            fn show(&self) -> String {
                format!("\"{self}\"")
            }
        }
    )+};
}
pub(super) use word_setting;

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
    /// `redis://` or `rediss://`: the whole address, which may hold a password.
    Redis(Secret),
}

impl Setting for StateUrl {
    const SECRET: bool = true;

    fn kind() -> String {
        "\"memory:\", \"redis://HOST:PORT/DB\" or \"rediss://HOST:PORT/DB\"".to_owned()
    }

    fn read(value: &Value, path: &str, problems: &mut Problems) -> Option<Self> {
        let text = value.as_str().unwrap_or_default();
        match text.split_once(':').map(|(scheme, _)| scheme) {
            Some("memory") => Some(Self::Memory),
            Some("redis" | "rediss") => Some(Self::Redis(Secret::new(text))),
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

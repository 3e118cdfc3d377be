//! Kinds of values that only upstreams have: more parameters, certificates, days.

use std::{collections::BTreeMap, sync::Arc};

use toml::Value;

use super::{problems::Problems, reading::Setting};
use crate::{foundation::clock::Timestamp, protocol::acr::Level};

/// Names and texts: what is added to a request.
#[derive(Clone, Debug, Default)]
pub struct Parameters(BTreeMap<String, String>);

impl Parameters {
    /// The pairs, in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = (&String, &String)> {
        self.0.iter()
    }
}

impl Setting for Parameters {
    fn kind() -> String {
        "table of texts".to_owned()
    }

    fn read(value: &Value, path: &str, problems: &mut Problems) -> Option<Self> {
        let Some(table) = value.as_table() else {
            problems.add(path, value, "must be a table such as { name = \"value\" }");
            return None;
        };
        let mut pairs = BTreeMap::new();
        for (name, value) in table {
            match value.as_str() {
                Some(text) => drop(pairs.insert(name.clone(), text.to_owned())),
                None => problems.add(&format!("{path}.{name}"), value, "must be a text in quotes"),
            }
        }
        Some(Self(pairs))
    }

    fn show(&self) -> String {
        let pairs: Vec<String> =
            self.0.iter().map(|(name, value)| format!("{name} = {value:?}")).collect();
        if pairs.is_empty() { "{}".to_owned() } else { format!("{{ {} }}", pairs.join(", ")) }
    }
}

/// What an upstream's `acr` values mean here.
#[derive(Clone, Debug, Default)]
pub struct Levels(BTreeMap<String, Level>);

impl Levels {
    /// Whether nothing is said about any value.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What a value means.
    pub fn get(&self, word: &str) -> Option<Level> {
        self.0.get(word).copied()
    }

    /// The values that mean this level or more, the lowest first.
    pub fn words_from(&self, least: Level) -> Vec<&str> {
        let enough = self.0.iter().filter(|(_, level)| **level >= least);
        let mut enough: Vec<(Level, &str)> =
            enough.map(|(word, level)| (*level, word.as_str())).collect();
        enough.sort_unstable();
        enough.into_iter().map(|(_, word)| word).collect()
    }
}

impl Setting for Levels {
    fn kind() -> String {
        format!("table of {}", Level::kind())
    }

    fn read(value: &Value, path: &str, problems: &mut Problems) -> Option<Self> {
        let Some(table) = value.as_table() else {
            problems.add(path, value, "must be a table such as { \"2\" = \"mfa\" }");
            return None;
        };
        let read = |(word, level): (&String, &Value)| {
            let at = format!("{path}.{word}");
            if word.is_empty() || word.contains(char::is_whitespace) {
                problems.add_bare(&at, "is no acr value: it has no spaces (OIDC Core §3.1.2.1)");
                return None;
            }
            Some((word.clone(), Level::read(level, &at, problems)?))
        };
        // Read every entry before giving up, so that every problem is found.
        let pairs: Vec<Option<(String, Level)>> = table.iter().map(read).collect();
        pairs.into_iter().collect::<Option<_>>().map(Self)
    }

    fn show(&self) -> String {
        let pairs: Vec<String> =
            self.0.iter().map(|(word, level)| format!("{word:?} = \"{level}\"")).collect();
        if pairs.is_empty() { "{}".to_owned() } else { format!("{{ {} }}", pairs.join(", ")) }
    }
}

/// Certificates in PEM.
#[derive(Clone, Debug)]
pub struct Certificates(Arc<str>);

impl Certificates {
    /// The text of the file.
    pub fn pem(&self) -> &str {
        &self.0
    }
}

impl Setting for Certificates {
    // No secret, but nothing that anybody wants to see in a message; and it comes from a file.
    const SECRET: bool = true;

    fn kind() -> String {
        "certificates in PEM".to_owned()
    }

    fn read(value: &Value, path: &str, problems: &mut Problems) -> Option<Self> {
        let text = value.as_str().unwrap_or_default();
        if text.contains("-----BEGIN CERTIFICATE-----") {
            return Some(Self(text.into()));
        }
        problems.add_bare(path, "must hold certificates in PEM: -----BEGIN CERTIFICATE----- ...");
        None
    }

    fn show(&self) -> String {
        String::new()
    }
}

/// A day. It begins with its first moment, UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Day(Timestamp);

impl Day {
    /// Its first moment.
    pub const fn begins(self) -> Timestamp {
        self.0
    }
}

impl std::fmt::Display for Day {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(&self.0.day())
    }
}

impl Setting for Day {
    fn kind() -> String {
        "day, like \"2027-03-01\"".to_owned()
    }

    fn read(value: &Value, path: &str, problems: &mut Problems) -> Option<Self> {
        let text = match value {
            Value::String(text) => text.clone(),
            // TOML has days of its own, without quotes.
            other => other.to_string(),
        };
        let day = Timestamp::parse_day(&text);
        if day.is_none() {
            problems.add(path, value, "must be a day such as \"2027-03-01\"");
        }
        day.map(Self)
    }

    fn show(&self) -> String {
        format!("\"{self}\"")
    }
}

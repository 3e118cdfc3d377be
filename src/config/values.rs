//! The kinds of values that settings have.

use std::net::SocketAddr;

use ipnet::IpNet;
use toml::Value;
use url::Url;

use super::{
    problems::Problems,
    reading::{Field, Setting},
};
use crate::foundation::{clock::Span, ids, secret::Secret};

/// Reads a value from a text; what is no text is a problem.
pub(super) fn read_text<T>(
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

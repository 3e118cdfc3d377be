//! From file and environment to a checked [`Config`].

use std::{collections::BTreeMap, path::Path};

use toml::{Table, Value};

use super::{Config, DatabaseUrl, Problems, StateUrl, reading::Setting};

const PREFIX: &str = "KEYWRIGHT_";

/// The variables that are understood without the prefix, and the settings they are.
const BARE: &[(&str, &[&str])] = &[
    ("DATABASE_URL", &["database", "url"]),
    ("REDIS_URL", &["state", "url"]),
    ("SECRET_KEY", &["secrets", "secret_key"]),
    ("RATE_LIMIT_ENABLED", &["rate_limits", "enabled"]),
    ("RATE_LIMIT_PER_MINUTE", &["rate_limits", "requests_per_minute"]),
];

/// Variables with our prefix that are no settings.
const NOT_SETTINGS: &[&str] = &["KEYWRIGHT_CONFIG"];

/// A snapshot of environment variables.
pub type Environment = BTreeMap<String, String>;

/// Loads the configuration from `file`, if one is given, and the environment.
pub fn load(file: Option<&Path>, environment: &Environment) -> Result<Config, Problems> {
    let Some(file) = file else {
        return parse("", environment);
    };
    let text = std::fs::read_to_string(file).map_err(|error| {
        let mut problems = Problems::default();
        problems.add("--config", file.display(), format!("cannot be read: {error}"));
        problems
    })?;
    read(&text, &file.display().to_string(), environment)
}

/// Reads the configuration from the text of a file and the environment.
pub fn parse(text: &str, environment: &Environment) -> Result<Config, Problems> {
    read(text, "keywright.toml", environment)
}

fn read(text: &str, name: &str, environment: &Environment) -> Result<Config, Problems> {
    let mut problems = Problems::default();
    let mut table = text.parse::<Table>().unwrap_or_else(|error| {
        // Only where and why: the line itself may hold a secret (LG-01).
        let at = error.span().map_or(0, |span| span.start);
        let line = text.get(..at).unwrap_or(text).lines().count().max(1);
        problems.add_bare(&format!("{name}, line {line}"), error.message());
        Table::new()
    });
    if problems.is_empty() {
        overlay(&mut table, environment, &mut problems);
    }
    let config = Config::read(&Value::Table(table), "", &mut problems);
    if let Some(config) = &config {
        config.check(&mut problems);
        check_instances(config, &mut problems);
    }
    match config {
        Some(config) if problems.is_empty() => Ok(config),
        _ => Err(problems),
    }
}

/// Lays environment variables over what the file says.
fn overlay(table: &mut Table, environment: &Environment, problems: &mut Problems) {
    for (name, path) in BARE {
        for suffix in ["", "_FILE"] {
            // Compose files set what is not used to nothing.
            let given = environment.get(&format!("{name}{suffix}"));
            if let Some(value) = given.filter(|value| !value.is_empty()) {
                let mut path: Vec<String> = path.iter().map(|part| (*part).to_owned()).collect();
                if let Some(last) = path.last_mut() {
                    last.push_str(&suffix.to_lowercase());
                }
                set(table, &path, value, name, problems);
            }
        }
    }
    let own = environment.iter().filter(|(name, _)| name.starts_with(PREFIX));
    for (name, value) in own.filter(|(name, _)| !NOT_SETTINGS.contains(&name.as_str())) {
        let path = name.trim_start_matches(PREFIX).to_lowercase();
        let path: Vec<String> = path.split("__").map(str::to_owned).collect();
        set(table, &path, value, name, problems);
    }
    disable_signup(table, environment, problems);
}

/// `DISABLE_SIGNUP=true` shuts both doors, whatever else is said; `false` takes back that the file
/// shuts them.
fn disable_signup(table: &mut Table, environment: &Environment, problems: &mut Problems) {
    let Some(value) = environment.get("DISABLE_SIGNUP") else {
        return;
    };
    match value.to_lowercase().as_str() {
        "true" | "1" | "yes" => {
            for (toggle, value) in
                [("disabled", "true"), ("local", "closed"), ("federated", "closed")]
            {
                let path = ["signup".to_owned(), toggle.to_owned()];
                set(table, &path, value, "DISABLE_SIGNUP", problems);
            }
        }
        "false" | "0" | "no" if !environment.contains_key("KEYWRIGHT_SIGNUP__DISABLED") => {
            let path = ["signup".to_owned(), "disabled".to_owned()];
            set(table, &path, "false", "DISABLE_SIGNUP", problems);
        }
        "false" | "0" | "no" | "" => {}
        _ => problems.add("DISABLE_SIGNUP", value, "must be true or false"),
    }
}

fn set(table: &mut Table, path: &[String], value: &str, name: &str, problems: &mut Problems) {
    let Some((last, sections)) = path.split_last() else {
        return;
    };
    let mut at = table;
    for section in sections {
        let inner = at.entry(section.clone()).or_insert_with(|| Value::Table(Table::new()));
        if let Value::Array(items) = inner {
            // A list of the file, addressed by number: `KEYWRIGHT_CLIENTS__0__SECRET`.
            let numbered = items.iter().enumerate().map(|(i, item)| (i.to_string(), item.clone()));
            *inner = Value::Table(numbered.collect());
        }
        match inner {
            Value::Table(inner) => at = inner,
            _ => return problems.add_bare(name, format!("{section} is not a section")),
        }
    }
    // What the environment says replaces both forms of a secret in the file.
    let base = last.strip_suffix("_file").unwrap_or(last);
    at.remove(base);
    at.remove(&format!("{base}_file"));
    at.insert(last.clone(), Value::String(value.to_owned()));
}

/// In-process state and an embedded database belong to exactly one instance.
fn check_instances(config: &Config, problems: &mut Problems) {
    if config.server.instances < 2 {
        return;
    }
    if matches!(config.state.url, StateUrl::Memory) {
        let fix =
            "in-process state serves one instance only; set REDIS_URL, or server.instances = 1";
        problems.add("state.url", "\"memory:\"", fix);
    }
    if let DatabaseUrl::Sqlite(file) = &config.database.url {
        let fix = "SQLite serves one instance only; set DATABASE_URL to PostgreSQL";
        problems.add("database.url", file.display(), fix);
    }
}

#[cfg(test)]
#[path = "load_tests.rs"]
mod tests;

//! What is wrong with a configuration: every problem names the setting, the value and the fix.

use std::{fmt, path::Path};

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The setting, as `section.key`.
    pub setting: String,
    /// The value that was seen, unless it is a secret or absent.
    pub value: Option<String>,
    /// What is wrong with it, and how to mend it.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.value {
            Some(value) => write!(out, "{} = {value}: {}", self.setting, self.message),
            None => write!(out, "{}: {}", self.setting, self.message),
        }
    }
}

/// Everything that is wrong.
#[derive(Debug, Default)]
pub struct Problems(Vec<Problem>);

impl Problems {
    /// A single problem, seen only when the setting is put to use.
    pub fn one(setting: &str, message: impl Into<String>) -> Self {
        let mut problems = Self::default();
        problems.add_bare(setting, message);
        problems
    }

    /// Refuses a file with secrets that others than its owner may read (LG-06).
    pub fn refuse_exposed(setting: &str, file: &Path, mode: u32) -> Result<(), Self> {
        let (path, mode) = (file.display(), mode & 0o777);
        if mode & 0o077 != 0 {
            let fix =
                format!("{path} can be read by others (mode {mode:o}); run: chmod 600 {path}");
            return Err(Self::one(setting, fix));
        }
        Ok(())
    }

    /// Notes a problem whose value may be shown.
    pub fn add(&mut self, setting: &str, value: impl fmt::Display, message: impl Into<String>) {
        self.push(setting, Some(value.to_string()), message.into());
    }

    /// Notes a problem without a value, or with one that must not be shown.
    pub fn add_bare(&mut self, setting: &str, message: impl Into<String>) {
        self.push(setting, None, message.into());
    }

    /// One problem of a setting is enough: a second would only follow from the first.
    fn push(&mut self, setting: &str, value: Option<String>, message: String) {
        let file = format!("{setting}_file");
        if !self.0.iter().any(|known| known.setting == setting || known.setting == file) {
            self.0.push(Problem { setting: setting.to_owned(), value, message });
        }
    }

    /// Whether nothing is wrong.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The problems in the order in which they were found.
    pub fn iter(&self) -> impl Iterator<Item = &Problem> {
        self.0.iter()
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.0.len();
        let plural = if count == 1 { "problem" } else { "problems" };
        writeln!(out, "The configuration has {count} {plural}:")?;
        self.0.iter().try_for_each(|problem| writeln!(out, "  - {problem}"))
    }
}

impl std::error::Error for Problems {}

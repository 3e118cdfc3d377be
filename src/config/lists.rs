//! Lists of which one may stand for itself.

use std::ops::Deref;

use toml::Value;

use super::{
    problems::Problems,
    reading::{Field, Setting},
};

/// A list; where there is only one, the brackets may be left out.
#[derive(Clone, Debug)]
pub struct OneOrMore<T>(Vec<T>);

impl<T> Deref for OneOrMore<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.0
    }
}

impl<T> FromIterator<T> for OneOrMore<T> {
    fn from_iter<I: IntoIterator<Item = T>>(items: I) -> Self {
        Self(items.into_iter().collect())
    }
}

impl<T: Setting> Setting for OneOrMore<T> {
    fn kind() -> String {
        format!("list of {}, or one", T::kind())
    }

    fn read(value: &Value, path: &str, problems: &mut Problems) -> Option<Self> {
        let numbered = |key: &String| key.parse::<u32>().is_ok();
        match value {
            Value::Table(table) if table.is_empty() || !table.keys().all(numbered) => {
                T::read(value, path, problems).map(|one| Self(vec![one]))
            }
            _ => Vec::read(value, path, problems).map(Self),
        }
    }

    fn show(&self) -> String {
        self.0.show()
    }

    fn fields() -> Vec<Field> {
        T::fields()
    }
}

//! Changes to a JSON object: what a test wants different from the honest answer.

use serde_json::{Map, Value};

/// A list of changes, applied in order to a header, a claim set, metadata or a response.
#[derive(Clone, Default)]
pub(crate) struct Edits(Vec<(String, Edit)>);

#[derive(Clone)]
enum Edit {
    Set(Value),
    Remove,
    FromNow(i64),
    Alter(fn(&Value) -> Value),
}

impl Edits {
    /// Sets a member to any JSON value.
    pub(crate) fn set(&mut self, name: &str, value: impl Into<Value>) -> &mut Self {
        self.push(name, Edit::Set(value.into()))
    }

    /// Leaves a member out.
    pub(crate) fn remove(&mut self, name: &str) -> &mut Self {
        self.push(name, Edit::Remove)
    }

    /// Sets a member to the provider's time plus some seconds.
    pub(crate) fn set_from_now(&mut self, name: &str, seconds: i64) -> &mut Self {
        self.push(name, Edit::FromNow(seconds))
    }

    /// Computes a member from its honest value (null when there is none).
    pub(crate) fn alter(&mut self, name: &str, change: fn(&Value) -> Value) -> &mut Self {
        self.push(name, Edit::Alter(change))
    }

    fn push(&mut self, name: &str, edit: Edit) -> &mut Self {
        self.0.push((name.into(), edit));
        self
    }

    pub(super) fn apply(&self, object: &mut Map<String, Value>, now: i64) {
        for (name, edit) in &self.0 {
            let value = match edit {
                Edit::Remove => {
                    object.remove(name);
                    continue;
                }
                Edit::Set(value) => value.clone(),
                Edit::FromNow(seconds) => Value::from(now + seconds),
                Edit::Alter(change) => change(object.get(name).unwrap_or(&Value::Null)),
            };
            object.insert(name.clone(), value);
        }
    }
}

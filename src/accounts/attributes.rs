//! Attributes of accounts (`[[attributes]]`): the fields of a form, and what is made of what was typed.

use serde_json::Value;

use crate::{
    config::{Attribute, AttributeKind},
    foundation::{clock::Timestamp, ids::UserId},
    store::{Connection, StoreResult, user_attributes},
};

const PARAMETER: &str = "attribute-";

/// A field of a form.
#[derive(Clone, Debug)]
pub struct Field {
    /// The name of the attribute.
    pub name: String,
    /// What pages call it.
    pub label: String,
    /// What is typed at first, or was typed.
    pub value: String,
    /// Among what is chosen.
    pub options: Vec<String>,
    /// What kind of field it is: the words of [`AttributeKind`].
    pub kind: &'static str,
    /// Whether it may not be empty.
    pub required: bool,
    /// Whether it is only shown.
    pub fixed: bool,
    /// The most characters.
    pub max_length: u32,
    /// What is wrong with it.
    pub fault: Option<String>,
}

impl Field {
    fn new(attribute: &Attribute, value: String) -> Self {
        Self {
            name: attribute.name.clone(),
            label: attribute.label.clone(),
            value,
            options: attribute.values.clone(),
            kind: attribute.r#type.as_str(),
            required: attribute.required,
            fixed: !attribute.is_own(),
            max_length: attribute.max_length,
            fault: None,
        }
    }

    /// The parameter in which its value is sent. None of ours is called so.
    pub fn parameter(name: &str) -> String {
        format!("{PARAMETER}{name}")
    }

    /// The attribute whose value is sent in this parameter.
    pub fn name_of(parameter: &str) -> Option<&str> {
        parameter.strip_prefix(PARAMETER)
    }
}

/// What a form says.
#[derive(Clone, Debug, Default)]
pub struct Answers {
    /// The fields with what was typed, and what is wrong with it.
    pub fields: Vec<Field>,
    /// What is meant: a value, or none any more. Nothing of this counts while a field is at fault.
    pub values: Vec<(String, Option<Value>)>,
}

impl Answers {
    /// Whether something is wrong.
    pub fn are_at_fault(&self) -> bool {
        self.fields.iter().any(|field| field.fault.is_some())
    }
}

/// The fields of the page on which people see what is said about them, filled in with it.
pub fn fields(attributes: &[Attribute], said: &[(String, Value)]) -> Vec<Field> {
    let shown = attributes.iter().filter(|attribute| attribute.is_shown());
    shown.map(|attribute| Field::new(attribute, text_of(said, &attribute.name))).collect()
}

/// The empty fields that whoever makes an account has to fill in.
pub fn required(attributes: &[Attribute]) -> Vec<Field> {
    let required = attributes.iter().filter(|attribute| attribute.required);
    required.map(|attribute| Field::new(attribute, String::new())).collect()
}

fn text_of(said: &[(String, Value)], name: &str) -> String {
    let value = said.iter().find(|(own, _)| own == name).map(|(_, value)| value);
    value.map(plain).unwrap_or_default()
}

/// A value as it is typed.
pub fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// Reads what was typed into these fields. What only administrators change counts for nothing (AD-02).
pub fn read(
    attributes: &[Attribute],
    mut fields: Vec<Field>,
    typed: impl Fn(&str) -> String,
) -> Answers {
    let mut values = Vec::new();
    for field in fields.iter_mut().filter(|field| !field.fixed) {
        let Some(attribute) = attributes.iter().find(|own| own.name == field.name) else {
            continue;
        };
        let text = typed(&Field::parameter(&field.name));
        // A box that is not ticked is not sent, and says no where it said something before.
        let unticked = attribute.r#type == AttributeKind::Boolean && text.is_empty();
        let text = if unticked && !field.value.is_empty() { "false".to_owned() } else { text };
        match attribute.understand(&text) {
            Ok(value) if is_missing(attribute, value.as_ref()) => {
                field.fault = Some(format!("{} is needed.", field.label));
            }
            Ok(value) => values.push((field.name.clone(), value)),
            Err(fault) => field.fault = Some(format!("{} {fault}.", field.label)),
        }
        field.value = text;
    }
    Answers { fields, values }
}

/// A box that has to be ticked is not by saying no.
fn is_missing(attribute: &Attribute, value: Option<&Value>) -> bool {
    attribute.required && value.is_none_or(|value| *value == Value::Bool(false))
}

/// Keeps what is meant; answers the names of what has changed.
pub async fn keep(
    conn: &mut Connection,
    user: &UserId,
    values: &[(String, Option<Value>)],
    now: Timestamp,
) -> StoreResult<Vec<String>> {
    if values.is_empty() {
        return Ok(Vec::new());
    }
    let said = user_attributes::list_of_user(conn, user).await?;
    let mut changed = Vec::new();
    for (name, value) in values {
        let before = said.iter().find(|(own, _)| own == name).map(|(_, value)| value);
        if before == value.as_ref() {
            continue;
        }
        match value {
            Some(value) => user_attributes::set(conn, user, (name, value), now).await?,
            None => user_attributes::delete(conn, user, name).await?,
        };
        changed.push(name.clone());
    }
    Ok(changed)
}

//! `[[attributes]]`: what else an account says about its person.
//!
//! Values are judged by kind, length and a list: no text of the configuration, and none that is typed,
//! is ever used as a pattern (IJ-11).

use std::collections::HashSet;

use serde_json::{Value, json};

use super::{clients::ClientSettings, problems::Problems, values::word_setting};
use crate::foundation::clock::Timestamp;

text_enum! {
    /// What kind of value an attribute has.
    AttributeKind {
        /// One line.
        Text = "text",
        /// A whole number.
        Number = "number",
        /// True or false.
        Boolean = "boolean",
        /// A day, like "2027-03-01".
        Date = "date",
        /// One of `values`.
        Choice = "choice",
    }
}
text_enum! {
    /// Who may see an attribute.
    Visibility {
        /// The person, and the apps to which `[[clients.claims]]` gives it.
        Public = "public",
        /// The person, and administrators.
        OneSelf = "self",
        /// Administrators only.
        Internal = "internal",
    }
}
text_enum! {
    /// Who may change an attribute.
    ChangedBy {
        /// The person; administrators too.
        OneSelf = "self",
        /// Administrators only.
        Admin = "admin",
    }
}
word_setting!(AttributeKind, Visibility, ChangedBy);

/// The most attributes that there can be.
const MOST: usize = 50;
/// The most values among which somebody can choose.
const MOST_VALUES: usize = 200;
/// Beyond this not every app reads a number exactly (RFC 8259 §6).
const LARGEST: i64 = 9_007_199_254_740_991;

section! {
    /// Something that an account says about its person beyond name and address.
    pub struct Attribute {
        /// What it is called at the command line, in exports and by `[[clients.claims]]`.
        name: String,
        /// What it is called on pages.
        label: String,
        /// What kind of value it has.
        r#type: AttributeKind = AttributeKind::Text,
        /// The values that there are, for `"choice"`.
        values: Vec<String> = Vec::new(),
        /// The most characters of a text.
        max_length: u32 = 200,
        /// Who may see it: the person and, where `[[clients.claims]]` says so, apps; the person alone; or
        /// only administrators.
        visibility: Visibility = Visibility::OneSelf,
        /// Who may change it: the person under `/account/profile`, or only administrators.
        changed_by: ChangedBy = ChangedBy::OneSelf,
        /// Whether whoever makes an account by the form has to give it, and cannot take it away.
        required: bool = false,
    }
}

impl Attribute {
    /// Whether the person sees it.
    pub fn is_shown(&self) -> bool {
        self.visibility != Visibility::Internal
    }

    /// Whether the person changes it.
    pub fn is_own(&self) -> bool {
        self.changed_by == ChangedBy::OneSelf
    }

    /// What a typed text means; nothing if it is empty.
    ///
    /// # Errors
    /// What is wrong with it, as a sentence goes on after "It ".
    pub fn understand(&self, typed: &str) -> Result<Option<Value>, String> {
        let text = typed.trim();
        if text.is_empty() {
            return Ok(None);
        }
        let value = match self.r#type {
            AttributeKind::Text => self.read_text(text)?,
            AttributeKind::Number => {
                let number = text.parse::<i64>().ok().filter(|number| number.abs() <= LARGEST);
                json!(number.ok_or("must be a whole number")?)
            }
            AttributeKind::Boolean => match text {
                "true" => json!(true),
                "false" => json!(false),
                _ => return Err("must be true or false".to_owned()),
            },
            AttributeKind::Date => {
                let day = Timestamp::parse_day(text).filter(|day| day.day() == text);
                json!(day.ok_or("must be a day such as 2027-03-01")?.day())
            }
            AttributeKind::Choice => {
                let known = self.values.iter().find(|value| *value == text);
                json!(known.ok_or_else(|| format!("must be one of: {}", self.values.join(", ")))?)
            }
        };
        Ok(Some(value))
    }

    fn read_text(&self, text: &str) -> Result<Value, String> {
        if text.chars().any(char::is_control) {
            return Err("must be one line".to_owned());
        }
        if text.chars().count() > self.max_length as usize {
            return Err(format!("must have at most {} characters", self.max_length));
        }
        Ok(json!(text))
    }

    fn check(&self, at: &dyn Fn(&str) -> String, problems: &mut Problems) {
        if !is_name(&self.name) {
            let fix = "must have 1 to 32 of: small letters, digits, underscores; a letter first";
            problems.add(&at("name"), format!("{:?}", self.name), fix);
        }
        if !is_word(&self.label, 60) {
            let fix = "must have 1 to 60 visible characters";
            problems.add(&at("label"), format!("{:?}", self.label), fix);
        }
        if !(1..=1_000).contains(&self.max_length) {
            problems.add(&at("max_length"), self.max_length, "must be between 1 and 1000");
        }
        self.check_values(&at("values"), problems);
        if self.visibility == Visibility::Internal && self.is_own() {
            let fix = "cannot change what it does not see: set it to \"admin\"";
            problems.add(&at("changed_by"), "\"self\"", fix);
        }
        if self.required && !self.is_own() {
            let fix = "asks people for what only administrators change: set changed_by to \"self\"";
            problems.add(&at("required"), true, fix);
        }
    }

    fn check_values(&self, at: &str, problems: &mut Problems) {
        let is_choice = self.r#type == AttributeKind::Choice;
        if is_choice == self.values.is_empty() {
            let fix = if is_choice { "must list the values" } else { "is for \"choice\" only" };
            problems.add_bare(at, fix);
        }
        let distinct: HashSet<&String> = self.values.iter().collect();
        let fit = self.values.iter().all(|value| is_word(value, 100));
        if self.values.len() > MOST_VALUES || distinct.len() != self.values.len() || !fit {
            let fix = "must be at most 200 texts, all different, of 1 to 100 visible characters";
            problems.add_bare(at, fix);
        }
    }
}

fn is_name(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    (1..=32).contains(&text.len())
        && text.bytes().all(fits)
        && text.bytes().next().is_some_and(|byte| byte.is_ascii_lowercase())
}

fn is_word(text: &str, most: usize) -> bool {
    let count = text.chars().count();
    (1..=most).contains(&count) && text.trim() == text && !text.chars().any(char::is_control)
}

pub(super) fn check(attributes: &[Attribute], clients: &[ClientSettings], problems: &mut Problems) {
    if attributes.len() > MOST {
        problems.add("attributes", attributes.len(), format!("must be at most {MOST}"));
    }
    let mut seen = HashSet::new();
    for (index, attribute) in attributes.iter().enumerate() {
        let at = |name: &str| format!("attributes.{index}.{name}");
        if !seen.insert(&attribute.name) {
            let name = format!("{:?}", attribute.name);
            problems.add(&at("name"), name, "is used twice; choose another");
        }
        attribute.check(&at, problems);
    }
    for (client, settings) in clients.iter().enumerate() {
        for (index, claim) in settings.claims.iter().enumerate() {
            let at = format!("clients.{client}.claims.{index}.attribute");
            if let Some(name) = &claim.attribute {
                check_claim(name, attributes, &at, problems);
            }
        }
    }
}

/// An app gets what is public, and nothing else (AD-09).
fn check_claim(name: &str, attributes: &[Attribute], at: &str, problems: &mut Problems) {
    let shown = format!("{name:?}");
    match attributes.iter().find(|attribute| attribute.name == name) {
        None => problems.add(at, shown, "is no [[attributes]] entry; declare it"),
        Some(attribute) if attribute.visibility != Visibility::Public => {
            let fix = "is not for apps; set its visibility to \"public\", or leave the claim out";
            problems.add(at, shown, fix);
        }
        Some(_) => {}
    }
}

//! Just enough HTML: forms with their fields, and links.

use axum::http::Method;
use url::Url;

/// A form as the person finds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Form {
    pub(crate) method: Method,
    pub(crate) action: Url,
    /// What would be sent now, without buttons.
    pub(crate) fields: Vec<(String, String)>,
    /// Name and value of the buttons that have a name.
    pub(crate) buttons: Vec<(String, String)>,
}

impl Form {
    /// The value of a field.
    pub(crate) fn value(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// Types into a field; panics when the form has none of that name.
    pub(crate) fn fill(mut self, name: &str, value: &str) -> Self {
        let field = self.fields.iter_mut().find(|(key, _)| key == name);
        let field = field.unwrap_or_else(|| panic!("the form has no field {name}"));
        field.1 = value.into();
        self
    }

    /// Ticks a box that was not ticked, or adds any field.
    pub(crate) fn add(mut self, name: &str, value: &str) -> Self {
        self.fields.push((name.into(), value.into()));
        self
    }

    /// Takes a field out.
    pub(crate) fn without(mut self, name: &str) -> Self {
        self.fields.retain(|(key, _)| key != name);
        self
    }

    /// Sends the form with this button; panics when there is none.
    pub(crate) fn press(self, name: &str, value: &str) -> Self {
        let button = (name.to_owned(), value.to_owned());
        assert!(self.buttons.contains(&button), "no button {name}={value}: {:?}", self.buttons);
        self.add(name, value)
    }
}

pub(super) fn forms(html: &str, base: &Url) -> Vec<Form> {
    let mut forms: Vec<Form> = Vec::new();
    let mut inside = false;
    let mut select: Option<Select> = None;
    for tag in tags(html) {
        match (tag.name.as_str(), forms.last_mut()) {
            ("form", _) => {
                inside = true;
                forms.push(form(&tag, base));
            }
            ("/form", _) => inside = false,
            ("select", Some(_)) if inside => select = Some(Select::new(&tag)),
            ("option", Some(_)) => {
                if let Some(select) = &mut select {
                    select.add(&tag);
                }
            }
            ("/select", Some(form)) => {
                form.fields.extend(select.take().and_then(Select::into_field));
            }
            (_, Some(form)) if inside => add_control(form, &tag),
            _ => {}
        }
    }
    forms
}

pub(super) fn links(html: &str, base: &Url) -> Vec<Url> {
    let anchors = tags(html).into_iter().filter(|tag| tag.name == "a");
    anchors.filter_map(|tag| base.join(tag.get("href")?).ok()).collect()
}

fn form(tag: &Tag, base: &Url) -> Form {
    let is_post = tag.get("method").is_some_and(|method| method.eq_ignore_ascii_case("post"));
    let action = tag.get("action").unwrap_or_default();
    Form {
        method: if is_post { Method::POST } else { Method::GET },
        action: base.join(action).expect("a form action"),
        fields: Vec::new(),
        buttons: Vec::new(),
    }
}

fn add_control(form: &mut Form, tag: &Tag) {
    let Some(name) = tag.get("name").filter(|_| tag.get("disabled").is_none()) else { return };
    let kind = tag.get("type").unwrap_or_default().to_ascii_lowercase();
    let value = tag.get("value");
    let pair = |value: &str| (name.to_owned(), value.to_owned());
    match (tag.name.as_str(), kind.as_str()) {
        ("input", "submit" | "image" | "button" | "reset") | ("button", _) => {
            form.buttons.push(pair(value.unwrap_or_default()));
        }
        ("input", "checkbox" | "radio") if tag.get("checked").is_none() => {}
        ("input", "checkbox" | "radio") => form.fields.push(pair(value.unwrap_or("on"))),
        ("input", _) => form.fields.push(pair(value.unwrap_or_default())),
        ("textarea", _) => form.fields.push(pair(&tag.text)),
        _ => {}
    }
}

/// A select while its options are read: the selected one counts, else the first.
struct Select {
    name: Option<String>,
    value: Option<String>,
}

impl Select {
    fn new(tag: &Tag) -> Self {
        Self { name: tag.get("name").map(ToOwned::to_owned), value: None }
    }

    fn add(&mut self, option: &Tag) {
        if self.value.is_none() || option.get("selected").is_some() {
            self.value = Some(option.get("value").unwrap_or(option.text.trim()).to_owned());
        }
    }

    fn into_field(self) -> Option<(String, String)> {
        self.name.zip(self.value)
    }
}

/// A tag with its attributes, and the text up to the next tag.
struct Tag {
    /// In lower case, with a leading slash for an end tag.
    name: String,
    attributes: Vec<(String, String)>,
    text: String,
}

impl Tag {
    fn get(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

fn tags(html: &str) -> Vec<Tag> {
    let mut tags = Vec::new();
    let mut rest = html;
    while let Some(at) = rest.find('<') {
        rest = &rest[at + 1..];
        if let Some(comment) = rest.strip_prefix("!--") {
            rest = comment.split_once("-->").map_or("", |(_, after)| after);
            continue;
        }
        if !rest.starts_with(|next: char| next.is_ascii_alphabetic() || next == '/') {
            continue;
        }
        let (mut tag, after) = read_tag(rest);
        // The text of scripts and styles is no markup.
        if matches!(tag.name.as_str(), "script" | "style") {
            let end = format!("</{}", tag.name);
            rest = after.find(&end).map_or("", |at| &after[at..]);
        } else {
            rest = after;
            tag.text = unescape(after.split('<').next().unwrap_or_default());
        }
        tags.push(tag);
    }
    tags
}

/// Reads from behind `<` to behind `>`.
fn read_tag(text: &str) -> (Tag, &str) {
    let ends_name = |next: char| next.is_whitespace() || next == '>';
    let (name, mut rest) = text.split_at(text.find(ends_name).unwrap_or(text.len()));
    let mut attributes = Vec::new();
    loop {
        rest = rest.trim_start_matches(|next: char| next.is_whitespace() || next == '/');
        if rest.is_empty() || rest.starts_with('>') {
            break;
        }
        let ends_key = |next: char| next.is_whitespace() || matches!(next, '=' | '>');
        let (key, after) = rest.split_at(rest.find(ends_key).unwrap_or(rest.len()));
        let (value, after) = match after.trim_start().strip_prefix('=') {
            Some(after) => read_value(after.trim_start()),
            None => ("", after),
        };
        attributes.push((key.to_ascii_lowercase(), unescape(value)));
        rest = after;
    }
    let name = name.trim_end_matches('/').to_ascii_lowercase();
    (Tag { name, attributes, text: String::new() }, rest.get(1..).unwrap_or_default())
}

fn read_value(text: &str) -> (&str, &str) {
    for quote in ['"', '\''] {
        if let Some(text) = text.strip_prefix(quote) {
            return text.split_once(quote).unwrap_or((text, ""));
        }
    }
    let ends = |next: char| next.is_whitespace() || next == '>';
    text.split_at(text.find(ends).unwrap_or(text.len()))
}

/// Replaces the character references that templates write.
fn unescape(text: &str) -> String {
    let mut plain = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('&') {
        plain.push_str(before);
        let reference =
            after.split_once(';').and_then(|(name, after)| Some((decode(name)?, after)));
        let (character, after) = reference.unwrap_or(('&', after));
        plain.push(character);
        rest = after;
    }
    plain + rest
}

fn decode(name: &str) -> Option<char> {
    match name {
        "amp" => Some('&'),
        "lt" => Some('<'),
        "gt" => Some('>'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        _ => {
            let number = name.strip_prefix('#')?;
            let hex = number.strip_prefix(['x', 'X']);
            let code = match hex {
                Some(digits) => u32::from_str_radix(digits, 16),
                None => number.parse(),
            };
            char::from_u32(code.ok()?)
        }
    }
}

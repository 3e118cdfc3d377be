//! The elements of a page, as a browser's parser would find them in our markup.

use std::collections::BTreeMap;

/// A start tag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Element {
    pub(super) name: String,
    pub(super) attributes: BTreeMap<String, String>,
    /// The text up to the next tag.
    pub(super) text: String,
}

impl Element {
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.attributes.get(name).map(String::as_str)
    }
}

/// All start tags, in order. Anything that begins like a tag is one, wherever it stands: what is
/// too strict here only makes a test fail that should have.
pub(super) fn elements(html: &str) -> Vec<Element> {
    let mut elements = Vec::new();
    let mut rest = html;
    while let Some(at) = rest.find('<') {
        rest = &rest[at + 1..];
        let is_start = rest.chars().next().is_some_and(|c| c.is_ascii_alphabetic());
        if !is_start {
            continue;
        }
        let (element, after) = start_tag(rest);
        let text = after.split('<').next().unwrap_or_default().to_owned();
        elements.push(Element { text, ..element });
        rest = after;
    }
    elements
}

fn start_tag(tag: &str) -> (Element, &str) {
    let boundary = |c: char| c.is_whitespace() || c == '>' || c == '/';
    let end = tag.find(boundary).unwrap_or(tag.len());
    let name = tag[..end].to_ascii_lowercase();
    let mut attributes = BTreeMap::new();
    let mut rest = &tag[end..];
    loop {
        rest = rest.trim_start_matches(|c: char| c.is_whitespace() || c == '/');
        if let Some(after) = rest.strip_prefix('>') {
            return (Element { name, attributes, text: String::new() }, after);
        }
        assert!(!rest.is_empty(), "a tag without an end: {tag}");
        let end = rest.find(|c: char| boundary(c) || c == '=').unwrap_or(rest.len());
        let key = rest[..end].to_ascii_lowercase();
        rest = &rest[end..];
        let mut value = "";
        if let Some(after) = rest.strip_prefix('=') {
            // Every value of ours is quoted.
            let after =
                after.strip_prefix('"').unwrap_or_else(|| panic!("no quotes: {key} in {tag}"));
            let end = after.find('"').expect("a closing quote");
            (value, rest) = (&after[..end], &after[end + 1..]);
        }
        assert!(!key.is_empty(), "no attribute: {tag}");
        assert!(attributes.insert(key.clone(), value.to_owned()).is_none(), "{key} twice: {tag}");
    }
}

/// The bones of a page: its elements with the names of their attributes, without any text.
pub(super) fn bones(html: &str) -> Vec<String> {
    let bone = |element: Element| {
        let names: Vec<String> = element.attributes.into_keys().collect();
        format!("{} {}", element.name, names.join(" "))
    };
    elements(html).into_iter().map(bone).collect()
}

#[test]
fn tags_are_found_wherever_they_stand() {
    let found =
        elements("<P class=\"a > b\" hidden>one <b>two</b> &lt;i> < u <!-- <img src=\"x\"> -->");
    let names: Vec<&str> = found.iter().map(|element| element.name.as_str()).collect();
    assert_eq!(names, ["p", "b", "img"]);
    assert_eq!(found[0].get("class"), Some("a > b"));
    assert_eq!(found[0].get("hidden"), Some(""));
    assert_eq!(found[1].text, "two");
    assert_eq!(bones("<a href=\"x\" class=\"y\">"), ["a class href"]);
}

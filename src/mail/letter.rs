//! A message in words: the same for the text part and for the HTML part.

use askama::Template;
use serde::{Deserialize, Serialize};

use super::link::Link;

/// A labelled link.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Action {
    pub(super) label: String,
    pub(super) link: String,
}

/// What a mail says.
#[derive(Clone, Serialize, Deserialize)]
pub struct Letter {
    /// Its subject. Nothing that a person has typed stands in it.
    pub subject: String,
    greeting: Option<String>,
    sentences: Vec<String>,
    action: Option<Action>,
    code: Option<String>,
    lasting: Option<String>,
    more: Option<Action>,
    facts: Vec<(String, String)>,
    closing: String,
}

/// Links and codes are secrets of the recipient's.
impl std::fmt::Debug for Letter {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "Letter({:?})", self.subject)
    }
}

#[derive(Template)]
#[template(path = "mail/letter.txt")]
struct TextPart<'a> {
    letter: &'a Letter,
    brand: &'a str,
    issuer: &'a str,
}

#[derive(Template)]
#[template(path = "mail/letter.html")]
struct HtmlPart<'a> {
    letter: &'a Letter,
    brand: &'a str,
    issuer: &'a str,
}

impl Letter {
    pub(super) fn new(subject: String) -> Self {
        Self {
            subject,
            greeting: None,
            sentences: Vec::new(),
            action: None,
            code: None,
            lasting: None,
            more: None,
            facts: Vec::new(),
            closing: String::new(),
        }
    }

    pub(super) fn greet(mut self, greeting: Option<String>) -> Self {
        self.greeting = greeting;
        self
    }

    pub(super) fn say(mut self, sentence: impl Into<String>) -> Self {
        self.sentences.push(sentence.into());
        self
    }

    pub(super) fn linked(mut self, label: impl Into<String>, link: &Link) -> Self {
        self.action = Some(Action::new(label, link));
        self
    }

    pub(super) fn also(mut self, label: impl Into<String>, link: &Link) -> Self {
        self.more = Some(Action::new(label, link));
        self
    }

    pub(super) fn coded(mut self, code: Option<&str>) -> Self {
        self.code = code.map(str::to_owned);
        self
    }

    pub(super) fn lasting(mut self, span: &str) -> Self {
        let what = match (&self.action, &self.code) {
            (Some(_), Some(_)) => "Link and code are",
            (None, Some(_)) => "The code is",
            (_, None) => "The link is",
        };
        self.lasting = Some(format!("{what} good for {span}, and once."));
        self
    }

    pub(super) fn fact(mut self, label: &str, value: String) -> Self {
        self.facts.push((label.to_owned(), value));
        self
    }

    pub(super) fn close(mut self, closing: &str) -> Self {
        closing.clone_into(&mut self.closing);
        self
    }

    /// The links in it, the first one first.
    pub fn links(&self) -> impl Iterator<Item = &str> {
        self.action.iter().chain(&self.more).map(|action| action.link.as_str())
    }

    /// The code in it.
    pub fn code(&self) -> Option<&str> {
        self.code.as_deref()
    }

    /// The text part.
    pub fn text(&self, brand: &str, issuer: &str) -> Result<String, askama::Error> {
        TextPart { letter: self, brand, issuer }.render()
    }

    /// The HTML part.
    pub fn html(&self, brand: &str, issuer: &str) -> Result<String, askama::Error> {
        HtmlPart { letter: self, brand, issuer }.render()
    }
}

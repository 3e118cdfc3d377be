//! What people paste where a host is asked: a whole address, the well-known document, a page of the
//! administration. The answers are read out of it.

use std::collections::BTreeMap;

use regex::Regex;

use super::{Ask, Preset};

/// The answers to a preset's questions, by the names of these.
pub(super) type Answers = BTreeMap<String, Answer>;

/// One answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) text: String,
    /// Pasted with `http://`. The check of the issuer decides whether that will do.
    pub(super) plain_http: bool,
}

impl Answer {
    pub(super) fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), plain_http: false }
    }
}

/// The part of an issuer that people add or leave out without meaning it.
const WELL_KNOWN: &str = "/.well-known/openid-configuration";

/// An issuer without the well-known document behind it.
pub(super) fn without_well_known(issuer: &str) -> &str {
    issuer.strip_suffix(WELL_KNOWN).unwrap_or(issuer)
}

/// The answers that a pasted address holds, if it is an address of this kind of upstream.
pub(super) fn answers_in(preset: &Preset, address: &str) -> Option<Answers> {
    let issuer = || answers_by(preset, preset.issuer.as_ref()?, address);
    answers_in_page(preset, address).or_else(issuer)
}

/// The answers that the address of a page there holds, which is no issuer itself.
pub(super) fn answers_in_page(preset: &Preset, address: &str) -> Option<Answers> {
    preset.pasted.iter().find_map(|template| answers_by(preset, template, address))
}

fn answers_by(preset: &Preset, template: &str, address: &str) -> Option<Answers> {
    let (plain_http, rest) = match address.strip_prefix("http://") {
        Some(rest) => (true, rest),
        None => (false, address.strip_prefix("https://").unwrap_or(address)),
    };
    let captures = pattern(preset, template)?.captures(rest)?;
    let answer = |ask: &Ask| {
        let text = captures.name(&ask.name)?.as_str().to_owned();
        let begins = template.starts_with(&format!("https://{{{}}}", ask.name));
        Some((ask.name.clone(), Answer { text, plain_http: plain_http && begins }))
    };
    Some(preset.asks.iter().filter_map(answer).collect::<Answers>()).filter(|a| !a.is_empty())
}

/// What an address of which nothing else is known may stand for: itself without its scheme, or only
/// its host.
pub(super) fn parts_of(address: &str) -> Option<[Answer; 2]> {
    let (scheme, rest) = address.split_once("://")?;
    let rest = rest.trim_end_matches('/');
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let answer = |text: &str| Answer { text: text.to_owned(), plain_http: scheme == "http" };
    Some([answer(rest), answer(host)])
}

/// A template as a pattern: the beginning of an address without its scheme.
fn pattern(preset: &Preset, template: &str) -> Option<Regex> {
    let template = template.strip_prefix("https://").unwrap_or(template).trim_end_matches('/');
    let mut pattern = regex::escape(template).replace("\\{client_id\\}", "[^/?#]+");
    for ask in &preset.asks {
        let (name, fits, before) = (&ask.name, &ask.fits, regex::escape(&ask.before));
        let group = format!("{before}(?<{name}>{fits})");
        let group = if before.is_empty() { group } else { format!("(?:{group})?") };
        pattern = pattern.replace(&format!("\\{{{name}\\}}"), &group);
    }
    Regex::new(&format!("^{pattern}(?:[/?#].*)?$")).ok()
}

//! An explanation in words.

use serde_json::Value;

use super::Explanation;
use crate::{
    cli::output::say,
    federation::{
        gates::Check,
        mapping::{Attribute, Because, GroupClaim, GroupRule, Look, Verdict, Verification},
    },
};

/// How much of a value is shown.
const WIDTH: usize = 100;

pub(super) fn tell(explanation: &Explanation<'_>) {
    if let Some(last) = &explanation.last_sign_in {
        let (who, subject, at) = (&last.username, &last.subject, last.at.rfc3339());
        say(&format!("The claims of {who} ({subject}) at {}, {at}.", explanation.upstream));
    }
    for attribute in &explanation.mapping.attributes {
        tell_attribute(attribute);
        if attribute.name == "email" {
            tell_verification(&explanation.mapping.verification);
        }
    }
    let groups = &explanation.mapping.person.groups;
    say(&format!("groups: {}", if groups.is_empty() { "none".to_owned() } else { names(groups) }));
    if explanation.mapping.groups.is_empty() {
        say("    the upstream has no `groups` rule");
    }
    for (index, rule) in explanation.mapping.groups.iter().enumerate() {
        tell_groups(index + 1, rule);
    }
    say(&format!("may enter: {}", yes_or_no(explanation.admitted)));
    if explanation.admission.is_empty() {
        say("    the upstream has no `admit` rule");
    }
    explanation.admission.iter().for_each(tell_check);
    say(&format!("may have a new account: {}", yes_or_no(explanation.may_sign_up)));
    explanation.signup.iter().for_each(tell_check);
}

/// Claims come from strangers: what a terminal would obey is shown as what it is.
pub(super) fn shown(value: &Value) -> String {
    let text = match value {
        Value::String(text) => format!("{text:?}"),
        other => other.to_string(),
    };
    let plain = |c: char| "\"'\\".contains(c) || c.escape_debug().count() == 1;
    let mut shown: String =
        text.chars().map(|c| if plain(c) { c } else { '?' }).take(WIDTH).collect();
    if text.chars().nth(WIDTH).is_some() {
        shown.push_str("...");
    }
    shown
}

fn yes_or_no(yes: bool) -> &'static str {
    if yes { "yes" } else { "no" }
}

fn names(groups: &[String]) -> String {
    groups.iter().map(|group| shown(&Value::from(group.as_str()))).collect::<Vec<_>>().join(", ")
}

fn tell_attribute(attribute: &Attribute<'_>) {
    let value = attribute.value.as_deref().map(|value| shown(&Value::from(value)));
    say(&format!("{}: {}", attribute.name, value.as_deref().unwrap_or("none")));
    for look in &attribute.looks {
        say(&format!("    {}", look_in_words(look)));
    }
}

fn look_in_words(look: &Look<'_>) -> String {
    let Some(claim) = look.claim else {
        return "a fixed text of the rule: taken".to_owned();
    };
    let seen = look.seen.map(|seen| format!(" = {}", shown(seen))).unwrap_or_default();
    let became = match look.verdict {
        Verdict::Taken => "taken",
        Verdict::Absent => "not there",
        Verdict::NotText => "not a text, or empty",
        Verdict::NoMatch => "does not match",
        Verdict::Unusable => "cannot be used for this",
    };
    format!("{claim}{seen}: {became}")
}

fn tell_verification(verification: &Verification<'_>) {
    let Verification { claim, seen, because, verified } = verification;
    let because = match because {
        Because::NoAddress => "there is no address".to_owned(),
        Because::AlwaysTrusted => "email_trust is \"always\"".to_owned(),
        Because::NeverTrusted => "email_trust is \"never\"".to_owned(),
        Because::OtherAddress => format!("{claim} speaks of another address than this one"),
        Because::Silent => format!("{claim} is not there"),
        Because::Said => format!("{claim} = {}", seen.map(shown).unwrap_or_default()),
    };
    say(&format!("    verified: {} ({because})", verified.map_or("unknown", yes_or_no)));
}

fn tell_groups(number: usize, rule: &GroupRule<'_>) {
    let fixed = if rule.claims.is_empty() { " a fixed group" } else { "" };
    say(&format!("    rule {number}:{fixed}"));
    for GroupClaim { claim, seen } in &rule.claims {
        let seen =
            seen.map_or_else(|| ": not there".to_owned(), |seen| format!(" = {}", shown(seen)));
        say(&format!("        {claim}{seen}"));
    }
    for fate in &rule.names {
        let name = shown(&Value::from(fate.name.as_ref()));
        let became = match (&fate.group, fate.taken) {
            (None, _) => "dropped: does not match, or nothing is left".to_owned(),
            (Some(group), true) => format!("taken as {}", shown(&Value::from(group.as_str()))),
            (Some(group), false) => {
                format!("{} is there already", shown(&Value::from(group.as_str())))
            }
        };
        say(&format!("        {name}: {became}"));
    }
    let untold = rule.count - rule.names.len();
    if untold > 0 {
        say(&format!("        and {untold} more, which are not shown"));
    }
}

fn tell_check(check: &Check<'_>) {
    let met = if check.met { "met" } else { "not met" };
    let seen = match (check.claim, check.seen) {
        (None, _) => String::new(),
        (Some(_), None) => " (it is not there)".to_owned(),
        (Some(_), Some(seen)) => format!(" (it is {})", shown(seen)),
    };
    say(&format!("    {check}: {met}{seen}"));
}

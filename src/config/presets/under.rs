//! Laying a preset under what the administrator wrote, who wins key by key.

use regex::Regex;
use toml::{Table, Value};

use super::{
    Ask, Preset, find,
    pasted::{Answer, Answers, answers_in, answers_in_page, parts_of, without_well_known},
};
use crate::config::{problems::Problems, reading::join};

/// Stands in for an issuer that could not be made, after that has been said.
const NO_ISSUER: &str = "https://issuer.invalid";

/// The table of an upstream with its preset under it: the questions are gone, the issuer and the
/// defaults are there.
pub(in crate::config) fn lay_under(own: &Table, path: &str, problems: &mut Problems) -> Table {
    let mut table = own.clone();
    let name = own.get("preset").map_or(Some("oidc"), Value::as_str);
    let Some(preset) = name.and_then(find) else {
        // The reader will say what is wrong with the name.
        return table;
    };
    refuse_foreign_questions(preset, &mut table, path, problems);
    let answers = Questions { preset, path, problems }.take_answers(&mut table);
    let with = preset.with.iter().filter(|(name, _)| own.contains_key(*name));
    for (_, defaults) in with.filter_map(|(name, value)| Some((name, value.as_table()?))) {
        lay(&mut table, defaults, &answers);
    }
    lay(&mut table, &preset.defaults, &answers);
    table
}

/// Adds what is not there yet; tables are joined.
fn lay(table: &mut Table, defaults: &Table, answers: &Answers) {
    for (name, default) in defaults {
        match (table.get_mut(name), default) {
            (None, default) => {
                table.insert(name.clone(), filled_in(default, answers));
            }
            // A list of tables, such as several rules for groups: each gets what it lacks. In
            // variables, lists are tables of numbers.
            (Some(Value::Table(own)), Value::Table(default)) if is_numbered(own) => {
                let items = own.iter_mut().map(|(_, item)| item);
                for item in items.filter_map(Value::as_table_mut) {
                    lay(item, default, answers);
                }
            }
            (Some(Value::Table(own)), Value::Table(default)) => lay(own, default, answers),
            (Some(Value::Array(own)), Value::Table(default)) => {
                for item in own.iter_mut().filter_map(Value::as_table_mut) {
                    lay(item, default, answers);
                }
            }
            (Some(_), _) => {}
        }
    }
}

fn is_numbered(table: &Table) -> bool {
    !table.is_empty() && table.keys().all(|key| key.parse::<u32>().is_ok())
}

fn filled_in(value: &Value, answers: &Answers) -> Value {
    match value {
        Value::String(text) => Value::String(fill(text, answers)),
        Value::Array(items) => {
            Value::Array(items.iter().map(|item| filled_in(item, answers)).collect())
        }
        Value::Table(table) => {
            let filled = table.iter().map(|(name, item)| (name.clone(), filled_in(item, answers)));
            Value::Table(filled.collect())
        }
        other => other.clone(),
    }
}

/// A template with the answers in it.
fn fill(template: &str, answers: &Answers) -> String {
    answers.iter().fold(template.to_owned(), |text, (name, answer)| {
        let place = format!("{{{name}}}");
        let text = if answer.plain_http {
            text.replace(&format!("https://{place}"), &format!("http://{place}"))
        } else {
            text
        };
        text.replace(&place, &answer.text)
    })
}

/// Questions of other presets have no meaning here.
fn refuse_foreign_questions(
    preset: &Preset,
    table: &mut Table,
    path: &str,
    problems: &mut Problems,
) {
    let is_own = |name: &str| preset.asks.iter().any(|ask| ask.name == name);
    for ask in super::presets().iter().flat_map(|preset| &preset.asks) {
        if !is_own(&ask.name) && table.remove(&ask.name).is_some() {
            let asks: Vec<&str> = preset.asks.iter().map(|ask| ask.name.as_str()).collect();
            let fix = match asks.as_slice() {
                [] => format!("preset {:?} does not ask for it; leave it out", preset.name),
                asks => format!("preset {:?} asks for {} only", preset.name, asks.join(", ")),
            };
            problems.add_bare(&join(path, &ask.name), fix);
        }
    }
}

/// The questions of a preset, being answered.
struct Questions<'a> {
    preset: &'static Preset,
    path: &'a str,
    problems: &'a mut Problems,
}

impl Questions<'_> {
    /// Takes the answers out of the table and puts the issuer in their place.
    fn take_answers(mut self, table: &mut Table) -> Answers {
        let given = self.take_given(table);
        let typed = table.get("issuer").and_then(Value::as_str).map(str::to_owned);
        let page = typed.as_deref().and_then(|issuer| answers_in_page(self.preset, issuer));
        let mut answers = self.usual_answers(table);
        answers.extend(page.clone().unwrap_or_default());
        answers.extend(given.clone());
        for ask in &self.preset.asks {
            if let Some(answer) = answers.get_mut(&ask.name).filter(|a| !a.text.is_empty()) {
                answer.text.insert_str(0, &ask.before);
            }
        }
        let issuer = match (typed, &self.preset.issuer) {
            (Some(issuer), _) if page.is_none() => {
                self.refuse_both(&given);
                without_well_known(&issuer).to_owned()
            }
            (_, Some(template)) => self.issuer(template, &answers),
            // The reader will say that it is missing.
            (_, None) => return answers,
        };
        // What is no text stays, for the reader to refuse.
        if table.get("issuer").is_none_or(Value::is_str) {
            table.insert("issuer".to_owned(), Value::String(issuer));
        }
        answers
    }

    /// The answers of who does not answer; and the client id, which some issuers hold.
    fn usual_answers(&self, table: &Table) -> Answers {
        let usual = self
            .preset
            .asks
            .iter()
            .filter_map(|ask| Some((ask.name.clone(), Answer::new(ask.default.as_deref()?))));
        let client_id = table.get("client_id").and_then(Value::as_str);
        usual.chain(client_id.map(|id| ("client_id".to_owned(), Answer::new(id)))).collect()
    }

    /// The answers that stand in the table.
    fn take_given(&mut self, table: &mut Table) -> Answers {
        let mut answers = Answers::new();
        for ask in &self.preset.asks {
            let Some(value) = table.remove(&ask.name) else { continue };
            let Some(text) = value.as_str().map(str::trim) else {
                self.problems.add(&join(self.path, &ask.name), value, "must be a text in quotes");
                answers.insert(ask.name.clone(), Answer::new(&ask.example));
                continue;
            };
            if fits(ask, text) {
                answers.insert(ask.name.clone(), Answer::new(text));
            } else {
                // What stands under its own name counts more.
                answers.extend(self.read_pasted(ask, text));
            }
        }
        answers
    }

    /// The answers in an address that stands where only a part of it was asked.
    fn read_pasted(&mut self, ask: &Ask, text: &str) -> Answers {
        if let Some(answers) = answers_in(self.preset, text).filter(|a| a.contains_key(&ask.name)) {
            return answers;
        }
        let mut parts = parts_of(text).into_iter().flatten();
        if let Some(part) = parts.find(|part| fits(ask, &part.text)) {
            return Answers::from([(ask.name.clone(), part)]);
        }
        let (meaning, example) = (&ask.meaning, &ask.example);
        let fix = format!("does not fit; it is {meaning}, for example {example:?}");
        self.problems.add(&join(self.path, &ask.name), format!("{text:?}"), fix);
        Answers::from([(ask.name.clone(), Answer::new(example))])
    }

    /// The issuer that follows from the answers; what is missing is noted.
    fn issuer(&mut self, template: &str, answers: &Answers) -> String {
        let needed = |ask: &&Ask| template.contains(&format!("{{{}}}", ask.name));
        let mut complete = true;
        for ask in self.preset.asks.iter().filter(needed) {
            if !answers.contains_key(&ask.name) {
                let Ask { name, meaning, example, .. } = ask;
                let fix =
                    format!("must be set: {meaning}, for example {example:?}; or give issuer");
                self.problems.add_bare(&join(self.path, name), fix);
                complete = false;
            }
        }
        if complete { fill(template, answers) } else { NO_ISSUER.to_owned() }
    }

    /// An issuer and the answers that would make one are one too many.
    fn refuse_both(&mut self, given: &Answers) {
        let template = self.preset.issuer.as_deref().unwrap_or_default();
        for name in given.keys().filter(|name| template.contains(&format!("{{{name}}}"))) {
            let fix = format!("give either issuer or {name}, not both");
            self.problems.add_bare(&join(self.path, name), fix);
        }
    }
}

fn fits(ask: &Ask, text: &str) -> bool {
    Regex::new(&format!("^(?:{})$", ask.fits)).is_ok_and(|pattern| pattern.is_match(text))
}

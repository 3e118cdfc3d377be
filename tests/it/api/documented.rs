//! The commands of docs/api.md, as they stand there.

use std::collections::HashMap;

use axum::http::Method;

use super::{send, start_with};

/// One `curl` of the page: what it sends.
struct Command {
    method: Method,
    path: String,
    headers: Vec<(String, String)>,
    body: String,
}

impl Command {
    /// Reads what a shell would run: words in single or double quotes, variables in the latter.
    fn read(text: &str, variables: &HashMap<&str, String>) -> Self {
        let mut words: Vec<String> = Vec::new();
        let (mut word, mut quote) = (String::new(), None);
        for c in text.replace("\\\n", " ").chars() {
            match quote {
                Some(open) if c == open => quote = None,
                None if c == '\'' || c == '"' => quote = Some(c),
                None if c.is_whitespace() => words.extend(Some(std::mem::take(&mut word))),
                _ => word.push(c),
            }
        }
        words.push(word);
        words.retain(|word| !word.is_empty());
        for word in &mut words {
            for (name, value) in variables {
                *word = word.replace(name, value);
            }
        }
        assert_eq!(words.remove(0), "curl");
        let mut command = Self {
            method: Method::GET,
            path: String::new(),
            headers: Vec::new(),
            body: String::new(),
        };
        let mut words = words.into_iter();
        while let Some(word) = words.next() {
            match word.as_str() {
                "-s" => {}
                "-H" => {
                    let line = words.next().unwrap();
                    let (name, value) = line.split_once(": ").unwrap();
                    command.headers.push((name.to_owned(), value.to_owned()));
                }
                "-d" => {
                    command.method = Method::POST;
                    command.body = words.next().unwrap();
                }
                address => address.strip_prefix("/api/v1").unwrap().clone_into(&mut command.path),
            }
        }
        command
    }
}

/// A reader who pastes them one after the other gets what the page says.
#[tokio::test(flavor = "multi_thread")]
async fn the_commands_of_the_page_work() {
    let text =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/api.md")).unwrap();
    let blocks = |language: &str| -> Vec<String> {
        let begin = format!("```{language}\n");
        let blocks = text.split(&begin).skip(1);
        blocks.map(|rest| rest.split("```").next().unwrap().to_owned()).collect()
    };
    let client = &blocks("toml")[0];
    let app = start_with(&format!("[signup]\nlocal = \"open\"\n{client}")).await;
    let mut variables = HashMap::from([("$ID", String::new())]);
    let mut seen = Vec::new();
    for block in blocks("sh") {
        let command = Command::read(&block, &variables);
        let headers: Vec<(&str, &str)> =
            command.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let (method, path) = (command.method.clone(), command.path.as_str());
        let answer = send(&app, method, path, &headers, command.body.clone()).await;
        seen.push((command.path.clone(), answer.status.as_u16()));
        if answer.json().get("access_token").is_some() {
            variables.insert("$ACCESS_TOKEN", answer.text("access_token"));
            variables.insert("$REFRESH_TOKEN", answer.text("refresh_token"));
        }
    }
    let expected = [("/signup", 201), ("/signin", 200), ("/refresh", 200), ("/me", 200)];
    assert_eq!(seen, expected.map(|(path, status)| (path.to_owned(), status)));
}

//! What the documentation names is there.

use std::{collections::BTreeSet, fs, path::Path, process::Command};

use axum::http::Request;
use bytes::Bytes;
use keywright::config::{self, Environment};
use regex::Regex;

use crate::support::{
    app::{ISSUER, TestApp},
    fake_upstream::FakeUpstream,
    journey::authorize_path,
};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
/// Addresses of ours in the documentation begin with one of these.
const OURS: [&str; 3] =
    ["https://id.example.org/", "http://localhost:8080/", "http://localhost:9090/"];

/// Every page of the documentation: its name and text.
fn pages() -> Vec<(String, String)> {
    let mut files = vec!["README.md".to_owned(), "SECURITY.md".to_owned()];
    files.push("helm/keywright/README.md".to_owned());
    for entry in fs::read_dir(Path::new(ROOT).join("docs")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if Path::new(&name).extension().is_some_and(|extension| extension == "md") {
            files.push(format!("docs/{name}"));
        }
    }
    assert!(files.len() > 10, "{files:?}");
    let read = |name: String| {
        let text = fs::read_to_string(Path::new(ROOT).join(&name)).unwrap();
        (name, text)
    };
    files.into_iter().map(read).collect()
}

/// What an expression finds in each page: where, and its first group.
fn found(expression: &str) -> Vec<(String, String)> {
    let expression = Regex::new(expression).unwrap();
    let mut all = Vec::new();
    for (name, text) in pages() {
        let captures = expression.captures_iter(&text);
        all.extend(captures.map(|capture| (name.clone(), capture[1].to_owned())));
    }
    assert!(!all.is_empty(), "{expression}");
    all
}

/// Whether the house answers at a path, on either listener: with anything but "not found".
async fn is_there(app: &TestApp, path: &str) -> bool {
    let path = path.split(['?', '#']).next().unwrap();
    let management = keywright::router::management(&app.app);
    for method in ["GET", "POST"] {
        let request = Request::builder().method(method).uri(format!("{ISSUER}{path}"));
        if app.send(request.body(Bytes::new()).unwrap()).await.status != 404 {
            return true;
        }
    }
    let request = Request::builder().uri(path).header("host", "localhost");
    let request = request.body(axum::body::Body::empty()).unwrap();
    let answer = tower::ServiceExt::oneshot(management, request).await.unwrap();
    answer.status() != 404
}

/// Trap 15. Every path and every address of ours in the documentation is one that the house answers at;
/// the callback is the very one that is sent to upstreams.
#[tokio::test(flavor = "multi_thread")]
async fn every_address_in_the_documentation_is_there() {
    let upstream = FakeUpstream::start().await;
    let app = TestApp::builder().upstream("corp", &upstream, "");
    let local = "[server]\nissuer = \"http://localhost:8080\"\n[mail]\nsink = \"page\"\n";
    let own_forms = "[[clients]]\nid = \"own\"\nname = \"Own\"\ntype = \"native\"\napi = true\n\
                     redirect_uris = [\"http://127.0.0.1/cb\"]\n";
    let app = app.config(local).config(own_forms).start().await;
    let mut named: Vec<(String, String)> = found("`(/[a-z.][^` ]*)`");
    for ours in OURS {
        named.extend(found(&format!("{}([^\\s)`\">|]+)", regex::escape(ours))));
    }
    let mut seen = BTreeSet::new();
    for (page, path) in named {
        // Paths of others: an upstream's, and those of a computer.
        if ["/realms/", "/run/", "/etc/", "/var/", "/bin/"].iter().any(|own| path.starts_with(own))
        {
            continue;
        }
        let path = format!("/{}", path.trim_start_matches('/'));
        let path = path.replace("SLUG", "corp").replace("{slug}", "corp");
        assert!(is_there(&app, &path).await, "{page} names {path}");
        seen.insert(path);
    }
    assert!(seen.len() > 20, "{seen:?}");
    let callback = "https://id.example.org/upstream/corp/callback";
    assert!(pages().iter().any(|(_, text)| text.contains(callback)));
    let start = app.browser().get(&authorize_path("web", &[])).await;
    let sent = start.location_param("redirect_uri").unwrap();
    assert_eq!(
        sent.strip_prefix("http://localhost:8080"),
        callback.strip_prefix("https://id.example.org")
    );
    assert!(!is_there(&app, "/nowhere").await, "this test can tell");
}

/// Every setting with its path: `tokens.refresh_grace`, `clients.0.secret`.
fn settings() -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    let mut section = String::new();
    for line in config::reference_markdown().lines() {
        if let Some(title) = line.strip_prefix("## `") {
            title.trim_matches(['`', '[', ']']).clone_into(&mut section);
            all.insert(section.clone());
        } else if let Some(rest) = line.strip_prefix("| `") {
            let name = rest.split('`').next().unwrap();
            all.insert(format!("{section}.{name}"));
            all.insert(format!("{section}.{name}_file"));
        }
    }
    all
}

/// Trap 15. Every setting that the text names, and every variable, is one.
#[test]
fn every_setting_in_the_documentation_is_there() {
    let settings = settings();
    let sections: BTreeSet<&str> =
        settings.iter().map(|setting| setting.split('.').next().unwrap()).collect();
    let mut seen = 0;
    for (page, name) in found("`([a-z_]+\\.[a-z_]+)`") {
        if sections.contains(name.split('.').next().unwrap()) {
            // `claims.email` may be of an upstream or of an app.
            let known =
                settings.iter().any(|own| own == &name || own.ends_with(&format!(".{name}")));
            assert!(known, "{page} names {name}");
            seen += 1;
        }
    }
    assert!(seen > 20, "{seen}");
    for (page, variable) in found("\\b(KEYWRIGHT_[A-Z0-9_]+)") {
        if ["KEYWRIGHT_", "KEYWRIGHT_CONFIG"].contains(&variable.as_str()) {
            continue;
        }
        let path = variable.trim_start_matches("KEYWRIGHT_").to_lowercase().replace("__", ".");
        let path: Vec<&str> = path.split('.').filter(|part| part.parse::<u32>().is_err()).collect();
        assert!(settings.contains(&path.join(".")), "{page} names {variable}");
    }
}

/// What is unknown in a configuration. A part of one lacks the rest, and what it has must be known.
fn unknown_in(text: &str) -> Vec<String> {
    let Err(problems) = config::parse(text, &Environment::new()) else { return Vec::new() };
    let problems = problems.to_string();
    let unknown = |line: &&str| line.contains("there is no such setting") || line.contains("TOML");
    problems.lines().filter(unknown).map(str::to_owned).collect()
}

/// Trap 15. Every configuration that the documentation shows is read: no setting in it is unknown.
#[test]
fn every_configuration_in_the_documentation_is_read() {
    let mut read = 0;
    for (page, block) in found("(?s)```toml\n(.*?)```") {
        // Other programs have files of this kind, too.
        if block.contains("jsonwebtoken") {
            continue;
        }
        // Some show lines of an upstream or of an app alone.
        let sections = ["", "[[upstreams]]\n", "[[clients]]\n"];
        let faults = sections.map(|section| unknown_in(&format!("{section}{block}")));
        assert!(faults.iter().any(Vec::is_empty), "{page}: {:?}\n{block}", faults[0]);
        read += 1;
    }
    assert!(read > 15, "{read}");
    assert!(!unknown_in("[tokens]\nrefresh_grade = 1").is_empty(), "this test can tell");
}

fn help(words: &[&str]) -> Option<String> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_keywright"));
    let output = command.args(words).arg("--help").env_clear().output().unwrap();
    output.status.success().then(|| String::from_utf8(output.stdout).unwrap())
}

/// Trap 15. Every command in the documentation, with every option beside it, is there.
#[test]
fn every_command_in_the_documentation_is_there() {
    let mut seen = BTreeSet::new();
    let lines = found("(?m)(?:^|`|\\| |\\$ )keywright ((?:[a-z]|--)[^`\n|#;]*)");
    for (page, line) in lines {
        let words: Vec<&str> = line.split_whitespace().collect();
        let verbs: Vec<&str> = words
            .iter()
            .take(2)
            .copied()
            .take_while(|word| word.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-'))
            .take_while(|word| !word.starts_with('-'))
            .collect();
        // The second word may be an argument.
        let told = help(&verbs).filter(|told| told.contains("Usage: keywright"));
        let told = told.or_else(|| help(&verbs[..1])).unwrap_or_default();
        assert!(!told.is_empty(), "{page}: keywright {line}");
        for option in words.iter().filter(|word| word.starts_with("--") && word.len() > 2) {
            let option = option.trim_end_matches([',', '.', ')', ':']).split('=').next().unwrap();
            assert!(told.contains(option), "{page}: keywright {line}: no {option}");
        }
        seen.insert(verbs.join(" "));
    }
    assert!(seen.len() > 30, "{seen:?}");
    assert_eq!(help(&["user", "nothing"]).filter(|told| told.contains("nothing")), None);
}

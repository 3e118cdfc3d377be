//! Who checks passwords and who sets them: whoever joins them has to keep the rules.

use std::{collections::BTreeSet, fs, path::Path};

/// The files under `src` that hold one of these texts.
fn files_with(texts: &[&str]) -> BTreeSet<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut folders = vec![root.join("src")];
    let mut found = BTreeSet::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            if path.ends_with("tests.rs") {
                continue;
            }
            let text = fs::read_to_string(&path).unwrap();
            let words: String = text.split_whitespace().collect();
            if texts.iter().any(|text| words.contains(text)) {
                found.insert(path.strip_prefix(root).unwrap().display().to_string());
            }
        }
    }
    found
}

fn set(files: &[&str]) -> BTreeSet<String> {
    files.iter().map(|file| (*file).to_owned()).collect()
}

/// PW-12: every path that checks a password counts wrong ones. A new one is added here once it asks
/// `guesses.admit` first.
#[test]
fn whoever_checks_passwords_counts_wrong_ones() {
    let checking = set(&["src/dispatcher/password.rs"]);
    assert_eq!(files_with(&["passwords.verify("]), checking);
    let codes = set(&["src/dispatcher/factor.rs"]);
    let counting: BTreeSet<String> = checking.union(&codes).cloned().collect();
    assert_eq!(files_with(&["guesses.admit("]), counting);
    // MF-02: and so does every path that checks a second factor.
    assert_eq!(files_with(&["factors::find_match("]), codes);
}

/// PW-01: every path that sets a person's password asks the one rule. Only the demo hashes without
/// it, passwords of its own making.
#[test]
fn whoever_sets_passwords_asks_the_rule() {
    assert_eq!(
        files_with(&["passwords.take("]),
        set(&[
            "src/cli/user/mod.rs",
            "src/endpoints/account/password.rs",
            "src/endpoints/api/me/change.rs",
            "src/endpoints/api/recovery.rs",
            "src/endpoints/api/signup.rs",
            "src/endpoints/recovery/password.rs",
            "src/endpoints/signup/mod.rs"
        ])
    );
    assert_eq!(files_with(&["passwords.hash("]), set(&["src/cli/demo/people.rs"]));
}

//! Reading Rust as far as the rules need it: tokens, paths, functions.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// A word or a sign of Rust, and the line it stands on. Comments are gone, texts are `""`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Token {
    pub(crate) text: String,
    pub(crate) line: usize,
}

/// One file of the sources.
pub(crate) struct Source {
    pub(crate) path: PathBuf,
    /// `endpoints`, `token`, `refresh_token`.
    pub(crate) module: Vec<String>,
    pub(crate) text: String,
    pub(crate) tokens: Vec<Token>,
}

fn word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// How many characters from `at` on are a comment or a literal, and what stands for it.
fn literal(text: &[char], at: usize) -> Option<(usize, &'static str)> {
    let rest = &text[at..];
    let find = |sign: &str, from: usize| {
        let sign: Vec<char> = sign.chars().collect();
        (from..=rest.len() - sign.len()).find(|i| rest[*i..].starts_with(&sign))
    };
    let starts = |sign: &str| sign.chars().enumerate().all(|(i, c)| rest.get(i) == Some(&c));
    if starts("//") {
        return Some((find("\n", 0).unwrap_or(rest.len()), ""));
    }
    if starts("/*") {
        return Some((find("*/", 2).map_or(rest.len(), |end| end + 2), ""));
    }
    let after_b = usize::from(rest[0] == 'b');
    if rest.get(after_b) == Some(&'r') && matches!(rest.get(after_b + 1), Some('"' | '#')) {
        let hashes = rest[after_b + 1..].iter().take_while(|c| **c == '#').count();
        if rest.get(after_b + 1 + hashes) == Some(&'"') {
            let end = format!("\"{}", "#".repeat(hashes));
            let from = after_b + 2 + hashes;
            return Some((find(&end, from).map_or(rest.len(), |i| i + 1 + hashes), "\"\""));
        }
    }
    let quote = match rest.get(after_b)? {
        '"' => '"',
        // A lifetime has no second quote where a character has one.
        '\'' if rest.get(after_b + 1) == Some(&'\\') || rest.get(after_b + 2) == Some(&'\'') => {
            '\''
        }
        _ => return None,
    };
    let mut end = after_b + 1;
    while rest.get(end).is_some_and(|c| *c != quote) {
        end += if rest[end] == '\\' { 2 } else { 1 };
    }
    Some((end + 1, "\"\""))
}

pub(crate) fn tokens(text: &str) -> Vec<Token> {
    let text: Vec<char> = text.chars().collect();
    let (mut at, mut line, mut found) = (0, 1, Vec::new());
    while at < text.len() {
        let inside_word = at > 0 && word(text[at - 1]) && word(text[at]);
        let (length, stands_for) = match literal(&text, at).filter(|_| !inside_word) {
            Some((length, stands_for)) => (length.min(text.len() - at), stands_for.to_owned()),
            None if word(text[at]) => {
                let length = text[at..].iter().take_while(|c| word(**c)).count();
                (length, text[at..at + length].iter().collect())
            }
            None if text[at..].starts_with(&[':', ':']) => (2, "::".to_owned()),
            None => (1, text[at].to_string().trim().to_owned()),
        };
        if !stands_for.is_empty() {
            found.push(Token { text: stands_for, line });
        }
        line += text[at..at + length].iter().filter(|c| **c == '\n').count();
        at += length;
    }
    found
}

fn rust_files(folder: &Path, into: &mut Vec<PathBuf>) {
    let entries =
        fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    for entry in entries.flatten() {
        let path = entry.path();
        if path.is_dir() {
            rust_files(&path, into);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            into.push(path);
        }
    }
    into.sort();
}

pub(crate) fn sources(folder: &str) -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut paths = Vec::new();
    rust_files(&root.join(folder), &mut paths);
    assert!(!paths.is_empty(), "{folder} has no Rust file");
    let read = |path: PathBuf| {
        let text =
            fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let path = path.strip_prefix(root).map_or(path.clone(), Path::to_path_buf);
        let mut module: Vec<String> = path.with_extension("").iter().skip(1).map(lossy).collect();
        if module.last().is_some_and(|last| ["mod", "lib", "main"].contains(&last.as_str())) {
            module.pop();
        }
        Source { tokens: tokens(&text), path, module, text }
    };
    paths.into_iter().map(read).collect()
}

fn lossy(name: &std::ffi::OsStr) -> String {
    name.to_string_lossy().into_owned()
}

/// Index of the token that closes the bracket at `open`.
fn closing(tokens: &[Token], open: usize) -> usize {
    let mut depth = 0_usize;
    for (at, token) in tokens.iter().enumerate().skip(open) {
        match token.text.as_str() {
            "{" | "(" | "[" => depth += 1,
            "}" | ")" | "]" => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return at;
        }
    }
    tokens.len() - 1
}

/// Reads the path or the tree of paths at `at`, behind `prefix`; answers where it ends.
pub(crate) fn tree(
    tokens: &[Token],
    mut at: usize,
    prefix: &[String],
    into: &mut Vec<Vec<String>>,
) -> usize {
    let mut path = prefix.to_vec();
    while let Some(token) = tokens.get(at) {
        match token.text.as_str() {
            "{" => {
                let end = closing(tokens, at);
                let mut item = at + 1;
                while item < end {
                    item = tree(tokens, item, &path, into) + 1;
                    // `as` and the like, up to the next comma.
                    while item < end && tokens[item - 1].text != "," {
                        item += 1;
                    }
                }
                return end;
            }
            "crate" => path.clear(),
            "super" => drop(path.pop()),
            "self" => {}
            name if name.starts_with(word) => path.push(name.to_owned()),
            _ => {}
        }
        if tokens.get(at + 1).is_none_or(|next| next.text != "::") {
            break;
        }
        at += 2;
    }
    into.push(path);
    at
}

impl Source {
    /// Every path of this crate that the file names, from the root of the crate, with its line.
    pub(crate) fn paths(&self) -> Vec<(usize, Vec<String>)> {
        let tokens = &self.tokens;
        let text = |at: usize| tokens.get(at).map_or("", |token| token.text.as_str());
        let mut inline: Vec<(usize, String)> = Vec::new();
        let (mut at, mut found) = (0, Vec::new());
        while at < tokens.len() {
            inline.retain(|(end, _)| at < *end);
            if text(at) == "mod" && text(at + 2) == "{" {
                inline.push((closing(tokens, at + 2), text(at + 1).to_owned()));
            }
            if ["crate", "super"].contains(&text(at)) && text(at + 1) == "::" {
                let names = inline.iter().map(|(_, name)| name);
                let own: Vec<String> = self.module.iter().chain(names).cloned().collect();
                let mut read = Vec::new();
                let end = tree(tokens, at, &own, &mut read);
                found.extend(read.into_iter().map(|path| (tokens[at].line, path)));
                at = end;
            }
            at += 1;
        }
        found
    }

    /// How many lines of the file are not tests.
    pub(crate) fn lines_without_tests(&self) -> usize {
        let tokens = &self.tokens;
        let test = |at: &usize| {
            let words = ["#", "[", "cfg", "(", "test", ")", "]", "mod"];
            words.iter().enumerate().all(|(i, w)| tokens.get(at + i).is_some_and(|t| t.text == *w))
        };
        let tests = (0..tokens.len()).filter(test).filter(|at| tokens[at + 9].text == "{");
        let of_tests = tests.map(|at| tokens[closing(tokens, at + 9)].line - tokens[at].line + 1);
        self.text.lines().count() - of_tests.sum::<usize>()
    }

    /// Where each function begins, its name, and how many lines it has.
    pub(crate) fn functions(&self) -> Vec<(usize, &str, usize)> {
        let tokens = &self.tokens;
        let mut found = Vec::new();
        for (at, pair) in tokens.windows(2).enumerate() {
            if pair[0].text != "fn" || !pair[1].text.starts_with(word) {
                continue;
            }
            let mut body = at + 2;
            while !["{", ";"].contains(&&*tokens[body].text) {
                let opens = ["(", "["].contains(&&*tokens[body].text);
                body = if opens { closing(tokens, body) } else { body } + 1;
            }
            let lines = tokens[closing(tokens, body)].line - pair[0].line + 1;
            found.push((pair[0].line, pair[1].text.as_str(), lines));
        }
        found
    }
}

//! Passwords that have been in somebody's leak: a list that the operator keeps, on this machine.
//!
//! It is a file of SHA-1 digests in hex, or of their beginnings, one a line and sorted, as the
//! public lists are (`HASH` or `HASH:count`). Those are tens of gigabytes: nothing of it is kept in
//! memory, and a question reads some forty lines of it. Nothing leaves the machine.

use std::{
    fs::File,
    io::{self, Read as _, Seek as _, SeekFrom},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail, ensure};
use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};

/// Longer lines are none of ours.
const MAX_LINE: usize = 128;
/// With fewer digits every other password would be found.
const FEWEST_DIGITS: usize = 10;
const DIGITS: usize = 40;
/// A file of up to this size is read whole at the start; of a larger one, this many places.
const READ_WHOLE: u64 = 8 * 1024 * 1024;
const PLACES: u64 = 512;

/// A sorted file of digests.
#[derive(Clone, Debug)]
pub(super) struct BreachedList {
    path: PathBuf,
}

impl BreachedList {
    /// Looks whether the file can be searched.
    pub(super) fn open(path: &Path) -> anyhow::Result<Self> {
        let list = Self { path: path.to_owned() };
        list.check().with_context(|| {
            format!(
                "passwords.breached_list = \"{}\": must be a readable file of SHA-1 digests in \
                 hex, one a line and sorted (sort it with: LC_ALL=C sort)",
                path.display()
            )
        })?;
        Ok(list)
    }

    fn check(&self) -> anyhow::Result<()> {
        let mut lines = Lines::open(&self.path)?;
        ensure!(lines.size > 0, "it is empty");
        let step = if lines.size <= READ_WHOLE { 1 } else { lines.size / PLACES };
        let (mut at, mut before) = (0, String::new());
        while let Some(line) = lines.from(at)? {
            let digits = digits_of(&line.text);
            let Some(digits) = digits else {
                bail!("this is no digest: {:?}", line.text.chars().take(60).collect::<String>());
            };
            ensure!(before <= digits, "{before} stands before {digits}");
            before = digits;
            at = line.end.max(at + step);
        }
        Ok(())
    }

    /// Whether this password stands in the list.
    pub(super) fn holds(&self, password: &str) -> io::Result<bool> {
        let wanted = sha1(password);
        let mut lines = Lines::open(&self.path)?;
        // The first line that begins at or after `low` is never before the one that is wanted.
        let (mut low, mut high) = (0, lines.size);
        while low < high {
            let middle = low + (high - low) / 2;
            let Some(line) = lines.from(middle)? else {
                high = middle;
                continue;
            };
            let digits = digits_of(&line.text).ok_or(io::ErrorKind::InvalidData)?;
            let beginning = wanted.get(..digits.len()).unwrap_or(&wanted);
            match digits.as_str().cmp(beginning) {
                std::cmp::Ordering::Equal => return Ok(true),
                std::cmp::Ordering::Less => low = line.end,
                std::cmp::Ordering::Greater => high = middle,
            }
        }
        Ok(false)
    }
}

/// The digest of a text, as the lists write it.
fn sha1(text: &str) -> String {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    let digest = digest(&SHA1_FOR_LEGACY_USE_ONLY, text.as_bytes());
    let halves = digest.as_ref().iter().flat_map(|byte| [byte >> 4, byte & 0x0f]);
    halves.filter_map(|half| HEX.get(usize::from(half)).copied().map(char::from)).collect()
}

/// The digits of a line, in capitals.
fn digits_of(line: &str) -> Option<String> {
    let digits = line.split(':').next().unwrap_or_default().trim_end();
    let good = (FEWEST_DIGITS..=DIGITS).contains(&digits.len())
        && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    good.then(|| digits.to_ascii_uppercase())
}

struct Line {
    text: String,
    /// Where the next one begins.
    end: u64,
}

/// The lines of a file, from wherever one looks.
struct Lines {
    file: File,
    size: u64,
}

impl Lines {
    fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        let size = file.metadata()?.len();
        Ok(Self { file, size })
    }

    /// The first whole line that begins at `at` or after it.
    fn from(&mut self, at: u64) -> io::Result<Option<Line>> {
        // One byte earlier, to see whether a line begins right here.
        let begin = at.saturating_sub(1);
        self.file.seek(SeekFrom::Start(begin))?;
        let mut read = Vec::with_capacity(2 * MAX_LINE);
        self.file.by_ref().take(2 * MAX_LINE as u64).read_to_end(&mut read)?;
        let end_of_line = |bytes: &[u8]| bytes.iter().position(|byte| *byte == b'\n');
        let skip = match (at, end_of_line(&read)) {
            (0, _) => 0,
            (_, Some(newline)) => newline + 1,
            (_, None) if read.len() > MAX_LINE => return Err(io::ErrorKind::InvalidData.into()),
            (_, None) => return Ok(None),
        };
        let rest = read.get(skip..).unwrap_or_default();
        if rest.is_empty() {
            return Ok(None);
        }
        let length = match end_of_line(rest) {
            Some(newline) => newline,
            None if rest.len() > MAX_LINE => return Err(io::ErrorKind::InvalidData.into()),
            None => rest.len(),
        };
        let text = String::from_utf8_lossy(rest.get(..length).unwrap_or_default()).into_owned();
        let end = begin + (skip + length + 1) as u64;
        Ok(Some(Line { text, end }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(lines: &[String], end: &str) -> (tempfile::TempDir, anyhow::Result<BreachedList>) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("list");
        std::fs::write(
            &path,
            lines.iter().flat_map(|line| [line.as_str(), end]).collect::<String>(),
        )
        .unwrap();
        let opened = BreachedList::open(&path);
        (folder, opened)
    }

    /// Every line is found, the first and the last too, and nothing else is; whatever the form.
    #[test]
    fn all_that_stands_in_a_list_is_found_and_nothing_else() {
        for count in [1, 2, 3, 100, 5_000] {
            for (end, cut, suffix) in [("\n", 40, ""), ("\r\n", 40, ":17"), ("\n", 16, "")] {
                let mut lines: Vec<String> = (0..count)
                    .map(|number| {
                        format!("{}{suffix}", sha1(&format!("leaked {number}")).split_at(cut).0)
                    })
                    .collect();
                lines.sort();
                if cut == 16 {
                    lines = lines.iter().map(|line| line.to_lowercase()).collect();
                }
                let (_folder, opened) = list(&lines, end);
                let opened = opened.unwrap();
                for number in 0..count {
                    assert!(opened.holds(&format!("leaked {number}")).unwrap(), "{count} {number}");
                }
                for number in 0..500 {
                    assert!(
                        !opened.holds(&format!("secret {number}")).unwrap(),
                        "{count} {number}"
                    );
                }
            }
        }
    }

    /// A last line without a newline is a line.
    #[test]
    fn the_last_line_needs_no_end() {
        let mut lines = [sha1("a"), sha1("b")];
        lines.sort();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("list");
        std::fs::write(&path, lines.join("\n")).unwrap();
        let opened = BreachedList::open(&path).unwrap();
        assert!(opened.holds("a").unwrap() && opened.holds("b").unwrap());
        assert!(!opened.holds("c").unwrap());
        std::fs::remove_file(&path).unwrap();
        assert!(opened.holds("a").is_err(), "a list that is gone says nothing");
    }

    #[test]
    fn what_cannot_be_searched_is_refused_with_setting_value_and_fix() {
        let (one, other) = (sha1("a"), sha1("b"));
        let (low, high) = if one < other { (one, other) } else { (other, one) };
        for (lines, fault) in [
            (vec![], "empty"),
            (vec![high.clone(), low.clone()], "stands before"),
            (vec![low.clone(), String::new(), high.clone()], "no digest"),
            (vec![low.split_at(9).0.to_owned()], "no digest"),
            (vec![format!("{low}00")], "no digest"),
            (vec!["password1".to_owned()], "no digest"),
            (vec!["x".repeat(10_000)], "invalid"),
        ] {
            let (_folder, opened) = list(&lines, "\n");
            let error = format!("{:#}", opened.unwrap_err());
            assert!(error.contains("passwords.breached_list") && error.contains("sort"), "{error}");
            assert!(error.contains(fault), "{fault}: {error}");
        }
        let error = format!("{:#}", BreachedList::open(Path::new("/nowhere/list")).unwrap_err());
        assert!(error.contains("/nowhere/list") && error.contains("No such file"), "{error}");
    }

    /// Of a large list only some places are read, and disorder between them is seen too.
    #[test]
    fn a_large_list_is_checked_in_places() {
        let line = |number: u32| format!("{number:040X}");
        let mut lines: Vec<String> = (0..300_000).map(line).collect();
        let (_folder, opened) = list(&lines, "\n");
        assert!(!opened.unwrap().holds("a").unwrap());
        lines.rotate_left(150_000);
        let (_folder, opened) = list(&lines, "\n");
        assert!(opened.is_err());
    }
}

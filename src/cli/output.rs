//! What verbs print, and how the server logs.

use std::io::{self, IsTerminal as _, Write as _};

use tracing_subscriber::EnvFilter;

use crate::config::Environment;

/// Prints one line to standard output. Whoever closed it does not want to read on.
pub(super) fn say(line: &str) {
    let _ = writeln!(io::stdout(), "{}", plain(line));
}

/// A text that does not speak to the terminal: some of what is printed was said by strangers.
fn plain(text: &str) -> String {
    let deceptive = |c: char| {
        (c.is_control() && !matches!(c, '\n' | '\t'))
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}')
    };
    text.chars().filter(|c| !deceptive(*c)).collect()
}

/// Prints why a verb failed.
pub(super) fn complain(text: &str) {
    let _ = writeln!(io::stderr(), "keywright: {}", text.trim_end());
}

/// Prints a value as one line of JSON.
pub(super) fn say_json(value: &serde_json::Value) {
    let _ = writeln!(io::stdout(), "{value}");
}

/// Prints rows under headings, in columns as wide as they need.
pub(super) fn say_table(headings: &[&str], rows: &[Vec<String>]) {
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count());
        cells.chain(headings.get(column).map(|heading| heading.len())).max().unwrap_or(0)
    };
    let line = |cells: &[String]| {
        let padded: Vec<String> = cells
            .iter()
            .enumerate()
            .map(|(column, cell)| format!("{cell:<width$}", width = width(column)))
            .collect();
        say(padded.join("  ").trim_end());
    };
    line(&headings.iter().map(|heading| (*heading).to_owned()).collect::<Vec<_>>());
    for row in rows {
        line(row);
    }
}

/// Logs go to standard error: for people on a terminal, as JSON lines elsewhere. `RUST_LOG` chooses
/// what is logged; otherwise it is what the verb usually logs.
pub(super) fn start_logging(environment: &Environment, usual: &str) {
    // The driver passes on what PostgreSQL remarks about migrations at every start.
    let usual = format!("{usual},tokio_postgres=warn");
    let wanted = environment.get("RUST_LOG").unwrap_or(&usual);
    let filter = EnvFilter::try_new(wanted).unwrap_or_else(|_| EnvFilter::new(&usual));
    let logging = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr);
    // An error means that somebody else has set up logging already.
    let _ = if io::stderr().is_terminal() {
        logging.with_target(false).try_init()
    } else {
        logging.json().flatten_event(true).try_init()
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What strangers have said neither moves the cursor nor turns the line round.
    #[test]
    fn what_is_printed_does_not_speak_to_the_terminal() {
        let said = "a\u{1b}[2Jb\u{7}c\u{202e}d\u{2066}e\u{200b}f\u{9b}g\tn\u{f6}\n";
        assert_eq!(plain(said), "a[2Jbcdefg\tn\u{f6}\n");
    }
}

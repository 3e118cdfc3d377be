//! Keywright, the program: parse the command line, hand over.

use std::process::ExitCode;

fn main() -> ExitCode {
    keywright::cli::run()
}

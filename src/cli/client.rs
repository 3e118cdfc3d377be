//! `keywright client secret`.

use clap::Subcommand;

use super::output::say;
use crate::foundation::random::{self, OsRandom};

/// Letters and digits: nothing that a shell, a form or a header would read as something else.
const LETTERS: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
/// So many of them are more than 256 bits, which is enough for every method.
const LENGTH: usize = 64;

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Print a fresh secret for an app. It is kept nowhere: write it into the settings of both sides.
    Secret,
}

pub(super) fn secret() {
    say(&fresh());
}

fn fresh() -> String {
    let mut text = String::with_capacity(LENGTH);
    while text.len() < LENGTH {
        // Above the last multiple of 62 some letters would come more often than others.
        let drawn = random::bytes::<LENGTH>(&OsRandom);
        let fair = drawn.iter().filter(|byte| **byte < 248);
        let letters = fair.filter_map(|byte| LETTERS.get(usize::from(byte % 62)));
        text.extend(letters.map(|byte| char::from(*byte)).take(LENGTH - text.len()));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_long_enough_for_every_method_and_never_the_same() {
        let (one, other) = (fresh(), fresh());
        assert!(one.len() == LENGTH && one.bytes().all(|byte| byte.is_ascii_alphanumeric()));
        assert_ne!(one, other);
    }
}

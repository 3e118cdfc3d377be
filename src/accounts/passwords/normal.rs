//! One form for what different keyboards type for the same password: the `OpaqueString` profile
//! (RFC 8265 §4.2).
//!
//! Every space is the plain one, letters are composed, and nothing else changes: case, width and
//! spaces at the ends stay. What the profile forbids is refused when a password is set (`policy`);
//! when one is checked, it is simply not the password.

use unicode_normalization::UnicodeNormalization as _;
use zeroize::Zeroizing;

use crate::foundation::secret::Secret;

/// No password has more characters than this, in its one form. Longer ones are refused, never cut.
pub const MAX_LENGTH: usize = 1_024;

/// Composing makes at most one character out of four, so that what is left out here leaves a
/// password that is too long all the same.
const MOST_READ: usize = 4 * MAX_LENGTH + 1;

/// The one form of a password.
pub(super) fn normalise(password: &Secret) -> Zeroizing<String> {
    let letters = password.expose().chars().take(MOST_READ);
    Zeroizing::new(letters.map(plain_space).nfc().collect())
}

/// Whether a password, in its one form, is longer than any may be.
pub(super) fn is_too_long(normal: &str) -> bool {
    normal.chars().nth(MAX_LENGTH).is_some()
}

/// The other characters of the general category `Zs` are the space (RFC 8265 §4.2.2, rule 2).
const fn plain_space(letter: char) -> char {
    match letter {
        '\u{a0}' | '\u{1680}' | '\u{2000}'..='\u{200a}' | '\u{202f}' | '\u{205f}' | '\u{3000}' => {
            ' '
        }
        other => other,
    }
}

/// Whether the profile leaves no room for this character (RFC 8264 §4.3.3): controls, what is never
/// seen, and what means nothing between two programs.
pub(super) fn is_forbidden(letter: char) -> bool {
    letter.is_control()
        || matches!(letter,
            '\u{ad}'
            | '\u{34f}'
            | '\u{61c}'
            | '\u{115f}'..='\u{1160}'
            | '\u{17b4}'..='\u{17b5}'
            | '\u{180b}'..='\u{180f}'
            | '\u{200b}'
            | '\u{200e}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{3164}'
            | '\u{e000}'..='\u{f8ff}'
            | '\u{fdd0}'..='\u{fdef}'
            | '\u{feff}'
            | '\u{ffa0}'
            | '\u{fff0}'..='\u{fffb}'
            | '\u{fffe}'..='\u{ffff}'
            | '\u{e0000}'..='\u{e0fff}'
            | '\u{f0000}'..='\u{10ffff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn normal(text: &str) -> String {
        normalise(&Secret::new(text)).to_string()
    }

    /// PW-06: the examples of RFC 8265 §4.3, and what must stay as it is typed.
    #[test]
    fn spaces_become_one_kind_and_letters_are_composed_and_nothing_else() {
        assert_eq!(normal("correct horse"), normal("correct\u{a0}horse"));
        assert_eq!(normal("foo\u{1680}bar"), "foo bar");
        assert_eq!(normal("foo\u{3000}bar\u{202f}"), "foo bar ");
        assert_eq!(normal("e\u{301}"), "\u{e9}");
        for same in
            ["Correct Horse", "π\u{df}å", " x ", "\u{ff21}", "Jack of \u{2666}s", "\u{1f511}"]
        {
            assert_eq!(normal(same), same);
        }
        assert_ne!(normal("pa\0ss"), normal("pa"));
    }

    /// PW-02: whatever its letters compose to, a password that is too long stays too long.
    #[test]
    fn what_is_too_long_is_seen_without_reading_it_all() {
        assert!(!is_too_long(&normal(&"x".repeat(MAX_LENGTH))));
        assert!(is_too_long(&normal(&"x".repeat(MAX_LENGTH + 1))));
        assert!(!is_too_long(&normal(&"e\u{301}".repeat(MAX_LENGTH))));
        assert!(is_too_long(&normal(&"\u{3b1}\u{313}\u{300}\u{345}".repeat(MAX_LENGTH + 1))));
        assert!(is_too_long(&normal(&"x".repeat(1_000_000))));
        assert!(normal(&"x".repeat(1_000_000)).len() <= MOST_READ);
    }

    #[test]
    fn what_nobody_sees_is_forbidden() {
        for letter in ['\0', '\t', '\n', '\u{7f}', '\u{85}', '\u{200b}', '\u{202e}', '\u{feff}'] {
            assert!(is_forbidden(letter), "{letter:?}");
        }
        // Joiners and what chooses the look of an emoji are typed by ordinary keyboards.
        for letter in ['a', ' ', '\u{e9}', '\u{1f511}', '\u{200d}', '\u{fe0f}', '\u{4e2d}'] {
            assert!(!is_forbidden(letter), "{letter:?}");
        }
    }
}

//! What a new password must be: one rule for every path that sets one.
//!
//! Length, and how many guesses a stranger would need who knows the person; no rules about kinds of
//! characters, which only make passwords alike (NIST SP 800-63B §5.1.1.2). All that is wrong is said
//! at once.

use std::{collections::BTreeSet, io};

use unicode_normalization::UnicodeNormalization as _;
use url::Url;
use zxcvbn::{Entropy, feedback::Warning};

use super::{
    breached::BreachedList,
    normal::{MAX_LENGTH, is_forbidden, is_too_long, normalise},
};
use crate::{config::Config, foundation::secret::Secret};

/// Shorter words stand in ordinary passwords by chance.
const SHORTEST_WORD: usize = 4;
/// How much of what is known is looked at.
const MAX_WORDS: usize = 32;
const MAX_WORD: usize = 64;
/// So many characters of a password are estimated: work grows with their square, and what follows
/// can only make it stronger.
const ESTIMATED: usize = 72;

/// What is known of the person whose password it will be.
#[derive(Clone, Debug, Default)]
pub struct Known {
    /// The username.
    pub username: String,
    /// The e-mail address.
    pub email: Option<String>,
    /// The full name.
    pub name: Option<String>,
}

/// Why something cannot be a password. Its text goes on where "the password" ends.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PasswordFault {
    /// There is none.
    #[error("is empty")]
    Empty,
    /// Fewer characters than `passwords.min_length`.
    #[error("must have at least {least} characters")]
    TooShort {
        /// How many it must have.
        least: usize,
    },
    /// More characters than any may have.
    #[error("must have at most {MAX_LENGTH} characters")]
    TooLong,
    /// Something that cannot be seen or typed again (RFC 8265 §4.2.2).
    #[error("holds an invisible or control character, which could not be typed again")]
    ForbiddenCharacter,
    /// Little more than the username, the address or the name.
    #[error("is little more than the person's own name or address")]
    Personal,
    /// Little more than the name of this place.
    #[error("is little more than the name of this place")]
    House,
    /// One of the passwords that everybody tries first.
    #[error("is one of the most common passwords")]
    Common,
    /// In the list of leaked passwords.
    #[error("has appeared in a leak, so guessers try it")]
    Breached,
    /// Guessed too soon.
    #[error("is easy to guess{hint}: add a word or two that nobody would expect")]
    Weak {
        /// Why, if it can be said.
        hint: &'static str,
    },
}

/// What a new password must be.
#[derive(Clone, Debug)]
pub struct Policy {
    min_length: usize,
    min_strength: u8,
    house: Vec<String>,
    breached: Option<BreachedList>,
}

impl Policy {
    /// The rules of this deployment.
    pub fn new(config: &Config) -> anyhow::Result<Self> {
        let settings = &config.passwords;
        let list = settings.breached_list.as_deref();
        let issuer = Url::parse(config.server.issuer.as_str())?;
        let host = issuer.host_str().unwrap_or_default().to_owned();
        Ok(Self {
            min_length: usize::try_from(settings.min_length)?,
            min_strength: u8::try_from(settings.min_strength)?,
            house: words([config.branding.name.clone(), host, "keywright".to_owned()]),
            breached: list.map(|path| BreachedList::open(path.as_ref())).transpose()?,
        })
    }

    /// Everything that is wrong with a new password; nothing, if it can be one. Fails only if the
    /// list of leaked passwords cannot be read any more.
    ///
    /// It takes some milliseconds: not for the threads that answer requests.
    pub fn faults(&self, password: &Secret, known: &Known) -> io::Result<Vec<PasswordFault>> {
        let normal = normalise(password);
        if normal.is_empty() {
            return Ok(vec![PasswordFault::Empty]);
        }
        if is_too_long(&normal) {
            return Ok(vec![PasswordFault::TooLong]);
        }
        let mut faults = Vec::new();
        if normal.chars().count() < self.min_length {
            faults.push(PasswordFault::TooShort { least: self.min_length });
        }
        if normal.chars().any(is_forbidden) {
            faults.push(PasswordFault::ForbiddenCharacter);
        }
        let personal = known.words();
        if self.is_little_more_than(&normal, &personal) {
            faults.push(PasswordFault::Personal);
        } else if self.is_little_more_than(&normal, &self.house) {
            faults.push(PasswordFault::House);
        }
        if let Some(list) = &self.breached
            && list.holds(&normal)?
        {
            faults.push(PasswordFault::Breached);
        }
        faults.extend(self.weakness(&normal, &personal));
        Ok(faults)
    }

    /// Whether too little is left without these words, or it is a piece of one of them.
    fn is_little_more_than(&self, normal: &str, words: &[String]) -> bool {
        let plain = fold(normal);
        if words.iter().any(|word| word.contains(&plain)) {
            return true;
        }
        let mut rest = plain.clone();
        for word in words {
            rest = rest.replace(word.as_str(), "");
        }
        let counts = rest.chars().filter(|letter| letter.is_alphanumeric()).count();
        rest != plain && counts < self.min_length
    }

    fn weakness(&self, normal: &str, personal: &[String]) -> Option<PasswordFault> {
        let begin: String = normal.chars().take(ESTIMATED).collect();
        let known: Vec<&str> = personal.iter().chain(&self.house).map(String::as_str).collect();
        let estimate = zxcvbn::zxcvbn(&begin, &known);
        let warning = warning(&estimate);
        if matches!(
            warning,
            Some(
                Warning::ThisIsATop10Password
                    | Warning::ThisIsATop100Password
                    | Warning::ThisIsACommonPassword
            )
        ) {
            return Some(PasswordFault::Common);
        }
        let strength = u8::from(estimate.score());
        (strength < self.min_strength).then(|| PasswordFault::Weak { hint: hint(warning) })
    }
}

impl Known {
    /// The words that a guesser who knows the person tries first: whole and in parts.
    fn words(&self) -> Vec<String> {
        let known = [Some(&self.username), self.email.as_ref(), self.name.as_ref()];
        words(known.into_iter().flatten().cloned())
    }
}

/// Texts and their parts, without what stands in ordinary passwords by chance, the longest first.
fn words(texts: impl IntoIterator<Item = String>) -> Vec<String> {
    let mut words = BTreeSet::new();
    for text in texts {
        let text = fold(&text);
        words.extend(text.split(|c: char| !c.is_alphanumeric()).map(str::to_owned));
        words.extend(text.split(['@', ' ']).map(str::to_owned));
        words.insert(text);
    }
    let mut words: Vec<String> = words
        .into_iter()
        .filter(|word| word.chars().count() >= SHORTEST_WORD)
        .map(|word| word.chars().take(MAX_WORD).collect())
        .collect();
    words.sort_by_key(|word| std::cmp::Reverse(word.len()));
    words.truncate(MAX_WORDS);
    words
}

/// What looks the same to a guesser.
fn fold(text: &str) -> String {
    text.nfkc().flat_map(char::to_lowercase).collect()
}

fn warning(estimate: &Entropy) -> Option<Warning> {
    estimate.feedback().and_then(zxcvbn::feedback::Feedback::warning)
}

/// Why an estimate is low, in a few words.
const fn hint(warning: Option<Warning>) -> &'static str {
    let Some(warning) = warning else {
        return "";
    };
    match warning {
        Warning::StraightRowsOfKeysAreEasyToGuess
        | Warning::ShortKeyboardPatternsAreEasyToGuess => ", being neighbours on the keyboard",
        Warning::RepeatsLikeAaaAreEasyToGuess
        | Warning::RepeatsLikeAbcAbcAreOnlySlightlyHarderToGuess => ", because it repeats itself",
        Warning::ThisIsATop10Password
        | Warning::ThisIsATop100Password
        | Warning::ThisIsACommonPassword
        | Warning::ThisIsSimilarToACommonlyUsedPassword => ", being close to a common password",
        Warning::SequencesLikeAbcAreEasyToGuess => ", being a sequence like abc or 6543",
        Warning::RecentYearsAreEasyToGuess | Warning::DatesAreOftenEasyToGuess => {
            ", like all dates and years"
        }
        Warning::AWordByItselfIsEasyToGuess => ", being one word",
        Warning::NamesAndSurnamesByThemselvesAreEasyToGuess
        | Warning::CommonNamesAndSurnamesAreEasyToGuess => ", like all names",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;

    fn policy(more: &str) -> Policy {
        let text = format!(
            "[server]\nissuer = \"https://login.acme.test\"\n[branding]\nname = \"Acme Works\"\n\
             [secrets]\nsecret_key = \"0123456789abcdefghijklmnopqrstuvwxyz\"\n[passwords]\n{more}"
        );
        Policy::new(&config::parse(&text, &config::Environment::new()).unwrap()).unwrap()
    }

    fn anna() -> Known {
        Known {
            username: "anna.berg".to_owned(),
            email: Some("a.bergmann@corp.test".to_owned()),
            name: Some("Anna Elisabeth Berg".to_owned()),
        }
    }

    fn faults(policy: &Policy, password: &str) -> Vec<PasswordFault> {
        policy.faults(&Secret::new(password), &anna()).unwrap()
    }

    /// PW-01: what is good stays good, in any script and of any length up to the most.
    #[test]
    fn good_passwords_of_every_kind_are_accepted() {
        let policy = policy("");
        for good in [
            "correct horse battery",
            "vgmpz7qk",
            "anna likes mouldy cheese",
            "\u{4f60}\u{597d}\u{4e16}\u{754c}\u{7684}\u{9ad8}\u{5c71}\u{6d41}\u{6c34}",
            "\u{1f511}\u{1f9c0}\u{1f40e}\u{1f680}\u{1f30d}\u{1f9f2}\u{1f3b7}\u{1f955}",
            "  two spaces around  ",
        ] {
            assert_eq!(faults(&policy, good), [], "{good}");
        }
        let long: String =
            (0..MAX_LENGTH).map(|at| char::from(b"kwrtzqpsd"[at * at % 9])).collect();
        assert_eq!(faults(&policy, &long), []);
        assert_eq!(faults(&policy, &format!("{long}x")), [PasswordFault::TooLong]);
        assert_eq!(faults(&policy, &"x".repeat(1_000_000)), [PasswordFault::TooLong]);
    }

    /// PW-01, PW-06: length counts in characters of the one form.
    #[test]
    fn length_counts_in_characters() {
        let policy = policy("min_length = 10\nmin_strength = 0");
        let short = [PasswordFault::TooShort { least: 10 }];
        assert_eq!(faults(&policy, "vgmpz7qkw"), short);
        assert_eq!(faults(&policy, "vgmpz7qkwt"), []);
        // Nine letters, however many code points and bytes they are.
        assert_eq!(faults(&policy, &"e\u{301}".repeat(9)), short);
        assert_eq!(faults(&policy, ""), [PasswordFault::Empty]);
    }

    /// PW-01: nobody's password is their name, their address or that of the house, or parts of them.
    #[test]
    fn names_and_addresses_are_refused_in_every_disguise() {
        let policy = policy("min_strength = 0");
        for personal in [
            "anna.berg",
            "ANNA.BERG",
            "annaberg2024",
            "Elisabeth1",
            "a.bergmann@corp.test",
            "bergmann!!!!!!!!",
            "\u{ff41}\u{ff4e}\u{ff4e}\u{ff41}berg1",
            "corp.test",
            "elisabeth berg",
        ] {
            assert_eq!(faults(&policy, personal), [PasswordFault::Personal], "{personal}");
        }
        for house in ["acme works 1", "login.acme.test", "Keywright1", "acmeworks"] {
            assert_eq!(faults(&policy, house), [PasswordFault::House], "{house}");
        }
        assert_eq!(faults(&policy, "anna and 17 cranes"), []);
    }

    /// PW-01: the commonest passwords are refused whatever the threshold is.
    #[test]
    fn common_and_weak_passwords_are_refused() {
        for strength in [0, 2] {
            let policy = policy(&format!("min_strength = {strength}"));
            for common in ["password1", "qwertyuiop", "12345678", "iloveyou", "football"] {
                assert_eq!(faults(&policy, common), [PasswordFault::Common], "{common}");
            }
        }
        let policy_of = |strength| policy(&format!("min_strength = {strength}"));
        assert_eq!(faults(&policy_of(3), "vgmpz7qk").len(), 1, "even chance, if it is short");
        for weak in ["aaaaaaaaaaaa", "abcdefghijk", "Tr0ub4dour", "1987-04-23", "p4ssw0rd!"] {
            let found = faults(&policy_of(3), weak);
            let [PasswordFault::Weak { .. }] = found.as_slice() else {
                panic!("{weak}: {found:?}");
            };
            assert_eq!(faults(&policy_of(0), weak), [], "{weak}");
        }
    }

    #[test]
    fn what_cannot_be_typed_again_is_refused() {
        let policy = policy("");
        for hidden in
            ["correct\u{0}horse battery", "correct\thorse battery", "correct horse\u{202e}x"]
        {
            assert_eq!(faults(&policy, hidden), [PasswordFault::ForbiddenCharacter], "{hidden:?}");
        }
    }

    /// A leak is looked up in the one form, and all that is wrong is said at once.
    #[test]
    fn leaked_passwords_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("list");
        // The SHA-1 of "correct horse battery", as `sha1sum` prints it.
        std::fs::write(&path, "98DECC62ECE399A22ED30D490EF333BE7FDE7385:3\n").unwrap();
        let with_list = policy(&format!("breached_list = {path:?}"));
        assert_eq!(faults(&with_list, "correct horse staple"), []);
        assert_eq!(faults(&with_list, "correct horse battery"), [PasswordFault::Breached]);
        assert_eq!(faults(&with_list, "correct\u{a0}horse battery"), [PasswordFault::Breached]);
        std::fs::remove_file(&path).unwrap();
        assert!(with_list.faults(&Secret::new("correct horse staple"), &anna()).is_err());
    }

    #[test]
    fn every_reason_is_a_plain_sentence() {
        let policy = policy("min_length = 12");
        let said: Vec<String> =
            faults(&policy, "anna\t").iter().map(|fault| format!("the password {fault}")).collect();
        assert_eq!(said[0], "the password must have at least 12 characters");
        assert!(said[1].contains("control character") && said[2].contains("own name"), "{said:?}");
        assert!(said[3].contains("easy to guess"), "{said:?}");
    }
}

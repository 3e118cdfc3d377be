//! Scopes (RFC 6749 §3.3): a set of words.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Asks for an ID token (OIDC Core §3.1.2.1).
pub const OPENID: &str = "openid";
/// Asks for the profile claims (OIDC Core §5.4).
pub const PROFILE: &str = "profile";
/// Asks for the e-mail claims (OIDC Core §5.4).
pub const EMAIL: &str = "email";
/// Asks for the `groups` claim.
pub const GROUPS: &str = "groups";
/// Asks for a refresh token (OIDC Core §11).
pub const OFFLINE_ACCESS: &str = "offline_access";

/// The scopes that Keywright itself gives a meaning to.
pub const KNOWN: &[&str] = &[OPENID, PROFILE, EMAIL, GROUPS, OFFLINE_ACCESS];

/// The longest `scope` parameter that is read at all.
const MAX_LENGTH: usize = 4_096;

/// A set of scopes, in the order in which they were first named.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub struct Scope(Vec<String>);

impl Scope {
    /// Reads a `scope` parameter. Nothing if it is too long or holds characters that
    /// RFC 6749 §3.3 does not allow.
    pub fn parse(text: &str) -> Option<Self> {
        let allowed = |byte: u8| matches!(byte, b' ' | 0x21 | 0x23..=0x5b | 0x5d..=0x7e);
        if text.len() > MAX_LENGTH || !text.bytes().all(allowed) {
            return None;
        }
        Some(Self::from_words(text))
    }

    fn from_words(text: &str) -> Self {
        let mut scope = Self::default();
        for word in text.split(' ').filter(|word| !word.is_empty()) {
            if !scope.contains(word) {
                scope.0.push(word.to_owned());
            }
        }
        scope
    }

    /// Whether the word is in the set.
    pub fn contains(&self, word: &str) -> bool {
        self.0.iter().any(|own| own == word)
    }

    /// Whether the set is empty.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether every word of this set is in the other.
    pub fn is_within(&self, other: &Self) -> bool {
        self.0.iter().all(|word| other.contains(word))
    }

    /// The words of this set that the other holds too.
    #[must_use]
    pub fn limited_to(&self, allowed: &Self) -> Self {
        Self(self.0.iter().filter(|word| allowed.contains(word)).cloned().collect())
    }

    /// The words that are here and not in the other.
    pub fn beyond(&self, other: &Self) -> Vec<&str> {
        self.iter().filter(|word| !other.contains(word)).collect()
    }

    /// The words.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0.join(" "))
    }
}

impl From<String> for Scope {
    fn from(text: String) -> Self {
        Self::from_words(&text)
    }
}

impl From<Scope> for String {
    fn from(scope: Scope) -> Self {
        scope.to_string()
    }
}

impl<S: AsRef<str>> FromIterator<S> for Scope {
    fn from_iter<I: IntoIterator<Item = S>>(words: I) -> Self {
        let mut scope = Self::default();
        for word in words {
            if !scope.contains(word.as_ref()) {
                scope.0.push(word.as_ref().to_owned());
            }
        }
        scope
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_scope_is_a_set_of_words() {
        let scope = Scope::parse("openid  email openid").unwrap();
        assert_eq!(scope.to_string(), "openid email");
        assert_eq!(Scope::parse("a\"b"), None);
        assert_eq!(Scope::parse("caf\u{e9}"), None);
        assert_eq!(Scope::parse(&"a ".repeat(5_000)), None, "AZ-24: 10 000 words");
    }

    proptest! {
        /// RT-11: limiting never grows a scope.
        #[test]
        fn limiting_never_adds(asked in "[a-e ]{0,20}", allowed in "[a-e ]{0,20}") {
            let (asked, allowed) = (Scope::parse(&asked).unwrap(), Scope::parse(&allowed).unwrap());
            let limited = asked.limited_to(&allowed);
            prop_assert!(limited.is_within(&asked) && limited.is_within(&allowed));
            prop_assert_eq!(limited.is_empty(), asked.iter().all(|word| !allowed.contains(word)));
        }
    }
}

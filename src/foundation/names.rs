//! Usernames and e-mail addresses in their canonical forms: one function each, used everywhere.

use unicode_normalization::UnicodeNormalization as _;
use unicode_security::{MixedScript as _, skeleton};

const MAX_USERNAME: usize = 64;
const MAX_EMAIL: usize = 254;

/// Names that would let somebody pass for the house.
const RESERVED: &[&str] = &[
    "admin",
    "administrator",
    "root",
    "system",
    "support",
    "security",
    "postmaster",
    "hostmaster",
    "webmaster",
    "abuse",
    "help",
    "info",
    "keywright",
    "null",
    "undefined",
];

/// The canonical form in which usernames are compared.
pub fn username_key(username: &str) -> String {
    canonical(username)
}

/// The canonical form in which e-mail addresses are compared (LK-16).
pub fn email_key(email: &str) -> String {
    canonical(email)
}

/// Compatibility forms folded, small letters, nothing around it. Folding can bring out a capital
/// letter or a space, so it is done until nothing changes any more.
fn canonical(text: &str) -> String {
    let mut form = text.to_owned();
    for _ in 0..4 {
        let folded: String = form.trim().nfkc().collect::<String>().to_lowercase();
        let folded = folded.trim().to_owned();
        if folded == form {
            break;
        }
        form = folded;
    }
    form
}

/// Why this cannot be a username, or nothing if it can.
pub fn username_fault(username: &str) -> Option<&'static str> {
    let allowed = |c: char| c.is_alphanumeric() || "._-".contains(c);
    if username.is_empty() || username.chars().count() > MAX_USERNAME {
        return Some("must have 1 to 64 characters");
    }
    if !username.chars().all(allowed) || username_key(username).chars().any(|c| !allowed(c)) {
        return Some("may contain letters, digits, dots, hyphens and underscores only");
    }
    if RESERVED.contains(&username_key(username).as_str()) {
        return Some("is reserved");
    }
    if is_misleading(&username_key(username)) {
        return Some("could be taken for another name: letters of one alphabet only");
    }
    None
}

/// Whether a name passes for another one: by letters of several alphabets (UTS 39 §5.1), or by letters
/// of another alphabet that all look like ours (§5.2).
fn is_misleading(name: &str) -> bool {
    let like_ours = || skeleton(name).all(|c| c.is_ascii());
    !name.is_ascii() && (!name.is_single_script() || like_ours())
}

/// A username made out of what an upstream calls the person, or nothing if nothing is left of it.
pub fn username_from(claim: &str) -> Option<String> {
    // `preferred_username` is an e-mail address at some providers. Here it must not look like one.
    let local = claim.split('@').next().unwrap_or_default();
    let plain = local.nfkc().map(|c| if c.is_whitespace() { '.' } else { c });
    let kept = plain.filter(|c| c.is_alphanumeric() || "._-".contains(*c));
    let username: String = kept.take(MAX_USERNAME - 8).collect();
    username_fault(&username).is_none().then_some(username)
}

/// Whether this is a plain address: one `@`, no quotes, no comments (IJ-16).
pub fn is_email(email: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+/=?^_`{|}~.-".contains(&byte);
    let Some((local, domain)) = email.split_once('@') else {
        return false;
    };
    let good_local = !local.is_empty()
        && local.len() <= 64
        && local.bytes().all(plain)
        && !local.starts_with(['.', '-'])
        && !local.ends_with('.');
    email.len() <= MAX_EMAIL && good_local && is_domain(domain)
}

/// Whether this is a domain as it stands in an address.
pub fn is_domain(domain: &str) -> bool {
    let label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    domain.split('.').all(label)
}

/// Whether the address is in this very domain, not in one below it.
pub fn is_in_domain(email: &str, domain: &str) -> bool {
    let own = email.rsplit_once('@').map(|(_, own)| own);
    is_email(email) && own.is_some_and(|own| own.eq_ignore_ascii_case(domain.trim()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// UP-20: only an exact domain of a plain address counts.
    #[test]
    fn tricky_addresses_are_in_no_domain() {
        for wrong in [
            "a@evil.test@corp.test",
            "\"a@evil.test\"@corp.test",
            "a@corp.test.",
            "a@sub.corp.test",
            "a@corp.test\0.evil.test",
            "a@xcorp.test",
            "@corp.test",
            "a@",
            "a",
            "a@corp.test ",
            "-a@corp.test",
            "a b@corp.test",
            "a(x)@corp.test",
        ] {
            assert!(!is_in_domain(wrong, "corp.test"), "{wrong}");
        }
        assert!(is_in_domain("a@corp.test", "corp.test"));
        assert!(is_in_domain("a@CORP.test", "corp.test"));
    }

    #[test]
    fn usernames_are_made_plain() {
        assert_eq!(username_from("alice@corp.test").as_deref(), Some("alice"));
        assert_eq!(username_from("Anna Berg").as_deref(), Some("Anna.Berg"));
        assert_eq!(username_from("root"), None);
        assert_eq!(username_from("\u{200b}\u{202e}"), None);
        assert_eq!(username_from("ａdmin"), None, "a full-width letter is the letter");
    }

    /// LK-15.
    #[test]
    fn nobody_is_taken_for_somebody_else() {
        for misleading in [
            "\u{430}lice",
            "ali\u{441}e",
            "\u{430}dmin",
            "\u{3b1}lice",
            "\u{441}\u{43e}\u{440}\u{430}",
            "admin",
            "Root",
            "POSTMASTER",
            "system",
            "\u{ff41}dmin",
            "alice@corp.test",
            "al ice",
            "alice\u{200b}",
            "al\u{200d}ice",
            "\u{202e}ecila",
            "alice\u{e0041}",
            "a\u{1d41d}min",
        ] {
            assert!(username_fault(misleading).is_some(), "{misleading:?}");
        }
        for own in [
            "alice",
            "Zo\u{eb}",
            "Jos\u{e9}.M\u{fc}ller",
            "\u{418}\u{432}\u{430}\u{43d}",
            "\u{5c71}\u{7530}\u{592a}\u{90ce}",
            "\u{3b3}\u{3b9}\u{3ce}\u{3c1}\u{3b3}\u{3bf}\u{3c2}",
            "bob_2",
        ] {
            assert_eq!(username_fault(own), None, "{own}");
        }
    }

    proptest! {
        /// LK-16: the canonical form is canonical.
        #[test]
        fn canonical_forms_are_stable(text in ".*") {
            prop_assert_eq!(email_key(&email_key(&text)), email_key(&text));
            prop_assert_eq!(username_key(&username_key(&text)), username_key(&text));
        }
    }
}

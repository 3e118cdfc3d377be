//! Texts that come from people, as they may stand in a mail or be said about one.

/// The longest text of somebody's that a mail repeats.
const MAX_TEXT: usize = 80;

/// Whether a character changes how its neighbours are shown, or is not shown at all (IJ-15).
fn is_deceptive(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
        )
}

/// A text on one line, without what deceives, and not long.
pub(super) fn plain(text: &str) -> String {
    let spaced = text.replace(['\r', '\n', '\t'], " ");
    let kept: String = spaced.chars().filter(|c| !is_deceptive(*c)).take(MAX_TEXT).collect();
    kept.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The name of a person, unless programs that show mail would make a link of it: anybody can sign up
/// under an address of somebody else's and a name that is an advertisement.
pub(super) fn name(text: &str) -> Option<String> {
    let name = plain(text);
    let is_address = |word: &str| {
        let mut after_dots = word.split('.').skip(1);
        let reads_like_domain =
            after_dots.any(|part| part.chars().take_while(|c| c.is_alphabetic()).count() > 1);
        reads_like_domain || word.contains("//") || word.contains('@') || word.contains(':')
    };
    let good = !name.is_empty() && !name.split(' ').any(is_address);
    good.then_some(name)
}

/// An address as log and events show it: `a***@example.org`.
pub fn masked(address: &str) -> String {
    let (local, domain) = address.rsplit_once('@').unwrap_or(("", address));
    let first: String = local.chars().take(1).collect();
    format!("{first}***@{domain}")
}

/// What a mail server has said, without the address that it repeats.
pub fn masked_in(text: &str, address: &str) -> String {
    let (said, wanted) = (text.to_ascii_lowercase(), address.to_ascii_lowercase());
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    // Small letters of ASCII have the places of the capital ones.
    for (found, _) in said.match_indices(&wanted).filter(|_| !wanted.is_empty()) {
        out.push_str(text.get(at..found).unwrap_or_default());
        out.push_str(&masked(address));
        at = found + wanted.len();
    }
    out.push_str(text.get(at..).unwrap_or_default());
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_deceives_is_left_out() {
        let typed = "Ann\r\nBcc: x\u{202e}\u{200b}\t Berg\u{7f}\u{85} ";
        assert_eq!(plain(typed), "Ann Bcc: x Berg");
        assert_eq!(plain(&"x".repeat(1_000)).len(), MAX_TEXT);
    }

    #[test]
    fn a_name_that_would_become_a_link_is_no_name() {
        for good in ["Ann Berg", "J. R. R. Tolkien", "J.R.R. Tolkien", "<b>Ann</b>", "{{7*7}}"] {
            assert_eq!(name(good).as_deref(), Some(good));
        }
        for wrong in [
            "",
            " \r\n ",
            "Win at evil.test",
            "https://evil.test",
            "//evil",
            "<a href=//evil>click</a>",
            "a@evil",
            "mailto:a",
            "evil.TEST now",
        ] {
            assert_eq!(name(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn addresses_are_masked() {
        assert_eq!(masked("alice@example.org"), "a***@example.org");
        assert_eq!(masked("alice"), "***@alice");
        let said = "550 <Alice@Example.org>: unknown, alice@example.org";
        let shown = "550 <a***@example.org>: unknown, a***@example.org";
        assert_eq!(masked_in(said, "alice@example.org"), shown);
        assert_eq!(masked_in("550 unknown", "alice@example.org"), "550 unknown");
    }
}

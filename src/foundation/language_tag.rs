//! Language tags (RFC 5646, BCP 47), as far as it takes to keep and to repeat them.

/// A well-formed tag in the usual spelling (RFC 5646 §2.1.1), or nothing. Whether there is such a language
/// is nobody's business here.
pub fn language_tag(text: &str) -> Option<String> {
    if text.len() > 35 {
        return None;
    }
    let mut parts = text.split('-');
    let language = parts.next()?;
    if !(2..=8).contains(&language.len()) || !language.bytes().all(|b| b.is_ascii_alphabetic()) {
        return None;
    }
    let mut tag = language.to_ascii_lowercase();
    for part in parts {
        if !(1..=8).contains(&part.len()) || !part.bytes().all(|b| b.is_ascii_alphanumeric()) {
            return None;
        }
        tag.push('-');
        tag.push_str(&in_usual_case(part));
    }
    Some(tag)
}

/// Regions are written large, scripts with a large first letter, everything else small.
fn in_usual_case(part: &str) -> String {
    let is_word = part.bytes().all(|byte| byte.is_ascii_alphabetic());
    match part.len() {
        2 if is_word => part.to_ascii_uppercase(),
        4 if is_word => {
            let (first, rest) = part.split_at(1);
            first.to_ascii_uppercase() + &rest.to_ascii_lowercase()
        }
        _ => part.to_ascii_lowercase(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_read_in_any_case() {
        for (typed, tag) in [
            ("en", "en"),
            ("DE-at", "de-AT"),
            ("zh-hANT-tw", "zh-Hant-TW"),
            ("es-419", "es-419"),
            ("sl-ROZAJ-biske", "sl-rozaj-biske"),
        ] {
            assert_eq!(language_tag(typed).as_deref(), Some(tag), "{typed}");
        }
        let long = "en-".to_owned() + &"a".repeat(9);
        for wrong in ["", "e", "-", "en-", "en--US", "en_US", "12", "\"en\"", "en-\u{e9}", &long] {
            assert_eq!(language_tag(wrong), None, "{wrong}");
        }
        assert_eq!(language_tag(&format!("en{}", "-abcdefgh".repeat(4))), None);
    }
}

//! Distinguished names as text (RFC 4514): by which an administrator says whose certificate is meant.

/// The parts of a name, the most specific first; each may have several attributes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DistinguishedName(Vec<Vec<(String, String)>>);

/// The attributes that have a short name (RFC 4514 §3, and the one that everybody writes for addresses).
const NAMES: &[(&str, &str)] = &[
    ("2.5.4.3", "CN"),
    ("2.5.4.5", "SERIALNUMBER"),
    ("2.5.4.6", "C"),
    ("2.5.4.7", "L"),
    ("2.5.4.8", "ST"),
    ("2.5.4.9", "STREET"),
    ("2.5.4.10", "O"),
    ("2.5.4.11", "OU"),
    ("0.9.2342.19200300.100.1.25", "DC"),
    ("0.9.2342.19200300.100.1.1", "UID"),
    ("1.2.840.113549.1.9.1", "EMAILADDRESS"),
];

impl DistinguishedName {
    /// Reads the text form; nothing if it is none.
    pub fn parse(text: &str) -> Option<Self> {
        let parts = split(text, ',')?;
        let part = |part: &String| {
            split(part, '+')?.iter().map(|attribute| read_attribute(attribute)).collect()
        };
        let parts: Option<Vec<Vec<_>>> = parts.iter().map(part).collect();
        parts.map(Self::sorted)
    }

    /// The name of a certificate: its parts as they stand there, the most general first, with the
    /// attributes by their numbers.
    pub fn of_certificate(mut parts: Vec<Vec<(String, String)>>) -> Self {
        parts.reverse();
        for (name, _) in parts.iter_mut().flatten() {
            if let Some((_, short)) = NAMES.iter().find(|(number, _)| number == name) {
                (*short).clone_into(name);
            }
        }
        Self::sorted(parts)
    }

    /// The order within one part means nothing (RFC 4514 §2.2).
    fn sorted(mut parts: Vec<Vec<(String, String)>>) -> Self {
        for part in &mut parts {
            part.sort_unstable();
        }
        Self(parts)
    }
}

/// Splits at a separator that nothing escapes. What is escaped stays so.
fn split(text: &str, separator: char) -> Option<Vec<String>> {
    let mut parts = vec![String::new()];
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        if letter == separator {
            parts.push(String::new());
            continue;
        }
        let last = parts.last_mut()?;
        last.push(letter);
        if letter == '\\' {
            last.push(letters.next()?);
        }
    }
    Some(parts)
}

/// Reads `CN=value`, and undoes what is escaped in the value (RFC 4514 §2.4).
fn read_attribute(text: &str) -> Option<(String, String)> {
    let (name, value) = text.split_once('=')?;
    let name = name.trim().to_ascii_uppercase();
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-.".contains(&byte);
    if name.is_empty() || !name.bytes().all(fits) {
        return None;
    }
    let name = if name == "E" { "EMAILADDRESS".to_owned() } else { name };
    let mut bytes = Vec::new();
    let mut rest = value.trim().as_bytes().iter().copied();
    while let Some(byte) = rest.next() {
        if byte != b'\\' {
            bytes.push(byte);
            continue;
        }
        let escaped = rest.next()?;
        match char::from(escaped).to_digit(16) {
            Some(high) => {
                let low = char::from(rest.next()?).to_digit(16)?;
                bytes.push(u8::try_from(high * 16 + low).ok()?);
            }
            None => bytes.push(escaped),
        }
    }
    Some((name, String::from_utf8(bytes).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_certificate(parts: &[&[(&str, &str)]]) -> DistinguishedName {
        let pair = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let parts = parts.iter().map(|part| part.iter().map(pair).collect());
        DistinguishedName::of_certificate(parts.collect())
    }

    #[test]
    fn a_name_is_the_same_however_it_is_written() {
        let own = of_certificate(&[
            &[("2.5.4.6", "DE")],
            &[("2.5.4.10", "Fish, Chips + Co")],
            &[("2.5.4.3", "app"), ("0.9.2342.19200300.100.1.1", "7")],
        ]);
        for text in [
            r"CN=app+UID=7,O=Fish\, Chips \+ Co,C=DE",
            r"uid=7+cn=app, o=Fish\2C Chips \2b Co, c=DE",
        ] {
            assert_eq!(DistinguishedName::parse(text).as_ref(), Some(&own), "{text}");
        }
        for text in [
            "CN=app,C=DE",
            r"C=DE,O=Fish\, Chips \+ Co,CN=app+UID=7",
            r"CN=App+UID=7,O=Fish\, Chips \+ Co,C=DE",
            r"CN=app,UID=7,O=Fish\, Chips \+ Co,C=DE",
        ] {
            assert_ne!(DistinguishedName::parse(text).as_ref(), Some(&own), "{text}");
        }
        for text in ["", "app", "CN", "=x", r"CN=\", r"CN=\4", r"CN=\ff", "CN=a,,C=DE", "C N=x"] {
            assert_eq!(DistinguishedName::parse(text), None, "{text}");
        }
    }
}

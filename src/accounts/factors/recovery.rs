//! Recovery codes: for whoever has lost what the second factor came from.

use crate::{
    foundation::{
        clock::Timestamp,
        digest::TokenDigest,
        ids::UserId,
        random::{self, Random},
        secret::Secret,
    },
    store::{Connection, QueryResult, recovery_codes},
};

/// How many there are at a time.
pub const COUNT: usize = 10;
const LENGTH: usize = 16;
/// Without look-alikes.
const ALPHABET: &[u8; 32] = b"23456789ABCDEFGHJKLMNPQRSTUVWXYZ";

/// Makes new codes for an account, which are told once; those before count no longer (MF-06).
pub async fn renew(
    conn: &mut Connection,
    user: &UserId,
    random: &dyn Random,
    now: Timestamp,
) -> QueryResult<Vec<Secret>> {
    let codes: Vec<Secret> = (0..COUNT).map(|_| generate(random)).collect();
    let digests: Vec<TokenDigest> =
        codes.iter().filter_map(|code| digest(user, code.expose())).collect();
    recovery_codes::replace(conn, user, &digests, now).await?;
    Ok(codes)
}

/// Eighty random bits, as a person copies them: four times four letters and digits.
fn generate(random: &dyn Random) -> Secret {
    let chance = random::bytes::<LENGTH>(random);
    let letters: Vec<char> = chance
        .iter()
        .filter_map(|byte| ALPHABET.get(usize::from(byte % 32)).copied().map(char::from))
        .collect();
    let groups: Vec<String> = letters.chunks(4).map(|group| group.iter().collect()).collect();
    Secret::new(groups.join("-"))
}

/// What is kept of a code of this account; nothing if what was typed is none. Nobody guesses eighty
/// bits backwards, so that a plain digest will do.
pub(super) fn digest(user: &UserId, typed: &str) -> Option<TokenDigest> {
    let kept = typed.chars().filter(|c| !c.is_whitespace() && *c != '-');
    let code: String = kept.map(|c| c.to_ascii_uppercase()).take(LENGTH + 1).collect();
    let fits = code.len() == LENGTH && code.bytes().all(|byte| ALPHABET.contains(&byte));
    fits.then(|| TokenDigest::of("recovery code", format!("{user} {code}").as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::foundation::random::OsRandom;

    #[test]
    fn a_code_is_read_however_it_is_typed_and_is_one_persons() {
        let (bob, eve) = (UserId::new("bob"), UserId::new("eve"));
        let code = generate(&OsRandom);
        let code = code.expose();
        assert_eq!(code.len(), LENGTH + 3);
        let own = digest(&bob, code).unwrap();
        for typed in [code.to_lowercase(), code.replace('-', " "), format!(" {code}\n")] {
            assert!(digest(&bob, &typed).unwrap().matches(&own), "{typed:?}");
        }
        assert!(!digest(&eve, code).unwrap().matches(&own));
        for none in ["", "123456", &format!("{code}A"), &code.replace('-', "0"), "ÄÖÜß"] {
            assert!(digest(&bob, none).is_none(), "{none:?}");
        }
    }
}

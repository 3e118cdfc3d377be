//! What ASP.NET Core Identity stores, in both of its formats: `$aspnet-identity$` and the base64
//! text of its column `PasswordHash`.

use base64::Engine as _;

use super::{
    BASE64, FEWEST_BYTES, MOST_BYTES,
    pbkdf2::{Digest, Salted},
};

/// Format 2: PBKDF2 with HMAC-SHA1, 1,000 rounds, a salt of 16 bytes and a hash of 32.
const V2_ROUNDS: u32 = 1_000;

pub(super) fn read(stored: &str) -> Option<Salted> {
    let text = stored.strip_prefix("$aspnet-identity$")?;
    let blob = BASE64.decode(text).ok().filter(|blob| blob.len() <= 2 * MOST_BYTES)?;
    let (format, rest) = blob.split_first()?;
    match format {
        0 if rest.len() == 48 => {
            let (salt, hash) = rest.split_at_checked(16)?;
            Salted::new(Digest::Sha1, V2_ROUNDS, salt.to_vec(), hash.to_vec())
        }
        1 => v3(rest),
        _ => None,
    }
}

/// Format 3: the function, the rounds and the length of the salt as big-endian numbers, then salt
/// and hash.
fn v3(rest: &[u8]) -> Option<Salted> {
    let (function, rest) = number(rest)?;
    let (rounds, rest) = number(rest)?;
    let (length, rest) = number(rest)?;
    let digest = match function {
        0 => Digest::Sha1,
        1 => Digest::Sha256,
        2 => Digest::Sha512,
        _ => return None,
    };
    let (salt, hash) = rest.split_at_checked(usize::try_from(length).ok()?)?;
    let fits = salt.len() >= FEWEST_BYTES && hash.len() <= MOST_BYTES;
    if fits { Salted::new(digest, rounds, salt.to_vec(), hash.to_vec()) } else { None }
}

fn number(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let (number, rest) = bytes.split_first_chunk()?;
    Some((u32::from_be_bytes(*number), rest))
}

//! Hashes that other systems have made: good for one sign-in, which makes one of ours of them.
//!
//! Whoever moves in brings their password along. A hash is read strictly and within bounds of work
//! and memory, for it comes out of a file that somebody wrote: what cannot be used is refused at the
//! import, and is nobody's password if it stands in the database all the same (PW-05).

mod aspnet;
mod bcrypt;
mod pbkdf2;
mod scrypt;

use argon2::{Argon2, Params, PasswordVerifier as _, password_hash::phc::PasswordHash};
use base64::{
    Engine as _, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};

/// The most memory, in KiB, that a hash may take, unless our own take more.
const MAX_MEMORY: u32 = 256 * 1_024;
/// The most memory times passes, in KiB, unless our own take more.
const MAX_WORK: u64 = 2 * 1_024 * 1_024;
const MAX_LANES: u32 = 16;
/// A hash must be longer than what can be found by chance, and salts end somewhere.
const FEWEST_BYTES: usize = 16;
const MOST_BYTES: usize = 512;

/// Standard base64, with its padding or without.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// A hash that can be checked.
#[derive(Debug)]
pub(super) enum Foreign {
    /// argon2 of any kind, with parameters of its own (RFC 9106).
    Argon2(Box<PasswordHash>),
    /// `$2a$`, `$2b$`, `$2y$`.
    Bcrypt(bcrypt::Salted),
    /// `$pbkdf2-sha512$i=...,l=...$salt$hash`, and what ASP.NET Core Identity stores.
    Pbkdf2(pbkdf2::Salted),
    /// `$scrypt$ln=...,r=...,p=...$salt$hash`.
    Scrypt(scrypt::Salted),
}

impl Foreign {
    /// Reads a stored hash; nothing, if it cannot be used. `own` are our own parameters.
    pub(super) fn read(stored: &str, own: &Params) -> Option<Self> {
        if stored.len() > 2_048 {
            return None;
        }
        match stored.strip_prefix('$')?.split('$').next()? {
            "argon2id" | "argon2i" | "argon2d" => {
                argon2(stored, own).map(Box::new).map(Self::Argon2)
            }
            "2a" | "2b" | "2y" => bcrypt::Salted::read(stored).map(Self::Bcrypt),
            "aspnet-identity" => aspnet::read(stored).map(Self::Pbkdf2),
            "scrypt" => scrypt::Salted::read(stored).map(Self::Scrypt),
            _ => pbkdf2::Salted::read(stored).map(Self::Pbkdf2),
        }
    }

    /// Whether it is the hash of this password.
    pub(super) fn is_of(&self, password: &[u8]) -> bool {
        match self {
            // Algorithm, version and parameters are those of the hash.
            Self::Argon2(hash) => Argon2::default().verify_password(password, &**hash).is_ok(),
            Self::Bcrypt(hash) => hash.is_of(password),
            Self::Pbkdf2(hash) => hash.is_of(password),
            Self::Scrypt(hash) => hash.is_of(password),
        }
    }
}

fn argon2(stored: &str, own: &Params) -> Option<PasswordHash> {
    let hash = PasswordHash::new(stored).ok()?;
    let used = Params::try_from(&hash).ok()?;
    let work = |params: &Params| u64::from(params.m_cost()) * u64::from(params.t_cost());
    let fits = used.m_cost() <= MAX_MEMORY.max(own.m_cost())
        && work(&used) <= MAX_WORK.max(work(own))
        && used.p_cost() <= MAX_LANES.max(own.p_cost());
    (fits && hash.salt.is_some() && hash.hash.is_some()).then_some(hash)
}

/// The bytes of a salt or a hash, if there are neither too few nor too many of them.
fn bytes(text: &str, fewest: usize) -> Option<Vec<u8>> {
    let bytes = BASE64.decode(text).ok()?;
    (fewest..=MOST_BYTES).contains(&bytes.len()).then_some(bytes)
}

/// The number of a parameter as a PHC string writes it: `name=123`.
fn number(parameter: &str, name: &str) -> Option<u32> {
    let digits = parameter.strip_prefix(name)?.strip_prefix('=')?;
    let plain = digits.bytes().all(|byte| byte.is_ascii_digit()) && !digits.starts_with('0');
    if plain { digits.parse().ok() } else { None }
}

#[cfg(test)]
mod tests;

//! PBKDF2 (RFC 8018 §5.2): `$pbkdf2-sha512$i=128,l=64$salt$hash`, salt and hash in base64.
//!
//! Without `l` the length is the hash's own. passlib's spelling, with the bare number of rounds and
//! a dot for the plus sign, is read too.

use std::num::NonZeroU32;

use aws_lc_rs::pbkdf2::{
    self, PBKDF2_HMAC_SHA1, PBKDF2_HMAC_SHA256, PBKDF2_HMAC_SHA384, PBKDF2_HMAC_SHA512,
};

use super::{FEWEST_BYTES, bytes, number};

/// The most rounds for each block of the result: a second or so of work.
const MAX_ROUNDS: u64 = 2_000_000;

/// Salt, rounds and hash.
pub(in crate::accounts::passwords) struct Salted {
    algorithm: pbkdf2::Algorithm,
    rounds: NonZeroU32,
    salt: Vec<u8>,
    hash: Vec<u8>,
}

impl std::fmt::Debug for Salted {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "Pbkdf2({} rounds)", self.rounds)
    }
}

impl Salted {
    pub(super) fn read(stored: &str) -> Option<Self> {
        let mut parts = stored.split('$').skip(1);
        let digest = match parts.next()? {
            "pbkdf2" | "pbkdf2-sha1" => Digest::Sha1,
            "pbkdf2-sha256" => Digest::Sha256,
            "pbkdf2-sha384" => Digest::Sha384,
            "pbkdf2-sha512" => Digest::Sha512,
            _ => return None,
        };
        let (parameters, salt, hash) = (parts.next()?, parts.next()?, parts.next()?);
        if parts.next().is_some() {
            return None;
        }
        let mut parameters = parameters.split(',');
        let rounds = parameters.next()?;
        let rounds = number(rounds, "i").or_else(|| number(&format!("i={rounds}"), "i"))?;
        let salt = bytes(&salt.replace('.', "+"), 1)?;
        let hash = bytes(&hash.replace('.', "+"), FEWEST_BYTES)?;
        let length = parameters.next().map(|length| number(length, "l"));
        let fits = length.is_none_or(|length| length == u32::try_from(hash.len()).ok());
        if !fits || parameters.next().is_some() {
            return None;
        }
        Self::new(digest, rounds, salt, hash)
    }

    /// Nothing, if it would take too much work.
    pub(super) fn new(digest: Digest, rounds: u32, salt: Vec<u8>, hash: Vec<u8>) -> Option<Self> {
        let (algorithm, block) = digest.algorithm();
        let blocks = hash.len().div_ceil(block) as u64;
        let fits = u64::from(rounds) * blocks <= MAX_ROUNDS && hash.len() >= FEWEST_BYTES;
        let rounds = NonZeroU32::new(rounds)?;
        fits.then_some(Self { algorithm, rounds, salt, hash })
    }

    pub(super) fn is_of(&self, password: &[u8]) -> bool {
        pbkdf2::verify(self.algorithm, self.rounds, &self.salt, password, &self.hash).is_ok()
    }
}

/// The hash function inside.
#[derive(Clone, Copy, Debug)]
pub(super) enum Digest {
    Sha1,
    Sha256,
    Sha384,
    Sha512,
}

impl Digest {
    /// And the length of what one block of work gives.
    const fn algorithm(self) -> (pbkdf2::Algorithm, usize) {
        match self {
            Self::Sha1 => (PBKDF2_HMAC_SHA1, 20),
            Self::Sha256 => (PBKDF2_HMAC_SHA256, 32),
            Self::Sha384 => (PBKDF2_HMAC_SHA384, 48),
            Self::Sha512 => (PBKDF2_HMAC_SHA512, 64),
        }
    }
}

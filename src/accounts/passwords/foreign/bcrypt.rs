//! bcrypt as everybody writes it: `$2b$12$` and 53 characters of an alphabet of its own.

use base64::Engine as _;

use crate::foundation::digest::constant_time_eq;

/// A second or so of work. Each step doubles it.
const MAX_COST: u32 = 14;
/// bcrypt reads no more of a password than this.
const MOST_READ: usize = 72;

/// Salt, cost and hash.
#[derive(Debug)]
pub(in crate::accounts::passwords) struct Salted {
    cost: u32,
    salt: [u8; 16],
    hash: Vec<u8>,
}

impl Salted {
    pub(super) fn read(stored: &str) -> Option<Self> {
        let mut parts = stored.split('$').skip(2);
        let (cost, rest) = (parts.next()?, parts.next()?);
        if parts.next().is_some() || cost.len() != 2 || rest.len() != 53 {
            return None;
        }
        let cost: u32 = cost.parse().ok().filter(|cost| (4..=MAX_COST).contains(cost))?;
        let (salt, hash) = rest.split_at_checked(22)?;
        let salt = decode(salt)?.try_into().ok()?;
        let hash = decode(hash).filter(|hash| hash.len() == 23)?;
        Some(Self { cost, salt, hash })
    }

    /// The C function reads a password up to its end, the end too, and no further than 72 bytes: two
    /// passwords that differ behind that are one to it. The first sign-in hashes the whole of it.
    pub(super) fn is_of(&self, password: &[u8]) -> bool {
        if password.contains(&0) {
            return false;
        }
        let mut read = zeroize::Zeroizing::new(password.to_vec());
        read.push(0);
        read.truncate(MOST_READ);
        let made = bcrypt::bcrypt(self.cost, self.salt, &read);
        made.get(..23).is_some_and(|made| constant_time_eq(made, &self.hash))
    }
}

/// Some writers leave rubbish in the bits that nobody reads.
fn decode(text: &str) -> Option<Vec<u8>> {
    use base64::{
        alphabet,
        engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
    };
    let config = GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::RequireNone)
        .with_decode_allow_trailing_bits(true);
    GeneralPurpose::new(&alphabet::BCRYPT, config).decode(text).ok()
}

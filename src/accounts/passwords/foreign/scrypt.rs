//! scrypt (RFC 7914) as a PHC string: `$scrypt$ln=15,r=8,p=1$salt$hash`.

use scrypt::Params;

use super::{FEWEST_BYTES, MAX_MEMORY, MAX_WORK, bytes, number};
use crate::foundation::digest::constant_time_eq;

/// Salt, parameters and hash.
#[derive(Debug)]
pub(in crate::accounts::passwords) struct Salted {
    params: Params,
    salt: Vec<u8>,
    hash: Vec<u8>,
}

impl Salted {
    pub(super) fn read(stored: &str) -> Option<Self> {
        let mut parts = stored.split('$').skip(2);
        let (parameters, salt, hash) = (parts.next()?, parts.next()?, parts.next()?);
        let mut parameters = parameters.split(',');
        let ln = number(parameters.next()?, "ln")?;
        let (r, p) = (number(parameters.next()?, "r")?, number(parameters.next()?, "p")?);
        if parameters.next().is_some() || parts.next().is_some() {
            return None;
        }
        // 128 bytes, times r, times 2^ln; and that p times.
        let memory = u64::from(r).checked_mul(1_u64.checked_shl(ln)?)?.checked_mul(128)? / 1_024;
        if memory > u64::from(MAX_MEMORY) || memory.checked_mul(u64::from(p))? > MAX_WORK {
            return None;
        }
        let params = Params::new(u8::try_from(ln).ok()?, r, p).ok()?;
        Some(Self { params, salt: bytes(salt, 1)?, hash: bytes(hash, FEWEST_BYTES)? })
    }

    pub(super) fn is_of(&self, password: &[u8]) -> bool {
        let mut made = vec![0; self.hash.len()];
        scrypt::scrypt(password, &self.salt, &self.params, &mut made).is_ok()
            && constant_time_eq(&made, &self.hash)
    }
}

//! Codes of authenticator apps (RFC 6238): six digits of HMAC-SHA-1, another every half a minute.
//! Apps exist that know nothing else, and some that only pretend to.

use totp_rs::{Builder, Totp};
use zeroize::Zeroizing;

use crate::{
    foundation::{
        clock::{Span, Timestamp},
        ids::FactorId,
        random::{self, Random},
        seal::KeyRing,
        secret::Secret,
    },
    store::totp_factors::TotpFactor,
};

/// How long a code is shown (RFC 6238 §5.2).
const STEP: Span = Span::from_seconds(30);

/// What an authenticator app and we share: 160 random bits (RFC 4226 §4).
#[derive(Clone)]
pub struct TotpSecret(Zeroizing<Vec<u8>>);

impl std::fmt::Debug for TotpSecret {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("TotpSecret(..)")
    }
}

impl TotpSecret {
    /// A fresh one.
    pub fn generate(random: &dyn Random) -> Self {
        Self(Zeroizing::new(random::bytes::<20>(random).to_vec()))
    }

    /// Reads what [`Self::to_text`] has written.
    pub fn from_text(text: &str) -> Option<Self> {
        let secret = totp_rs::Secret::try_from_base32(text).ok()?;
        let bytes: &[u8] = secret.as_ref();
        (bytes.len() == 20).then(|| Self(Zeroizing::new(bytes.to_vec())))
    }

    /// As people type it where no camera is at hand.
    pub fn to_text(&self) -> Secret {
        Secret::new(totp_rs::Secret::from(self.0.as_slice()).to_base32())
    }

    /// Opens the secret of a row.
    pub(super) fn open(ring: &KeyRing, factor: &TotpFactor) -> Option<Self> {
        ring.open(&place(&factor.id), &factor.sealed).map(Self)
    }

    /// Seals the secret for a row, and for no other (LG-11).
    pub(super) fn seal(&self, ring: &KeyRing, id: &FactorId, random: &dyn Random) -> Vec<u8> {
        ring.seal(&place(id), &self.0, random)
    }

    /// The step to which this code belongs, if that is the present one or the one before: people
    /// type slowly. Whether one of that step has counted before is another question.
    pub fn matching_step(&self, code: &str, now: Timestamp) -> Option<i64> {
        let digits: String = code.chars().filter(|c| !c.is_whitespace()).collect();
        if digits.len() != 6 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let totp = self.totp(None)?;
        let before = now.minus(STEP);
        let at = |at: Timestamp| totp.check(&digits, u64::try_from(at.unix()).ok()?);
        at(now).or_else(|| at(before)).and_then(|step| i64::try_from(step).ok())
    }

    /// The address that authenticator apps read from a picture, for an account of this place.
    pub fn address(&self, place: &str, account: &str) -> Option<Secret> {
        // A colon would end the name of the place.
        let [place, account] = [place, account].map(|name| name.replace(':', " "));
        self.totp(Some((place, account)))?.to_url().ok().map(Secret::new)
    }

    fn totp(&self, names: Option<(String, String)>) -> Option<Totp> {
        let builder = Builder::new().with_skew(0).with_secret(self.0.as_slice());
        let builder = match names {
            Some((place, account)) => builder.with_issuer(Some(place)).with_account_name(account),
            None => builder,
        };
        builder.build().ok()
    }
}

fn place(id: &FactorId) -> String {
    format!("totp_factors:sealed:{id}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::foundation::random::OsRandom;

    /// RFC 6238 appendix B, its last six digits: 94287082 at 59 seconds, 07081804 at 1111111109.
    #[test]
    fn codes_are_those_of_the_specification() {
        let secret = TotpSecret(Zeroizing::new(b"12345678901234567890".to_vec()));
        for (at, code, step) in [(59, "287082", 1), (1_111_111_109, "081804", 37_037_036)] {
            let at = Timestamp::from_unix(at);
            assert_eq!(secret.matching_step(code, at), Some(step));
            let typed = format!(" {} {}", code.get(..3).unwrap(), code.get(3..).unwrap());
            assert_eq!(secret.matching_step(&typed, at), Some(step), "as apps show it");
        }
    }

    /// MF-02: the step before is good, the one before that and the next are not.
    #[test]
    fn one_step_back_and_none_ahead() {
        let secret = TotpSecret(Zeroizing::new(b"12345678901234567890".to_vec()));
        let at = |at| secret.matching_step("287082", Timestamp::from_unix(at));
        for good in [30, 59, 60, 89] {
            assert_eq!(at(good), Some(1), "{good}");
        }
        for bad in [-5, 0, 29, 90, 120] {
            assert_eq!(at(bad), None, "{bad}");
        }
    }

    #[test]
    fn what_is_no_code_is_none() {
        let secret = TotpSecret(Zeroizing::new(b"12345678901234567890".to_vec()));
        let now = Timestamp::from_unix(59);
        for text in ["", "28708", "2870820", "28708a", "+28708", "٢٨٧٠٨٢", "287082\0", "287-082"]
        {
            assert_eq!(secret.matching_step(text, now), None, "{text:?}");
        }
    }

    #[test]
    fn a_secret_is_read_back_as_it_was_written() {
        let secret = TotpSecret::generate(&OsRandom);
        let text = secret.to_text();
        assert_eq!(text.expose().len(), 32);
        assert_eq!(TotpSecret::from_text(text.expose()).unwrap().0, secret.0);
        assert!(TotpSecret::from_text("MFRGG").is_none() && TotpSecret::from_text("!").is_none());
        let address = secret.address("Our: place", "bob@corp.test").unwrap();
        let expected = format!("?secret={}&issuer=Our%20%20place", text.expose());
        assert!(address.expose().starts_with("otpauth://totp/Our%20%20place:bob"));
        assert!(address.expose().ends_with(&expected), "{}", address.expose());
        assert_eq!(format!("{secret:?}"), "TotpSecret(..)");
    }
}

//! Opaque secrets: what we hand out that is not a JWT.
//!
//! Each is a prefix that tells its kind, 256 random bits, and a checksum. The prefix lets secret
//! scanners find a leaked one; the checksum lets us refuse a truncated or mistyped one before any
//! store is asked; the kind is part of the stored digest, so a value of one kind can never be
//! found where another kind is kept.

use super::{
    digest::{TokenDigest, base64url, from_base64url},
    random::Random,
    secret::Secret,
};

/// What an opaque secret is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpaqueKind {
    /// `code` of RFC 6749 §4.1.2.
    AuthorizationCode,
    /// RFC 6749 §1.5.
    RefreshToken,
    /// The secret in the session cookie.
    Session,
    /// The secret that marks one browser, to which flows are bound.
    Browser,
    /// `state` of a sign-in at an upstream.
    UpstreamState,
    /// A link that works once: it proves an address, or opens an account.
    OneTimeLink,
    /// The secret in the link of an invitation.
    Invitation,
    /// What a person gives to a program that acts for them.
    PersonalAccessToken,
    /// The name of an authorization request that was pushed (RFC 9126 §2.2).
    PushedRequest,
}

impl OpaqueKind {
    const fn prefix(self) -> &'static str {
        match self {
            Self::AuthorizationCode => "kw_ac_",
            Self::RefreshToken => "kw_rt_",
            Self::Session => "kw_se_",
            Self::Browser => "kw_br_",
            Self::UpstreamState => "kw_us_",
            Self::OneTimeLink => "kw_ol_",
            Self::Invitation => "kw_in_",
            Self::PersonalAccessToken => "kw_pat_",
            Self::PushedRequest => "kw_pr_",
        }
    }
}

/// An opaque secret that has the right shape for its kind.
#[derive(Clone)]
pub struct Opaque {
    kind: OpaqueKind,
    bits: zeroize::Zeroizing<[u8; 32]>,
}

impl std::fmt::Debug for Opaque {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The bits are the secret (LG-15).
        write!(out, "Opaque({:?}, ..)", self.kind)
    }
}

impl Opaque {
    /// A fresh one.
    pub fn generate(kind: OpaqueKind, random: &dyn Random) -> Self {
        Self::from_bits(kind, super::random::bytes(random))
    }

    /// One with given bits, for a value that is derived rather than drawn.
    pub fn from_bits(kind: OpaqueKind, bits: [u8; 32]) -> Self {
        Self { kind, bits: zeroize::Zeroizing::new(bits) }
    }

    /// Reads what somebody presents as a secret of this kind. Asks no store.
    pub fn parse(kind: OpaqueKind, text: &str) -> Option<Self> {
        let body = from_base64url(text.strip_prefix(kind.prefix())?)?;
        let (bits, checksum) = body.split_at_checked(32)?;
        let bits: [u8; 32] = bits.try_into().ok()?;
        let opaque = Self::from_bits(kind, bits);
        (checksum == opaque.checksum()).then_some(opaque)
    }

    /// The text that is handed out.
    pub fn reveal(&self) -> Secret {
        let mut body = self.bits.to_vec();
        body.extend_from_slice(&self.checksum());
        Secret::new(format!("{}{}", self.kind.prefix(), base64url(&body)))
    }

    /// What is stored instead of the secret.
    pub fn digest(&self) -> TokenDigest {
        TokenDigest::of(self.kind.prefix(), self.bits.as_slice())
    }

    /// The random bits, for deriving from them.
    pub fn bits(&self) -> &[u8; 32] {
        &self.bits
    }

    fn checksum(&self) -> [u8; 4] {
        let mut crc = crc32fast::Hasher::new();
        crc.update(self.kind.prefix().as_bytes());
        crc.update(self.bits.as_slice());
        crc.finalize().to_be_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::{super::random::OsRandom, *};

    /// CD-15, RT-14: what is not exactly a secret of the kind is refused without any look-up.
    #[test]
    fn only_the_exact_text_is_read_back() {
        let opaque = Opaque::generate(OpaqueKind::RefreshToken, &OsRandom);
        let text = opaque.reveal().expose().to_owned();
        let again = Opaque::parse(OpaqueKind::RefreshToken, &text).unwrap();
        assert!(again.digest().matches(&opaque.digest()));

        for cut in 1..text.len() {
            assert!(
                Opaque::parse(OpaqueKind::RefreshToken, text.get(..text.len() - cut).unwrap())
                    .is_none()
            );
        }
        for wrong in
            [format!("{text}A"), format!("{text}="), text.to_lowercase(), format!(" {text}")]
        {
            assert!(Opaque::parse(OpaqueKind::RefreshToken, &wrong).is_none(), "{wrong}");
        }
    }

    /// CD-12: one kind is never taken for another, not even by its digest.
    #[test]
    fn a_secret_of_one_kind_is_unknown_as_another() {
        let code = Opaque::generate(OpaqueKind::AuthorizationCode, &OsRandom);
        let as_refresh = Opaque::from_bits(OpaqueKind::RefreshToken, *code.bits());
        assert!(Opaque::parse(OpaqueKind::RefreshToken, code.reveal().expose()).is_none());
        assert!(!as_refresh.digest().matches(&code.digest()));
    }
}

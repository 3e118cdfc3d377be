//! Digests of secrets, and the one comparison that is allowed for them.

use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

/// The SHA-256 of a secret: what is stored and compared instead of the secret itself.
///
/// Our opaque secrets carry 256 random bits, so a plain hash cannot be guessed backwards; the
/// kind of secret is hashed with it, so that a digest of one kind never equals one of another.
#[derive(
    Clone, PartialEq, Eq, Hash, diesel::deserialize::FromSqlRow, diesel::expression::AsExpression,
)]
#[diesel(sql_type = diesel::sql_types::Binary)]
pub struct TokenDigest(Vec<u8>);

portable_column!(TokenDigest, diesel::sql_types::Binary, Vec<u8>);

impl TokenDigest {
    /// The digest of `secret`, which is a secret of the kind `kind`.
    pub fn of(kind: &str, secret: &[u8]) -> Self {
        let mut hash = Sha256::new();
        hash.update(kind.as_bytes());
        hash.update([0]);
        hash.update(secret);
        Self(hash.finalize().to_vec())
    }

    /// The digest as text, for keys of the short-lived state.
    pub fn to_text(&self) -> String {
        base64url(&self.0)
    }

    /// Whether two digests are equal, in a time that does not depend on where they differ.
    pub fn matches(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl std::fmt::Debug for TokenDigest {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("TokenDigest(..)")
    }
}

/// The SHA-256 of some bytes.
pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

/// Compares two byte strings in a time that depends on their lengths alone.
pub fn constant_time_eq(left: &[u8], right: &[u8]) -> bool {
    left.ct_eq(right).into()
}

/// The base64url alphabet without padding (RFC 4648 §5), as JOSE and PKCE use it.
pub fn base64url(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes)
}

/// Reads base64url without padding; anything not in its one canonical form is nothing.
pub fn from_base64url(text: &str) -> Option<Vec<u8>> {
    use base64::Engine as _;
    base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(text).ok()
}

//! The signature algorithms: what we sign with, and what others may (RFC 7518 §3.1, RFC 8037 §3.1).

text_enum! {
    /// An algorithm of our own signing keys.
    SigningAlgorithm {
        /// RSASSA-PKCS1-v1_5 with SHA-256: dear to make, but what most apps accept.
        Rs256 = "RS256",
        /// ECDSA on P-256 with SHA-256: a fifteenth of the cost.
        Es256 = "ES256",
        /// Ed25519.
        EdDsa = "EdDSA",
    }
}

/// The algorithms that a foreign signature may have: asymmetric, and none that is broken.
pub const FOREIGN_ALGORITHMS: &[&str] =
    &["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA"];

/// The algorithms of a shared secret, and how many bytes of secret each needs (RFC 7518 §3.2).
pub const SECRET_ALGORITHMS: &[(&str, usize)] = &[("HS256", 32), ("HS384", 48), ("HS512", 64)];

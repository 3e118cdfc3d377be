//! The signature algorithms that we sign with (RFC 7518 §3.1, RFC 8037 §3.1).

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

//! Encryption at rest and keyed derivation, both under `secret_key`.
//!
//! Sealed bytes are `version, nonce, ciphertext` of XChaCha20-Poly1305: 192-bit random nonces never
//! repeat in practice, whatever is restarted or restored. The caller names the place a value
//! belongs to (table, column, row); that name is authenticated, so a ciphertext moved elsewhere
//! does not open. The first secret key seals; all of them open, so that it can be rotated.

use chacha20poly1305::{
    XChaCha20Poly1305,
    aead::{Aead, KeyInit, Payload},
};
use hkdf::Hkdf;
use hmac::{Hmac, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

use super::{random::Random, secret::Secret};

const VERSION: u8 = 1;
const NONCE: usize = 24;

/// What a key is derived for. Each purpose has keys of its own.
#[derive(Clone, Copy, Debug)]
pub enum Purpose {
    /// Rows of the database.
    Rows,
    /// Values of the short-lived state.
    ShortLivedState,
    /// Form tokens against cross-site requests.
    Csrf,
    /// Refresh tokens that follow from their predecessor.
    RefreshSuccessor,
    /// Whom wrong passwords are counted for, and who is known.
    Guessing,
    /// Nonces for proofs of possession.
    DpopNonce,
    /// Backups of the whole database.
    Backup,
}

impl Purpose {
    const fn label(self) -> &'static [u8] {
        match self {
            Self::Rows => b"keywright rows 1",
            Self::ShortLivedState => b"keywright short-lived state 1",
            Self::Csrf => b"keywright csrf 1",
            Self::RefreshSuccessor => b"keywright refresh successor 1",
            Self::Guessing => b"keywright guessing 1",
            Self::DpopNonce => b"keywright dpop nonce 1",
            Self::Backup => b"keywright backup 1",
        }
    }
}

/// The keys of one purpose, derived from the list of secret keys: the current one first.
pub struct KeyRing {
    keys: Vec<Zeroizing<[u8; 32]>>,
}

impl std::fmt::Debug for KeyRing {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "KeyRing({} keys)", self.keys.len())
    }
}

impl KeyRing {
    /// Derives the ring of one purpose (HKDF-SHA256, RFC 5869).
    pub fn derive(current: &Secret, previous: &[Secret], purpose: Purpose) -> Self {
        let derive = |secret: &Secret| {
            let mut key = Zeroizing::new([0; 32]);
            let hkdf = Hkdf::<Sha256>::new(None, secret.expose().as_bytes());
            // 32 bytes are always within HKDF's limit of 255 blocks.
            let _ = hkdf.expand(purpose.label(), key.as_mut_slice());
            key
        };
        Self { keys: std::iter::once(current).chain(previous).map(derive).collect() }
    }

    /// Seals `plain`, which belongs to `place`.
    pub fn seal(&self, place: &str, plain: &[u8], random: &dyn Random) -> Vec<u8> {
        let nonce: [u8; NONCE] = super::random::bytes(random);
        let payload = Payload { msg: plain, aad: place.as_bytes() };
        let ciphertext = self
            .keys
            .first()
            .and_then(|key| cipher(key).encrypt(&nonce.into(), payload).ok())
            .unwrap_or_default();
        let mut sealed = Vec::with_capacity(1 + NONCE + ciphertext.len());
        sealed.push(VERSION);
        sealed.extend_from_slice(&nonce);
        sealed.extend_from_slice(&ciphertext);
        sealed
    }

    /// Opens what was sealed for `place` by any key of the ring.
    pub fn open(&self, place: &str, sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let (version, rest) = sealed.split_first()?;
        let (nonce, ciphertext) = rest.split_at_checked(NONCE)?;
        let nonce: [u8; NONCE] = nonce.try_into().ok()?;
        if *version != VERSION {
            return None;
        }
        self.keys.iter().find_map(|key| {
            let payload = Payload { msg: ciphertext, aad: place.as_bytes() };
            cipher(key).decrypt(&nonce.into(), payload).ok().map(Zeroizing::new)
        })
    }

    /// Whether the current key sealed this, so that the former ones are not needed for it.
    pub fn is_current(&self, place: &str, sealed: &[u8]) -> bool {
        let first = self.keys.first().cloned();
        Self { keys: first.into_iter().collect() }.open(place, sealed).is_some()
    }

    /// The HMAC-SHA256 of `parts` under the current key.
    pub fn mac(&self, parts: &[&[u8]]) -> [u8; 32] {
        self.keys.first().map(|key| hmac(key, parts)).unwrap_or_default()
    }

    /// The HMAC-SHA256 of `parts` under each key of the ring, the current one first.
    pub fn macs<'a>(&'a self, parts: &'a [&'a [u8]]) -> impl Iterator<Item = [u8; 32]> + 'a {
        self.keys.iter().map(move |key| hmac(key, parts))
    }
}

fn cipher(key: &[u8; 32]) -> XChaCha20Poly1305 {
    XChaCha20Poly1305::new(key.into())
}

fn hmac(key: &[u8; 32], parts: &[&[u8]]) -> [u8; 32] {
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else {
        return [0; 32];
    };
    for part in parts {
        // The length goes first, so that no two lists of parts read the same.
        mac.update(&(part.len() as u64).to_be_bytes());
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::{super::random::OsRandom, *};

    fn ring(keys: &[&str]) -> KeyRing {
        let mut keys = keys.iter().map(|key| Secret::new(*key));
        let current = keys.next().unwrap();
        KeyRing::derive(&current, &keys.collect::<Vec<_>>(), Purpose::Rows)
    }

    /// LG-11: a ciphertext that was moved to another place does not open.
    #[test]
    fn sealed_bytes_open_only_in_their_place() {
        let ring = ring(&["one"]);
        let sealed = ring.seal("signing_keys:private:a", b"secret", &OsRandom);
        assert_eq!(ring.open("signing_keys:private:a", &sealed).unwrap().as_slice(), b"secret");
        assert!(ring.open("signing_keys:private:b", &sealed).is_none());
        for bit in 0..sealed.len() * 8 {
            let mut bent = sealed.clone();
            bent[bit / 8] ^= 1 << (bit % 8);
            assert!(ring.open("signing_keys:private:a", &bent).is_none());
        }
    }

    /// LG-05: old secret keys still open, the first one seals.
    #[test]
    fn a_rotated_secret_key_still_opens_what_the_old_one_sealed() {
        let old = ring(&["old"]);
        let both = ring(&["new", "old"]);
        let new = ring(&["new"]);
        let before = old.seal("p", b"x", &OsRandom);
        let after = both.seal("p", b"x", &OsRandom);
        assert!(both.open("p", &before).is_some());
        assert!(new.open("p", &after).is_some());
        assert!(new.open("p", &before).is_none());
    }

    /// LG-12: no two seals share a nonce, whatever is sealed, under whichever ring, and after whatever
    /// restart: it is drawn anew for each, all of its 192 bits, and depends on nothing else.
    #[test]
    fn no_two_seals_share_a_nonce() {
        let before = ring(&["one"]);
        let restarted = ring(&["one"]);
        let rotated = ring(&["two", "one"]);
        let mut nonces = std::collections::HashSet::new();
        let mut both_bits = ([0_u8; NONCE], [0xff_u8; NONCE]);
        let rounds = 50_000;
        for _ in 0..rounds {
            for ring in [&before, &restarted, &rotated] {
                let sealed = ring.seal("totp_factors:sealed:a", b"the same", &OsRandom);
                let nonce: [u8; NONCE] = sealed[1..=NONCE].try_into().unwrap();
                for (at, byte) in nonce.iter().enumerate() {
                    both_bits.0[at] |= byte;
                    both_bits.1[at] &= byte;
                }
                assert!(nonces.insert(nonce), "a nonce came twice");
            }
        }
        assert_eq!(nonces.len(), 3 * rounds);
        assert_eq!(both_bits, ([0xff; NONCE], [0; NONCE]), "a bit of it is never drawn");
    }

    /// Counts what is drawn.
    #[derive(Debug, Default)]
    struct Counted(std::sync::atomic::AtomicUsize);

    impl Random for Counted {
        fn fill(&self, bytes: &mut [u8]) {
            self.0.fetch_add(bytes.len(), std::sync::atomic::Ordering::SeqCst);
            OsRandom.fill(bytes);
        }
    }

    proptest::proptest! {
        /// LG-12, LG-11: whatever is sealed opens again, in its place alone, and takes a whole nonce.
        #[test]
        fn what_is_sealed_opens_in_its_place_and_takes_a_nonce(
            place in "[a-z:]{0,40}",
            other in "[a-z:]{0,40}",
            plain in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200),
        ) {
            let (ring, random) = (ring(&["one"]), Counted::default());
            let sealed = ring.seal(&place, &plain, &random);
            proptest::prop_assert_eq!(random.0.load(std::sync::atomic::Ordering::SeqCst), NONCE);
            let opened = ring.open(&place, &sealed);
            let opened = opened.unwrap();
            proptest::prop_assert_eq!(opened.as_slice(), plain.as_slice());
            proptest::prop_assert_eq!(ring.open(&other, &sealed).is_some(), other == place);
            let again = ring.seal(&place, &plain, &random);
            proptest::prop_assert_ne!(sealed, again);
        }
    }
}

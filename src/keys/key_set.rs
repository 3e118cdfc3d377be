//! One consistent view of all keys: who signs, what the JWKS says, which signatures are good.

use std::{
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock},
};

use bytes::Bytes;
use josekit::jws::JwsVerifier;
use serde_json::{Map, Value};

use super::{
    jws::{JwsFault, TokenType, encode_header, split},
    material,
    schedule::{KeyState, Schedule},
};
use crate::{
    foundation::{
        clock::{Span, Timestamp},
        digest::{base64url, sha256},
        ids::KeyId,
        seal::KeyRing,
    },
    protocol::jwa::SigningAlgorithm,
    store::signing_keys::SigningKeyRow,
};

/// A key, ready for use.
struct LoadedKey {
    id: KeyId,
    alg: SigningAlgorithm,
    schedule: Schedule,
    public_jwk: Value,
    signer: material::Signer,
    verifier: Box<dyn JwsVerifier>,
    access_token_header: String,
    id_token_header: String,
}

/// The JWKS as it is served between two changes.
#[derive(Clone, Debug)]
pub struct Jwks {
    /// The document.
    pub body: Bytes,
    /// Its entity tag, with quotes.
    pub etag: String,
    next_change: Option<Timestamp>,
    drawn_at: Timestamp,
}

impl Jwks {
    /// For how long the document may be cached: to its next change, at most `cap`.
    pub fn max_age(&self, now: Timestamp, cap: Span) -> Span {
        self.next_change.map_or(cap, |at| at.since(now).min(cap))
    }

    fn is_current(&self, now: Timestamp) -> bool {
        now >= self.drawn_at && self.next_change.is_none_or(|at| now < at)
    }
}

/// All keys as the database had them at one moment.
pub struct KeySet {
    keys: HashMap<KeyId, LoadedKey>,
    drawn: RwLock<Option<Arc<Jwks>>>,
    /// Tokens whose signature was found good by these very keys, by their hash. A verification is
    /// dearer than everything else about a bearer token; only good tokens get in, so strangers
    /// cannot fill it.
    verified: RwLock<HashMap<[u8; 32], Verified>>,
}

/// How many verified tokens are remembered.
const MAX_VERIFIED: usize = 4_096;

#[derive(Clone)]
struct Verified {
    typ: TokenType,
    key: KeyId,
    claims: Arc<Map<String, Value>>,
}

impl std::fmt::Debug for KeySet {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "KeySet({} keys)", self.keys.len())
    }
}

/// The place that a sealed private key belongs to.
pub(super) fn place(id: &KeyId) -> String {
    format!("signing_keys:private_key:{id}")
}

impl KeySet {
    /// Opens and prepares every key that nobody has thrown away. Keys that have left the JWKS stay
    /// for ID tokens that come back as hints.
    pub fn load(rows: &[SigningKeyRow], ring: &KeyRing) -> anyhow::Result<Self> {
        let mut keys = HashMap::new();
        for row in rows.iter().filter(|row| row.dropped_at.is_none()) {
            let private = ring.open(&place(&row.id), &row.private_key).ok_or_else(|| {
                anyhow::anyhow!("the signing key {} cannot be decrypted with secret_key", row.id)
            })?;
            let alg = row.alg.as_str();
            let key = LoadedKey {
                id: row.id.clone(),
                alg: row.alg,
                schedule: Schedule::of(row),
                public_jwk: serde_json::from_str(&row.public_jwk)?,
                signer: material::Signer::new(row.alg, &private)?,
                verifier: material::verifier(row.alg, &row.public_jwk)?,
                access_token_header: encode_header(alg, TokenType::Access, row.id.as_str()),
                id_token_header: encode_header(alg, TokenType::Id, row.id.as_str()),
            };
            keys.insert(row.id.clone(), key);
        }
        Ok(Self { keys, drawn: RwLock::default(), verified: RwLock::default() })
    }

    /// Whether some key of this algorithm signs now.
    pub fn can_sign(&self, alg: SigningAlgorithm, now: Timestamp) -> bool {
        self.signing_key(alg, now).is_some()
    }

    /// Since when the key of the moment signs.
    pub fn signs_since(&self, alg: SigningAlgorithm, now: Timestamp) -> Option<Timestamp> {
        self.signing_key(alg, now).map(|key| key.schedule.signs_from)
    }

    fn signing_key(&self, alg: SigningAlgorithm, now: Timestamp) -> Option<&LoadedKey> {
        let signing =
            |key: &&LoadedKey| key.alg == alg && key.schedule.state(now) == KeyState::Signing;
        self.keys.values().filter(signing).max_by_key(|key| key.schedule.signs_from)
    }

    /// Signs claims with the key of the moment.
    pub fn sign<T: serde::Serialize>(
        &self,
        alg: SigningAlgorithm,
        typ: TokenType,
        claims: &T,
        now: Timestamp,
    ) -> anyhow::Result<String> {
        let key = self
            .signing_key(alg, now)
            .ok_or_else(|| anyhow::anyhow!("no {alg} key signs at {now:?}"))?;
        let rare;
        let header = match typ {
            TokenType::Access => &key.access_token_header,
            TokenType::Id | TokenType::AuthorizationResponse => &key.id_token_header,
            TokenType::Logout => {
                rare = encode_header(alg.as_str(), typ, key.id.as_str());
                &rare
            }
        };
        let mut token = format!("{header}{}", base64url(&serde_json::to_vec(claims)?));
        let signature = key.signer.sign(token.as_bytes())?;
        token.push('.');
        token.push_str(&base64url(&signature));
        Ok(token)
    }

    /// The claims of a JWT that one of our keys has signed. Says nothing about times or audiences.
    pub fn verify(
        &self,
        token: &str,
        typ: TokenType,
        now: Timestamp,
    ) -> Result<Arc<Map<String, Value>>, JwsFault> {
        let verified = self.find_verified(token, typ)?;
        let key = self.keys.get(&verified.key).ok_or(JwsFault::UnknownKey)?;
        if !key.schedule.is_published(now) {
            return Err(JwsFault::UnknownKey);
        }
        Ok(verified.claims)
    }

    /// The claims of an ID token that one of our keys has signed at any time: a hint proves nothing
    /// about the present, and apps keep theirs for longer than keys stay published.
    pub fn verify_hint(&self, token: &str) -> Result<Arc<Map<String, Value>>, JwsFault> {
        self.find_verified(token, TokenType::Id).map(|verified| verified.claims)
    }

    fn find_verified(&self, token: &str, typ: TokenType) -> Result<Verified, JwsFault> {
        let hash = sha256(token.as_bytes());
        let known =
            self.verified.read().unwrap_or_else(PoisonError::into_inner).get(&hash).cloned();
        let verified = match known {
            Some(verified) => verified,
            None => self.verify_anew(token, typ, hash)?,
        };
        if verified.typ != typ {
            return Err(JwsFault::WrongType);
        }
        Ok(verified)
    }

    fn verify_anew(
        &self,
        token: &str,
        typ: TokenType,
        hash: [u8; 32],
    ) -> Result<Verified, JwsFault> {
        let parts = split(token)?;
        let text = |name: &str| parts.header.get(name).and_then(Value::as_str);
        if text("typ") != Some(typ.typ()) {
            return Err(JwsFault::WrongType);
        }
        let key = text("kid").and_then(|kid| self.keys.get(&KeyId::new(kid)));
        let key = key.filter(|key| text("alg") == Some(key.alg.as_str()));
        let key = key.ok_or(JwsFault::UnknownKey)?;
        if key.verifier.verify(parts.signed, &parts.signature).is_err() {
            return Err(JwsFault::BadSignature);
        }
        let claims = serde_json::from_slice(&parts.payload).ok().ok_or(JwsFault::Malformed)?;
        let verified = Verified { typ, key: key.id.clone(), claims: Arc::new(claims) };
        let mut remembered = self.verified.write().unwrap_or_else(PoisonError::into_inner);
        if remembered.len() >= MAX_VERIFIED {
            remembered.clear();
        }
        remembered.insert(hash, verified.clone());
        Ok(verified)
    }

    /// The JWKS of the moment (RFC 7517 §5).
    pub fn jwks(&self, now: Timestamp) -> Arc<Jwks> {
        let drawn = self.drawn.read().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(jwks) = drawn.filter(|jwks| jwks.is_current(now)) {
            return jwks;
        }
        let jwks = Arc::new(self.draw(now));
        *self.drawn.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&jwks));
        jwks
    }

    fn draw(&self, now: Timestamp) -> Jwks {
        let mut keys: Vec<&LoadedKey> =
            self.keys.values().filter(|key| key.schedule.is_published(now)).collect();
        // RS256 first: some apps take the first key they find.
        keys.sort_by_key(|key| {
            (key.alg != SigningAlgorithm::Rs256, key.alg, key.schedule.signs_from)
        });
        let public: Vec<&Value> = keys.iter().map(|key| &key.public_jwk).collect();
        let body = serde_json::json!({ "keys": public }).to_string();
        let etag = base64url(&sha256(body.as_bytes()));
        let changes = self.keys.values().filter_map(|key| key.schedule.next_change(now));
        Jwks {
            etag: format!("\"{}\"", etag.get(..16).unwrap_or(&etag)),
            body: Bytes::from(body),
            next_change: changes.min(),
            drawn_at: now,
        }
    }
}

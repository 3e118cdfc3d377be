//! Which keys the house has shown to the world, and what it has signed with them (JW-21, FT-51).
//!
//! Signatures are checked with a library of their own and against the published keys alone, as an app
//! does it.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents,
    UnparsedPublicKey,
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::Value;

use crate::wire::{Deed, Trouble, broken, send};

/// So many of the newest tokens are checked after each restart.
const CHECKED: usize = 1_000;

/// The keys by their `kid`.
type Jwks = BTreeMap<String, Value>;

/// What is known about keys and tokens.
#[derive(Default)]
pub(crate) struct KeyBook {
    book: Mutex<Book>,
}

#[derive(Default)]
struct Book {
    /// The keys as they were published last, and until when an app may go by that.
    copy: Jwks,
    fresh_until: Option<Instant>,
    tokens: Vec<Signed>,
}

impl Book {
    fn is_fresh(&self) -> bool {
        self.fresh_until.is_some_and(|until| Instant::now() < until)
    }
}

/// The keys that are published, and until when they may be gone by: their age counts from the request
/// (RFC 9111 §4.2.3).
struct Published {
    keys: Jwks,
    fresh_until: Instant,
}

struct Signed {
    token: String,
    kid: String,
    expires_at: i64,
}

fn fetch(port: u16) -> Deed<Published> {
    let asked = Instant::now();
    let answer = send(port, "GET /.well-known/jwks.json HTTP/1.1\r\n", "")?;
    let answer = answer.expect("the JWKS", &[200])?;
    let age = answer.headers("cache-control").find_map(|value| value.split_once("max-age="));
    let Some(age) = age.and_then(|(_, age)| age.parse().ok()).map(Duration::from_secs) else {
        return broken("the JWKS does not say for how long it may be kept");
    };
    let keys = answer.json()["keys"].as_array().cloned().unwrap_or_default();
    let named =
        keys.into_iter().map(|key| (key["kid"].as_str().unwrap_or_default().to_owned(), key));
    Ok(Published { keys: named.collect(), fresh_until: asked + age })
}

fn part(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}

fn json_part(token: &str, at: usize) -> Value {
    let bytes = token.split('.').nth(at).and_then(part).unwrap_or_default();
    serde_json::from_slice(&bytes).unwrap_or_default()
}

/// Whom a token is about.
pub(crate) fn subject_of(token: &str) -> String {
    json_part(token, 1)["sub"].as_str().unwrap_or_default().to_owned()
}

/// Whether the signature is of this key.
fn is_signed_by(token: &str, key: &Value) -> Option<bool> {
    let (signed, signature) = token.rsplit_once('.')?;
    let signature = part(signature)?;
    let number = |name: &str| part(key[name].as_str()?);
    let good = match key["kty"].as_str()? {
        "RSA" => {
            let (n, e) = (number("n")?, number("e")?);
            let key = RsaPublicKeyComponents { n: &n, e: &e };
            key.verify(&RSA_PKCS1_2048_8192_SHA256, signed.as_bytes(), &signature).is_ok()
        }
        "EC" => {
            let point = [vec![4], number("x")?, number("y")?].concat();
            let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point);
            key.verify(signed.as_bytes(), &signature).is_ok()
        }
        "OKP" => {
            let key = UnparsedPublicKey::new(&ED25519, number("x")?);
            key.verify(signed.as_bytes(), &signature).is_ok()
        }
        _ => return None,
    };
    Some(good)
}

impl KeyBook {
    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks at what is published, as apps do before they get any token.
    pub(crate) fn look(&self, port: u16) -> Deed<()> {
        let published = fetch(port)?;
        self.take(published);
        Ok(())
    }

    fn take(&self, published: Published) {
        let mut book = self.book();
        (book.copy, book.fresh_until) = (published.keys, Some(published.fresh_until));
    }

    /// A token that was just issued: an app that has looked when it had to, and no more often, can check it.
    /// Answers when the token expires.
    pub(crate) fn note(&self, port: u16, token: &str, algorithm: &str) -> Deed<i64> {
        let head = json_part(token, 0);
        let kid = head["kid"].as_str().unwrap_or_default().to_owned();
        let expires_at = json_part(token, 1)["exp"].as_i64().unwrap_or_default();
        if head["alg"] != algorithm {
            return broken(format!(
                "a token is signed with {} instead of {algorithm}",
                head["alg"]
            ));
        }
        if !self.book().is_fresh() {
            match self.look(port) {
                Err(Trouble::Broken(text)) => return broken(text),
                // Who cannot look goes by what it has; the token is checked when one can.
                Ok(()) | Err(_) => {}
            }
        }
        let mut book = self.book();
        match book.copy.get(&kid) {
            Some(key) if is_signed_by(token, key) != Some(true) => {
                return broken(format!(
                    "the published key {kid} has not signed a token that names it"
                ));
            }
            None if book.is_fresh() => {
                return broken(format!("the key {kid} has signed before every app could know it"));
            }
            Some(_) | None => {}
        }
        book.tokens.push(Signed { token: token.to_owned(), kid, expires_at });
        Ok(expires_at)
    }

    /// Every token that has not expired can be checked with what is published now. Answers how many there
    /// were, and how many keys have signed them.
    pub(crate) fn check(&self, port: u16, now: i64) -> Deed<(usize, usize)> {
        let published = fetch(port)?;
        let mut book = self.book();
        book.tokens.retain(|signed| signed.expires_at > now);
        let excess = book.tokens.len().saturating_sub(CHECKED);
        book.tokens.drain(..excess);
        let mut kids = BTreeMap::new();
        for signed in &book.tokens {
            let Some(key) = published.keys.get(&signed.kid) else {
                return broken(format!("{} is not published, and its tokens live", signed.kid));
            };
            if is_signed_by(&signed.token, key) != Some(true) {
                return broken(format!("{} is another key than before", signed.kid));
            }
            *kids.entry(&signed.kid).or_insert(0) += 1;
        }
        let counts = (book.tokens.len(), kids.len());
        drop(kids);
        drop(book);
        self.take(published);
        Ok(counts)
    }

    /// Whether a key is published or will be, by what the command line lists.
    pub(crate) fn is_listed(list: &Value, kid: &str) -> bool {
        list.as_array().is_some_and(|keys| keys.iter().any(|key| key["kid"] == kid))
    }
}

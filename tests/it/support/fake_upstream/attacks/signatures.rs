//! Algorithms, signatures and keys (RFC 8725 §2, §3).

use super::Attack;
use crate::support::fake_upstream::signature::broken;
use crate::support::fake_upstream::{KeySet, Lure, OddKey, PublicKeyForm, Signature};

/// Signatures of ID tokens that prove nothing.
pub(crate) fn id_token_signatures() -> Vec<Attack> {
    let mut attacks = Vec::new();
    for alg in ["none", "None", "nOnE", "NONE", ""] {
        attacks.push(signed(format!("alg {alg:?}, no signature"), Signature::Unsecured(alg)));
        let junk = Signature::UnsecuredWithJunk(alg);
        attacks.push(signed(format!("alg {alg:?}, junk signature"), junk));
    }
    attacks.push(Attack::new("no alg, no signature", |lies| {
        lies.signature = Signature::Unsecured("none");
        lies.header.remove("alg");
    }));
    for form in [
        PublicKeyForm::Pem,
        PublicKeyForm::PemWithoutFinalNewline,
        PublicKeyForm::Der,
        PublicKeyForm::Jwk,
    ] {
        let name = format!("HS256 keyed with the public key as {form:?}");
        attacks.push(signed(name, Signature::HmacOfPublicKey(form)));
    }
    for lure in [Lure::Nothing, Lure::Jwk, Lure::Jku, Lure::X5u, Lure::X5c] {
        let name = format!("key of somebody else, offered as {lure:?}");
        attacks.push(signed(name, Signature::Attacker(lure)));
    }
    attacks.extend(altered(&[
        ("one bit flipped", broken::flipped_bit),
        ("all zeros", broken::zeros),
        ("last byte missing", broken::truncated),
        ("one byte too many", broken::extended),
        ("zero byte in front", broken::zero_prefixed),
        ("empty", broken::empty),
    ]));
    attacks
}

/// ECDSA signatures that prove nothing: for a provider with ES256 keys.
pub(crate) fn ecdsa_signatures() -> Vec<Attack> {
    altered(&[
        ("r = 0 and s = 0", broken::zeros),
        ("r = 0", broken::zero_r),
        ("s = 0", broken::zero_s),
        ("r = s = the order of the curve", broken::order_as_r_and_s),
        ("DER instead of r || s", broken::der),
        ("one bit flipped", broken::flipped_bit),
        ("last byte missing", broken::truncated),
        ("one byte too many", broken::extended),
        ("empty", broken::empty),
    ])
}

/// Key sets that hold no key fit to verify the ID token with.
pub(crate) fn key_sets() -> Vec<Attack> {
    let odd = [
        OddKey::Rsa1024,
        OddKey::RsaExponentOne,
        OddKey::Ed25519Identity,
        OddKey::P256OffCurve,
        OddKey::Oct,
    ];
    let sets = [
        KeySet::Empty,
        KeySet::WithoutKeys,
        KeySet::BareArray,
        KeySet::Junk,
        KeySet::SameKidTwice,
        KeySet::ForEncryption,
        KeySet::NotForVerifying,
        KeySet::OtherAlgorithm,
        KeySet::WithPrivateMembers,
        KeySet::Flood(10_000),
    ];
    let odd = odd
        .map(|key| Attack::new(format!("JWKS with {key:?}"), move |lies| lies.odd_key = Some(key)));
    let sets =
        sets.map(|set| Attack::new(format!("JWKS: {set:?}"), move |lies| lies.key_set = set));
    odd.into_iter().chain(sets).collect()
}

fn signed(name: String, signature: Signature) -> Attack {
    Attack::new(name, move |lies| lies.signature = signature.clone())
}

type Change = fn(&[u8]) -> Vec<u8>;

fn altered(changes: &[(&str, Change)]) -> Vec<Attack> {
    let attack = |(name, change): &(&str, Change)| {
        signed(format!("signature: {name}"), Signature::Altered(*change))
    };
    changes.iter().map(attack).collect()
}

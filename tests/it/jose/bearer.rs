//! Forged access tokens at the places that take them: UserInfo and introspection.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::{
    app_with_bob,
    forge::{P256_ORDER, hmac, hostile_key_ids, jws, lures, public_forms, public_jwk, raw},
    opens_nothing, read, userinfo,
};
use crate::support::{
    app::TestApp,
    fake_upstream::{Algorithm, Endpoint, FakeUpstream},
};

/// Every one of these opens nothing, and the honest token still does afterwards.
async fn assert_all_refused(app: &TestApp, forged: Vec<(String, String)>, honest: &str) {
    assert!(!forged.is_empty());
    let mut through = Vec::new();
    for (name, token) in forged {
        assert_ne!(token, honest, "{name}");
        if let Err(fault) = opens_nothing(app, &token).await {
            through.push(format!("{name}: {fault}"));
        }
    }
    assert!(through.is_empty(), "{through:#?}");
    assert_eq!(userinfo(app, honest).await.status, 200);
}

/// JW-01: no signature, under any spelling of `none`.
#[tokio::test(flavor = "multi_thread")]
async fn unsigned_access_tokens_open_nothing() {
    let (app, bob) = app_with_bob().await;
    let (header, claims) = read(&bob.access_token);
    let signature = URL_SAFE_NO_PAD.decode(bob.access_token.rsplit('.').next().unwrap()).unwrap();
    let mut forged = Vec::new();
    let mut algs = ["none", "None", "nOnE", "NONE", ""].map(|alg| Some(json!(alg))).to_vec();
    algs.extend([None, Some(json!(null)), Some(json!(["ES256"])), Some(json!({}))]);
    for alg in algs {
        let mut header = header.clone();
        match &alg {
            Some(alg) => drop(header.insert("alg".to_owned(), alg.clone())),
            None => drop(header.remove("alg")),
        }
        for junk in [Vec::new(), b"junk".to_vec(), signature.clone()] {
            let name = format!("alg {alg:?}, {} bytes", junk.len());
            let (header, claims) = (json!(header), json!(claims));
            forged.push((name, jws(&header, &claims, |_| junk)));
        }
    }
    let (front, _) = bob.access_token.rsplit_once('.').unwrap();
    forged.push(("two parts".to_owned(), front.to_owned()));
    forged.push(("an empty signature".to_owned(), format!("{front}.")));
    assert_all_refused(&app, forged, &bob.access_token).await;
}

/// JW-02: HS256 keyed with what everybody can read.
#[tokio::test(flavor = "multi_thread")]
async fn access_tokens_keyed_with_a_public_key_open_nothing() {
    let (app, bob) = app_with_bob().await;
    let (header, claims) = read(&bob.access_token);
    let jwks = app.get("/.well-known/jwks.json", None).await.json();
    let mut forged = Vec::new();
    for own in jwks["keys"].as_array().unwrap().iter().filter(|key| key["kty"] != "OKP") {
        for (number, secret) in public_forms(own).iter().enumerate() {
            for kid in [&own["kid"], &header["kid"]] {
                let header = json!({"alg": "HS256", "typ": "at+jwt", "kid": kid});
                let token = jws(&header, &json!(claims), |input| hmac(secret, input));
                forged.push((format!("{} form {number}", own["alg"]), token));
            }
        }
    }
    assert!(forged.len() >= 20);
    assert_all_refused(&app, forged, &bob.access_token).await;
}

/// JW-03, JW-04: a key in the token, or an address of one; and nobody fetches anything.
#[tokio::test(flavor = "multi_thread")]
async fn access_tokens_do_not_bring_their_own_key() {
    let (app, bob) = app_with_bob().await;
    let evil = FakeUpstream::start_with(Algorithm::Es256).await;
    let key = evil.signing_key();
    let (header, claims) = read(&bob.access_token);
    let headers = lures(&header, &key, &evil.url(Endpoint::Jwks));
    let forged = headers
        .iter()
        .map(|header| (header.to_string(), jws(header, &json!(claims), |input| key.sign(input))));
    assert_all_refused(&app, forged.collect(), &bob.access_token).await;
    assert_eq!(evil.requests().len(), 0);
}

/// JW-05, JW-07: names of keys and extensions in the header.
#[tokio::test(flavor = "multi_thread")]
async fn headers_of_access_tokens_choose_nothing() {
    let (app, bob) = app_with_bob().await;
    let (header, claims) = read(&bob.access_token);
    let key = FakeUpstream::start_with(Algorithm::Es256).await.signing_key();
    let honest = URL_SAFE_NO_PAD.decode(bob.access_token.rsplit('.').next().unwrap()).unwrap();
    let mut members: Vec<(&str, Value)> =
        hostile_key_ids().into_iter().map(|kid| ("kid", kid)).collect();
    for crit in [json!(["x"]), json!([]), json!("exp"), json!(["b64"])] {
        members.push(("crit", crit));
    }
    members.push(("b64", json!(false)));
    members.push(("zip", json!("DEF")));
    for alg in ["RS256", "EdDSA", "ES384", "es256", "HS256"] {
        members.push(("alg", json!(alg)));
    }
    for typ in [json!("JWT"), json!("logout+jwt"), json!(""), json!(null), json!(7)] {
        members.push(("typ", typ));
    }
    let mut forged = Vec::new();
    for (name, value) in members {
        let mut header = header.clone();
        header.insert(name.to_owned(), value.clone());
        let shown: String = format!("{name} = {value}").chars().take(60).collect();
        let (header, claims) = (json!(header), json!(claims));
        forged.push((shown.clone(), jws(&header, &claims, |_| honest.clone())));
        forged.push((shown, jws(&header, &claims, |input| key.sign(input))));
    }
    assert_all_refused(&app, forged, &bob.access_token).await;
}

/// JW-08: ECDSA signatures that prove nothing.
#[tokio::test(flavor = "multi_thread")]
async fn degenerate_signatures_open_nothing() {
    let (app, bob) = app_with_bob().await;
    let (front, signature) = bob.access_token.rsplit_once('.').unwrap();
    let honest = URL_SAFE_NO_PAD.decode(signature).unwrap();
    let (r, s) = honest.split_at(32);
    let number = |bytes| openssl::bn::BigNum::from_slice(bytes).unwrap();
    let der = openssl::ecdsa::EcdsaSig::from_private_components(number(r), number(s)).unwrap();
    let zero = [0_u8; 32];
    let mut negated = openssl::bn::BigNum::new().unwrap();
    negated.checked_sub(&number(&P256_ORDER), &number(s)).unwrap();
    let shapes = [
        ("zeros", vec![0; 64]),
        ("r = 0", [&zero, s].concat()),
        ("s = 0", [r, &zero].concat()),
        ("the order", [P256_ORDER, P256_ORDER].concat()),
        ("DER", der.to_der().unwrap()),
        ("short", honest[..63].to_vec()),
        ("long", [&honest[..], &[0]].concat()),
        ("zero in front", [&[0], &honest[..]].concat()),
        ("swapped", [s, r].concat()),
        ("empty", Vec::new()),
    ];
    let forged = shapes.into_iter().map(|(name, bytes)| {
        (name.to_owned(), format!("{front}.{}", URL_SAFE_NO_PAD.encode(bytes)))
    });
    assert_all_refused(&app, forged.collect(), &bob.access_token).await;
}

/// JW-11, JW-12: what is no token of a sensible size.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_signed_token_opens_nothing() {
    let (app, bob) = app_with_bob().await;
    let honest = bob.access_token.as_str();
    let (header, claims) = read(honest);
    let part = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let costly = part(json!({"alg": "PBES2-HS512+A256KW", "enc": "A256GCM", "p2c": 2_147_483_647}));
    let zip = part(json!({"alg": "dir", "enc": "A256GCM", "zip": "DEF"}));
    let deep = format!("{{\"x\":{}{}}}", "[".repeat(5_000), "]".repeat(5_000));
    let twice = json!(claims).to_string().replacen('{', "{\"sub\":\"mallory\",", 1);
    let header = json!(header).to_string();
    let sign = |_: &[u8]| vec![7; 64];
    let forged = [
        ("five parts", format!("{costly}.AAAA.AAAA.AAAA.AAAA")),
        ("five parts, compressed", format!("{zip}.AAAA.AAAA.AAAA.AAAA")),
        ("four parts", format!("{honest}.AAAA")),
        ("dots", ".".repeat(60_000)),
        ("long", format!("{honest}{}", "A".repeat(60_000))),
        ("padding", honest.replace('.', "=.")),
        ("padding at the end", format!("{honest}==")),
        ("one character more", format!("{honest}A")),
        ("standard base64", honest.replace('-', "+").replace('_', "/") + "+"),
        ("deep", raw(header.as_bytes(), deep.as_bytes(), sign)),
        ("twice", raw(header.as_bytes(), twice.as_bytes(), sign)),
        ("no JSON", raw(b"x", b"x", sign)),
        ("an array", raw(b"[]", b"[]", sign)),
        ("bytes", raw(&[0xff; 40], &[0xff; 40], sign)),
        ("only dots", "..".to_owned()),
        ("one word", "token".to_owned()),
    ];
    let forged = forged.map(|(name, token)| (name.to_owned(), token)).to_vec();
    assert_all_refused(&app, forged, honest).await;
}

/// JW-18: one bit of any character changed, the unused bits at the end included.
#[tokio::test(flavor = "multi_thread")]
async fn a_token_with_one_bit_changed_opens_nothing() {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let (app, bob) = app_with_bob().await;
    for token in [&bob.access_token, &bob.id_token] {
        let bytes = token.as_bytes();
        for at in (0..bytes.len()).filter(|at| bytes[*at] != b'.') {
            let value = ALPHABET.iter().position(|own| *own == bytes[at]).unwrap();
            let mut changed = bytes.to_vec();
            changed[at] = ALPHABET[value ^ 1];
            let changed = String::from_utf8(changed).unwrap();
            let answer = userinfo(&app, &changed).await;
            assert_eq!(answer.status, 401, "character {at}");
            let said = app.post_as("web", "/introspect", &[("token", &changed)]).await;
            assert_eq!(&said.body[..], b"{\"active\":false}", "character {at}");
        }
    }
    assert_eq!(userinfo(&app, &bob.access_token).await.status, 200);
}

/// JW-02, JW-08: the key that a token names is the key that checks it.
#[tokio::test(flavor = "multi_thread")]
async fn the_key_of_a_token_is_published_and_of_its_algorithm() {
    let (app, bob) = app_with_bob().await;
    for (token, alg) in [(&bob.access_token, "ES256"), (&bob.id_token, "RS256")] {
        let (header, _) = read(token);
        assert_eq!(header["alg"], alg);
        let jwk = public_jwk(&app, header["kid"].as_str().unwrap()).await;
        assert_eq!(jwk["alg"], alg);
        assert!(super::forge::is_signed_by(token, &jwk));
    }
}

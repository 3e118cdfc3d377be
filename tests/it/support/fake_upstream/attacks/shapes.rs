//! What stands in the place of the ID token (RFC 7515 §3.1, RFC 7516 §3.1, RFC 8725 §3.6).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::Attack;

/// Things that are no compact JWS of a sensible size.
pub(crate) fn id_token_shapes() -> Vec<Attack> {
    let mut attacks = vec![
        Attack::new("id_token missing", |lies| {
            lies.token_response.remove("id_token");
        }),
        Attack::new("id_token of 1 MB", |lies| {
            lies.claims.set("padding", "x".repeat(1024 * 1024));
        }),
        Attack::new("access token as id_token", |lies| {
            lies.token_response.set("id_token", "upstream-access-1");
        }),
    ];
    let values = [json!(""), json!(null), json!(7), json!([]), json!({})];
    attacks.extend(values.map(|value| {
        Attack::new(format!("id_token = {value}"), move |lies| {
            lies.token_response.set("id_token", value.clone());
        })
    }));
    attacks.extend(encryptions());
    attacks.extend(serialisations());
    attacks
}

/// Five parts: encryption that nobody asked for, some of it dear to try.
fn encryptions() -> Vec<Attack> {
    let headers = [
        json!({"alg": "dir", "enc": "A256GCM"}),
        json!({"alg": "dir", "enc": "A256GCM", "zip": "DEF"}),
        json!({"alg": "PBES2-HS512+A256KW", "enc": "A256GCM", "p2c": 2_147_483_647, "p2s": "AA"}),
        json!({"alg": "ECDH-ES", "enc": "A128CBC-HS256"}),
        json!({"alg": "RSA1_5", "enc": "A128CBC-HS256"}),
    ];
    headers.iter().map(encrypted).collect()
}

fn encrypted(header: &Value) -> Attack {
    let name = format!("five parts: {header}");
    let header = URL_SAFE_NO_PAD.encode(header.to_string());
    token(name, move |_| format!("{header}.AAAA.AAAAAAAAAAAAAAAA.AAAA.AAAAAAAAAAAAAAAAAAAAAA"))
}

fn serialisations() -> Vec<Attack> {
    vec![
        token("two parts", |token| token.rsplit_once('.').expect("a JWS").0.to_owned()),
        token("four parts", |token| format!("{token}.AAAA")),
        token("a million dots", |_| ".".repeat(1_000_000)),
        token("base64 with padding", |token| token.replace('.', "=.")),
        token("a newline inside", |token| token.replacen('.', "\n.", 1)),
        token("a space in front", |token| format!(" {token}")),
        token("with its scheme", |token| format!("Bearer {token}")),
        token("NUL at the end", |token| format!("{token}\0")),
        token("JSON serialisation", |token| {
            let parts: Vec<&str> = token.split('.').collect();
            let [protected, payload, signature] = parts[..] else { panic!("a JWS has 3 parts") };
            json!({"protected": protected, "payload": payload, "signature": signature}).to_string()
        }),
    ]
}

fn token(
    name: impl Into<String>,
    rewrite: impl Fn(String) -> String + Clone + Send + Sync + 'static,
) -> Attack {
    Attack::new(name, move |lies| lies.rewrite_token(rewrite.clone()))
}

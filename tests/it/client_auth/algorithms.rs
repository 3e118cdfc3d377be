//! Which signatures are the client's (RFC 8725 §3.1): those under its own keys, with an algorithm that
//! is meant for them.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use keywright::{
    app::{Ambient, App},
    config::{self, Environment, Problems},
};
use serde_json::{Value, json};

use super::{Key, LONG_SECRET, app_with_signer, claims, client, compact, present, refused, signer};
use crate::support::app::TestApp;

/// RFC 7518 §3.1: every algorithm that is listed works, with a key of its kind.
#[tokio::test(flavor = "multi_thread")]
async fn every_listed_algorithm_works() {
    let rsa = Key::new("RS256");
    let keys = [Key::new("ES256"), Key::new("ES384"), Key::new("EdDSA")];
    let names = ["ec", "ec384", "ed"];
    let mut published: Vec<Value> =
        keys.iter().zip(names).map(|(key, name)| key.public(name)).collect();
    published.push(rsa.public("rsa"));
    let lines = format!(
        "token_endpoint_auth_method = \"private_key_jwt\"\njwks = '{}'",
        json!({ "keys": published })
    );
    let mac =
        format!("secret = {LONG_SECRET:?}\ntoken_endpoint_auth_method = \"client_secret_jwt\"");
    let both = client("signer", &lines) + &client("mac", &mac);
    let app = TestApp::builder().config(&both).start().await;
    let metadata = app.get("/.well-known/openid-configuration", None).await.json();
    let listed = metadata["token_endpoint_auth_signing_alg_values_supported"].as_array().unwrap();
    assert_eq!(listed.len(), 12, "{listed:?}");
    for alg in listed.iter().map(|alg| alg.as_str().unwrap()) {
        let secret = Key::secret("HS256", LONG_SECRET);
        let (id, key, name) = match alg {
            "ES256" => ("signer", &keys[0], "ec"),
            "ES384" => ("signer", &keys[1], "ec384"),
            "EdDSA" => ("signer", &keys[2], "ed"),
            mac if mac.starts_with("HS") => ("mac", &secret, "any"),
            _ => ("signer", &rsa, "rsa"),
        };
        for header in [json!({"alg": alg, "kid": name}), json!({"alg": alg})] {
            let header = if id == "mac" { json!({"alg": alg}) } else { header };
            let assertion = compact(&header, &claims(&app, id), |input| key.sign(alg, input));
            assert_eq!(present(&app, &assertion).await.status, 200, "{header}");
        }
    }
}

/// TK-10, JW-01, JW-02: no algorithm, a public key as a secret, or one that was not agreed upon.
#[tokio::test(flavor = "multi_thread")]
async fn an_algorithm_is_never_chosen_by_who_signs() {
    let key = Key::new("RS256");
    let narrow = "token_endpoint_auth_signing_alg = \"RS256\"";
    let app = TestApp::builder().config(&signer(&key, narrow)).start().await;
    let good = || claims(&app, "signer");
    assert_eq!(present(&app, &key.jwt(&good())).await.status, 200);
    let not_allowed = "alg is not one that the client may use";
    for alg in ["none", "None", "nOnE", "", "RS1", "HS256", "rs256"] {
        let header = json!({"alg": alg, "kid": "k1"});
        for signature in [Vec::new(), b"junk".to_vec()] {
            refused(&app, &compact(&header, &good(), |_| signature), not_allowed).await;
        }
    }
    let without = json!({"kid": "k1"});
    refused(&app, &compact(&without, &good(), |_| Vec::new()), not_allowed).await;
    for alg in ["RS384", "PS256"] {
        let header = json!({"alg": alg, "kid": "k1"});
        let assertion = compact(&header, &good(), |input| key.sign(alg, input));
        refused(&app, &assertion, not_allowed).await;
    }
    let public = key.public("k1");
    for bytes in [public.to_string(), public["n"].as_str().unwrap().to_owned()] {
        let mac = Key::secret("HS256", &bytes);
        let header = json!({"alg": "HS256", "kid": "k1"});
        refused(&app, &mac.jwt_with(&header, &good()), not_allowed).await;
    }
}

/// TK-10, JW-09: keys that are too weak, for something else or secret are none of the client's; what is
/// left still works.
#[tokio::test(flavor = "multi_thread")]
async fn unfit_keys_sign_nothing() {
    let (weak, good, other) =
        (Key::with_bits("RS256", 1_024), Key::new("ES256"), Key::new("ES256"));
    let mut enc = other.public("enc");
    enc["use"] = json!("enc");
    let mut twice = other.public("k1");
    twice["alg"] = json!("ES384");
    let jwks = json!({ "keys": [weak.public("weak"), enc, twice, good.public("good")] });
    let lines = format!("token_endpoint_auth_method = \"private_key_jwt\"\njwks = '{jwks}'");
    let app = TestApp::builder().config(&client("signer", &lines)).start().await;
    let wrong = "the signature is not that of the client";
    for (key, kid) in [(&weak, "weak"), (&other, "enc"), (&other, "k1"), (&other, "good")] {
        let header = json!({"alg": key.alg, "kid": kid});
        refused(&app, &key.jwt_with(&header, &claims(&app, "signer")), wrong).await;
    }
    let header = json!({"alg": "ES256", "kid": "good"});
    let answer = present(&app, &good.jwt_with(&header, &claims(&app, "signer"))).await;
    assert_eq!(answer.status, 200);
    // Without any key that is fit there is no start, and the setting is named.
    let folder = tempfile::tempdir().unwrap();
    let jwks = json!({ "keys": [weak.public("k")] });
    let lines = format!("token_endpoint_auth_method = \"private_key_jwt\"\njwks = '{jwks}'");
    let database = format!("[database]\nurl = \"sqlite:{}/k.db\"\n", folder.path().display());
    let config = config::parse(&(database + &client("signer", &lines)), &Environment::new());
    let error = App::start(config.unwrap(), Ambient::default()).await.map(|_| ()).unwrap_err();
    let said = error.downcast_ref::<Problems>().unwrap().to_string();
    assert!(said.contains("clients.signer.jwks") && said.contains("no key that is fit"), "{said}");
}

/// JW-03, JW-04, JW-05, JW-07: a header chooses nothing but which of the known keys is meant.
#[tokio::test(flavor = "multi_thread")]
async fn a_header_brings_no_key() {
    let (app, key) = app_with_signer("").await;
    let evil = Key::new("ES256");
    let wrong = "the signature is not that of the client";
    let certificate = STANDARD.encode("no certificate");
    for lure in [
        json!({"jwk": evil.public("k1")}),
        json!({"jku": "https://evil.test/keys"}),
        json!({"x5u": "https://evil.test/keys"}),
        json!({"x5c": [certificate]}),
        json!({"kid": "../../dev/null"}),
        json!({"kid": "' OR 1=1--"}),
        json!({"kid": "k".repeat(8_192)}),
    ] {
        let mut header = json!({"alg": "ES256", "kid": "k1"});
        header.as_object_mut().unwrap().extend(lure.as_object().unwrap().clone());
        refused(&app, &evil.jwt_with(&header, &claims(&app, "signer")), wrong).await;
    }
    let unreadable = "no JWT that can be read";
    for odd in [
        json!({"kid": {"kid": "k1"}}),
        json!({"kid": 7}),
        json!({"kid": null}),
        json!({"crit": ["exp"]}),
        json!({"crit": []}),
        json!({"b64": false}),
        json!({"zip": "DEF"}),
    ] {
        let mut header = json!({"alg": "ES256", "kid": "k1"});
        header.as_object_mut().unwrap().extend(odd.as_object().unwrap().clone());
        refused(&app, &key.jwt_with(&header, &claims(&app, "signer")), unreadable).await;
    }
    // What a header says beside the key does no harm.
    let header = json!({"alg": "ES256", "kid": "k1", "jku": "https://evil.test/keys"});
    let answer = present(&app, &key.jwt_with(&header, &claims(&app, "signer"))).await;
    assert_eq!(answer.status, 200);
}

/// JW-08: signatures that no honest signer makes.
#[tokio::test(flavor = "multi_thread")]
async fn degenerate_signatures_are_refused() {
    let (app, key) = app_with_signer("").await;
    let header = json!({"alg": "ES256", "kid": "k1"});
    for signature in [vec![], vec![0; 64], vec![0; 63], vec![0xff; 64], vec![0; 1_024]] {
        let assertion = compact(&header, &claims(&app, "signer"), |_| signature);
        refused(&app, &assertion, "the signature is not that of the client").await;
    }
    let good = claims(&app, "signer");
    let flipped = compact(&header, &good, |input| {
        let mut signature = key.sign("ES256", input);
        signature[40] ^= 1;
        signature
    });
    refused(&app, &flipped, "the signature is not that of the client").await;
}

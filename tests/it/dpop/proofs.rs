//! What a proof has to be (RFC 9449 §4.3).

use keywright::foundation::opaque::{Opaque, OpaqueKind};
use serde_json::json;

use super::{Holder, asks, refused};
use crate::{
    client_auth::Key,
    support::app::{ISSUER, TestApp},
};

/// RFC 9449 §5: every algorithm that is listed works, and the token names the key.
#[tokio::test(flavor = "multi_thread")]
async fn every_listed_algorithm_proves_a_key() {
    let app = TestApp::start().await;
    let metadata = app.get("/.well-known/openid-configuration", None).await.json();
    let listed = metadata["dpop_signing_alg_values_supported"].as_array().unwrap();
    assert_eq!(listed.len(), 9);
    for alg in ["ES256", "ES384", "EdDSA", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512"] {
        assert!(listed.contains(&json!(alg)), "{alg}");
        let holder = Holder::with(alg);
        let answer = asks(&app, &[&holder.for_tokens(&app)]).await;
        assert_eq!(answer.status, 200, "{alg}: {answer:?}");
        assert_eq!(answer.text("token_type"), "DPoP");
        let (_, claims) = crate::jose::read(&answer.text("access_token"));
        assert_eq!(claims["cnf"], json!({ "jkt": holder.thumbprint() }), "{alg}");
    }
    let answer = asks(&app, &[]).await;
    assert_eq!(answer.text("token_type"), "Bearer");
    let (_, claims) = crate::jose::read(&answer.text("access_token"));
    assert!(claims.get("cnf").is_none());
}

/// DP-02: for this method and this address, now; nothing that is there and cannot be read is taken for
/// absent.
#[tokio::test(flavor = "multi_thread")]
async fn a_proof_is_for_one_request() {
    let app = TestApp::start().await;
    let holder = Holder::new();
    let now = app.clock.unix();
    let at = ("POST", "/token");
    let good = [
        json!({"iat": now - 60}),
        json!({"iat": now + 60}),
        json!({"htu": "HTTPS://ID.test/token"}),
        json!({"htu": "https://id.test:443/token"}),
        json!({"htu": "https://id.test/token?a=b#c"}),
        json!({"exp": "not looked at"}),
        json!({"nonce": "nobody asked for one"}),
    ];
    for changes in good {
        let answer = asks(&app, &[&holder.proof(&app, at, &changes)]).await;
        assert_eq!(answer.status, 200, "{changes}: {answer:?}");
    }
    let bad = [
        (json!({"htm": "GET"}), "htm"),
        (json!({"htm": "post"}), "htm"),
        (json!({"htm": null}), "htm"),
        (json!({"htm": ["POST"]}), "htm"),
        (json!({"htu": null}), "htu"),
        (json!({"htu": 7}), "htu"),
        (json!({"htu": [format!("{ISSUER}/token")]}), "htu"),
        (json!({"htu": "/token"}), "htu"),
        (json!({"htu": "https://evil.test/token"}), "htu"),
        (json!({"htu": "http://id.test/token"}), "htu"),
        (json!({"htu": "https://id.test:8443/token"}), "htu"),
        (json!({"htu": "https://id.test/Token"}), "htu"),
        (json!({"htu": "https://id.test/token/"}), "htu"),
        (json!({"htu": "https://id.test/userinfo"}), "htu"),
        (json!({"htu": "https://u:p@id.test/token"}), "htu"),
        (json!({"iat": null}), "iat"),
        (json!({"iat": now - 61}), "iat"),
        (json!({"iat": now + 61}), "iat"),
        (json!({"iat": now.to_string()}), "iat"),
        (json!({"iat": 1e300}), "iat"),
        (json!({"jti": null}), "jti"),
        (json!({"jti": ""}), "jti"),
        (json!({"jti": 7}), "jti"),
        (json!({"jti": "j".repeat(513)}), "jti"),
    ];
    for (changes, why) in bad {
        refused(&app, &holder.proof(&app, at, &changes), why).await;
    }
}

/// DP-02, JW-01, JW-02, JW-03: signed by the key in it, which is public, asymmetric and strong.
#[tokio::test(flavor = "multi_thread")]
async fn a_proof_is_signed_by_the_public_key_in_it() {
    let app = TestApp::start().await;
    let (holder, other) = (Holder::new(), Holder::new());
    let claims = || {
        json!({
            "jti": uuid::Uuid::new_v4().to_string(), "htm": "POST",
            "htu": format!("{ISSUER}/token"), "iat": app.clock.unix(),
        })
    };
    let not_signed = "not signed by the key in it";
    let mut private = holder.jwk();
    private["d"] = json!("AAAA");
    let mut for_encryption = holder.jwk();
    for_encryption["use"] = json!("enc");
    let weak = Key::with_bits("RS256", 1_024);
    let mut off_curve = holder.jwk();
    off_curve["y"] = off_curve["x"].clone();
    for header in [
        json!({"jwk": other.jwk()}),
        json!({"jwk": null}),
        json!({"jwk": "key"}),
        json!({"jwk": {}}),
        json!({"jwk": private}),
        json!({"jwk": for_encryption}),
        json!({"jwk": off_curve}),
        json!({"jwk": {"kty": "oct", "k": "AAAA"}}),
        json!({"alg": "none"}),
        json!({"alg": "HS256"}),
        json!({"alg": "ES384"}),
        json!({"alg": null}),
        json!({"jwk": null, "kid": "k"}),
        json!({"jwk": null, "jku": "https://evil.test/keys"}),
    ] {
        refused(&app, &holder.sign(&header, &claims()), not_signed).await;
    }
    let public = weak.public("k");
    let jwk = json!({"kty": "RSA", "n": public["n"], "e": public["e"]});
    let header = json!({"typ": "dpop+jwt", "alg": "RS256", "jwk": jwk});
    refused(&app, &weak.jwt_with(&header, &claims()), not_signed).await;
    // Under its own text as a secret.
    let mac = Key::secret("HS256", &holder.jwk().to_string());
    let header = json!({"typ": "dpop+jwt", "alg": "HS256", "jwk": holder.jwk()});
    refused(&app, &mac.jwt_with(&header, &claims()), not_signed).await;
    for typ in [json!("JWT"), json!("at+jwt"), json!(null), json!("dpop")] {
        refused(&app, &holder.sign(&json!({"typ": typ}), &claims()), "typ").await;
    }
    for header in [json!({"crit": ["x"]}), json!({"zip": "DEF"}), json!({"typ": 7})] {
        refused(&app, &holder.sign(&header, &claims()), "no JWT").await;
    }
    for text in ["x", "a.b.c", &".".repeat(2_000), &"A".repeat(17_000)] {
        refused(&app, text, "no JWT").await;
    }
}

/// DP-01: once is once, in a row, fifty at a time, and at another instance.
#[tokio::test(flavor = "multi_thread")]
async fn a_proof_counts_once() {
    let app = TestApp::start().await;
    let holder = Holder::new();
    let proof = holder.for_tokens(&app);
    assert_eq!(asks(&app, &[&proof]).await.status, 200);
    refused(&app, &proof, "used before").await;
    app.clock.advance(60);
    refused(&app, &proof, "used before").await;
    app.clock.advance(1);
    refused(&app, &proof, "iat").await;

    let proof = holder.for_tokens(&app);
    let proofs = [&*proof];
    let asked = (0..50).map(|_| asks(&app, &proofs));
    let answers = futures_util::future::join_all(asked).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 200).count(), 1);
    if app.app.memory.is_none() {
        let other = TestApp::builder().beside(&app).start().await;
        refused(&other, &proof, "used before").await;
    }
    // A name is used up for its key alone: nobody can spoil another's proofs.
    let jti = json!({ "jti": uuid::Uuid::new_v4().to_string() });
    for holder in [Holder::new(), Holder::new()] {
        let proof = holder.proof(&app, ("POST", "/token"), &jti);
        assert_eq!(asks(&app, &[&proof]).await.status, 200);
    }
}

/// RFC 9449 §11.1: whoever has nothing but proofs, of which anybody can make any number, fills no store.
#[tokio::test(flavor = "multi_thread")]
async fn strangers_leave_nothing_behind() {
    let app = TestApp::start().await;
    let (holder, unknown) = (Holder::new(), OpaqueKind::RefreshToken);
    let token = Opaque::from_bits(unknown, [7; 32]).reveal();
    let commands = app.app.state.commands();
    for _ in 0..10 {
        let proof = holder.for_tokens(&app);
        let answer = super::refresh(&app, token.expose(), Some(&proof)).await;
        answer.assert_error(400, "invalid_grant");
        let answer = super::refresh(&app, "x", Some(&proof)).await;
        answer.assert_error(400, "invalid_grant");
    }
    assert_eq!(app.app.state.commands(), commands);
}

/// RFC 9449 §4.3: more than one proof is none.
#[tokio::test(flavor = "multi_thread")]
async fn two_proofs_are_none() {
    let app = TestApp::start().await;
    let (one, other) = (Holder::new().for_tokens(&app), Holder::new().for_tokens(&app));
    asks(&app, &[&one, &other]).await.assert_error(400, "invalid_dpop_proof");
    asks(&app, &[&one, &one]).await.assert_error(400, "invalid_dpop_proof");
    asks(&app, &[&format!("{one}, {other}")]).await.assert_error(400, "invalid_dpop_proof");
    assert_eq!(asks(&app, &[&one]).await.status, 200, "nothing was used up");
}

/// FT-02: where nobody can tell whether a proof was used before, it is not taken; without a proof all
/// goes on.
#[tokio::test(flavor = "multi_thread")]
async fn without_the_short_lived_state_no_proof_is_taken() {
    let app = TestApp::builder().state_url("redis://127.0.0.1:1").start().await;
    let holder = Holder::new();
    let answer = asks(&app, &[&holder.for_tokens(&app)]).await;
    answer.assert_error(503, "temporarily_unavailable");
    assert!(answer.headers.contains_key("retry-after"));
    assert_eq!(asks(&app, &[]).await.status, 200);
    let wrong = holder.proof(&app, ("GET", "/token"), &json!({}));
    asks(&app, &[&wrong]).await.assert_error(400, "invalid_dpop_proof");
}

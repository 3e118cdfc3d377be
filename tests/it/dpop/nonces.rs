//! Nonces of ours in proofs (RFC 9449 §8, §9).

use serde_json::json;

use super::{Holder, asks, bound_tokens, hash, userinfo};
use crate::support::app::{Answer, ISSUER, TestApp};

async fn start() -> TestApp {
    TestApp::builder().config("[tokens]\ndpop_nonces = true").start().await
}

fn nonce(answer: &Answer) -> String {
    answer.headers["dpop-nonce"].to_str().unwrap().to_owned()
}

/// DP-02, RFC 9449 §8: who has no nonce is told one, and that it is wanted; nothing is used up meanwhile.
#[tokio::test(flavor = "multi_thread")]
async fn a_proof_carries_our_nonce() {
    let app = start().await;
    let holder = Holder::new();
    let proof = holder.for_tokens(&app);
    let wanted = asks(&app, &[&proof]).await;
    wanted.assert_error(400, "use_dpop_nonce");
    let first = nonce(&wanted);
    // RFC 9449 §8.1: NQCHAR.
    assert!(first.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\'));
    asks(&app, &[&proof]).await.assert_error(400, "use_dpop_nonce");
    let with = |nonce: &str| holder.proof(&app, ("POST", "/token"), &json!({ "nonce": nonce }));
    let answer = asks(&app, &[&with(&first)]).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    // It serves for minutes, and each answer brings a younger one.
    app.clock.advance(200);
    let answer = asks(&app, &[&with(&first)]).await;
    assert_eq!(answer.status, 200);
    let second = nonce(&answer);
    assert_ne!(first, second);
    app.clock.advance(101);
    asks(&app, &[&with(&first)]).await.assert_error(400, "use_dpop_nonce");
    assert_eq!(asks(&app, &[&with(&second)]).await.status, 200);

    let (at, mac) = second.split_once('.').unwrap();
    let later = at.parse::<i64>().unwrap() + 60;
    for forged in [
        String::new(),
        "x".to_owned(),
        format!("{at}."),
        format!("{later}.{mac}"),
        format!("{second}x"),
        format!("{at}.{}", hash(at)),
        format!("{}.{mac}", i64::MAX),
        format!("{}.{mac}", i64::MIN),
    ] {
        asks(&app, &[&with(&forged)]).await.assert_error(400, "use_dpop_nonce");
    }
    let number = holder.proof(&app, ("POST", "/token"), &json!({ "nonce": 7 }));
    asks(&app, &[&number]).await.assert_error(400, "use_dpop_nonce");
    // Who shows no proof needs no nonce.
    assert_eq!(asks(&app, &[]).await.status, 200);
}

/// RFC 9449 §9: the same at a resource, with a challenge that says so; a page may read it.
#[tokio::test(flavor = "multi_thread")]
async fn a_resource_wants_our_nonce_as_well() {
    let app = start().await;
    app.add_user("bob", &[]).await;
    let holder = Holder::new();
    let told = asks(&app, &[&holder.for_tokens(&app)]).await;
    let code = crate::support::journey::code_for(&mut app.browser(), "spa", "bob", &[]).await;
    let proof = holder.proof(&app, ("POST", "/token"), &json!({ "nonce": nonce(&told) }));
    let tokens = super::redeem(&app, &code, Some(&proof)).await;
    let token = tokens.text("access_token");
    let authorization = format!("DPoP {token}");
    let proof = holder.for_userinfo(&app, &token);
    let origin = ("origin", "https://spa.test");
    let headers = [("authorization", &*authorization), ("dpop", &*proof), origin];
    let wanted = userinfo(&app, &headers).await;
    wanted.assert_error(401, "use_dpop_nonce");
    let challenge = wanted.headers["www-authenticate"].to_str().unwrap();
    assert!(challenge.starts_with("DPoP ") && challenge.contains("error=\"use_dpop_nonce\""));
    let exposed = wanted.headers["access-control-expose-headers"].to_str().unwrap();
    assert!(exposed.contains("dpop-nonce"), "{exposed}");
    let changes = json!({ "nonce": nonce(&wanted), "ath": hash(&token) });
    let proof = holder.proof(&app, ("GET", "/userinfo"), &changes);
    let answer = userinfo(&app, &[("authorization", &authorization), ("dpop", &proof)]).await;
    assert_eq!(answer.status, 200);
}

/// Where nobody asks for nonces, none is given.
#[tokio::test(flavor = "multi_thread")]
async fn without_the_setting_there_are_no_nonces() {
    let app = TestApp::start().await;
    let tokens = bound_tokens(&app, &Holder::new()).await;
    assert!(!tokens.headers.contains_key("dpop-nonce"));
    let refused = asks(&app, &["x"]).await;
    assert!(!refused.headers.contains_key("dpop-nonce"));
    assert_eq!(app.app.urls.issuer(), ISSUER);
}

//! What is bound to a key: access tokens, refresh tokens of public clients, codes.

use serde_json::json;

use super::{Holder, asks, bound_tokens, hash, redeem, refresh};
use crate::{
    client_auth::client,
    support::{
        app::{TestApp, basic},
        journey::{VERIFIER, authorize_path, code_by_session, code_for, redirect_uri},
    },
};

/// RFC 9449 §6.2: introspection says to which key a token is bound, and how it is shown.
#[tokio::test(flavor = "multi_thread")]
async fn introspection_names_the_key() {
    let app = TestApp::start().await;
    let holder = Holder::new();
    let token = asks(&app, &[&holder.for_tokens(&app)]).await.text("access_token");
    let answer = app.post_as("m2m", "/introspect", &[("token", &token)]).await.json();
    assert_eq!(answer["active"], true);
    assert_eq!(answer["token_type"], "DPoP");
    assert_eq!(answer["cnf"], json!({ "jkt": holder.thumbprint() }));
    let token = asks(&app, &[]).await.text("access_token");
    let answer = app.post_as("m2m", "/introspect", &[("token", &token)]).await.json();
    assert_eq!((&answer["token_type"], answer.get("cnf")), (&json!("Bearer"), None));
}

/// RFC 9449 §5.2: a client whose tokens are always bound gets none without a proof, whatever it asks by.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_can_be_held_to_proofs() {
    let lines = "secret = \"held-secret-0123456789\"\ndpop_bound_access_tokens = true";
    let app = TestApp::builder().config(&client("held", lines)).start().await;
    let form = [("grant_type", "client_credentials")];
    let authorization = basic("held");
    let bare = app.post("/token", &form, &[("authorization", &authorization)]).await;
    bare.assert_error(400, "invalid_dpop_proof");
    let proof = Holder::new().for_tokens(&app);
    let headers = [("authorization", &*authorization), ("dpop", &*proof)];
    assert_eq!(app.post("/token", &form, &headers).await.text("token_type"), "DPoP");
}

/// RFC 9449 §5: the refresh token of a public client is of no use without its key. Whoever tries uses
/// nothing up, and the family lives on.
#[tokio::test(flavor = "multi_thread")]
async fn a_public_clients_refresh_token_is_bound() {
    let app = TestApp::start().await;
    let (holder, thief) = (Holder::new(), Holder::new());
    let tokens = bound_tokens(&app, &holder).await;
    let (_, claims) = crate::jose::read(&tokens.text("access_token"));
    assert_eq!(claims["cnf"]["jkt"], holder.thumbprint());
    assert_eq!(tokens.text("token_type"), "DPoP");
    let token = tokens.text("refresh_token");
    refresh(&app, &token, None).await.assert_error(400, "invalid_dpop_proof");
    let proof = thief.for_tokens(&app);
    refresh(&app, &token, Some(&proof)).await.assert_error(400, "invalid_dpop_proof");
    assert_eq!(app.refusals("token").await, ["dpop_key_mismatch"; 2]);
    let next = refresh(&app, &token, Some(&holder.for_tokens(&app))).await;
    assert_eq!(next.status, 200, "{next:?}");
    let (_, claims) = crate::jose::read(&next.text("access_token"));
    assert_eq!(claims["cnf"]["jkt"], holder.thumbprint());
    // Reuse by whoever holds the key is reuse as ever; by anybody else it ends nothing.
    app.clock.advance(60);
    refresh(&app, &token, None).await.assert_error(400, "invalid_dpop_proof");
    let successor = next.text("refresh_token");
    let again = refresh(&app, &successor, Some(&holder.for_tokens(&app))).await;
    assert_eq!(again.status, 200);
    refresh(&app, &token, Some(&holder.for_tokens(&app))).await.assert_error(400, "invalid_grant");
    assert_eq!(app.refusals("token").await.last().unwrap(), "refresh_reuse");
}

/// RFC 9449 §5: a client that proves who it is may change its key; each access token is bound to the one
/// that was shown for it.
#[tokio::test(flavor = "multi_thread")]
async fn a_confidential_client_may_change_its_key() {
    let app = TestApp::start().await;
    app.add_user("bob", &[]).await;
    let code = code_for(&mut app.browser(), "web", "bob", &[]).await;
    let authorization = basic("web");
    let redirect_uri = redirect_uri("web");
    let mut form = vec![
        ("grant_type", "authorization_code".to_owned()),
        ("code", code),
        ("redirect_uri", redirect_uri),
        ("code_verifier", VERIFIER.to_owned()),
    ];
    for holder in [Holder::new(), Holder::new()] {
        let proof = holder.for_tokens(&app);
        let headers = [("authorization", &*authorization), ("dpop", &*proof)];
        let pairs: Vec<(&str, &str)> = form.iter().map(|(name, v)| (*name, v.as_str())).collect();
        let answer = app.post("/token", &pairs, &headers).await;
        let (_, claims) = crate::jose::read(&answer.text("access_token"));
        assert_eq!(claims["cnf"]["jkt"], holder.thumbprint());
        form = vec![
            ("grant_type", "refresh_token".to_owned()),
            ("refresh_token", answer.text("refresh_token")),
        ];
    }
}

/// RFC 9449 §10: a code that was asked for with `dpop_jkt` is redeemed by the holder of that key alone.
#[tokio::test(flavor = "multi_thread")]
async fn a_code_is_bound_to_the_key_that_was_named() {
    let app = TestApp::start().await;
    app.add_user("bob", &[]).await;
    let (holder, thief) = (Holder::new(), Holder::new());
    let mut browser = app.browser();
    let thumbprint = holder.thumbprint();
    let jkt = [("dpop_jkt", thumbprint.as_str())];
    let code = code_for(&mut browser, "spa", "bob", &jkt).await;
    redeem(&app, &code, None).await.assert_error(400, "invalid_grant");
    let proof = thief.for_tokens(&app);
    redeem(&app, &code, Some(&proof)).await.assert_error(400, "invalid_grant");
    assert_eq!(app.refusals("token").await, ["dpop_key_mismatch"; 2]);
    let answer = redeem(&app, &code, Some(&holder.for_tokens(&app))).await;
    assert_eq!(answer.text("token_type"), "DPoP");
    // CD-04: the fifth wrong key burns the code.
    let code = code_by_session(&mut browser, "spa", &jkt).await;
    for _ in 0..5 {
        let proof = thief.for_tokens(&app);
        redeem(&app, &code, Some(&proof)).await.assert_error(400, "invalid_grant");
    }
    let late = redeem(&app, &code, Some(&holder.for_tokens(&app))).await;
    late.assert_error(400, "invalid_grant");
    assert_eq!(app.refusals("token").await.last().unwrap(), "code_unknown");
    // RFC 9449 §5: without `dpop_jkt` a code is bound to nothing, and its tokens to whoever comes.
    let code = code_by_session(&mut browser, "spa", &[]).await;
    assert_eq!(redeem(&app, &code, None).await.text("token_type"), "Bearer");
}

/// RFC 9449 §10: what is no thumbprint is refused before anybody signs in.
#[tokio::test(flavor = "multi_thread")]
async fn a_dpop_jkt_is_a_thumbprint() {
    let app = TestApp::start().await;
    let long = hash("x").repeat(50);
    for wrong in ["x", &hash("x")[..42], &format!("{}=", hash("x")), "' OR 1=1--", &long] {
        let journey = app.browser().visit(&authorize_path("spa", &[("dpop_jkt", wrong)])).await;
        assert_eq!(journey.param("error").as_deref(), Some("invalid_request"), "{wrong}");
    }
}

/// RFC 9449 §10.1: a request that is pushed with a proof leads to a code for that key; a proof that is not
/// good, or not of the key that is named, leads to nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_pushed_request_binds_its_code() {
    let app = TestApp::start().await;
    app.add_user("bob", &[]).await;
    let (own, other) = (Holder::new(), Holder::new());
    let proof = |holder: &Holder| holder.proof(&app, ("POST", "/par"), &json!({}));
    let push = async |proof: &str, more: &[(&str, &str)]| {
        let params = crate::support::journey::authorize_params("spa");
        let own = params.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let form: Vec<(&str, &str)> = own.chain(more.iter().copied()).collect();
        app.post("/par", &form, &[("dpop", proof)]).await
    };
    let elsewhere = own.for_tokens(&app);
    push(&elsewhere, &[]).await.assert_error(400, "invalid_dpop_proof");
    let named = other.thumbprint();
    let answer = push(&proof(&own), &[("dpop_jkt", &named)]).await;
    answer.assert_error(400, "invalid_dpop_proof");
    let shown = proof(&own);
    let answer = push(&shown, &[("dpop_jkt", &own.thumbprint())]).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    push(&shown, &[]).await.assert_error(400, "invalid_dpop_proof");
    let name = answer.text("request_uri");
    let mut browser = app.browser();
    let journey = browser.visit(&format!("/authorize?client_id=spa&request_uri={name}")).await;
    let journey = crate::support::journey::sign_in_on_page(&mut browser, &journey, "bob").await;
    let code = journey.param("code").unwrap();
    for wrong in [None, Some(other.for_tokens(&app))] {
        let answer = redeem(&app, &code, wrong.as_deref()).await;
        assert_eq!(answer.status, 400, "{answer:?}");
    }
    let answer = redeem(&app, &code, Some(&own.for_tokens(&app))).await;
    assert_eq!(answer.status, 200, "{answer:?}");
}

//! A token does what its owner may do at the moment it is used, and never more.

use serde_json::json;

use super::{APPS, assert_dead, exchange_as, full_token, house, houses, make, seen_by, signed_in};
use crate::{
    refresh::outside::{execute, restarted, user_verb},
    support::{app::TestApp, fake_upstream::FakeUpstream},
};

/// RFC 7662 §2.2: what an app is told is what it understands, of what the owner let the token do.
#[tokio::test(flavor = "multi_thread")]
async fn an_app_is_told_what_concerns_it() {
    let app = house().await;
    let token = full_token(&app).await;
    let mut seen = seen_by(&app, "notes", &token).await;
    let now = app.app.now().unix();
    let told = seen.as_object_mut().unwrap();
    let (sub, jti) = (told.remove("sub").unwrap(), told.remove("jti").unwrap());
    assert_ne!(sub, jti);
    let expected = json!({
        "active": true, "iss": "https://id.test", "username": "alice", "token_type": "Bearer",
        "scope": "openid profile groups notes:read notes:write", "groups": ["admins"],
        "iat": now, "exp": now + 30 * 86_400,
    });
    assert_eq!(seen, expected);
    assert_eq!(seen_by(&app, "vault", &token).await["scope"], "openid groups vault:open");
    let narrow = make(&mut signed_in(&app, "alice").await, "narrow", &["notes:read"]).await;
    let seen = seen_by(&app, "notes", &narrow).await;
    assert_eq!(seen["scope"], "notes:read");
    assert!(seen.get("groups").is_none(), "{seen}");
    // For an app that understands nothing of it, and one that acts for nobody, there is no token.
    for (client, token) in [("vault", &narrow), ("web", &narrow), ("m2m", &token)] {
        assert_eq!(seen_by(&app, client, token).await, json!({ "active": false }), "{client}");
    }
    let form = [("token", token.as_str()), ("client_id", "spa")];
    app.post("/introspect", &form, &[]).await.assert_error(401, "invalid_client");
}

/// PT-03, heritage §8 trap 8: who has lost a role has lost it with every token, at once.
#[tokio::test(flavor = "multi_thread")]
async fn a_lost_role_is_lost_with_the_token() {
    let instances = houses().await;
    let app = &instances[0];
    let token = full_token(app).await;
    let of_vault = exchange_as(app, "vault", &token, &[]).await.text("access_token");
    let of_notes = exchange_as(app, "notes", &token, &[]).await.text("access_token");
    for instance in &instances {
        assert_eq!(seen_by(instance, "vault", &token).await["groups"], json!(["admins"]));
        assert_eq!(seen_by(instance, "vault", &of_vault).await["groups"], json!(["admins"]));
    }
    execute(app, "UPDATE users SET groups = '[\"staff\"]' WHERE username = 'alice'").await;
    for instance in &instances {
        let none = json!({ "active": false });
        assert_eq!(seen_by(instance, "vault", &token).await, none, "who is let in no more");
        assert_eq!(seen_by(instance, "vault", &of_vault).await, none);
        let refused = exchange_as(instance, "vault", &token, &[]).await;
        refused.assert_error(400, "invalid_request");
        // What is still theirs is told as it is now, in both kinds of tokens.
        assert_eq!(seen_by(instance, "notes", &token).await["groups"], json!(["staff"]));
        assert_eq!(seen_by(instance, "notes", &of_notes).await["groups"], json!(["staff"]));
    }
    assert!(app.refusals("token").await.contains(&"no_longer_allowed".to_owned()));
}

/// PT-03: a shut account's tokens are dead at once, and do not come back with it.
#[tokio::test(flavor = "multi_thread")]
async fn a_shut_account_has_no_tokens() {
    let instances = houses().await;
    let app = &instances[0];
    let token = full_token(app).await;
    let jwt = exchange_as(app, "notes", &token, &[]).await.text("access_token");
    user_verb(app, &["disable", "alice"], "").await;
    for instance in &instances {
        assert_dead(instance, &token).await;
        assert_eq!(seen_by(instance, "notes", &jwt).await, json!({ "active": false }));
    }
    user_verb(app, &["enable", "alice"], "").await;
    for instance in &instances {
        assert_dead(instance, &token).await;
    }
    assert!(app.refusals("token").await.contains(&"user_disabled".to_owned()));
}

/// PT-11: an administrator who replaces a password takes the tokens away, too.
#[tokio::test(flavor = "multi_thread")]
async fn a_password_that_an_administrator_replaces_ends_the_tokens() {
    let app = house().await;
    let token = full_token(&app).await;
    user_verb(&app, &["set-password", "alice"], "a quite different horse\n").await;
    assert_dead(&app, &token).await;
}

/// UP-22: a token is good where its owner could go by the way they came when they made it.
#[tokio::test(flavor = "multi_thread")]
async fn a_token_goes_where_its_owner_could_go() {
    let upstream = FakeUpstream::start().await;
    let local_only = "[[clients]]\nid = \"inside\"\nname = \"Inside\"\n\
                      secret = \"inside-secret-0123456789\"\nallowed_upstreams = [\"local\"]\n\
                      redirect_uris = [\"https://web.test/cb\"]\n";
    let strong = "[[clients]]\nid = \"strong\"\nname = \"Strong\"\nrequire_acr = \"mfa\"\n\
                  secret = \"strong-secret-0123456789\"\n\
                  redirect_uris = [\"https://web.test/cb\"]\n";
    let builder = TestApp::builder().config(APPS).config(local_only).config(strong);
    let app = builder.upstream("kc", &upstream, "").start().await;
    let mut browser = app.browser();
    browser.visit("/account").await;
    let token = make(&mut browser, "by way of kc", &["openid"]).await;
    assert_eq!(seen_by(&app, "notes", &token).await["active"], true);
    for client in ["inside", "strong"] {
        assert_eq!(seen_by(&app, client, &token).await, json!({ "active": false }), "{client}");
    }
    drop(browser);
    // Without the upstream there is nobody who stands by its people.
    let app = restarted(app, |builder| builder.config(APPS)).await;
    assert_dead(&app, &token).await;
}

/// Where the word of an upstream counts for a time, no token outlives it, and none is lost by it.
#[tokio::test(flavor = "multi_thread")]
async fn a_token_does_not_outlive_the_word_of_an_upstream() {
    let upstream = FakeUpstream::start().await;
    let picky = "[[clients]]\nid = \"picky\"\nname = \"Picky\"\nmax_staleness = \"10m\"\n\
                 secret = \"picky-secret-0123456789\"\n\
                 redirect_uris = [\"https://web.test/cb\"]\n";
    let builder = TestApp::builder().config(APPS).config(picky);
    let app = builder.upstream("kc", &upstream, "max_staleness = \"20m\"").start().await;
    let mut browser = app.browser();
    browser.visit("/account").await;
    let token = make(&mut browser, "by way of kc", &["openid", "notes:read"]).await;
    let none = json!({ "active": false });
    app.clock.advance(599);
    assert_eq!(seen_by(&app, "picky", &token).await["active"], true);
    app.clock.advance(1);
    assert_eq!(seen_by(&app, "picky", &token).await, none);
    assert_eq!(seen_by(&app, "notes", &token).await["active"], true);
    app.clock.advance(599);
    let answer = exchange_as(&app, "notes", &token, &[]).await;
    assert_eq!(answer.json()["expires_in"], 1, "{answer:?}");
    let jwt = answer.text("access_token");
    app.clock.advance(1);
    assert_dead(&app, &token).await;
    assert_eq!(seen_by(&app, "notes", &jwt).await, none);
    assert_eq!(app.refusals("token").await, ["lease_too_old"]);

    // Once its owner is confirmed anew, it is good again.
    app.browser().visit("/account").await;
    assert_eq!(seen_by(&app, "notes", &token).await["active"], true);
    assert_eq!(seen_by(&app, "picky", &token).await["active"], true);
}

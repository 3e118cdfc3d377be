//! When a token dies: at once, everywhere, and without a look at anything that could be stale.

use keywright::store::purge;
use serde_json::json;

use super::{assert_dead, exchange_as, full_token, house, houses, make, seen_by, signed_in};
use crate::refresh::outside::execute;

/// PT-10: a revoked token is dead at every instance with its next use, and what came of it.
#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_token_is_dead_everywhere() {
    let instances = houses().await;
    let app = &instances[0];
    let token = full_token(app).await;
    let jwt = exchange_as(app, "notes", &token, &[]).await.text("access_token");
    let bearer = format!("Bearer {jwt}");
    for instance in &instances {
        assert_eq!(seen_by(instance, "notes", &token).await["active"], true);
        assert_eq!(seen_by(instance, "notes", &jwt).await["active"], true);
        assert_eq!(instance.get("/userinfo", Some(&bearer)).await.status, 200);
    }
    let other = instances.last().unwrap();
    let mut browser = signed_in(other, "alice").await;
    let page = browser.get("/account/tokens").await;
    browser.submit(&page, &page.form_to("/account/tokens/revoke")).await;
    for instance in &instances {
        assert_dead(instance, &token).await;
        assert_eq!(seen_by(instance, "notes", &jwt).await, json!({ "active": false }));
        assert_eq!(instance.get("/userinfo", Some(&bearer)).await.status, 401);
    }
}

/// RFC 7009: an app gives back the access token that it has got in exchange, and only that.
#[tokio::test(flavor = "multi_thread")]
async fn an_app_gives_back_what_it_got_and_nothing_else() {
    let app = house().await;
    let token = full_token(&app).await;
    let jwt = exchange_as(&app, "notes", &token, &[]).await.text("access_token");
    for (client, given) in [("vault", &jwt), ("notes", &token), ("evil", &token)] {
        assert_eq!(app.post_as(client, "/revoke", &[("token", given)]).await.status, 200);
        assert_eq!(seen_by(&app, "notes", &jwt).await["active"], true, "{client}");
        assert_eq!(seen_by(&app, "notes", &token).await["active"], true, "{client}");
    }
    assert_eq!(app.post_as("notes", "/revoke", &[("token", &jwt)]).await.status, 200);
    assert_eq!(seen_by(&app, "notes", &jwt).await, json!({ "active": false }));
    assert_eq!(seen_by(&app, "notes", &token).await["active"], true);
}

/// PT-03: with its owner a token is gone.
#[tokio::test(flavor = "multi_thread")]
async fn a_token_goes_with_its_owner() {
    let app = house().await;
    let token = full_token(&app).await;
    execute(&app, "DELETE FROM users WHERE username = 'alice'").await;
    assert_dead(&app, &token).await;
    assert_eq!(app.count("personal_access_tokens").await, 0);
}

/// PT-08: what is no whole token is refused without a look at the database.
#[tokio::test(flavor = "multi_thread")]
async fn a_mistyped_token_costs_nothing() {
    let app = house().await;
    let token = full_token(&app).await;
    let other = make(&mut signed_in(&app, "alice").await, "other", &["openid"]).await;
    let spliced = format!("{}{}", &token[..40], &other[40..]);
    let bits = token.strip_prefix("kw_pat_").unwrap();
    let broken = [
        token[..token.len() - 1].to_owned(),
        format!("{token}A"),
        token.replacen("kw_pat_", "kw_rt_", 1),
        token.to_uppercase(),
        spliced,
        bits.to_owned(),
        "kw_pat_".to_owned(),
    ];
    app.app.audit.flush().await;
    let before = app.app.store.statements();
    for token in &broken {
        assert_eq!(seen_by(&app, "notes", token).await, json!({ "active": false }), "{token}");
    }
    assert_eq!(app.app.store.statements(), before);
    // These are refusals, which are kept beside the requests.
    for token in &broken {
        let bearer = format!("Bearer {token}");
        assert_eq!(app.get("/userinfo", Some(&bearer)).await.status, 401);
        exchange_as(&app, "notes", token, &[]).await.assert_error(400, "invalid_request");
    }
    assert_eq!(app.refusals("token").await, vec!["token_malformed"; broken.len()]);
}

/// Tokens that are dead are deleted in time, others never.
#[tokio::test(flavor = "multi_thread")]
async fn dead_tokens_are_deleted_in_time() {
    let app = house().await;
    let mut browser = signed_in(&app, "alice").await;
    make(&mut browser, "month", &["openid"]).await;
    let page = super::ask_for(
        &mut browser,
        &[("name", "year"), ("lifetime", "365d"), ("scope.openid", "yes")],
    );
    let year = super::secret_on(&page.await);
    let purge = async || {
        let mut connection = app.app.connection().await.unwrap();
        purge::personal_access_tokens(&mut connection, app.app.now()).await.unwrap()
    };
    app.clock.advance(30 * 86_400);
    assert_eq!(purge().await, 0, "it has ended, and not before now");
    app.clock.advance(1);
    assert_eq!(purge().await, 1);
    assert_eq!(app.count("personal_access_tokens").await, 1);
    assert_eq!(seen_by(&app, "notes", &year).await["active"], true);
    let mut browser = signed_in(&app, "alice").await;
    let page = browser.get("/account/tokens").await;
    browser.submit(&page, &page.form_to("/account/tokens/revoke")).await;
    app.clock.advance(1);
    assert_eq!(purge().await, 1, "a revoked one goes too");
}

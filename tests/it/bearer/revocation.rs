//! Revocation: what a client gives back is dead, and nothing else is.

use keywright::foundation::opaque::{Opaque, OpaqueKind};

use crate::{
    refresh::{
        family::{Tokens, open_app, sign_in, sign_in_with},
        outside::{WriteBlock, deployment, restarted},
    },
    support::{
        app::{Answer, TestApp},
        journey::is_active,
    },
};

async fn revoke(app: &TestApp, client: &str, token: &str) -> Answer {
    app.post_as(client, "/revoke", &[("token", token)]).await
}

fn assert_done(answer: &Answer) {
    assert_eq!(answer.status, 200, "{answer:?}");
    assert!(answer.body.is_empty());
    assert_eq!(answer.headers["cache-control"], "no-store");
}

/// IN-04: another client's token stays as it is, and the attempt is kept.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_cannot_revoke_anothers_token() {
    let app = TestApp::start().await;
    app.add_user("bob", &[]).await;
    let tokens = sign_in(&app, "web", "bob").await;
    for token in [&tokens.refresh, &tokens.access] {
        assert_done(&revoke(&app, "evil", token).await);
        let form = [("token", token.as_str()), ("client_id", "spa")];
        assert_done(&app.post("/revoke", &form, &[]).await);
    }
    assert_eq!(app.refusals("revoke").await, ["token_of_another_client"; 4]);
    assert_eq!(app.count("revoked_access_tokens").await, 0);
    assert_eq!(app.count("grants WHERE revoked_at IS NOT NULL").await, 0);
    tokens.assert_alive(&app).await;

    let form = [("token", tokens.refresh.as_str())];
    app.post("/revoke", &form, &[]).await.assert_error(401, "invalid_client");
    let form = [("token", tokens.refresh.as_str()), ("client_id", "web")];
    app.post("/revoke", &form, &[]).await.assert_error(401, "invalid_client");
    revoke(&app, "web", "").await.assert_error(400, "invalid_request");
    tokens.assert_alive(&app).await;
}

/// IN-06: a refresh token takes its whole family with it, and no other.
#[tokio::test(flavor = "multi_thread")]
async fn revoking_a_refresh_token_ends_its_family() {
    let instances = deployment("").await;
    let app = &instances[0];
    app.add_user("bob", &[]).await;
    let mut browser = app.browser();
    let first = sign_in_with(app, &mut browser, "web", "bob").await;
    let second = first.refreshed(app).await;
    let beside = open_app(app, &mut browser, "web").await;
    assert_done(&revoke(app, "web", &second.refresh).await);
    for instance in &instances {
        first.assert_dead(instance).await;
        second.assert_dead(instance).await;
        beside.assert_alive(instance).await;
    }
    let events = app.events().await;
    let done = events.iter().filter(|event| event.action == "revoke" && event.reason.is_none());
    assert_eq!(done.count(), 1);
    // Once more changes nothing.
    assert_done(&revoke(app, "web", &second.refresh).await);
}

/// IN-06: an already used refresh token still names its family.
#[tokio::test(flavor = "multi_thread")]
async fn revoking_a_used_refresh_token_ends_its_family() {
    let app = TestApp::start().await;
    app.add_user("bob", &[]).await;
    let first = sign_in(&app, "spa", "bob").await;
    let second = first.refreshed(&app).await;
    let form = [("token", first.refresh.as_str()), ("client_id", "spa")];
    assert_done(&app.post("/revoke", &form, &[]).await);
    second.try_refresh(&app).await.assert_error(400, "invalid_grant");
    assert_eq!(app.get("/userinfo", Some(&second.bearer())).await.status, 401);
}

/// IN-06: an access token goes alone, a client's own too.
#[tokio::test(flavor = "multi_thread")]
async fn revoking_an_access_token_ends_it_alone() {
    let instances = deployment("").await;
    let app = &instances[0];
    app.add_user("bob", &[]).await;
    let first = sign_in(app, "web", "bob").await;
    let second = first.refreshed(app).await;
    let form = [("token", first.access.as_str()), ("token_type_hint", "refresh_token")];
    assert_done(&app.post_as("web", "/revoke", &form).await);
    for instance in &instances {
        assert!(!is_active(instance, "web", &first.access).await);
        assert_eq!(instance.get("/userinfo", Some(&first.bearer())).await.status, 401);
        second.assert_alive(instance).await;
    }
    second.refreshed(app).await.assert_alive(app).await;

    let form = [("grant_type", "client_credentials")];
    let own = app.post_as("m2m", "/token", &form).await.text("access_token");
    assert!(is_active(app, "m2m", &own).await);
    assert_done(&revoke(app, "m2m", &own).await);
    for instance in &instances {
        assert!(!is_active(instance, "m2m", &own).await);
    }
    assert_eq!(app.count("revoked_access_tokens").await, 2);
}

/// IN-06: what is unknown is as good as revoked, and leaves nothing behind.
#[tokio::test(flavor = "multi_thread")]
async fn revoking_what_is_no_token_changes_nothing() {
    let app = TestApp::start().await;
    app.add_user("bob", &[]).await;
    let tokens = sign_in(&app, "web", "bob").await;
    let unknown = Opaque::from_bits(OpaqueKind::RefreshToken, [9; 32]).reveal();
    let not_tokens = [
        "unknown",
        "a.b.c",
        unknown.expose(),
        tokens.id.as_ref().unwrap(),
        &tokens.refresh[..20],
        &tokens.access[..60],
        &"a".repeat(40_000),
    ];
    for text in not_tokens {
        assert_done(&revoke(&app, "web", text).await);
    }
    assert_eq!(app.count("revoked_access_tokens").await, 0);
    tokens.assert_alive(&app).await;
}

fn assert_unavailable(answer: &Answer) {
    answer.assert_error(503, "temporarily_unavailable");
    assert!(answer.headers.contains_key("retry-after"));
}

/// Revokes both tokens, and both answers say that it was not done.
async fn assert_not_revoked(app: &TestApp, tokens: &Tokens) {
    for token in [&tokens.refresh, &tokens.access] {
        assert_unavailable(&revoke(app, "web", token).await);
    }
}

/// IN-05: what could not be stored is not called done.
#[tokio::test(flavor = "multi_thread")]
async fn a_revocation_that_cannot_be_stored_is_not_acknowledged() {
    let app = TestApp::start().await;
    app.add_user("bob", &[]).await;
    let tokens = sign_in(&app, "web", "bob").await;
    app.app.audit.flush().await;

    let mut all = Vec::new();
    while let Ok(connection) = app.app.connection().await {
        all.push(connection);
    }
    assert_not_revoked(&app, &tokens).await;
    drop(all);
    tokens.assert_alive(&app).await;

    // The same when reading goes well and writing does not.
    let block = WriteBlock::on(&app, "grants, revoked_access_tokens").await;
    assert_not_revoked(&app, &tokens).await;
    drop(block);
    tokens.assert_alive(&app).await;
}

/// IN-05: what was acknowledged is in the durable store.
#[tokio::test(flavor = "multi_thread")]
async fn an_acknowledged_revocation_survives_a_restart() {
    let app = TestApp::start().await;
    app.add_user("bob", &[]).await;
    let family = sign_in(&app, "web", "bob").await;
    let single = sign_in(&app, "web", "bob").await;
    assert_done(&revoke(&app, "web", &family.refresh).await);
    assert_done(&revoke(&app, "web", &single.access).await);
    let app = restarted(app, |builder| builder.state_url("memory:")).await;
    family.assert_dead(&app).await;
    assert!(!is_active(&app, "web", &single.access).await);
    single.refreshed(&app).await.assert_alive(&app).await;
}

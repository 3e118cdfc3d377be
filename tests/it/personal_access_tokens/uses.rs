//! What is noted about the use of a token, and what its own program may ask.

use keywright::store::personal_access_tokens;

use super::{exchange_as, full_token, house, make, seen_by, signed_in};
use crate::support::app::{Answer, TestApp};

/// The only token of the house, as its row is.
async fn row(app: &TestApp) -> personal_access_tokens::PersonalAccessToken {
    let mut connection = app.app.connection().await.unwrap();
    let alice = keywright::store::users::find_by_username(&mut connection, "alice").await;
    let id = alice.unwrap().unwrap().id;
    let mut rows = personal_access_tokens::list_of_user(&mut connection, &id).await.unwrap();
    assert_eq!(rows.len(), 1);
    rows.remove(0)
}

async fn used_from(app: &TestApp, token: &str, address: &str, program: &str) -> Answer {
    let form = [("token", token), ("ip_address", address), ("user_agent", program)];
    app.post_as("notes", "/introspect", &form).await
}

async fn networks(app: &TestApp) -> usize {
    let events = app.events().await;
    events.iter().filter(|event| event.action == "token_used_from_new_network").count()
}

/// PT-12: the last use is known to the minute, and costs no write for each.
#[tokio::test(flavor = "multi_thread")]
async fn use_is_noted_once_a_minute() {
    let app = house().await;
    let token = full_token(&app).await;
    assert_eq!(row(&app).await.last_used_at, None);
    let begin = app.app.now();
    used_from(&app, &token, "203.0.113.7", "backup/1.0").await;
    let seen = row(&app).await;
    assert_eq!(seen.last_used_at, Some(begin));
    assert_eq!(seen.last_client.unwrap().as_str(), "notes");
    assert_eq!(seen.last_address.as_deref(), Some("203.0.113.7"));
    assert_eq!(seen.last_user_agent.as_deref(), Some("backup/1.0"));

    app.clock.advance(59);
    let before = app.app.store.statements();
    for _ in 0..10 {
        used_from(&app, &token, "203.0.113.7", "backup/1.0").await;
    }
    // The token and its owner, each time.
    assert_eq!(app.app.store.statements() - before, 20);
    assert_eq!(row(&app).await.last_used_at, Some(begin));
    app.clock.advance(1);
    exchange_as(&app, "vault", &token, &[]).await.text("access_token");
    let seen = row(&app).await;
    assert_eq!(seen.last_used_at, Some(app.app.now()));
    assert_eq!(seen.last_client.unwrap().as_str(), "vault");
    let page = signed_in(&app, "alice").await.get("/account/tokens").await.text();
    assert!(page.contains("at <bdi>Vault</bdi>") && page.contains("Last used"), "{page}");
}

/// PT-12: a network that the token was never used from is an event, at once and one time.
#[tokio::test(flavor = "multi_thread")]
async fn a_new_network_is_an_event() {
    let app = house().await;
    let token = full_token(&app).await;
    let own = row(&app).await.networks.to_vec();
    used_from(&app, &token, &own[0], "x").await;
    assert_eq!(networks(&app).await, 0, "the network that it was made from is known");
    for (address, expected) in [
        ("203.0.113.7", 1),
        ("203.0.113.7", 1),
        ("2001:db8:1:2::1", 2),
        ("2001:db8:1:2:ffff::9", 2),
        ("203.0.113.8", 3),
        ("203.0.113.7", 3),
        // What is no address is not believed: the app's own counts, which is known.
        ("<script>", 3),
    ] {
        used_from(&app, &token, address, "x").await;
        assert_eq!(networks(&app).await, expected, "{address}");
    }
    let events = app.events().await;
    let event = events.iter().find(|event| event.action.contains("new_network")).unwrap();
    assert_eq!(event.address.as_deref(), Some("203.0.113.7"));
    assert!(event.detail.contains("everything") && !event.detail.contains(&token), "{event:?}");
    for number in 0..50 {
        used_from(&app, &token, &format!("198.51.100.{number}"), "x").await;
    }
    assert_eq!(row(&app).await.networks.to_vec().len(), 32, "it does not grow");
}

/// PT-12: twenty uses at once from one new network are one event.
#[tokio::test(flavor = "multi_thread")]
async fn a_crowd_notes_one_new_network() {
    let app = std::sync::Arc::new(house().await);
    let token = full_token(&app).await;
    let uses = (0..20).map(|_| {
        let (app, token) = (std::sync::Arc::clone(&app), token.clone());
        tokio::spawn(async move { used_from(&app, &token, "203.0.113.7", "x").await.status })
    });
    for one in uses.collect::<Vec<_>>() {
        assert_eq!(one.await.unwrap(), 200);
    }
    assert_eq!(networks(&app).await, 1);
}

/// UserInfo tells the program whose it is, as far as its scopes go.
#[tokio::test(flavor = "multi_thread")]
async fn a_program_may_ask_whose_it_is() {
    let app = house().await;
    let mut browser = signed_in(&app, "alice").await;
    let token = make(&mut browser, "who", &["openid", "groups"]).await;
    let bearer = format!("Bearer {token}");
    let told = app.get("/userinfo", Some(&bearer)).await.json();
    assert_eq!(told["sub"], seen_by(&app, "notes", &token).await["sub"]);
    assert_eq!(told["groups"], serde_json::json!(["admins"]));
    assert_eq!(told.as_object().unwrap().len(), 2, "{told}");
    assert_eq!(row(&app).await.last_client, None, "it was shown to ourselves");
    let other = make(&mut browser, "not who", &["notes:read"]).await;
    let refused = app.get("/userinfo", Some(&format!("Bearer {other}"))).await;
    refused.assert_error(403, "insufficient_scope");
    assert!(refused.headers["www-authenticate"].to_str().unwrap().contains("insufficient_scope"));
}

//! Service accounts: programs that have an account, which nobody can ever sign in to.

use keywright::{
    keys::parse_unverified,
    store::users::{self, AccountKind, User},
};
use serde_json::{Value, json};

use crate::{
    refresh::outside::{deployment, execute, user_verb},
    support::{
        app::TestApp,
        journey::{authorize_path, sign_in_on_page},
    },
};

const ROBOT: &str = r#"
[[clients]]
id = "robot"
name = "Robot"
secret = "robot-secret-0123456789"
grant_types = ["client_credentials"]
scopes = ["openid", "groups", "offline_access", "read"]
service_account = "Backup"
"#;

async fn account(app: &TestApp, key: &str) -> User {
    let mut connection = app.app.connection().await.unwrap();
    users::find_by_username(&mut connection, key).await.unwrap().unwrap()
}

async fn ask(app: &TestApp, client: &str) -> crate::support::app::Answer {
    app.post_as(client, "/token", &[("grant_type", "client_credentials")]).await
}

async fn seen(app: &TestApp, client: &str, token: &str) -> Value {
    app.post_as(client, "/introspect", &[("token", token)]).await.json()
}

/// A client that is a service account acts as that account, with its groups as they are.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_acts_as_its_service_account() {
    let instances = deployment(ROBOT).await;
    let app = &instances[0];
    user_verb(app, &["add", "backup", "--service", "--group", "machines"], "").await;
    let backup = account(app, "backup").await;
    assert_eq!((backup.kind, backup.password_hash.is_some()), (AccountKind::Service, false));
    let answer = ask(app, "robot").await;
    assert_eq!(answer.text("scope"), "groups read", "nobody signs in, so nothing of a sign-in");
    let token = answer.text("access_token");
    let (_, claims) = parse_unverified(&token).unwrap();
    assert_eq!((&claims["sub"], &claims["client_id"]), (&json!(backup.id), &json!("robot")));
    assert_eq!(claims["groups"], json!(["machines"]));
    // Another client is itself, as before, and needs no account.
    let own = ask(app, "m2m").await.text("access_token");
    assert_eq!(parse_unverified(&own).unwrap().1["sub"], "m2m");
    let refused = app.get("/userinfo", Some(&format!("Bearer {token}"))).await;
    refused.assert_error(403, "insufficient_scope");

    execute(app, "UPDATE users SET groups = '[\"night\"]' WHERE username = 'backup'").await;
    for instance in &instances {
        assert_eq!(seen(instance, "robot", &token).await["groups"], json!(["night"]));
    }
    // TK-14: once it is shut, nothing goes, here or at another instance.
    user_verb(app, &["disable", "backup"], "").await;
    for instance in &instances {
        ask(instance, "robot").await.assert_error(401, "invalid_client");
        assert_eq!(seen(instance, "robot", &token).await, json!({ "active": false }));
    }
    let refusals = app.refusals("token").await;
    assert!(refusals.iter().all(|reason| reason == "user_disabled"), "{refusals:?}");
}

/// TK-13: a person is no service account, and an account that is not there is not made up.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_cannot_act_as_a_person() {
    let app = TestApp::builder().config(ROBOT).start().await;
    ask(&app, "robot").await.assert_error(401, "invalid_client");
    app.add_user("backup", &["admins"]).await;
    ask(&app, "robot").await.assert_error(401, "invalid_client");
    assert_eq!(app.refusals("token").await, ["service_account_unknown", "no_service_account"]);
}

/// Nobody signs in to it: the form answers as for nobody, and a session that there should not be is
/// none.
#[tokio::test(flavor = "multi_thread")]
async fn nobody_signs_in_to_a_service_account() {
    let app = TestApp::start().await;
    app.add_user("bob", &[]).await;
    user_verb(&app, &["add", "backup", "--service"], "").await;
    let mut pages = Vec::new();
    for name in ["backup", "nobody"] {
        let mut browser = app.browser();
        let journey = browser.visit(&authorize_path("web", &[])).await;
        let page = sign_in_on_page(&mut browser, &journey, name).await.last().clone();
        let text = page.text().replace(name, "NAME");
        let csrf = page.form_to("/login").value("csrf").unwrap().to_owned();
        let flow = page.url.query().unwrap_or_default().to_owned();
        let text = text.replace(&csrf, "CSRF").replace(&flow, "FLOW");
        pages.push((page.status, text));
    }
    assert_eq!(pages[0], pages[1]);

    // Whatever way somebody thinks of later: a session of such an account is none.
    let mut browser = app.browser();
    let secret = crate::sessions::sign_in(&mut browser, "bob").await;
    assert_eq!(crate::sessions::person_of(&app, &secret).await.as_deref(), Some("bob"));
    execute(&app, "UPDATE users SET kind = 'service' WHERE username = 'bob'").await;
    assert_eq!(crate::sessions::person_of(&app, &secret).await, None);
}

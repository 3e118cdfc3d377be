//! A hosted API whose clients draw their own forms: a code instead of a link when a password is lost, and
//! servers that have nobody to act for.

use axum::http::Method;
use serde_json::json;

use super::{ANOTHER, PASSWORD, System, Tokens, refused, row};
use crate::support::{
    app::TestApp,
    inbox::{Inbox, code_in},
};

const THERAPPAI: &str = r#"
[signup]
local = "open"
email = "required"

[rate_limits]
sign_in_per_minute = 1000

[[clients]]
id = "therappai"
name = "Therappai"
type = "native"
redirect_uris = ["http://127.0.0.1/cb"]
api = true

[[clients]]
id = "integrator"
name = "Integrator"
secret = "integrator-secret-0123456789"
grant_types = ["client_credentials"]
scopes = ["people:read"]
"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_code_by_mail_leads_back_in() {
    let inbox = Inbox::open();
    let app = inbox.builder(THERAPPAI).start().await;
    let system = System { app: &app, client: "therappai" };

    row("sign-up by the API");
    let wanting = json!({
        "username": "tess", "email": "tess@corp.test", "name": "Tess", "password": PASSWORD,
    });
    assert_eq!(system.post("/signup", wanting).await.status, 201);
    let tokens = system.tokens("tess", PASSWORD).await;
    let own = system.me(Method::GET, &tokens.access, &json!({})).await.json();
    assert_eq!(own["name"], "Tess");

    row("a lost password: the address, the code, the new password; nobody is told who is known");
    let known = system.post("/recovery", json!({ "email": "tess@corp.test" })).await;
    let unknown = system.post("/recovery", json!({ "email": "nobody@corp.test" })).await;
    assert_eq!((known.status.as_u16(), unknown.status.as_u16()), (202, 202));
    assert_eq!(known.text("request").len(), unknown.text("request").len());
    let code = code_in(&inbox.newest(&app, "tess@corp.test").await);
    let typed = json!({ "request": known.text("request"), "code": code });
    let typed = system.post("/recovery/code", typed).await;
    assert_eq!(typed.status, 200, "{typed:?}");
    let chosen = json!({ "continuation": typed.text("continuation"), "password": ANOTHER });
    assert_eq!(system.post("/recovery/password", chosen).await.status, 204);

    row("whoever was in is out");
    refused(&system.refresh(&tokens.refresh).await, 401, "invalid_grant");
    refused(&system.sign_in("tess", PASSWORD).await, 401, "invalid_credentials");
    let tokens = system.tokens("tess", ANOTHER).await;

    row("there is a way to give tokens back, and they are dead then");
    let form = [("token", tokens.refresh.as_str()), ("client_id", "therappai")];
    assert_eq!(app.post("/revoke", &form, &[]).await.status, 200);
    refused(&system.refresh(&tokens.refresh).await, 401, "invalid_grant");
    let bearer = format!("Bearer {}", tokens.access);
    assert_eq!(app.get("/userinfo", Some(&bearer)).await.status, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_act_for_themselves_and_loops_are_stopped() {
    let app = TestApp::builder().config(THERAPPAI).start().await;
    let system = System { app: &app, client: "therappai" };
    app.add_user("tess", &[]).await;

    row("a server has a token of its own, and nobody's");
    let answer = app.post_as("integrator", "/token", &[("grant_type", "client_credentials")]).await;
    assert_eq!((answer.status.as_u16(), answer.text("scope").as_str()), (200, "people:read"));
    let own = system.me(Method::GET, &answer.text("access_token"), &json!({})).await;
    assert!(matches!(own.status.as_u16(), 401 | 403), "{own:?}");

    row("a refresh token in the body is used once");
    let tokens = system.tokens("tess", "tess-password").await;
    let next = Tokens::of(&system.refresh(&tokens.refresh).await);
    assert_ne!(next.refresh, tokens.refresh);

    row("errors are for machines, and tell no secret");
    let wrong = system.sign_in("tess", PASSWORD).await;
    assert_eq!(wrong.headers["content-type"], "application/problem+json");
    assert!(!String::from_utf8_lossy(&wrong.body).contains(PASSWORD));
}

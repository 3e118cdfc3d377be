//! Accounts that are made on an app's own form.

use serde_json::{Value, json};

use super::{NEW, assert_problem, post, sign_in, start_with};
use crate::support::{app::TestApp, inbox::Inbox};

const OPEN: &str = "[signup]\nlocal = \"open\"\nemail = \"optional\"";

fn wanting(username: &str, email: Option<&str>) -> Value {
    json!({ "client_id": "own", "username": username, "password": NEW, "email": email })
}

async fn users(app: &TestApp) -> i64 {
    app.count("users").await
}

/// A newcomer has an account, is nobody until they sign in, and confirms their address by mail.
#[tokio::test(flavor = "multi_thread")]
async fn a_newcomer_makes_an_account() {
    let inbox = Inbox::open();
    let app = inbox.builder(&format!("{}\n{OPEN}", super::APPS)).start().await;
    let answer = post(&app, "/signup", &wanting("newt", Some("newt@corp.test"))).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    assert_eq!(
        (answer.text("username"), &answer.json()["waits"]),
        ("newt".to_owned(), &json!(false))
    );
    assert_eq!(app.count("sessions").await, 0);
    let signed_in = sign_in(&app, "own", "newt", NEW).await;
    assert_eq!(signed_in.status, 200, "{signed_in:?}");
    inbox.newest(&app, "newt@corp.test").await;
    let events = app.events().await;
    let event = events.iter().find(|event| event.action == "sign_up").unwrap();
    assert_eq!(event.client_id.as_ref().unwrap().as_str(), "own");
}

/// PW-09: an address that is somebody's is told to nobody but its owner.
#[tokio::test(flavor = "multi_thread")]
async fn addresses_are_not_told() {
    let inbox = Inbox::open();
    let app = inbox.builder(&format!("{}\n{OPEN}", super::APPS)).start().await;
    app.add_user("bob", &[]).await;
    let taken = post(&app, "/signup", &wanting("newt", Some("bob@corp.test"))).await;
    let free = post(&app, "/signup", &wanting("newu", Some("free@corp.test"))).await;
    let shape = |answer: &crate::support::app::Answer| {
        let json = answer.json();
        let names: Vec<String> = json.as_object().unwrap().keys().cloned().collect();
        (answer.status, names, json["waits"].clone())
    };
    assert_eq!(shape(&taken), shape(&free));
    let mail = inbox.newest(&app, "bob@corp.test").await;
    assert!(!mail.text().contains("newt"), "{}", mail.text());
}

/// What cannot be an account is none, and the fields say why. A door that is shut is shut here too.
#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_is_refused() {
    let app = start_with(OPEN).await;
    let with = |changes: &[(&str, &str)]| {
        let mut body = wanting("newt", None);
        for (name, value) in changes {
            body[*name] = json!(value);
        }
        body
    };
    for (body, code, field) in [
        (with(&[("username", "a b")]), "username_unfit", "username"),
        (with(&[("username", "admin")]), "username_unfit", "username"),
        (with(&[("email", "nothing")]), "email_unfit", "email"),
        (with(&[("password", "short")]), "password_unfit", "password"),
        (with(&[("username", "BOB")]), "username_taken", "username"),
    ] {
        let answer = post(&app, "/signup", &body).await;
        assert_problem(&answer, 422, code);
        assert!(answer.json()["fields"][field].is_string(), "{answer:?}");
        assert!(!String::from_utf8_lossy(&answer.body).contains(NEW));
    }
    assert_eq!(users(&app).await, 1);
    assert_eq!(app.refusals("sign_up").await.len(), 5);

    let closed = start_with("[signup]\nlocal = \"closed\"").await;
    let answer = post(&closed, "/signup", &wanting("newt", None)).await;
    assert_problem(&answer, 403, "signup_disabled");
    assert_eq!(closed.refusals("sign_up").await, ["signup_disabled"]);
    let invited = start_with("[signup]\nlocal = \"invite\"").await;
    let answer = post(&invited, "/signup", &wanting("newt", None)).await;
    assert_problem(&answer, 403, "signup_disabled");
    assert_eq!((users(&closed).await, users(&invited).await), (1, 1));
}

/// RL-08: accounts are not made by the hundred.
#[tokio::test(flavor = "multi_thread")]
async fn accounts_are_not_made_by_the_hundred() {
    let apps = super::APPS.replace("[rate_limits]", "[rate_limits]\nsign_up_per_hour = 1");
    let app = TestApp::builder().config(&apps).config(OPEN).start().await;
    assert_eq!(post(&app, "/signup", &wanting("newt", None)).await.status, 201);
    let answer = post(&app, "/signup", &wanting("newu", None)).await;
    assert_problem(&answer, 429, "too_many_sign_ups");
    assert_eq!(users(&app).await, 1);
}

/// What the configuration asks of everybody is asked here; nothing else can be said (AD-02).
#[tokio::test(flavor = "multi_thread")]
async fn required_attributes_are_asked() {
    let attributes = "[[attributes]]\nname = \"team\"\nlabel = \"Team\"\nrequired = true\n\
                      [[attributes]]\nname = \"rank\"\nlabel = \"Rank\"";
    let app = start_with(&format!("{OPEN}\n{attributes}")).await;
    for said in [json!({}), json!({ "team": "" }), json!({ "team": "Red", "rank": "1" })] {
        let mut body = wanting("newt", None);
        body["attributes"] = said;
        assert_problem(&post(&app, "/signup", &body).await, 422, "attribute_unfit");
    }
    assert_problem(&post(&app, "/signup", &wanting("newt", None)).await, 422, "attribute_unfit");
    assert_eq!(app.refusals("sign_up").await, ["attribute_unfit"; 4]);
    assert_eq!(users(&app).await, 1);
    let mut body = wanting("newt", None);
    body["attributes"] = json!({ "team": "Red" });
    assert_eq!(post(&app, "/signup", &body).await.status, 201);
    assert_eq!(app.count("user_attributes WHERE name = 'team'").await, 1);
}

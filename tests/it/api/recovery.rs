//! Getting back in, on an app's own forms.

use serde_json::{Value, json};

use super::{APPS, NEW, assert_problem, post, refresh, sign_in, start, tokens};
use crate::support::{
    app::{Answer, TestApp},
    inbox::{Inbox, code_in},
};

async fn house(inbox: &Inbox) -> TestApp {
    let app = inbox.builder(APPS).start().await;
    app.add_user("bob", &[]).await;
    app
}

async fn ask(app: &TestApp, wish: Value) -> Answer {
    let mut body = wish;
    body["client_id"] = json!("own");
    post(app, "/recovery", &body).await
}

async fn type_code(app: &TestApp, client: &str, request: &str, code: &str) -> Answer {
    let body = json!({ "client_id": client, "request": request, "code": code });
    post(app, "/recovery/code", &body).await
}

async fn choose(app: &TestApp, client: &str, continuation: &str, password: &str) -> Answer {
    let body = json!({ "client_id": client, "continuation": continuation, "password": password });
    post(app, "/recovery/password", &body).await
}

fn another(code: &str) -> String {
    let number: u32 = code.parse().unwrap();
    format!("{:06}", (number + 1) % 1_000_000)
}

/// therappai's way: address, code, new password; whoever was in is out.
#[tokio::test(flavor = "multi_thread")]
async fn a_lost_password_is_replaced_in_three_steps() {
    let inbox = Inbox::open();
    let app = house(&inbox).await;
    let (_, token) = tokens(&app, "own", "bob").await;
    let asked = ask(&app, json!({ "email": "bob@corp.test" })).await;
    assert_eq!(asked.status, 202, "{asked:?}");
    let mail = inbox.newest(&app, "bob@corp.test").await;
    let request = asked.text("request");
    let typed = type_code(&app, "own", &request, &code_in(&mail)).await;
    assert_eq!(typed.status, 200, "{typed:?}");
    let continuation = typed.text("continuation");
    let weak = choose(&app, "own", &continuation, "short").await;
    assert_problem(&weak, 422, "password_unfit");
    assert!(weak.json()["fields"]["password"].is_string());
    let done = choose(&app, "own", &continuation, NEW).await;
    assert_eq!((done.status.as_u16(), done.body.len()), (204, 0), "{done:?}");
    assert_problem(&refresh(&app, "own", &token).await, 401, "invalid_grant");
    assert_problem(&sign_in(&app, "own", "bob", "bob-password").await, 401, "invalid_credentials");
    assert_eq!(sign_in(&app, "own", "bob", NEW).await.status, 200);
    // RC-10: once.
    assert_problem(
        &choose(&app, "own", &continuation, "another quiet Otter 94").await,
        410,
        "link_gone",
    );
    assert_eq!(sign_in(&app, "own", "bob", NEW).await.status, 200);
}

/// PW-09, RC-16: nobody is told who has an account.
#[tokio::test(flavor = "multi_thread")]
async fn all_wishes_are_alike() {
    let inbox = Inbox::open();
    let app = house(&inbox).await;
    for wish in [
        json!({ "username": "bob" }),
        json!({ "username": "nobody" }),
        json!({ "email": "nobody@corp.test" }),
    ] {
        let answer = ask(&app, wish).await;
        assert_eq!(answer.status, 202, "{answer:?}");
        assert_eq!(answer.json().as_object().unwrap().len(), 1);
        assert_eq!(answer.text("request").len(), 24);
    }
    assert_eq!(inbox.all(&app).await.len(), 1);
}

/// RC-02, RC-07, RC-08, RC-15: no other order, nobody else's account, no guessing.
#[tokio::test(flavor = "multi_thread")]
async fn there_is_no_other_way() {
    let inbox = Inbox::open();
    let app = house(&inbox).await;
    for wish in [
        json!({}),
        json!({ "username": "bob", "email": "bob@corp.test" }),
        json!({ "username": "" }),
        json!({ "email": "bob@corp.test\nBcc: eve@evil.test" }),
    ] {
        assert_problem(&ask(&app, wish).await, 422, "name_unfit");
    }
    assert_problem(
        &ask(&app, json!({ "email": ["bob@corp.test", "x@y.test"] })).await,
        422,
        "invalid_request",
    );
    assert_problem(
        &ask(&app, json!({ "email": "bob@corp.test", "user_id": "x" })).await,
        422,
        "invalid_request",
    );
    let request = ask(&app, json!({ "username": "bob" })).await.text("request");
    let code = code_in(&inbox.newest(&app, "bob@corp.test").await);
    // Without the code, and by another app.
    assert_problem(&choose(&app, "own", &request, NEW).await, 410, "link_gone");
    assert_problem(&type_code(&app, "page", &request, &code).await, 410, "code_over");
    for _ in 0..5 {
        assert_problem(
            &type_code(&app, "own", &request, &another(&code)).await,
            401,
            "invalid_code",
        );
    }
    assert_problem(&type_code(&app, "own", &request, &code).await, 410, "code_over");
    assert_eq!(sign_in(&app, "own", "bob", "bob-password").await.status, 200);
    let again = ask(&app, json!({ "username": "bob" })).await.text("request");
    let code = code_in(&inbox.newest(&app, "bob@corp.test").await);
    let typed = type_code(&app, "own", &again, &code).await.text("continuation");
    assert_problem(&choose(&app, "page", &typed, NEW).await, 410, "link_gone");
    app.clock.advance(16 * 60);
    assert_problem(&choose(&app, "own", &typed, NEW).await, 410, "link_gone");
    assert_eq!(sign_in(&app, "own", "bob", "bob-password").await.status, 200);
}

/// RC-11: many wishes from one network are too many; without mail there is no way.
#[tokio::test(flavor = "multi_thread")]
async fn wishes_have_a_brake() {
    let inbox = Inbox::open();
    let apps = APPS.replace("[rate_limits]", "[rate_limits]\nrecovery_per_hour = 2");
    let app = inbox.builder(&apps).start().await;
    for _ in 0..2 {
        assert_eq!(ask(&app, json!({ "username": "bob" })).await.status, 202);
    }
    let answer = ask(&app, json!({ "username": "bob" })).await;
    assert_problem(&answer, 429, "too_many_recoveries");
    assert_eq!(app.refusals("recovery").await, ["too_many_recoveries"]);

    let without = start().await;
    assert_problem(&ask(&without, json!({ "username": "bob" })).await, 403, "recovery_off");
    assert_problem(&type_code(&without, "own", "x", "123456").await, 403, "recovery_off");
}

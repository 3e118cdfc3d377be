//! The middleware before its rename: a username besides the address, several devices, hashes of its own,
//! and no word about who is here.

use axum::http::Method;
use openssl::{hash::MessageDigest, pkcs5::pbkdf2_hmac};
use serde_json::json;

use super::{ANOTHER, PASSWORD, page::Page, refused, row};
use crate::{
    refresh::outside::execute,
    support::{
        app::TestApp,
        inbox::{Inbox, link_in},
    },
};

const GRAPHQL: &str = r#"
[signup]
local = "open"
email = "required"

[rate_limits]
sign_in_per_minute = 1000

[[clients]]
id = "graphql"
name = "GraphQL Auth"
type = "public"
redirect_uris = ["https://graphql.test/cb"]
session_token = true
api = true
access_token_lifetime = "15m"
"#;

const fn page(app: &TestApp) -> Page<'_> {
    Page { app, client: "graphql", origin: "https://graphql.test", cookie: None, access: None }
}

#[tokio::test(flavor = "multi_thread")]
async fn people_have_a_username_and_an_address() {
    let inbox = Inbox::open();
    let app = inbox.builder(GRAPHQL).start().await;
    let mut page = page(&app);

    row("a username of letters, digits, dash, dot and underscore; one of each, whatever the case");
    let wanting = |username: &str, email: &str| json!({ "username": username, "email": email, "password": PASSWORD });
    assert_eq!(page.post("/signup", wanting("Kim.O_b-1", "kim@corp.test")).await.status, 201);
    refused(
        &page.post("/signup", wanting("kim.o_b-1", "k@corp.test")).await,
        422,
        "username_taken",
    );
    refused(&page.post("/signup", wanting("kim o b", "k@corp.test")).await, 422, "username_unfit");

    row("the address is confirmed by a mailed link; then it is called so");
    let link = link_in(&inbox.newest(&app, "kim@corp.test").await);
    let mut browser = app.browser();
    let opened = browser.visit(&link).await.last().clone();
    browser.submit(&opened, &opened.form_to("/verify-email")).await;

    row("signing in by username or by address");
    for name in ["kim.o_b-1", "KIM@corp.test"] {
        let mut page = self::page(&app);
        assert_eq!(page.sign_in(name, PASSWORD).await.status, 200, "{name}");
        let bearer = format!("Bearer {}", page.access.clone().unwrap());
        let claims = app.get("/userinfo", Some(&bearer)).await.json();
        assert_eq!(claims["preferred_username"], "Kim.O_b-1");
        assert_eq!(
            (&claims["email"], &claims["email_verified"]),
            (&json!("kim@corp.test"), &json!(true))
        );
    }

    row("one refusal for everything that is wrong about a sign-in");
    let unknown = page.sign_in("nobody", PASSWORD).await;
    let wrong = page.sign_in("kim.o_b-1", ANOTHER).await;
    let of = |answer: &crate::support::app::Answer| {
        let mut json = answer.json();
        json.as_object_mut().unwrap().remove("trace_id");
        (answer.status, json)
    };
    assert_eq!(of(&unknown), of(&wrong));
    refused(&wrong, 401, "invalid_credentials");

    row("nobody is told which addresses are taken, and there is no list of people");
    let answer = page.post("/signup", wanting("somebody", "kim@corp.test")).await;
    assert_eq!(answer.status, 201, "as for any other: {answer:?}");
    let mails = inbox.of(&app, "kim@corp.test").await;
    assert!(mails.last().unwrap().text().contains("You have one already"));
    for path in ["/users", "/username-available", "/email-available"] {
        let answer = page.send(Method::GET, path, json!({})).await;
        assert_eq!(answer.status, 404, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn devices_end_one_by_one_and_people_leave() {
    let app = TestApp::builder().config(GRAPHQL).start().await;
    app.add_user("kim", &[]).await;
    let (mut phone, mut desk) = (page(&app), page(&app));

    row("several devices, each with a session of its own, which a restart of the browser outlives");
    for device in [&mut phone, &mut desk] {
        assert_eq!(device.sign_in("kim", "kim-password").await.status, 200);
    }
    assert_eq!(app.count("sessions").await, 2);

    row("signing out, which it lacked, ends one device and not the other");
    assert_eq!(phone.post("/logout", json!({})).await.status, 204);
    assert_eq!(phone.cookie, None);
    assert_eq!(desk.post("/refresh", json!({})).await.status, 200);

    row("updateMe: what one is called takes both tokens, and is told from then on");
    let answer = desk.send(Method::PATCH, "/me", json!({ "name": "Kim Two" })).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let bearer = format!("Bearer {}", desk.access.clone().unwrap());
    assert_eq!(app.get("/userinfo", Some(&bearer)).await.json()["name"], "Kim Two");

    row("deleteMe takes the password; then nobody is in");
    let leaving = json!({ "current_password": ANOTHER });
    assert!(desk.send(Method::DELETE, "/me", leaving).await.status.is_client_error());
    let leaving = json!({ "current_password": "kim-password" });
    let answer = desk.send(Method::DELETE, "/me", leaving).await;
    assert!(answer.status.is_success(), "{answer:?}");
    refused(&page(&app).sign_in("kim", "kim-password").await, 401, "invalid_credentials");
    assert_eq!(desk.post("/refresh", json!({})).await.status, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn its_hashes_sign_people_in_and_become_ours() {
    let app = TestApp::builder().config(GRAPHQL).start().await;
    app.add_user("kim", &[]).await;

    row("PBKDF2 with SHA-512 and 128 rounds is taken once, and replaced by argon2id");
    let (salt, mut hash) = ([7; 16], [0; 64]);
    pbkdf2_hmac(PASSWORD.as_bytes(), &salt, 128, MessageDigest::sha512(), &mut hash).unwrap();
    let text = |bytes: &[u8]| openssl::base64::encode_block(bytes).trim_end_matches('=').to_owned();
    let stored = format!("$pbkdf2-sha512$i=128,l=64${}${}", text(&salt), text(&hash));
    execute(&app, &format!("UPDATE users SET password_hash = '{stored}'")).await;
    refused(&page(&app).sign_in("kim", ANOTHER).await, 401, "invalid_credentials");
    assert_eq!(page(&app).sign_in("kim", PASSWORD).await.status, 200);
    assert_eq!(app.count("users WHERE password_hash LIKE '$argon2id$%'").await, 1);
    assert_eq!(page(&app).sign_in("kim", PASSWORD).await.status, 200);
}

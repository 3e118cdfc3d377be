//! Requests that are odd: nothing but strict JSON, nothing that nobody has named, and never an error of
//! ours.

use axum::http::Method;
use serde_json::{Value, json};

use super::{JSON, assert_problem, me, post, send, signing_in, start, tokens};
use crate::support::{
    app::TestApp,
    journey::{FULL_SCOPE, code_for, redeem},
};

const POSTED: [&str; 8] = [
    "/signup",
    "/signin",
    "/signin/second-factor",
    "/refresh",
    "/logout",
    "/recovery",
    "/recovery/code",
    "/recovery/password",
];

/// IJ-10, HT-02: what is no strict JSON object is refused before anything is done.
#[tokio::test(flavor = "multi_thread")]
async fn only_strict_json_is_read() {
    let app = start().await;
    let deep = format!("{{\"client_id\":{}1{}}}", "[".repeat(10_000), "]".repeat(10_000));
    let objects = format!("{}1{}", "{\"a\":".repeat(10_000), "}".repeat(10_000));
    let twice =
        r#"{"client_id":"own","client_id":"own","username":"bob","password":"bob-password"}"#;
    for path in POSTED {
        for body in [
            "",
            "null",
            "[]",
            "1",
            "\"x\"",
            "{",
            "{}{}",
            "{\"a\":1,}",
            "\u{feff}{}",
            twice,
            &deep,
            &objects,
        ] {
            let answer = send(&app, Method::POST, path, &[JSON], body.to_owned()).await;
            assert_problem(&answer, 422, "invalid_json");
        }
        let answer =
            send(&app, Method::POST, path, &[JSON], b"{\"client_id\":\"\xff\"}".to_vec()).await;
        assert_problem(&answer, 422, "invalid_json");
        let huge = format!("{{\"client_id\":\"{}\"}}", "x".repeat(70_000));
        let answer = send(&app, Method::POST, path, &[JSON], huge).await;
        assert_problem(&answer, 413, "unreadable");
        for headers in [
            vec![],
            vec![("content-type", "text/plain")],
            vec![("content-type", "application/x-www-form-urlencoded")],
            vec![("content-type", "application/jsonx")],
            vec![JSON, ("content-encoding", "gzip")],
            vec![JSON, JSON],
        ] {
            let body = signing_in("own", "bob", "bob-password").to_string();
            let answer = send(&app, Method::POST, path, &headers, body).await;
            assert_problem(&answer, 415, "unsupported_media_type");
        }
        let query = format!("{path}?client_id=own");
        let answer = send(&app, Method::POST, &query, &[JSON], "{}").await;
        assert_problem(&answer, 422, "invalid_request");
    }
    assert_eq!(app.count("sessions").await, 0);
}

/// AD-02: what nobody has named is refused, not left out.
#[tokio::test(flavor = "multi_thread")]
async fn unknown_members_are_refused() {
    let app = start().await;
    let (access, token) = tokens(&app, "own", "bob").await;
    let good = [
        ("/signup", json!({ "client_id": "own", "username": "newt", "password": super::NEW })),
        ("/signin", signing_in("own", "bob", "bob-password")),
        ("/signin/second-factor", json!({ "client_id": "own", "continuation": "x", "code": "1" })),
        ("/refresh", json!({ "client_id": "own", "refresh_token": token })),
        ("/logout", json!({ "client_id": "own", "refresh_token": token })),
        ("/recovery", json!({ "client_id": "own", "username": "bob" })),
        ("/recovery/code", json!({ "client_id": "own", "request": "x", "code": "1" })),
        ("/recovery/password", json!({ "client_id": "own", "continuation": "x", "password": "x" })),
    ];
    let members = [
        "role",
        "roles",
        "is_admin",
        "groups",
        "id",
        "sub",
        "email_verified",
        "password_hash",
        "enabled",
        "disabled_at",
        "created_at",
        "org_id",
        "kind",
        "Username",
        "",
    ];
    for member in members {
        for (path, body) in &good {
            let mut body = body.clone();
            body[member] = json!(true);
            assert_problem(&post(&app, path, &body).await, 422, "invalid_request");
        }
        for method in [Method::PATCH, Method::DELETE] {
            let mut body = json!({ "refresh_token": token, "current_password": "bob-password" });
            body[member] = json!(true);
            assert_problem(&me(&app, method, &access, &body).await, 422, "invalid_request");
        }
    }
    assert_eq!(app.count("users").await, 1);
    assert_eq!(app.count("sessions WHERE ended_at IS NULL").await, 1);
    let refreshed = super::refresh(&app, "own", &token).await;
    assert_eq!(refreshed.status, 200, "nothing was used up");
}

/// Whatever stands in a member, the fault is never ours (HT-05).
#[tokio::test(flavor = "multi_thread")]
async fn no_value_breaks_anything() {
    let app = start().await;
    let (access, token) = tokens(&app, "own", "bob").await;
    let long = "\u{1f980}".repeat(4_000);
    let odd = ["", "\u{0}", "a\u{0}b", "\u{202e}", "' OR 1=1 --", "../../x", "\r\nX: y", &long];
    let names = [
        "client_id",
        "username",
        "password",
        "email",
        "name",
        "scope",
        "continuation",
        "code",
        "request",
        "refresh_token",
    ];
    for path in POSTED {
        for name in names {
            for value in odd {
                let mut body = json!({ "client_id": "own" });
                for needed in needs(path) {
                    body[*needed] = json!("x");
                }
                if body.get(name).is_none() {
                    continue;
                }
                body[name] = json!(value);
                let answer = post(&app, path, &body).await;
                assert!(answer.status.as_u16() < 500, "{path} {name} {value:?}: {answer:?}");
            }
            for value in [json!(null), json!(1), json!([]), json!({}), json!(true)] {
                let body = json!({ "client_id": "own", name: value });
                let answer = post(&app, path, &body).await;
                assert!((400..500).contains(&answer.status.as_u16()), "{path} {body}: {answer:?}");
            }
        }
    }
    for value in odd {
        for name in ["name", "email", "password", "current_password", "client_secret"] {
            let mut body = json!({ "refresh_token": token, "current_password": "wrong" });
            body[name] = json!(value);
            let answer = me(&app, Method::DELETE, &access, &body).await;
            assert!(answer.status.as_u16() < 500, "{name} {value:?}: {answer:?}");
        }
    }
}

fn needs(path: &str) -> &'static [&'static str] {
    match path {
        "/signup" => &["username", "password", "email", "name"],
        "/signin" => &["username", "password", "scope"],
        "/signin/second-factor" => &["continuation", "code"],
        "/refresh" | "/logout" => &["refresh_token"],
        "/recovery" => &["username"],
        "/recovery/code" => &["request", "code"],
        _ => &["continuation", "password"],
    }
}

/// AD-01: who gets what at `/me`, by what they bring.
#[tokio::test(flavor = "multi_thread")]
async fn me_is_for_the_apps_own_person_alone() {
    let app = start().await;
    let (access, token) = tokens(&app, "own", "bob").await;
    let body = json!({ "refresh_token": token, "name": "x" });
    let others = bearers(&app).await;
    for (bearer, status, code) in others {
        for (method, body) in [
            (Method::GET, &json!({})),
            (Method::PATCH, &body),
            (
                Method::DELETE,
                &json!({ "refresh_token": token, "current_password": "bob-password" }),
            ),
        ] {
            let answer = me(&app, method, &bearer, body).await;
            assert_problem(&answer, status, code);
        }
    }
    let none = send(&app, Method::GET, "/me", &[], "").await;
    assert_problem(&none, 401, "invalid_token");
    assert!(none.headers["www-authenticate"].to_str().unwrap().starts_with("Bearer"));
    assert_eq!(app.count("users WHERE name = 'x' OR disabled_at IS NOT NULL").await, 0);
    assert_eq!(me(&app, Method::GET, &access, &json!({})).await.status, 200);
    app.clock.advance(3_600);
    assert_problem(&me(&app, Method::GET, &access, &json!({})).await, 401, "invalid_token");
}

/// What others may bring, and what they hear.
async fn bearers(app: &TestApp) -> Vec<(String, u16, &'static str)> {
    let of_client = app.post_as("m2m", "/token", &[("grant_type", "client_credentials")]).await;
    let mut browser = app.browser();
    let code = code_for(&mut browser, "web", "bob", &[("scope", FULL_SCOPE)]).await;
    let of_web = redeem(app, "web", &code).await;
    drop(browser);
    let narrow = json!({
        "client_id": "own", "username": "bob", "password": "bob-password", "scope": "profile"
    });
    let narrow = post(app, "/signin", &narrow).await;
    let id_token = super::sign_in(app, "own", "bob", "bob-password").await.text("id_token");
    vec![
        (String::new(), 401, "invalid_token"),
        ("x".to_owned(), 401, "invalid_token"),
        ("kw_pat_x".to_owned(), 401, "invalid_token"),
        (id_token, 401, "invalid_token"),
        (of_client.text("access_token"), 403, "unauthorized_client"),
        (of_web.text("access_token"), 403, "unauthorized_client"),
        (narrow.text("access_token"), 403, "insufficient_scope"),
    ]
}

/// PT-07: what was given to a program is no sign-in.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_acts_for_itself_is_nobody() {
    let robot = "[[clients]]\nid = \"robot\"\nname = \"Robot\"\nsecret = \"robot-secret-0123456789\"\n\
                 grant_types = [\"client_credentials\"]\nscopes = [\"read\"]\napi = true";
    let app = super::start_with(robot).await;
    let answer = app.post_as("robot", "/token", &[("grant_type", "client_credentials")]).await;
    let answer = me(&app, Method::GET, &answer.text("access_token"), &Value::Null).await;
    assert_problem(&answer, 403, "insufficient_scope");
}

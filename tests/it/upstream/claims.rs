//! What claims may hold, and what becomes of the rest.

use serde_json::{Value, json};

use super::{claims_of_sign_in, fails, gets_in, user};
use crate::support::{
    app::TestApp,
    fake_upstream::{Endpoint, Placement},
};

/// UP-34: an ID token over 64 KiB is refused.
#[tokio::test(flavor = "multi_thread")]
async fn claim_bombs_in_an_id_token_are_refused() {
    let (app, upstream) = TestApp::with_upstream().await;
    let groups: Vec<String> = (0..50_000).map(|number| format!("group-{number}")).collect();
    for (name, value) in [("groups", json!(groups)), ("name", json!("n".repeat(2_000_000)))] {
        upstream.misbehave(|lies| {
            lies.claims.set(name, value);
        });
        let event = fails(&app, &upstream, "kc").await.unwrap();
        let expected = ["id_token_malformed", "upstream_answer_too_large"];
        assert!(expected.contains(&event.reason.as_deref().unwrap()), "{event:?}");
        upstream.behave();
    }
    gets_in(&app, "kc").await.unwrap();
}

/// UP-34: UserInfo may be larger, and what it says is cut or dropped. A picture is never fetched.
#[tokio::test(flavor = "multi_thread")]
async fn oversized_claims_are_cut_or_dropped() {
    let (app, upstream) = TestApp::with_upstream().await;
    upstream.place_claims(Placement::UserinfoOnly);
    let groups: Vec<String> = (0..5_000).map(|number| format!("group-{number}")).collect();
    upstream.set_person(json!({
        "sub": "7", "preferred_username": "seven", "name": "n".repeat(100_000),
        "email": format!("{}@corp.test", "e".repeat(5_000)), "email_verified": true,
        "picture": format!("{}/picture.png", upstream.origin()), "groups": groups,
    }));
    let claims = claims_of_sign_in(&app, "kc").await;
    let kept = user(&app, "seven").await;
    assert_eq!(kept.name.map(|name| name.len()), Some(255));
    assert_eq!((kept.email, kept.email_verified), (None, None));
    assert!(claims["groups"].as_array().unwrap().len() <= 500);
    assert_eq!(upstream.count(Endpoint::Unknown), 0, "the picture was not fetched");
}

/// UP-34: only an https address is a picture.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_picture_is_dropped() {
    let (app, upstream) = TestApp::with_upstream().await;
    let long = format!("https://p.test/{}", "x".repeat(5_000));
    let wrong = [
        json!("javascript:alert(1)"),
        json!("data:text/html,<script>alert(1)</script>"),
        json!("http://169.254.169.254/latest/meta-data"),
        json!("file:///etc/passwd"),
        json!("//evil.test/p"),
        json!("/p"),
        json!(long),
        json!(7),
        json!(["https://p.test/"]),
    ];
    for picture in wrong {
        upstream.set_person(json!({
            "sub": "7", "preferred_username": "seven", "picture": picture,
        }));
        let claims = claims_of_sign_in(&app, "kc").await;
        assert_eq!((claims.get("picture"), user(&app, "seven").await.picture), (None, None));
    }
    upstream.set_person(json!({"sub": "7", "picture": "https://p.test/7.png"}));
    assert_eq!(claims_of_sign_in(&app, "kc").await["picture"], "https://p.test/7.png");
}

/// UP-34, UP-30: claims of odd shapes neither break a page nor write markup into one.
#[tokio::test(flavor = "multi_thread")]
async fn claims_of_odd_shapes_do_no_harm() {
    let (app, upstream) = TestApp::with_upstream().await;
    let mut deep = json!("x");
    for _ in 0..60 {
        deep = json!([deep]);
    }
    let shapes: Vec<Value> = vec![
        json!(null),
        json!(7),
        json!(1e300),
        json!(true),
        json!([]),
        json!({}),
        deep,
        json!("<script>alert(1)</script>"),
        json!("\u{0}\r\nSet-Cookie: x=y"),
        json!("{{7*7}}"),
        json!("\u{202e}evil\u{202c}"),
        json!([null, 7, {"name": "staff"}, "<b>"]),
    ];
    for (number, shape) in shapes.iter().enumerate() {
        upstream.set_person(json!({
            "sub": number.to_string(), "preferred_username": shape, "name": shape,
            "email": shape, "email_verified": shape, "picture": shape, "groups": shape,
            "amr": shape, "acr": shape, "sid": shape, "locale": shape,
        }));
        let mut browser = app.browser();
        let journey = super::sign_in_at(&mut browser, "kc").await;
        let claims = super::claims_for_app(&app, &journey).await;
        assert!(claims["groups"].is_array(), "{shape}: {claims:?}");
        assert!(claims.get("amr").is_none_or(Value::is_array), "{shape}: {claims:?}");
        assert!(claims["name"].as_str().unwrap().chars().all(|c| !c.is_control()), "{claims:?}");
        assert!(!claims["name"].as_str().unwrap().contains('\u{202e}'), "{claims:?}");
        let page = browser.get("/account").await;
        assert_eq!(page.status, 200, "{shape}");
        assert!(!page.text().contains("<script>alert"), "{shape}");
    }
}

//! Claims that one app gets beyond those of its scopes.

use keywright::config::{self, Environment};
use serde_json::{Map, Value, json};

use crate::support::{
    app::TestApp,
    fake_upstream::FakeUpstream,
    journey::{authorize_path, redeem, refresh},
};

const PHOTOS: &str = r#"
[[clients]]
id = "photos"
name = "Photos"
secret = "photos-secret-0123456789"
redirect_uris = ["https://photos.test/cb"]

[[clients.claims]]
name = "immich_role"
value = "user"
groups = [{ group = "photo-admins", value = "admin" }, { group = "staff", value = "editor" }]

[[clients.claims]]
name = "roles"
many = true
groups = [{ group = "photo-admins", value = "Admin" }, { group = "staff", value = "Staff" }]

[[clients.claims]]
name = "quota"
groups = [{ group = "staff", value = 50 }]

[[clients.claims]]
name = "tenant"
value = "corp"

[[clients.claims]]
name = "https://photos.test/login"
from = "preferred_username"

[[clients.claims]]
name = "upn"
from = "email"

[[clients.claims]]
name = "groups"
value = true
"#;

/// What two looks at a person say: the ID token, UserInfo, and the ID token of a refresh.
struct Seen {
    id_token: Map<String, Value>,
    userinfo: Value,
    refreshed: Map<String, Value>,
}

async fn seen_by(app: &TestApp, client: &str, scope: &str) -> Seen {
    let mut browser = app.browser();
    browser.stop_at(&format!("https://{client}.test/"));
    let journey = browser.visit(&authorize_path(client, &[("scope", scope)])).await;
    let tokens = redeem(app, client, &journey.param("code").unwrap()).await;
    let bearer = format!("Bearer {}", tokens.text("access_token"));
    let again = refresh(app, client, &tokens.text("refresh_token")).await;
    let opened = |token: &str| keywright::keys::parse_unverified(token).unwrap().1;
    Seen {
        id_token: opened(&tokens.text("id_token")),
        userinfo: app.get("/userinfo", Some(&bearer)).await.json(),
        refreshed: opened(&again.text("id_token")),
    }
}

fn person(groups: &[&str], verified: bool) -> Value {
    json!({
        "sub": "1", "preferred_username": "anna", "email": "anna@corp.test",
        "email_verified": verified, "groups": groups,
    })
}

async fn app(upstream: &FakeUpstream, clients: &str) -> TestApp {
    let rules = "groups = { claim = \"groups\" }";
    TestApp::builder().config(clients).upstream("kc", upstream, rules).start().await
}

/// Groups decide in the order of the map, wherever `email` would stand, and at each refresh anew.
#[tokio::test(flavor = "multi_thread")]
async fn an_app_gets_the_claims_that_its_settings_make() {
    let upstream = FakeUpstream::start().await;
    let app = app(&upstream, PHOTOS).await;
    let table = [
        (&["staff", "photo-admins"][..], json!("admin"), json!(["Admin", "Staff"]), json!(50)),
        (&["staff"], json!("editor"), json!(["Staff"]), json!(50)),
        (&["others"], json!("user"), json!([]), Value::Null),
    ];
    for (groups, role, roles, quota) in table {
        upstream.set_person(person(groups, true));
        let seen = seen_by(&app, "photos", "openid offline_access").await;
        let places = [Value::Object(seen.id_token), seen.userinfo, Value::Object(seen.refreshed)];
        for claims in places {
            assert_eq!(claims["immich_role"], role, "{groups:?}");
            assert_eq!(claims["roles"], roles, "{groups:?}");
            assert_eq!(claims["quota"], quota, "{groups:?}");
            assert_eq!(claims["tenant"], "corp");
            assert_eq!(claims["https://photos.test/login"], "anna");
            assert_eq!(claims["upn"], "anna@corp.test");
            assert_eq!(claims["groups"], true, "the app's own setting wins");
            assert!(claims.get("email").is_none(), "no scope was asked for");
        }
    }
}

/// Under another name an address has no flag beside it: only one that is verified is given away.
#[tokio::test(flavor = "multi_thread")]
async fn an_unverified_address_gets_no_second_name() {
    let upstream = FakeUpstream::start().await;
    let app = app(&upstream, PHOTOS).await;
    upstream.set_person(person(&[], false));
    let seen = seen_by(&app, "photos", "openid email offline_access").await;
    assert_eq!(seen.userinfo["email"], "anna@corp.test");
    assert!(seen.userinfo.get("upn").is_none() && !seen.id_token.contains_key("upn"));
}

/// Other apps get nothing of it, and a lean ID token stays lean.
#[tokio::test(flavor = "multi_thread")]
async fn claims_of_one_app_stay_its_own() {
    let upstream = FakeUpstream::start().await;
    let lean = PHOTOS.replace("name = \"Photos\"", "name = \"Photos\"\nid_token_claims = \"lean\"");
    let app = app(&upstream, &lean).await;
    upstream.set_person(person(&["staff"], true));
    let seen = seen_by(&app, "photos", "openid profile offline_access").await;
    assert!(!seen.id_token.contains_key("tenant") && !seen.refreshed.contains_key("tenant"));
    assert_eq!(seen.userinfo["tenant"], "corp");
    let other = seen_by(&app, "web", "openid profile groups offline_access").await;
    assert!(!other.id_token.contains_key("tenant") && other.userinfo.get("tenant").is_none());
    assert_eq!(other.userinfo["groups"], json!(["staff"]));
}

/// What belongs to the protocol, or makes no sense, is no configuration.
#[test]
fn claims_of_the_protocol_cannot_be_set() {
    let problems = |claim: &str| {
        let text = format!(
            "[[clients]]\nid = \"photos\"\nname = \"Photos\"\nsecret = \"photos-secret-0123456789\"\n\
             redirect_uris = [\"https://photos.test/cb\"]\nclaims = [{claim}]\n"
        );
        config::parse(&text, &Environment::new()).err().map(|problems| problems.to_string())
    };
    for name in [
        "iss",
        "sub",
        "aud",
        "exp",
        "nbf",
        "iat",
        "jti",
        "nonce",
        "auth_time",
        "acr",
        "amr",
        "azp",
        "at_hash",
        "c_hash",
        "s_hash",
        "sid",
        "cnf",
        "act",
        "scope",
        "client_id",
        "events",
        "email",
        "email_verified",
        "",
    ] {
        let told = problems(&format!("{{ name = {name:?}, value = \"x\" }}"));
        assert!(told.is_some_and(|told| told.contains("clients.0.claims.0.name")), "{name}");
    }
    let table = [
        ("{ name = \"a\" }", "claims.0.from"),
        ("{ name = \"a\", from = \"name\", value = 1 }", "claims.0.from"),
        ("{ name = \"a\", from = \"email_verified\" }", "claims.0.from"),
        ("{ name = \"a\", value = [1] }", "claims.0.value"),
        ("{ name = \"a\", value = 1, many = true }", "claims.0.many"),
        ("{ name = \"a\", groups = [{ group = \"x\" }] }", "claims.0.groups.0.value"),
        ("{ name = \"a\", value = 1 }, { name = \"a\", value = 2 }", "claims.1.name"),
    ];
    for (claims, setting) in table {
        let told = problems(claims);
        assert!(told.as_ref().is_some_and(|told| told.contains(setting)), "{claims}: {told:?}");
    }
    assert_eq!(problems("{ name = \"a\", value = 1 }, { name = \"b\", from = \"sub\" }"), None);
}

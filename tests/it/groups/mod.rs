//! Groups that mean something: what members get by them, when that ends, and that somebody always
//! administers.

mod administrators;

use keywright::{
    accounts::groups::note_change,
    foundation::text_list::TextList,
    keys::parse_unverified,
    store::{
        StoreError,
        groups::{self, Group},
        users::{self, User},
    },
};
use serde_json::{Map, Value, json};

use crate::{
    support::{
        app::{Answer, TestApp},
        browser::Browser,
        fake_upstream::FakeUpstream,
        journey::{authorize_path, code_for, redeem, refresh, sign_in_on_page},
    },
    upstream::{claims_for_app, sign_in_at},
};

/// `ops` belongs to `staff`; `chiefs` administer; `staff` has a role of its own.
const GROUPS: &str = r#"
[[groups]]
name = "ops"
description = "Operations"
parent = "staff"

[[groups]]
name = "staff"
role = "member"

[[groups]]
name = "chiefs"
role = "admin"
"#;

async fn house() -> TestApp {
    TestApp::builder().config(GROUPS).start().await
}

/// Gives an account these groups and roles, and no others.
async fn set_rights(app: &TestApp, user: &User, groups: &[&str], roles: &[&str]) {
    let rights: (TextList, TextList) = (groups.iter().collect(), roles.iter().collect());
    let mut connection = app.app.connection().await.unwrap();
    let rights = (&rights.0, &rights.1);
    assert!(users::set_rights(&mut connection, &user.id, rights, app.app.now()).await.unwrap());
}

/// Says while the server runs what a group means, or that it means nothing.
async fn say(app: &TestApp, name: &str, meaning: Option<(Option<&str>, Option<&str>)>) {
    let now = app.app.now();
    let mut connection = app.app.connection().await.unwrap();
    connection
        .transaction(async |conn| {
            note_change(conn).await?;
            let Some((parent, role)) = meaning else {
                assert!(groups::delete(conn, name).await?);
                return Ok(());
            };
            let (parent, role) = (parent.map(str::to_owned), role.map(str::to_owned));
            let row = Group {
                name: name.to_owned(),
                description: None,
                parent,
                role,
                created_at: now,
                updated_at: now,
            };
            assert!(groups::update(conn, &row).await? || groups::insert(conn, &row).await?);
            Ok::<_, StoreError>(())
        })
        .await
        .unwrap();
}

fn claims(token: &str) -> Map<String, Value> {
    parse_unverified(token).unwrap().1
}

/// Groups and roles as every place tells them: the ID token, the access token, UserInfo, introspection.
async fn told(app: &TestApp, tokens: &Answer) -> Vec<(Value, Value)> {
    let access = tokens.text("access_token");
    let info = app.get("/userinfo", Some(&format!("Bearer {access}"))).await.json();
    let both = |claims: &Map<String, Value>| {
        let of = |name: &str| claims.get(name).cloned().unwrap_or(Value::Null);
        (of("groups"), of("roles"))
    };
    let id_token = claims(&tokens.text("id_token"));
    vec![both(&id_token), both(&claims(&access)), both(info.as_object().unwrap())]
}

async fn tokens_of(app: &TestApp, browser: &mut Browser, username: &str) -> Answer {
    let code = code_for(browser, "web", username, &[]).await;
    redeem(app, "web", &code).await
}

/// One's own page names the roles that one holds, and does not speak of them where there are none.
#[tokio::test(flavor = "multi_thread")]
async fn people_see_their_roles() {
    let app = house().await;
    app.add_user("bob", &["ops"]).await;
    app.add_user("eve", &["guests"]).await;
    for (username, role) in [("bob", Some("member")), ("eve", None)] {
        let mut browser = app.browser();
        crate::sessions::sign_in(&mut browser, username).await;
        let page = browser.get("/account").await.text();
        let shown = page.split_once("<dt>Roles</dt>").map(|(_, rest)| rest);
        assert_eq!(shown.is_some(), role.is_some(), "{page}");
        assert!(role.is_none_or(|role| page.contains(&format!("<bdi>{role}</bdi>"))), "{page}");
    }
}

/// Members of a group are members of the one that it belongs to, hold its role, and may enter where it may.
#[tokio::test(flavor = "multi_thread")]
async fn a_group_gives_what_it_means() {
    let app = house().await;
    app.add_user("bob", &["ops", "guests"]).await;
    app.add_user("eve", &["guests"]).await;
    let tokens = tokens_of(&app, &mut app.browser(), "bob").await;
    for told in told(&app, &tokens).await {
        assert_eq!(told, (json!(["guests", "ops", "staff"]), json!(["member"])));
    }
    // The app `members` is for `staff`.
    let code = code_for(&mut app.browser(), "members", "bob", &[]).await;
    assert_eq!(redeem(&app, "members", &code).await.status, 200);
    let mut browser = app.browser();
    let journey = browser.visit(&authorize_path("members", &[])).await;
    let journey = sign_in_on_page(&mut browser, &journey, "eve").await;
    assert_eq!(journey.param("error").as_deref(), Some("access_denied"));
    // Whoever holds no role is told of none.
    let tokens = tokens_of(&app, &mut app.browser(), "eve").await;
    for told in told(&app, &tokens).await {
        assert_eq!(told, (json!(["guests"]), Value::Null));
    }
    let narrow = code_for(&mut app.browser(), "web", "bob", &[("scope", "openid profile")]).await;
    let narrow = redeem(&app, "web", &narrow).await;
    let access = claims(&narrow.text("access_token"));
    assert!(!access.contains_key("roles") && !access.contains_key("groups"), "{access:?}");
}

/// A role that is taken away is gone at the next issue, and at once where we are
/// asked; no session and no refresh token carries it on.
#[tokio::test(flavor = "multi_thread")]
async fn a_role_that_is_taken_away_is_gone() {
    let app = house().await;
    let bob = app.add_user("bob", &["chiefs"]).await;
    set_rights(&app, &bob, &["chiefs"], &["auditor"]).await;
    let mut browser = app.browser();
    let tokens = tokens_of(&app, &mut browser, "bob").await;
    for told in told(&app, &tokens).await {
        assert_eq!(told, (json!(["chiefs"]), json!(["admin", "auditor"])));
    }
    set_rights(&app, &bob, &[], &[]).await;
    let bearer = format!("Bearer {}", tokens.text("access_token"));
    let info = app.get("/userinfo", Some(&bearer)).await.json();
    assert_eq!((&info["groups"], info.get("roles")), (&json!([]), None), "{info}");
    let renewed = refresh(&app, "web", &tokens.text("refresh_token")).await;
    let access = claims(&renewed.text("access_token"));
    assert_eq!((&access["groups"], access.get("roles")), (&json!([]), None));
    // Nor does the session of the browser.
    let code = crate::support::journey::code_by_session(&mut browser, "web", &[]).await;
    for told in told(&app, &redeem(&app, "web", &code).await).await {
        assert_eq!(told, (json!([]), Value::Null));
    }
}

/// What is said while the server runs holds from the next look on, and asks no request for anything.
#[tokio::test(flavor = "multi_thread")]
async fn what_groups_mean_changes_while_the_server_runs() {
    let app = TestApp::start().await;
    app.add_user("bob", &["ops"]).await;
    let mut browser = app.browser();
    let mut tokens = tokens_of(&app, &mut browser, "bob").await;
    let steps = [
        (Some((Some("staff"), None)), (json!(["ops", "staff"]), Value::Null)),
        (Some((Some("staff"), Some("admin"))), (json!(["ops", "staff"]), json!(["admin"]))),
        (Some((None, Some("member"))), (json!(["ops"]), json!(["member"]))),
        (None, (json!(["ops"]), Value::Null)),
    ];
    for (meaning, expected) in steps {
        say(&app, "ops", meaning).await;
        app.app.rules.look(&app.app.store).await.unwrap();
        let before = app.app.store.statements();
        tokens = refresh(&app, "web", &tokens.text("refresh_token")).await;
        assert_eq!(app.app.store.statements() - before, 5, "a refresh asks what it always asked");
        for told in told(&app, &tokens).await {
            assert_eq!(told, expected, "{meaning:?}");
        }
    }
}

/// What the configuration declares is not changed by what is stored, and a group is nested once.
#[tokio::test(flavor = "multi_thread")]
async fn the_configuration_wins() {
    let app = house().await;
    app.add_user("bob", &["ops"]).await;
    say(&app, "ops", Some((None, Some("admin")))).await;
    say(&app, "staff", Some((Some("chiefs"), Some("admin")))).await;
    app.app.rules.look(&app.app.store).await.unwrap();
    let tokens = tokens_of(&app, &mut app.browser(), "bob").await;
    for told in told(&app, &tokens).await {
        assert_eq!(told, (json!(["ops", "staff"]), json!(["member"])));
    }
    // Without the declaration, the parent of the parent still does not count.
    let app = crate::sessions::stop(app).await.start().await;
    say(&app, "ops", Some((Some("staff"), None))).await;
    say(&app, "chiefs", Some((None, Some("owner")))).await;
    app.app.rules.look(&app.app.store).await.unwrap();
    let tokens = tokens_of(&app, &mut app.browser(), "bob").await;
    for told in told(&app, &tokens).await {
        assert_eq!(told, (json!(["ops", "staff"]), json!(["admin"])), "nested once");
    }
}

/// A group that an upstream asserts means what it means here, and no more once it is not asserted.
#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_can_say_who_is_a_member() {
    let upstream = FakeUpstream::start().await;
    let rule = "groups = { claim = \"groups\", match = \"^kw-(.*)$\", rename = \"$1\" }";
    let app = TestApp::builder().config(GROUPS).upstream("kc", &upstream, rule).start().await;
    for (asserted, expected) in [
        (json!(["kw-chiefs", "chiefs", "other"]), (json!(["chiefs"]), json!(["admin"]))),
        (json!(["chiefs"]), (json!([]), Value::Null)),
    ] {
        upstream.set_person(json!({"sub": "7", "preferred_username": "ann", "groups": asserted}));
        let journey = sign_in_at(&mut app.browser(), "kc").await;
        let told = claims_for_app(&app, &journey).await;
        let roles = told.get("roles").cloned().unwrap_or(Value::Null);
        assert_eq!((told["groups"].clone(), roles), expected);
    }
    // A claim called `roles` is no role here.
    upstream.set_person(json!({"sub": "8", "preferred_username": "eve", "roles": ["admin"]}));
    let journey = sign_in_at(&mut app.browser(), "kc").await;
    assert!(!claims_for_app(&app, &journey).await.contains_key("roles"));
}

/// Every wrong setting is named with its value and the way out.
#[test]
fn wrong_groups_are_refused_with_their_settings() {
    let faults = |text: &str| {
        let parsed = keywright::config::parse(text, &keywright::config::Environment::new());
        parsed.unwrap_err().to_string()
    };
    let group = |lines: &str| format!("[[groups]]\n{lines}\n");
    for (text, expected) in [
        (group("name = \"\""), "groups.0.name = \"\": must have 1 to 255"),
        (group("name = \" a\""), "groups.0.name = \" a\": must have 1 to 255"),
        (group("name = \"a\"").repeat(2), "groups.1.name = \"a\": is used twice"),
        (group("name = \"a\"\nparent = \"a\""), "groups.0.parent = \"a\": is the group itself"),
        (
            group("name = \"a\"\nparent = \"b\"") + &group("name = \"b\"\nparent = \"c\""),
            "groups.0.parent = \"b\": belongs to another group itself; name that one",
        ),
        (
            group("name = \"a\"\nrole = \"the boss\""),
            "groups.0.role = \"the boss\": must have 1 to 64",
        ),
        (group("name = \"a\"\nroles = \"x\""), "did you mean groups.0.role?"),
        (group("description = \"x\""), "groups.0.name: must be set"),
    ] {
        let told = faults(&text);
        assert!(told.contains(expected), "{expected}: {told}");
    }
}

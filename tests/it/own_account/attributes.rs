//! What else accounts say about people: who sees it, who changes it, and which apps hear it.

use keywright::config::{self, Environment};
use serde_json::{Value, json};

use crate::{
    sessions::{form_token, sign_in},
    support::{
        app::TestApp,
        browser::{Browser, Page},
        journey::{authorize_path, code_by_session, redeem, refresh},
    },
};

const ATTRIBUTES: &str = r#"
[[attributes]]
name = "department"
label = "Department"
visibility = "public"
max_length = 10

[[attributes]]
name = "desk"
label = "Desk"
type = "number"
visibility = "public"

[[attributes]]
name = "shirt"
label = "Shirt size"
type = "choice"
values = ["S", "M", "L"]

[[attributes]]
name = "since"
label = "Here since"
type = "date"
visibility = "public"
changed_by = "admin"

[[attributes]]
name = "newsletter"
label = "Newsletter"
type = "boolean"

[[attributes]]
name = "rating"
label = "Rating"
visibility = "internal"
changed_by = "admin"

[[clients]]
id = "hr"
name = "People"
secret = "hr-secret-0123456789"
redirect_uris = ["https://hr.test/cb"]

[[clients.claims]]
name = "https://hr.test/department"
attribute = "department"

[[clients.claims]]
name = "desk"
attribute = "desk"

[[clients.claims]]
name = "since"
attribute = "since"
"#;

async fn app() -> TestApp {
    let app = TestApp::builder().config(ATTRIBUTES).start().await;
    app.add_user("bob", &[]).await;
    app
}

async fn signed_in(app: &TestApp) -> Browser {
    let mut browser = app.browser();
    browser.stop_at("https://hr.test/");
    sign_in(&mut browser, "bob").await;
    browser
}

/// Says something under one's profile.
async fn say(browser: &mut Browser, fields: &[(&str, &str)]) -> Page {
    let csrf = form_token(browser).await;
    let all = [&[("csrf", csrf.as_str()), ("username", "bob")], fields].concat();
    browser.post_form("/account/profile", &all).await
}

async fn set(app: &TestApp, name: &str, value: Value) {
    let mut connection = app.app.connection().await.unwrap();
    let user = keywright::store::users::find_by_username(&mut connection, "bob").await;
    let (user, now) = (user.unwrap().unwrap().id, app.app.now());
    let value = (name, &value);
    keywright::store::user_attributes::set(&mut connection, &user, value, now).await.unwrap();
}

async fn rows(app: &TestApp) -> i64 {
    app.count("user_attributes").await
}

/// What is public reaches the app that is given it, typed, by every way, and no other app.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_public_reaches_the_app_that_gets_it() {
    let app = app().await;
    let mut browser = signed_in(&app).await;
    let fields = [("attribute-department", "Sales"), ("attribute-desk", " 42 ")];
    assert_eq!(say(&mut browser, &fields).await.status, 303);
    set(&app, "since", json!("2020-02-29")).await;
    let code = code_by_session(&mut browser, "hr", &[("scope", "openid offline_access")]).await;
    let tokens = redeem(&app, "hr", &code).await;
    let bearer = format!("Bearer {}", tokens.text("access_token"));
    let opened = |token: &str| {
        Value::Object(keywright::keys::parse_unverified(token).unwrap().1.into_iter().collect())
    };
    let again = refresh(&app, "hr", &tokens.text("refresh_token")).await;
    for claims in [
        opened(&tokens.text("id_token")),
        opened(&again.text("id_token")),
        app.get("/userinfo", Some(&bearer)).await.json(),
    ] {
        assert_eq!(claims["https://hr.test/department"], "Sales");
        assert_eq!((&claims["desk"], &claims["since"]), (&json!(42), &json!("2020-02-29")));
        assert!(claims.get("shirt").is_none() && claims.get("rating").is_none());
    }
    let code = code_by_session(&mut browser, "web", &[]).await;
    let told = opened(&redeem(&app, "web", &code).await.text("id_token"));
    assert!(told.get("department").is_none() && told.get("desk").is_none(), "{told}");
}

/// The page shows what the person may see, lets them change what is theirs, and takes it back again.
#[tokio::test(flavor = "multi_thread")]
async fn people_change_what_is_theirs() {
    let app = app().await;
    let mut browser = signed_in(&app).await;
    set(&app, "since", json!("2020-02-29")).await;
    set(&app, "rating", json!("slow")).await;
    let text = browser.get("/account/profile").await.text();
    for label in ["Department", "Desk", "Shirt size", "Here since", "Newsletter", "2020-02-29"] {
        assert!(text.contains(label), "{label}: {text}");
    }
    assert!(!text.contains("Rating") && !text.contains("slow"), "AD-09: {text}");
    let fields = [("attribute-shirt", "M"), ("attribute-newsletter", "true")];
    say(&mut browser, &fields).await;
    let text = browser.get("/account/profile").await.text();
    assert!(text.contains("value=\"M\" selected") && text.contains("value=\"true\" checked"));
    // A box that is not ticked any more says no; a field that is empty is said no longer.
    say(&mut browser, &[]).await;
    assert_eq!(rows(&app).await, 3, "since, rating, and no newsletter");
    let text = browser.get("/account/profile").await.text();
    assert!(!text.contains("value=\"true\" checked"), "{text}");
    let events = app.events().await;
    let told: Vec<&str> = events
        .iter()
        .filter(|event| event.action == "profile_change")
        .map(|event| event.detail.as_str())
        .collect();
    assert!(told[0].contains("shirt") && !told[0].contains("\"M\""), "{told:?}");
}

/// AD-02: what only administrators change, or see, cannot be posted.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_theirs_is_not_taken() {
    let app = app().await;
    let mut browser = signed_in(&app).await;
    set(&app, "since", json!("2020-02-29")).await;
    let fields = [
        ("attribute-since", "1999-01-01"),
        ("attribute-rating", "fast"),
        ("attribute-unknown", "x"),
        ("attribute-department", "Sales"),
    ];
    assert_eq!(say(&mut browser, &fields).await.status, 303);
    assert_eq!(rows(&app).await, 2);
    assert_eq!(app.count("user_attributes WHERE value = '\"2020-02-29\"'").await, 1);
}

/// Whatever does not fit is refused beside its field, and nothing of the form is kept.
#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_fit_is_refused() {
    let app = app().await;
    let mut browser = signed_in(&app).await;
    for (field, value, told) in [
        ("attribute-department", "Sales and more", "at most 10 characters"),
        ("attribute-desk", "four", "a whole number"),
        ("attribute-desk", "1.5", "a whole number"),
        ("attribute-desk", "9007199254740992", "a whole number"),
        ("attribute-shirt", "XXL", "one of: S, M, L"),
        ("attribute-newsletter", "maybe", "true or false"),
        ("locale", "en_US", "a language tag"),
        ("locale", "<script>", "a language tag"),
    ] {
        let page = say(&mut browser, &[(field, value), ("name", "Changed")]).await;
        assert_eq!(page.status, 422, "{field}: {}", page.text());
        assert!(page.text().contains(told), "{field}: {}", page.text());
    }
    let reasons = app.refusals("profile_change").await;
    assert_eq!(reasons.iter().filter(|reason| *reason == "attribute_unfit").count(), 6);
    assert_eq!(reasons.iter().filter(|reason| *reason == "locale_unfit").count(), 2);
    assert_eq!((rows(&app).await, app.count("users WHERE name = 'Changed'").await), (0, 0));
}

/// The export holds what the person may see.
#[tokio::test(flavor = "multi_thread")]
async fn the_export_holds_what_is_not_internal() {
    let app = app().await;
    let mut browser = signed_in(&app).await;
    set(&app, "rating", json!("slow")).await;
    set(&app, "formerly", json!("declared")).await;
    say(&mut browser, &[("attribute-desk", "7"), ("locale", "DE-at")]).await;
    let csrf = form_token(&mut browser).await;
    let told = browser.post_form("/account/export", &[("csrf", &csrf)]).await.json();
    assert_eq!(told["attributes"], json!({"desk": 7}));
    assert_eq!(told["account"]["locale"], "de-AT");
}

/// OIDC Core §5.1: the language is a claim of scope `profile`, and of no other.
#[tokio::test(flavor = "multi_thread")]
async fn apps_hear_the_language() {
    let app = app().await;
    let mut browser = signed_in(&app).await;
    let locale = async |browser: &mut Browser, scope: &str| {
        let code = code_by_session(browser, "web", &[("scope", scope)]).await;
        let token = redeem(&app, "web", &code).await.text("id_token");
        keywright::keys::parse_unverified(&token).unwrap().1.get("locale").cloned()
    };
    assert_eq!(locale(&mut browser, "openid profile").await, None);
    say(&mut browser, &[("locale", "PT-br")]).await;
    assert_eq!(locale(&mut browser, "openid profile").await, Some(json!("pt-BR")));
    assert_eq!(locale(&mut browser, "openid email").await, None);
    say(&mut browser, &[("locale", "")]).await;
    assert_eq!(locale(&mut browser, "openid profile").await, None);
}

/// Whoever makes an account says what has to be known, or has none.
#[tokio::test(flavor = "multi_thread")]
async fn newcomers_say_what_is_required() {
    let config = r#"
        [signup]
        local = "open"
        [[attributes]]
        name = "rules"
        label = "I keep to the rules"
        type = "boolean"
        required = true
        [[attributes]]
        name = "street"
        label = "Street"
        required = true
        [[attributes]]
        name = "hobby"
        label = "Hobby"
    "#;
    let app = TestApp::builder().config(config).start().await;
    let mut browser = app.browser();
    let page = browser.visit("/signup").await.last().clone();
    assert!(page.text().contains("Street") && !page.text().contains("Hobby"), "{}", page.text());
    let form = page.form_to("/signup").fill("username", "anna");
    let form = form.fill("password", "seven purple Herons 41");
    let answer = browser.submit(&page, &form.clone().fill("attribute-street", "")).await;
    assert_eq!(answer.status, 422, "{}", answer.text());
    assert!(answer.text().contains("Street is needed"), "{}", answer.text());
    assert!(answer.text().contains("I keep to the rules is needed"), "{}", answer.text());
    assert_eq!(app.refusals("sign_up").await, ["attribute_unfit"]);
    assert_eq!((app.count("users").await, rows(&app).await), (0, 0));
    let form = form.fill("attribute-street", "High Street").add("attribute-rules", "true");
    let answer = browser.submit(&page, &form).await;
    assert_eq!(answer.status, 303, "{}", answer.text());
    assert_eq!((app.count("users").await, rows(&app).await), (1, 2));
    // It cannot be taken away afterwards.
    browser.visit(&authorize_path("web", &[])).await;
    let csrf = form_token(&mut browser).await;
    let fields = [("csrf", csrf.as_str()), ("username", "anna"), ("attribute-rules", "true")];
    assert_eq!(browser.post_form("/account/profile", &fields).await.status, 422);
    assert_eq!(rows(&app).await, 2);
}

/// IJ-01: what was said is text, whoever has said it.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_said_is_text() {
    let app = app().await;
    let mut browser = signed_in(&app).await;
    for text in ["\"><img src=x onerror=pwn()>", "</select><script>pwn()</script>"] {
        for name in ["department", "shirt", "since"] {
            set(&app, name, json!(text)).await;
        }
        let page = browser.get("/account/profile").await;
        assert_eq!(page.status, 200);
        let html = page.text();
        assert!(html.contains("pwn()") && !html.contains(text), "{html}");
        assert!(!html.contains("<img src=x") && !html.contains("<script>pwn"), "{html}");
    }
}

/// Whatever cannot be is told with its setting.
#[test]
fn wrong_attributes_are_told() {
    let base = "[server]\nissuer = \"http://localhost:8080\"\n";
    let one = |lines: &str| format!("{base}[[attributes]]\nname = \"a\"\nlabel = \"A\"\n{lines}\n");
    let claims = "[[clients]]\nid = \"x\"\nname = \"X\"\nsecret = \"x-secret-0123456789\"\n\
                  redirect_uris = [\"https://x.test/\"]\n[[clients.claims]]\nname = \"b\"\n";
    for (text, told) in [
        (one("type = \"regex\""), "attributes.0.type"),
        (one("pattern = \"(a+)+\""), "attributes.0.pattern"),
        (one("type = \"choice\""), "attributes.0.values"),
        (one("values = [\"x\"]"), "attributes.0.values"),
        (one("type = \"choice\"\nvalues = [\"x\", \"x\"]"), "attributes.0.values"),
        (one("max_length = 0"), "attributes.0.max_length"),
        (one("visibility = \"internal\""), "attributes.0.changed_by"),
        (one("changed_by = \"admin\"\nrequired = true"), "attributes.0.required"),
        (one("[[attributes]]\nname = \"a\"\nlabel = \"B\""), "attributes.1.name"),
        (one("").replace("\"a\"", "\"A b\""), "attributes.0.name"),
        (one("").replace("\"A\"", "\"\""), "attributes.0.label"),
        (one("") + claims + "attribute = \"a\"", "clients.0.claims.0.attribute"),
        (one("") + claims + "attribute = \"c\"", "clients.0.claims.0.attribute"),
        (one("") + claims + "attribute = \"a\"\nfrom = \"name\"", "clients.0.claims.0.from"),
    ] {
        let problems = config::parse(&text, &Environment::new()).expect_err(&text).to_string();
        assert!(problems.contains(told), "{told}: {problems}");
    }
    let good = one("visibility = \"public\"") + claims + "attribute = \"a\"";
    config::parse(&good, &Environment::new()).unwrap();
}

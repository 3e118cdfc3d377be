//! What the API says of itself: that it is what it does.

use std::collections::{BTreeMap, BTreeSet};

use axum::http::Method;
use serde_json::{Value, json};

use super::{APPS, JSON, NEW, me, post, send, sign_in, signing_in, start_with};
use crate::{
    refresh::outside::execute,
    second_factor::enrolled,
    support::{
        app::{Answer, TestApp},
        fake_upstream::FakeUpstream,
        inbox::{Inbox, code_in},
    },
};

async fn document(app: &TestApp) -> Value {
    let answer = send(app, Method::GET, "/openapi.json", &[], "").await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.headers["content-type"], "application/json");
    answer.json()
}

/// Every operation of the document, with its statuses.
fn operations(document: &Value) -> BTreeMap<(String, String), BTreeSet<u16>> {
    let mut all = BTreeMap::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let statuses = operation["responses"].as_object().unwrap().keys();
            let statuses = statuses.map(|status| status.parse().unwrap()).collect();
            all.insert((method.clone(), path.clone()), statuses);
        }
    }
    all
}

/// Every reference leads somewhere.
fn references<'d>(value: &'d Value, found: &mut Vec<&'d str>) {
    match value {
        Value::Object(members) => {
            found.extend(members.get("$ref").and_then(Value::as_str));
            members.values().for_each(|member| references(member, found));
        }
        Value::Array(items) => items.iter().for_each(|item| references(item, found)),
        _ => {}
    }
}

/// `OpenAPI` 3.1: what it needs is there, and what it names is there.
#[tokio::test(flavor = "multi_thread")]
async fn the_document_is_whole() {
    let app = start_with("").await;
    let document = document(&app).await;
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1."), "{}", document["openapi"]);
    assert!(document["info"]["title"].is_string() && document["info"]["version"].is_string());
    assert_eq!(document["servers"], json!([{ "url": "https://id.test" }]));
    let mut found = Vec::new();
    references(&document, &mut found);
    assert!(found.len() > 20, "{found:?}");
    for reference in found {
        let pointer = reference.strip_prefix('#').expect("a local reference");
        assert!(document.pointer(pointer).is_some(), "{reference}");
    }
    let mut names = BTreeSet::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let what = format!("{method} {path}");
            assert!(names.insert(operation["operationId"].to_string()), "{what}");
            assert!(operation["summary"].is_string(), "{what}");
            let schemes = operation["security"].as_array().unwrap();
            for name in schemes.iter().flat_map(|scheme| scheme.as_object().unwrap().keys()) {
                assert!(document["components"]["securitySchemes"][name].is_object(), "{what}");
            }
            for (status, response) in operation["responses"].as_object().unwrap() {
                assert!(response["description"].is_string(), "{what} {status}");
                assert!(status.starts_with('2') || response["content"].is_object(), "{what}");
            }
            if operation.get("requestBody").is_some() {
                let schema = &operation["requestBody"]["content"]["application/json"]["schema"];
                let name = schema["$ref"].as_str().unwrap().strip_prefix('#').unwrap();
                assert_eq!(
                    document.pointer(name).unwrap()["additionalProperties"],
                    false,
                    "{what}"
                );
            }
        }
    }
}

/// Every route is described, and everything described is a route.
#[tokio::test(flavor = "multi_thread")]
async fn every_route_is_described() {
    let app = start_with("").await;
    let described = operations(&document(&app).await);
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/src/endpoints/api/mod.rs");
    let source = std::fs::read_to_string(file).unwrap();
    let handlers: usize = source
        .split("routes!(")
        .skip(1)
        .map(|rest| rest.split(')').next().unwrap().split(',').count())
        .sum();
    assert_eq!(handlers, described.len(), "each handler is one operation");
    assert!(!source.contains(".route("), "a route without a description");
    for (method, path) in described.keys() {
        let path = path.strip_prefix("/api/v1").unwrap();
        let method: Method = method.to_uppercase().parse().unwrap();
        let answer = send(&app, method.clone(), path, &[JSON], "{}").await;
        assert!(!matches!(answer.status.as_u16(), 404 | 405), "{method} {path}: {answer:?}");
    }
}

/// Without an app that may use the API nothing is described, and nobody is let in.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_described_where_nobody_may_use_it() {
    let app = TestApp::start().await;
    app.add_user("bob", &[]).await;
    for path in ["/openapi.json", "/instance"] {
        assert_eq!(send(&app, Method::GET, path, &[], "").await.status, 404);
    }
    let answer = sign_in(&app, "native", "bob", "bob-password").await;
    super::assert_problem(&answer, 403, "unauthorized_client");
    assert_eq!(app.refusals("api").await, ["api_off"]);
    assert_eq!(app.count("sessions").await, 0);
}

/// Apps learn what to offer.
#[tokio::test(flavor = "multi_thread")]
async fn an_app_learns_what_there_is() {
    let upstream = FakeUpstream::start().await;
    let only = APPS.replace("id = \"page\"", "id = \"page\"\nallowed_upstreams = [\"local\"]");
    let app = TestApp::builder()
        .config(&only)
        .config("[signup]\nlocal = \"invite\"\nemail = \"required\"")
        .upstream("kc", &upstream, "")
        .start()
        .await;
    app.add_user("bob", &[]).await;
    let answer = send(&app, Method::GET, "/instance?client_id=own", &[], "").await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.headers["cache-control"], "public, max-age=60");
    let seen = answer.json();
    assert_eq!(seen["sign_in"]["password"], true);
    assert_eq!(
        seen["sign_up"],
        json!({ "mode": "invite", "email": "required", "approval": false })
    );
    assert_eq!(seen["recovery"], false);
    assert_eq!(seen["password"]["min_length"], 8);
    let start = "https://id.test/authorize?client_id=own&idp_hint=kc";
    let way = json!([{ "slug": "kc", "name": "kc sign-in", "start": start }]);
    assert_eq!(seen["sign_in"]["upstreams"], way);
    let answer = send(&app, Method::GET, "/instance?client_id=page", &[], "").await;
    assert_eq!(answer.json()["sign_in"]["upstreams"], json!([]));
    assert_eq!(send(&app, Method::GET, "/instance", &[], "").await.status, 200);
}

/// The answers of a house, as far as they were seen.
#[derive(Default)]
struct Seen(BTreeSet<(String, String, u16)>);

impl Seen {
    fn note(&mut self, method: &str, path: &str, answer: &Answer) {
        let path = path.split('?').next().unwrap();
        self.0.insert((method.to_owned(), format!("/api/v1{path}"), answer.status.as_u16()));
    }

    async fn post(&mut self, app: &TestApp, path: &str, body: Value) -> Answer {
        let answer = post(app, path, &body).await;
        self.note("post", path, &answer);
        answer
    }

    async fn me(&mut self, app: &TestApp, method: Method, token: &str, body: Value) -> Answer {
        let answer = me(app, method.clone(), token, &body).await;
        self.note(&method.as_str().to_lowercase(), "/me", &answer);
        answer
    }

    /// What every call with a body may hear.
    async fn odd_bodies(&mut self, app: &TestApp, path: &str) {
        self.post(app, path, json!([])).await;
        let answer = send(app, Method::POST, path, &[], "{}").await;
        self.note("post", path, &answer);
    }
}

/// Every status that is documented is answered, and no other.
#[tokio::test(flavor = "multi_thread")]
async fn every_documented_status_is_answered() {
    let inbox = Inbox::open();
    let apps = APPS.replace("100000", "100000\nsign_up_per_hour = 1\nrecovery_per_hour = 1");
    let open = "[signup]\nlocal = \"open\"\nemail = \"optional\"";
    let app = inbox.builder(&format!("{apps}\n{open}")).start().await;
    app.add_user("bob", &[]).await;
    let described = operations(&document(&app).await);
    let mut seen = Seen::default();
    for path in ["/openapi.json", "/instance", "/instance?client_id=web", "/instance?client_id=x"] {
        let answer = send(&app, Method::GET, path, &[], "").await;
        seen.note("get", path, &answer);
    }
    second_halves(&app, &mut seen).await;
    ways_in(&app, &mut seen).await;
    ways_back(&app, &inbox, &mut seen).await;
    own_account(&app, &mut seen).await;
    let mut told = BTreeSet::new();
    for ((method, path), statuses) in described {
        told.extend(statuses.into_iter().map(|status| (method.clone(), path.clone(), status)));
    }
    let missing: Vec<_> = told.difference(&seen.0).collect();
    let beyond: Vec<_> = seen.0.difference(&told).collect();
    assert!(missing.is_empty() && beyond.is_empty(), "never: {missing:?}; untold: {beyond:?}");
}

async fn ways_in(app: &TestApp, seen: &mut Seen) {
    for path in [
        "/signup",
        "/signin",
        "/signin/second-factor",
        "/refresh",
        "/logout",
        "/recovery",
        "/recovery/code",
        "/recovery/password",
    ] {
        seen.odd_bodies(app, path).await;
    }
    let newt = |client: &str, name: &str| json!({ "client_id": client, "username": name, "password": NEW });
    for (client, name) in
        [("nobody", "a1"), ("web", "a1"), ("native", "a1"), ("own", "newt"), ("own", "newu")]
    {
        seen.post(app, "/signup", newt(client, name)).await;
    }
    for client in ["nobody", "native"] {
        seen.post(app, "/signin", signing_in(client, "bob", "x")).await;
        let body = json!({ "client_id": client, "refresh_token": "x" });
        seen.post(app, "/refresh", body.clone()).await;
        seen.post(app, "/logout", body).await;
    }
    let answer = seen.post(app, "/signin", signing_in("own", "bob", "bob-password")).await;
    let with = |token: &str| json!({ "client_id": "own", "refresh_token": token });
    let mut token = answer.text("refresh_token");
    for _ in 0..31 {
        let answer = seen.post(app, "/refresh", with(&token)).await;
        if answer.status == 200 {
            token = answer.text("refresh_token");
        }
    }
    seen.post(app, "/logout", with(&token)).await;
    for _ in 0..6 {
        seen.post(app, "/signin", signing_in("own", "eve", "wrong")).await;
    }
}

async fn ways_back(app: &TestApp, inbox: &Inbox, seen: &mut Seen) {
    let code = |client: &str, request: &str, code: &str| json!({ "client_id": client, "request": request, "code": code });
    let password = |client: &str, continuation: &str| json!({ "client_id": client, "continuation": continuation, "password": "bob-password" });
    for client in ["nobody", "native"] {
        seen.post(app, "/recovery", json!({ "client_id": client, "username": "bob" })).await;
        seen.post(app, "/recovery/code", code(client, "x", "1")).await;
        seen.post(app, "/recovery/password", password(client, "x")).await;
    }
    let asked = seen.post(app, "/recovery", json!({ "client_id": "own", "username": "bob" })).await;
    let request = asked.text("request");
    seen.post(app, "/recovery", json!({ "client_id": "own", "username": "bob" })).await;
    let right = code_in(&inbox.newest(app, "bob@corp.test").await);
    seen.post(app, "/recovery/code", code("own", &request, "1")).await;
    let typed = seen.post(app, "/recovery/code", code("own", &request, &right)).await;
    seen.post(app, "/recovery/code", code("own", &request, &right)).await;
    let mut body = password("own", &typed.text("continuation"));
    body["password"] = json!(NEW);
    seen.post(app, "/recovery/password", body.clone()).await;
    seen.post(app, "/recovery/password", body).await;
}

async fn own_account(app: &TestApp, seen: &mut Seen) {
    let answer = sign_in(app, "own", "bob", NEW).await;
    let (access, mut token) = (answer.text("access_token"), answer.text("refresh_token"));
    let narrow =
        json!({ "client_id": "own", "username": "bob", "password": NEW, "scope": "email" });
    let narrow = post(app, "/signin", &narrow).await.text("access_token");
    for method in [Method::GET, Method::PATCH, Method::DELETE] {
        for bearer in ["x", narrow.as_str()] {
            seen.me(app, method.clone(), bearer, json!({})).await;
        }
    }
    seen.me(app, Method::GET, &access, json!({})).await;
    let answer = seen
        .me(app, Method::PATCH, &access, json!({ "refresh_token": token, "name": "Bob" }))
        .await;
    token = answer.text("refresh_token");
    let bearer = format!("Bearer {access}");
    for method in [Method::PATCH, Method::DELETE] {
        seen.me(app, method.clone(), &access, json!([])).await;
        let headers = [("authorization", bearer.as_str())];
        let answer = send(app, method.clone(), "/me", &headers, "{}").await;
        seen.note(&method.as_str().to_lowercase(), "/me", &answer);
    }
    let leaving = json!({ "refresh_token": token, "current_password": NEW });
    execute(app, "UPDATE users SET roles = '[\"admin\"]' WHERE username = 'bob'").await;
    seen.me(app, Method::DELETE, &access, leaving.clone()).await;
    execute(app, "UPDATE users SET roles = '[]'").await;
    for method in [Method::PATCH, Method::DELETE] {
        let wrong = json!({ "refresh_token": token, "current_password": "x" });
        for _ in 0..6 {
            let mut body = wrong.clone();
            if method == Method::PATCH {
                body["password"] = json!("another quiet Otter 94");
            }
            seen.me(app, method.clone(), &access, body).await;
        }
    }
    app.clock.advance(400);
    seen.me(app, Method::DELETE, &access, leaving).await;
}

async fn second_halves(app: &TestApp, seen: &mut Seen) {
    let give = |client: &str, continuation: &str, code: &str| json!({ "client_id": client, "continuation": continuation, "code": code });
    for client in ["nobody", "native", "own"] {
        seen.post(app, "/signin/second-factor", give(client, "x", "1")).await;
    }
    let (authenticator, _) = enrolled(app).await;
    let mut halves = Vec::new();
    for client in ["own", "own", "own", "staff"] {
        let answer = sign_in(app, client, "bob", "bob-password").await;
        halves.push(answer.text("continuation"));
    }
    let code = authenticator.code(app);
    seen.post(app, "/signin/second-factor", give("own", &halves[0], &code)).await;
    app.clock.advance(30);
    let code = authenticator.code(app);
    seen.post(app, "/signin/second-factor", give("staff", &halves[3], &code)).await;
    for number in 0..6 {
        let wrong = authenticator.wrong(app);
        let continuation = &halves[1 + number % 2];
        seen.post(app, "/signin/second-factor", give("own", continuation, &wrong)).await;
    }
    execute(app, "DELETE FROM totp_factors").await;
    execute(app, "DELETE FROM recovery_codes").await;
}

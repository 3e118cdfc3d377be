//! What belongs to one sign-in of an app ends together, and what takes its place ends it.

use axum::http::{Method, header};
use serde_json::{Value, json};

use super::{assert_problem, me, post, refresh, send, sign_in, start_with, tokens};
use crate::{
    refresh::outside::execute,
    second_factor::enrolled,
    sessions,
    support::app::{Answer, TestApp},
};

const OFFLINE: &str = "[[clients]]\nid = \"phone\"\nname = \"Phone\"\ntype = \"native\"\n\
                       redirect_uris = [\"http://127.0.0.1/cb\"]\noffline_after_logout = true\n\
                       api = true\n";
const BOARD: &str = "[[clients]]\nid = \"board\"\nname = \"Board\"\ntype = \"public\"\n\
                     redirect_uris = [\"https://board.test/cb\"]\nsession_token = true\napi = true\n";

async fn live(app: &TestApp) -> i64 {
    app.count("sessions WHERE ended_at IS NULL").await
}

/// A lost phone: its owner ends its session, and it refreshes nothing, however it was configured.
#[tokio::test(flavor = "multi_thread")]
async fn a_device_that_is_signed_out_is_out() {
    let app = start_with(OFFLINE).await;
    let (access, token) = tokens(&app, "phone", "bob").await;
    let mut browser = app.browser();
    sessions::sign_in(&mut browser, "bob").await;
    let page = browser.get("/account").await;
    let form = page.forms().into_iter().find(|form| form.action.path() == "/account/sessions/end");
    browser.submit(&page, &form.expect("the phone is in the list")).await;
    assert_problem(&refresh(&app, "phone", &token).await, 401, "invalid_grant");
    assert_problem(&me(&app, Method::GET, &access, &json!({})).await, 401, "invalid_token");
}

/// RFC 7009: an app that revokes its token leaves no session behind that nothing can use.
#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_is_given_back_takes_its_session_along() {
    let app = start_with("").await;
    let (_, token) = tokens(&app, "own", "bob").await;
    tokens(&app, "page", "bob").await;
    assert_eq!(live(&app).await, 2);
    let form = [("token", token.as_str()), ("client_id", "own")];
    assert_eq!(app.post("/revoke", &form, &[]).await.status, 200);
    assert_eq!(live(&app).await, 1);
}

async fn at_board(app: &TestApp, path: &str, cookie: Option<&str>, body: &Value) -> Answer {
    let mut headers =
        vec![super::JSON, ("origin", "https://board.test"), ("x-keywright-request", "1")];
    headers.extend(cookie.map(|cookie| ("cookie", cookie)));
    send(app, Method::POST, path, &headers, body.to_string()).await
}

fn cookie(answer: &Answer) -> String {
    let line = answer.headers[header::SET_COOKIE].to_str().unwrap();
    line.split(';').next().unwrap().to_owned()
}

/// A second sign-in at one browser takes the place of the first. What is late does not take away what
/// the second has put there.
#[tokio::test(flavor = "multi_thread")]
async fn a_second_sign_in_takes_the_place_of_the_first() {
    let app = start_with(BOARD).await;
    let body = super::signing_in("board", "bob", "bob-password");
    let first = cookie(&at_board(&app, "/signin", None, &body).await);
    let answer = at_board(&app, "/signin", Some(&first), &body).await;
    assert_eq!((answer.status.as_u16(), live(&app).await), (200, 1), "{answer:?}");
    let second = cookie(&answer);

    let form = [("grant_type", "refresh_token"), ("client_id", "board")];
    let late = [
        ("origin", "https://board.test"),
        ("x-keywright-request", "1"),
        ("cookie", first.as_str()),
    ];
    let answer = app.post("/session/token", &form, &late).await;
    answer.assert_error(400, "invalid_grant");
    assert!(!answer.headers.contains_key(header::SET_COOKIE), "{answer:?}");
    let own = json!({ "client_id": "board" });
    assert_eq!(at_board(&app, "/refresh", Some(&second), &own).await.status, 200);
}

/// SS-18, MF-04: where an account has two factors, an old proof changes nothing, as on the pages.
#[tokio::test(flavor = "multi_thread")]
async fn an_old_proof_changes_nothing() {
    let app = start_with("").await;
    let (authenticator, _) = enrolled(&app).await;
    let half = sign_in(&app, "own", "bob", "bob-password").await;
    let body = json!({
        "client_id": "own", "continuation": half.text("continuation"),
        "code": authenticator.code(&app),
    });
    let answer = post(&app, "/signin/second-factor", &body).await;
    let (access, token) = (answer.text("access_token"), answer.text("refresh_token"));
    let renamed = json!({ "name": "Bob the Second", "refresh_token": token });
    let answer = me(&app, Method::PATCH, &access, &renamed).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let token = answer.text("refresh_token");
    app.clock.advance(301);
    let next = refresh(&app, "own", &token).await;
    let (access, token) = (next.text("access_token"), next.text("refresh_token"));
    let password = json!({
        "password": super::NEW, "current_password": "bob-password", "refresh_token": token,
    });
    let answer = me(&app, Method::PATCH, &access, &password).await;
    assert_problem(&answer, 403, "reauthentication_required");
    let leaving = json!({ "current_password": "bob-password", "refresh_token": token });
    let answer = me(&app, Method::DELETE, &access, &leaving).await;
    assert_problem(&answer, 403, "reauthentication_required");
    assert_eq!(refresh(&app, "own", &token).await.status, 200, "nothing was used up");
}

/// An app is told the same of a person from the first token on.
#[tokio::test(flavor = "multi_thread")]
async fn attributes_are_told_from_the_beginning() {
    let staff = "[[attributes]]\nname = \"team\"\nlabel = \"Team\"\nvisibility = \"public\"\n\
                 [[clients]]\nid = \"told\"\nname = \"Told\"\ntype = \"native\"\napi = true\n\
                 redirect_uris = [\"http://127.0.0.1/cb\"]\n\
                 claims = [{ name = \"team\", attribute = \"team\" }]\n";
    let app = start_with(staff).await;
    let team = "INSERT INTO user_attributes (user_id, name, value, updated_at) \
                SELECT id, 'team', '\"ops\"', 0 FROM users";
    execute(&app, team).await;
    let answer = sign_in(&app, "told", "bob", "bob-password").await;
    let (_, claims) = keywright::keys::parse_unverified(&answer.text("id_token")).unwrap();
    assert_eq!(claims["team"], "ops");
    let own = me(&app, Method::GET, &answer.text("access_token"), &json!({})).await;
    assert_eq!(own.json()["team"], "ops");
}

/// An app that refreshes over and over is slowed down, and nobody signed out.
#[tokio::test(flavor = "multi_thread")]
async fn an_app_in_a_circle_has_to_wait() {
    let app = start_with("").await;
    let (_, mut token) = tokens(&app, "own", "bob").await;
    for _ in 0..30 {
        token = refresh(&app, "own", &token).await.text("refresh_token");
    }
    assert_problem(&refresh(&app, "own", &token).await, 429, "refresh_loop");
    app.clock.advance(61);
    assert_eq!(refresh(&app, "own", &token).await.status, 200);
}

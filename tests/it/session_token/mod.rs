//! Browser apps whose refresh token is a cookie between the browser and us.

mod endings;
mod refusals;
mod rotation;

use axum::http::{Method, Request, header};
use bytes::Bytes;
use url::form_urlencoded;

use crate::support::{
    app::{Answer, ISSUER, TestApp},
    journey::{VERIFIER, code_for, redirect_uri},
};

const ORIGIN: &str = "https://board.test";
const BOARD: &str = "[[clients]]\nid = \"board\"\nname = \"Board\"\ntype = \"public\"\n\
                     redirect_uris = [\"https://board.test/cb\"]\nsession_token = true\n";

async fn start() -> TestApp {
    let app = TestApp::builder().config(BOARD).start().await;
    app.add_user("bob", &[]).await;
    app
}

/// A page of the app in a browser, as far as our cookies for it go.
#[derive(Clone, Default)]
struct Page {
    cookie: Option<String>,
}

impl Page {
    /// The headers that a browser puts on what the app's script sends.
    fn headers(&self) -> Vec<(&'static str, String)> {
        let mut headers = vec![
            ("origin", ORIGIN.to_owned()),
            ("sec-fetch-site", "same-site".to_owned()),
            ("x-keywright-request", "1".to_owned()),
        ];
        headers.extend(self.cookie.clone().map(|cookie| ("cookie", cookie)));
        headers
    }

    /// Keeps or drops the cookie as a browser does.
    fn take(&mut self, answer: &Answer) {
        let lines = answer.headers.get_all(header::SET_COOKIE).iter();
        for line in lines.map(|line| line.to_str().unwrap()) {
            let (pair, attributes) = line.split_once(';').unwrap();
            assert!(pair.starts_with("__Host-kw-refresh-"), "{line}");
            self.cookie = (!attributes.contains("Max-Age=0;")).then(|| pair.to_owned());
        }
    }

    async fn post(&mut self, app: &TestApp, form: &[(&str, &str)]) -> Answer {
        let answer = post_with(app, form, &self.headers()).await;
        self.take(&answer);
        answer
    }

    async fn redeem(&mut self, app: &TestApp, code: &str) -> Answer {
        self.post(app, &code_form(code, &redirect_uri("board"))).await
    }

    async fn refresh(&mut self, app: &TestApp) -> Answer {
        self.post(app, &REFRESH).await
    }

    async fn delete(&mut self, app: &TestApp) -> Answer {
        let answer = delete_with(app, &self.headers()).await;
        self.take(&answer);
        answer
    }
}

const REFRESH: [(&str, &str); 2] = [("grant_type", "refresh_token"), ("client_id", "board")];

fn code_form<'a>(code: &'a str, redirect_uri: &'a str) -> Vec<(&'a str, &'a str)> {
    vec![
        ("grant_type", "authorization_code"),
        ("client_id", "board"),
        ("code", code),
        ("redirect_uri", redirect_uri),
        ("code_verifier", VERIFIER),
    ]
}

async fn post_with(
    app: &TestApp,
    form: &[(&str, &str)],
    headers: &[(&'static str, String)],
) -> Answer {
    let body: String = form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
    let mut request = Request::builder()
        .method(Method::POST)
        .uri(format!("{ISSUER}/session/token"))
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
    for (name, value) in headers {
        request = request.header(*name, value);
    }
    app.send(request.body(Bytes::from(body)).unwrap()).await
}

async fn delete_with(app: &TestApp, headers: &[(&'static str, String)]) -> Answer {
    let uri = format!("{ISSUER}/session/token?client_id=board");
    let mut request = Request::builder().method(Method::DELETE).uri(uri);
    for (name, value) in headers {
        request = request.header(*name, value);
    }
    app.send(request.body(Bytes::new()).unwrap()).await
}

/// A code of bob's for the app.
async fn code(app: &TestApp) -> String {
    let mut browser = app.browser();
    browser.stop_at("https://board.test/");
    code_for(&mut browser, "board", "bob", &[]).await
}

/// A page at which bob is signed in, and its access token.
async fn signed_in(app: &TestApp) -> (Page, String) {
    let mut page = Page::default();
    let answer = page.redeem(app, &code(app).await).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    (page, answer.text("access_token"))
}

async fn is_good(app: &TestApp, access_token: &str) -> bool {
    app.get("/userinfo", Some(&format!("Bearer {access_token}"))).await.status == 200
}

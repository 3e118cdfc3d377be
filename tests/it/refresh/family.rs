//! Families of tokens, and whether they live.

use crate::support::{
    app::{Answer, TestApp, breathe},
    browser::Browser,
    journey::{VERIFIER, code_by_session, code_for, redirect_uri},
};

/// The clients of the tests that have no secret.
const PUBLIC: [&str; 2] = ["spa", "native"];

/// The tokens of one answer.
#[derive(Clone, Debug)]
pub(crate) struct Tokens {
    pub(crate) client: String,
    pub(crate) access: String,
    pub(crate) refresh: String,
    pub(crate) id: Option<String>,
}

impl Tokens {
    /// The tokens of a good answer.
    pub(crate) fn of(client: &str, answer: &Answer) -> Self {
        assert_eq!(answer.status, 200, "{answer:?}");
        Self {
            client: client.to_owned(),
            access: answer.text("access_token"),
            refresh: answer.text("refresh_token"),
            id: answer.json()["id_token"].as_str().map(str::to_owned),
        }
    }

    /// The value of `Authorization` with the access token.
    pub(crate) fn bearer(&self) -> String {
        format!("Bearer {}", self.access)
    }

    /// The tokens that the refresh token brings.
    pub(crate) async fn refreshed(&self, app: &TestApp) -> Self {
        Self::of(&self.client, &self.try_refresh(app).await)
    }

    /// What the refresh token brings.
    pub(crate) async fn try_refresh(&self, app: &TestApp) -> Answer {
        present(app, &self.client, &self.refresh).await
    }

    /// Asserts that all tokens are good, without using any up.
    pub(crate) async fn assert_alive(&self, app: &TestApp) {
        assert_eq!(self.seen_by_introspection(app).await, (true, true));
        assert_eq!(app.get("/userinfo", Some(&self.bearer())).await.status, 200);
    }

    /// Asserts that no token is good for anything (FAM-DEAD).
    pub(crate) async fn assert_dead(&self, app: &TestApp) {
        assert_eq!(self.seen_by_introspection(app).await, (false, false));
        assert_eq!(app.get("/userinfo", Some(&self.bearer())).await.status, 401);
        self.try_refresh(app).await.assert_error(400, "invalid_grant");
    }

    /// Whether access and refresh token are active, as their own client sees it.
    async fn seen_by_introspection(&self, app: &TestApp) -> (bool, bool) {
        let mut seen = Vec::new();
        for token in [&self.access, &self.refresh] {
            let answer = app.post_as(&self.client, "/introspect", &[("token", token)]).await;
            assert_eq!(answer.status, 200, "{answer:?}");
            seen.push(answer.json()["active"].as_bool().unwrap());
        }
        (seen[0], seen[1])
    }
}

/// Posts to the token endpoint, as a client proves itself.
pub(crate) async fn ask(app: &TestApp, client: &str, form: &[(&str, &str)]) -> Answer {
    if PUBLIC.contains(&client) {
        let form = [form, &[("client_id", client)]].concat();
        return app.post("/token", &form, &[]).await;
    }
    app.post_as(client, "/token", form).await
}

/// Redeems a code as any client.
pub(crate) async fn redeem_as(app: &TestApp, client: &str, code: &str) -> Answer {
    let redirect_uri = redirect_uri(client);
    let form = [
        ("grant_type", "authorization_code"),
        ("code", code),
        ("redirect_uri", &redirect_uri),
        ("code_verifier", VERIFIER),
    ];
    ask(app, client, &form).await
}

/// Uses a refresh token as any client.
pub(crate) async fn present(app: &TestApp, client: &str, token: &str) -> Answer {
    ask(app, client, &[("grant_type", "refresh_token"), ("refresh_token", token)]).await
}

/// Uses a refresh token as a client that comes back when it is told to: a crowd may meet a full
/// pool of connections, and that is no refusal.
pub(crate) async fn present_patiently(app: &TestApp, client: &str, token: &str) -> Answer {
    for _ in 0..100 {
        let answer = present(app, client, token).await;
        if answer.status != 503 {
            return answer;
        }
        assert!(answer.headers.contains_key("retry-after"), "{answer:?}");
        breathe().await;
    }
    panic!("never answered");
}

/// Signs a person in at an app in a new browser.
pub(crate) async fn sign_in(app: &TestApp, client: &str, user: &str) -> Tokens {
    sign_in_with(app, &mut app.browser(), client, user).await
}

/// Signs a person in at an app in a browser that nobody is signed in at.
pub(crate) async fn sign_in_with(
    app: &TestApp,
    browser: &mut Browser,
    client: &str,
    user: &str,
) -> Tokens {
    let code = code_for(browser, client, user, &[]).await;
    Tokens::of(client, &redeem_as(app, client, &code).await)
}

/// Opens an app in a browser that somebody is signed in at.
pub(crate) async fn open_app(app: &TestApp, browser: &mut Browser, client: &str) -> Tokens {
    let code = code_by_session(browser, client, &[]).await;
    Tokens::of(client, &redeem_as(app, client, &code).await)
}

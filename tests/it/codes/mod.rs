//! Authorization codes: redeemed once, by their client, with their proofs, in time.

mod binding;
mod expiry;
mod malformed;
mod replay;

use crate::support::{
    app::{Answer, TestApp, basic},
    browser::Browser,
    journey::{VERIFIER, code_for, is_active, redirect_uri, refresh},
};

/// Keywright with alice, and a browser that has never been here.
pub(super) async fn start_with_alice() -> (TestApp, Browser) {
    let app = TestApp::start().await;
    app.add_user("alice", &["staff"]).await;
    let browser = app.browser();
    (app, browser)
}

/// Keywright and a fresh code of alice's for a client.
pub(super) async fn start_with_code(client: &str) -> (TestApp, Browser, String) {
    let (app, mut browser) = start_with_alice().await;
    let code = code_for(&mut browser, client, "alice", &[]).await;
    (app, browser, code)
}

/// Redeems a code with parameters replaced, added, or (when the value is empty) left out.
pub(super) async fn redeem_with(
    app: &TestApp,
    client: &str,
    code: &str,
    changes: &[(&str, &str)],
) -> Answer {
    let redirect_uri = redirect_uri("web");
    let mut form = vec![
        ("grant_type", "authorization_code"),
        ("code", code),
        ("redirect_uri", &redirect_uri),
        ("code_verifier", VERIFIER),
    ];
    for (name, value) in changes {
        form.retain(|(own, _)| own != name);
        if !value.is_empty() {
            form.push((name, value));
        }
    }
    app.post("/token", &form, &[("authorization", &basic(client))]).await
}

/// The tokens of a family.
#[derive(Debug)]
pub(super) struct Family {
    pub(super) access: String,
    pub(super) refresh: String,
}

impl Family {
    /// Of a good answer.
    pub(super) fn of(answer: &Answer) -> Self {
        assert_eq!(answer.status, 200, "{answer:?}");
        Self { access: answer.text("access_token"), refresh: answer.text("refresh_token") }
    }

    async fn userinfo_status(&self, app: &TestApp) -> u16 {
        let bearer = format!("Bearer {}", self.access);
        app.get("/userinfo", Some(&bearer)).await.status.as_u16()
    }

    /// Every token of it is worth nothing (FAM-DEAD).
    pub(super) async fn assert_dead(&self, app: &TestApp, client: &str) {
        assert!(!is_active(app, client, &self.access).await);
        assert!(!is_active(app, client, &self.refresh).await);
        assert_eq!(self.userinfo_status(app).await, 401);
        refresh(app, client, &self.refresh).await.assert_error(400, "invalid_grant");
    }

    /// It goes on as if nothing had happened, without spending its refresh token.
    pub(super) async fn assert_alive(&self, app: &TestApp, client: &str) {
        assert!(is_active(app, client, &self.access).await);
        assert!(is_active(app, client, &self.refresh).await);
        assert_eq!(self.userinfo_status(app).await, 200);
    }
}

/// How often a redemption was refused for a reason.
pub(super) async fn refused(app: &TestApp, reason: &str) -> usize {
    app.refusals("token").await.iter().filter(|own| *own == reason).count()
}

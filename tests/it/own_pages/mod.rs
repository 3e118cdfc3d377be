//! What people see and do at their own pages: sessions, apps, activity, data.

mod activity;
mod apps;
mod export;
mod sessions;

use axum::http::Request;
use bytes::Bytes;

use crate::{
    sessions::form_token,
    support::{
        app::{ISSUER, TestApp},
        browser::{Browser, Page},
    },
};

/// Posts a form of one's own pages.
async fn post(browser: &mut Browser, path: &str, fields: &[(&str, &str)]) -> Page {
    let csrf = form_token(browser).await;
    let fields = [&[("csrf", csrf.as_str())], fields].concat();
    browser.post_form(path, &fields).await
}

/// Each page is read by GET and changed by POST, where there is something to change.
#[tokio::test(flavor = "multi_thread")]
async fn other_methods_are_refused() {
    let app = TestApp::start().await;
    for (path, allowed) in [
        ("/account/tokens", &["GET", "HEAD", "POST"][..]),
        ("/account/tokens/revoke", &["POST"]),
        ("/account/sessions/end-others", &["POST"]),
        ("/account/everywhere", &["GET", "HEAD", "POST"]),
        ("/account/apps", &["GET", "HEAD"]),
        ("/account/apps/disconnect", &["POST"]),
        ("/account/activity", &["GET", "HEAD"]),
        ("/account/export", &["POST"]),
    ] {
        for method in ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "GETX"] {
            let request = Request::builder().method(method).uri(format!("{ISSUER}{path}"));
            let answer = app.send(request.body(Bytes::new()).unwrap()).await;
            let is_refused = answer.status == 405;
            assert_eq!(is_refused, !allowed.contains(&method), "{method} {path}: {answer:?}");
        }
    }
}

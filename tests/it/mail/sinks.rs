//! While developing, mail is shown: in the log, or on a page of the management listener.

use std::{
    io::Write,
    sync::{Arc, Mutex},
};

use axum::{
    body::{Body, to_bytes},
    http::{HeaderMap, Request, StatusCode},
};
use keywright::{jobs::deliver_mail, router};
use tower::ServiceExt as _;
use tracing::instrument::WithSubscriber as _;

use super::*;

async fn start(sink: &str) -> TestApp {
    let lines = format!("[server]\nissuer = \"http://localhost:8080\"\n[mail]\nsink = {sink:?}\n");
    TestApp::builder().config(&lines).start().await
}

async fn get(app: &TestApp, path: &str, host: &str) -> (StatusCode, HeaderMap, String) {
    let request = Request::get(path).header("host", host).body(Body::empty()).unwrap();
    let answer = router::management(&app.app).oneshot(request).await.unwrap();
    let (parts, body) = answer.into_parts();
    let body = to_bytes(body, 1 << 22).await.unwrap();
    (parts.status, parts.headers, String::from_utf8(body.to_vec()).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_shows_the_last_mails_with_their_links() {
    let app = start("page").await;
    let (status, _, body) = get(&app, "/mail", "localhost:9090").await;
    assert_eq!(status, 200);
    assert!(body.contains("There is none yet"), "{body}");
    for number in 0..52 {
        let to = format!("p{number:02}@corp.test");
        assert!(matches!(queue(&app, &to, &recover(&app)).await, Queued::Yes(_)));
        deliver_mail(&app.app).await.unwrap();
    }
    let (_, headers, body) = get(&app, "/mail", "localhost:9090").await;
    let address = format!("http://localhost:8080/recovery?token={SECRET_LINK}");
    assert_eq!(body.matches(&format!("<a href=\"{address}\">")).count(), 50);
    assert!(body.contains(CODE));
    assert!(!body.contains("p01@corp.test") && body.contains("p02@corp.test"));
    let newest = body.find("p51@corp.test").unwrap();
    assert!(newest < body.find("p50@corp.test").unwrap(), "the newest comes first");
    let policy = headers["content-security-policy"].to_str().unwrap();
    assert!(policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"));
    assert_eq!(headers["cache-control"], "no-store");
    assert_eq!(headers["referrer-policy"], "no-referrer");
    let css = body.split("href=\"").find(|rest| rest.starts_with("/assets/")).unwrap();
    let css = css.split('"').next().unwrap();
    assert_eq!(get(&app, css, "localhost:9090").await.0, 200, "{css}");
    assert_sent(&row(&app, "p51@corp.test").await, app.app.now());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_mail_says_is_text_on_the_page() {
    let app = start("page").await;
    let _ = queue(&app, "a@corp.test", &verify(&app, "<b>x</b>")).await;
    deliver_mail(&app.app).await.unwrap();
    let (_, _, body) = get(&app, "/mail", "localhost").await;
    assert!(body.contains("Hello") && !body.contains("<b>"), "{body}");
}

/// A site that has made its own name lead to this computer reads no links.
#[tokio::test(flavor = "multi_thread")]
async fn the_page_is_for_this_computer() {
    let app = start("page").await;
    let _ = queue(&app, "a@corp.test", &recover(&app)).await;
    deliver_mail(&app.app).await.unwrap();
    for host in ["evil.test", "evil.test:9090", "localhost.evil.test", "localhost@evil.test", ""] {
        let (status, _, body) = get(&app, "/mail", host).await;
        assert_eq!(status, 421, "{host}");
        assert!(!body.contains(SECRET_LINK));
    }
    for host in ["127.0.0.1:9090", "[::1]:9090", "localhost"] {
        assert_eq!(get(&app, "/mail", host).await.0, 200, "{host}");
    }
}

/// Without that sink there is no such page, and never one on the public listener.
#[tokio::test(flavor = "multi_thread")]
async fn without_the_sink_there_is_no_page() {
    let receiver = SmtpReceiver::start();
    for app in [start("log").await, super::start(&receiver).await, TestApp::start().await] {
        assert_eq!(get(&app, "/mail", "localhost").await.0, 404);
    }
    let app = start("page").await;
    let request = Request::get("/mail").header("host", "localhost:8080").body(Body::empty());
    let answer = app.router.clone().oneshot(request.unwrap()).await.unwrap();
    assert_eq!(answer.status(), 404);
}

/// What was logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_shows_the_text() {
    let app = start("log").await;
    let _ = queue(&app, "a@corp.test", &recover(&app)).await;
    let mail = row(&app, "a@corp.test").await;
    let log = Log::default();
    let own = log.clone();
    let subscriber = tracing_subscriber::fmt().with_writer(move || own.clone()).finish();
    app.app.mail.carry(&mail, app.app.now()).with_subscriber(subscriber).await.unwrap();
    let said = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    for words in ["INFO", "a@corp.test", "Get back into Keywright", SECRET_LINK, CODE] {
        assert!(said.contains(words), "{words}: {said}");
    }
}

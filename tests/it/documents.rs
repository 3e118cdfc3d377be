//! Conditional requests for the documents.

use axum::http::Request;
use bytes::Bytes;

use crate::support::app::{ISSUER, TestApp};

/// RFC 9110 §13.1.2: `*` matches whatever there is.
#[tokio::test(flavor = "multi_thread")]
async fn documents_that_are_known_are_not_sent_again() {
    let app = TestApp::start().await;
    let etag = app.get("/.well-known/jwks.json", None).await.headers["etag"].clone();
    let etag = etag.to_str().unwrap();
    for (tags, status) in
        [(etag, 304), ("*", 304), (&format!("\"x\", W/{etag}"), 304), ("\"x\"", 200)]
    {
        let request = Request::builder().uri(format!("{ISSUER}/.well-known/jwks.json"));
        let request = request.header("if-none-match", tags).body(Bytes::new()).unwrap();
        let answer = app.send(request).await;
        assert_eq!(answer.status, status, "{tags}");
        assert_eq!(answer.headers["etag"], etag);
        assert_eq!(answer.body.is_empty(), status == 304);
    }
}

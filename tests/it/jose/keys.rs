//! The JWKS: what it says, how long it may be kept, and what is never in it.

use std::collections::BTreeSet;

use axum::http::Request;
use bytes::Bytes;

use crate::support::app::{Answer, ISSUER, TestApp};

async fn jwks_if(app: &TestApp, name: &str, value: &str) -> Answer {
    let request = Request::builder().uri(format!("{ISSUER}/.well-known/jwks.json"));
    app.send(request.header(name, value).body(Bytes::new()).unwrap()).await
}

/// JW-20: public keys only, each with what an app chooses it by.
#[tokio::test(flavor = "multi_thread")]
async fn the_jwks_holds_public_keys_and_nothing_else() {
    let app = TestApp::start().await;
    let answer = app.get("/.well-known/jwks.json", None).await;
    let document = answer.json();
    assert_eq!(document.as_object().unwrap().len(), 1);
    let keys = document["keys"].as_array().unwrap();
    let mut names = BTreeSet::new();
    let mut algorithms = BTreeSet::new();
    for key in keys {
        let members: BTreeSet<&str> = key.as_object().unwrap().keys().map(String::as_str).collect();
        let (of_kind, kind): (&[&str], _) = match key["kty"].as_str().unwrap() {
            "RSA" => (&["n", "e"], "RS256"),
            "EC" => (&["crv", "x", "y"], "ES256"),
            "OKP" => (&["crv", "x"], "EdDSA"),
            other => panic!("{other}"),
        };
        let expected: BTreeSet<&str> =
            of_kind.iter().chain(&["kty", "kid", "use", "alg"]).copied().collect();
        assert_eq!(members, expected);
        assert_eq!((key["alg"].as_str(), key["use"].as_str()), (Some(kind), Some("sig")));
        assert!(names.insert(key["kid"].as_str().unwrap().to_owned()), "names are unique");
        algorithms.insert(kind);
    }
    assert_eq!(algorithms, BTreeSet::from(["RS256", "ES256", "EdDSA"]));
    assert_eq!(keys[0]["alg"], "RS256", "some apps take the first key");
    let metadata = app.get("/.well-known/openid-configuration", None).await.json();
    assert_eq!(metadata["jwks_uri"], format!("{ISSUER}/.well-known/jwks.json"));
}

/// JW-21: kept for at most five minutes, and asked for again for nothing while it is the same.
#[tokio::test(flavor = "multi_thread")]
async fn the_jwks_can_be_kept_for_five_minutes() {
    let app = TestApp::start().await;
    let answer = app.get("/.well-known/jwks.json", None).await;
    assert!((1..=300).contains(&max_age(&answer)), "{:?}", answer.headers);
    assert_eq!(answer.headers["content-type"], "application/jwk-set+json");
    assert_eq!(answer.headers["access-control-allow-origin"], "*");
    let tag = answer.headers["etag"].to_str().unwrap().to_owned();
    assert!(tag.starts_with('"') && tag.ends_with('"') && tag.len() > 10, "{tag}");
    for asked in [tag.clone(), format!("W/{tag}"), format!("\"other\", {tag}")] {
        let same = jwks_if(&app, "if-none-match", &asked).await;
        assert_eq!((same.status.as_u16(), same.body.len()), (304, 0), "{asked}");
        assert_eq!(same.headers["etag"], tag);
        assert!(same.headers.contains_key("cache-control"));
    }
    for asked in ["\"other\"", "", "x"] {
        let whole = jwks_if(&app, "if-none-match", asked).await;
        assert_eq!((whole.status.as_u16(), &whole.body), (200, &answer.body), "{asked}");
    }
}

/// JW-21: no header of a request changes the document.
#[tokio::test(flavor = "multi_thread")]
async fn the_jwks_is_the_same_for_everybody() {
    let app = TestApp::start().await;
    let plain = app.get("/.well-known/jwks.json", None).await;
    for (name, value) in [
        ("host", "evil.test"),
        ("x-forwarded-host", "evil.test"),
        ("origin", "https://evil.test"),
        ("accept", "text/html"),
        ("authorization", "Bearer x"),
        ("cookie", "a=b"),
    ] {
        let answer = jwks_if(&app, name, value).await;
        assert_eq!((answer.status.as_u16(), &answer.body), (200, &plain.body), "{name}");
    }
}

/// For how many seconds an answer may be kept.
pub(super) fn max_age(answer: &Answer) -> i64 {
    let text = answer.headers["cache-control"].to_str().unwrap();
    let age = text.split(',').find_map(|part| part.trim().strip_prefix("max-age="));
    age.unwrap_or_else(|| panic!("{text}")).parse().unwrap()
}

//! What a thief of the database, or somebody who mistypes, can do with it: nothing.

use keywright::foundation::{
    digest::base64url,
    opaque::{Opaque, OpaqueKind},
};

use crate::{
    refresh::{
        family::{Tokens, present, redeem_as, sign_in},
        outside::{bytes, texts},
    },
    support::{
        app::TestApp,
        browser::Browser,
        journey::{authorize_path, code_for},
    },
};

/// All spellings under which a stored digest might be tried, as a secret of one kind.
fn spellings(digest: &[u8], kind: OpaqueKind, prefix: &str) -> Vec<String> {
    let bits: [u8; 32] = digest.try_into().unwrap();
    let hex: Vec<String> = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    vec![
        // Well-formed, with a good checksum: only the look-up can refuse it.
        Opaque::from_bits(kind, bits).reveal().expose().to_owned(),
        format!("{prefix}{}", base64url(digest)),
        base64url(digest),
        hex.concat(),
    ]
}

/// RT-13: a stored digest is no refresh token, no code, no session.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_stored_cannot_be_presented() {
    let app = TestApp::start().await;
    app.add_user("bob", &[]).await;
    let tokens = sign_in(&app, "web", "bob").await.refreshed(&app).await;
    let mut stored = Vec::new();
    for (table, column) in
        [("refresh_tokens", "digest"), ("sessions", "digest"), ("grants", "code_digest")]
    {
        stored.extend(bytes(&app, table, column).await);
    }
    assert_eq!(stored.len(), 4);
    for digest in &stored {
        for text in spellings(digest, OpaqueKind::RefreshToken, "kw_rt_") {
            present(&app, "web", &text).await.assert_error(400, "invalid_grant");
        }
        for text in spellings(digest, OpaqueKind::AuthorizationCode, "kw_ac_") {
            redeem_as(&app, "web", &text).await.assert_error(400, "invalid_grant");
        }
        for text in spellings(digest, OpaqueKind::Session, "kw_se_") {
            let answer = app.get("/userinfo", Some(&format!("Bearer {text}"))).await;
            assert_eq!(answer.status, 401);
            assert!(!signs_in(&app, &text).await, "{text}");
        }
    }
    let reasons = app.refusals("token").await;
    assert!(!reasons.iter().any(|r| r.contains("reuse") || r.contains("replay")), "{reasons:?}");
    tokens.assert_alive(&app).await;
}

/// Whether a session cookie with this value signs anybody in.
async fn signs_in(app: &TestApp, secret: &str) -> bool {
    let request = axum::http::Request::builder()
        .uri(format!("{}{}", crate::support::app::ISSUER, authorize_path("web", &[])))
        .header("cookie", format!("__Host-kw-session={secret}"));
    let answer = app.send(request.body(bytes::Bytes::new()).unwrap()).await;
    assert_eq!(answer.status, 303, "{answer:?}");
    answer.headers["location"].to_str().unwrap().starts_with("https://web.test/")
}

/// The secret of the session that the browser has.
fn session_secret(browser: &Browser) -> String {
    let cookie = browser.cookies().get("__Host-kw-session");
    cookie.expect("a session cookie").value.clone()
}

/// RT-13: no secret that was handed out is anywhere in the database.
#[tokio::test(flavor = "multi_thread")]
async fn no_secret_is_stored_in_the_clear() {
    let app = TestApp::start().await;
    app.add_user("bob", &[]).await;
    let mut browser = app.browser();
    let code = code_for(&mut browser, "web", "bob", &[]).await;
    let first = Tokens::of("web", &redeem_as(&app, "web", &code).await);
    let second = first.refreshed(&app).await;
    let session = session_secret(&browser);
    assert!(signs_in(&app, &session).await);
    app.clock.advance(60);
    first.try_refresh(&app).await.assert_error(400, "invalid_grant");
    app.app.audit.flush().await;

    let mut secrets = vec![code, session, "bob-password".to_owned()];
    for tokens in [first, second] {
        secrets.extend([tokens.refresh, tokens.access, tokens.id.unwrap()]);
    }
    let dump = dump(&app).await;
    assert!(contains(&dump, b"bob@corp.test"), "the dump shows what is stored");
    for secret in &secrets {
        let body = if secret.starts_with("kw_") { &secret[6..] } else { secret };
        assert!(!contains(&dump, body.as_bytes()), "{secret}");
    }
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle)
}

/// Everything that is stored: the files of SQLite, or all rows of PostgreSQL.
async fn dump(app: &TestApp) -> Vec<u8> {
    let mut all = Vec::new();
    if let Some(file) = app.database.url.strip_prefix("sqlite:") {
        for suffix in ["", "-wal"] {
            all.extend(std::fs::read(format!("{file}{suffix}")).unwrap());
        }
        return all;
    }
    for table in ["users", "sessions", "grants", "refresh_tokens", "audit_events"] {
        let rows = texts(app, &format!("SELECT {table}::text AS value FROM {table}")).await;
        assert!(!rows.is_empty(), "{table}");
        all.extend(rows.concat().into_bytes());
    }
    all
}

/// RT-14: what is not exactly a token of ours is refused, harms nobody and is no reuse.
#[tokio::test(flavor = "multi_thread")]
async fn a_malformed_token_is_refused_and_is_no_reuse() {
    let app = TestApp::start().await;
    let foreign = TestApp::start().await;
    for app in [&app, &foreign] {
        app.add_user("bob", &[]).await;
    }
    let used = sign_in(&app, "web", "bob").await;
    let tokens = used.refreshed(&app).await;
    let good = &tokens.refresh;
    let mut wrong = vec![
        sign_in(&foreign, "web", "bob").await.refresh,
        format!("{good}="),
        format!("{good}A"),
        format!("{good} "),
        format!(" {good}"),
        format!("{good}\0"),
        good.to_uppercase(),
        good.to_lowercase(),
        good.replace("kw_rt_", "kw_ac_"),
        good.replace("kw_rt_", ""),
        "a".repeat(20_000),
        "'; DROP TABLE grants; --".to_owned(),
        "\u{1f511}".to_owned(),
        tokens.access.clone(),
    ];
    wrong.extend((1..10).map(|cut| good[..good.len() - cut].to_owned()));
    wrong.extend((6..12).map(|at| flipped(good, at)));
    wrong.extend((6..12).map(|at| flipped(&used.refresh, at)));
    for text in &wrong {
        present(&app, "web", text).await.assert_error(400, "invalid_grant");
    }
    let reasons = app.refusals("token").await;
    assert_eq!(reasons.len(), wrong.len());
    let harmless = ["refresh_token_malformed", "refresh_token_unknown"];
    assert!(reasons.iter().all(|reason| harmless.contains(&reason.as_str())), "{reasons:?}");
    present(&app, "web", "").await.assert_error(400, "invalid_request");
    tokens.assert_alive(&app).await;
    assert_eq!(app.count("refresh_tokens").await, 2);
}

/// The text with another letter at one place.
fn flipped(text: &str, at: usize) -> String {
    let other = if &text[at..=at] == "A" { "B" } else { "A" };
    format!("{}{other}{}", &text[..at], &text[at + 1..])
}

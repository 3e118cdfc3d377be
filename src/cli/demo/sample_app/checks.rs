//! What the sample app compares before it believes a token. Every row on its page is a comparison
//! that was made here, or a signature that was checked on the way in.

use anyhow::{Context as _, ensure};
use serde_json::Value;

use crate::{
    federation::client_view::{OpenToken, Received},
    foundation::{
        clock::Timestamp,
        digest::{base64url, constant_time_eq, sha256},
    },
    web::pages::Detail,
};

/// The client that the app is.
const CLIENT: &str = "sample-app";

/// One row of the page.
pub(super) fn row(label: &str, value: impl Into<String>) -> Detail {
    Detail { label: label.to_owned(), value: value.into() }
}

/// The checks that hold for every set of tokens.
pub(super) fn of_tokens(
    issuer: &str,
    received: &Received,
    now: Timestamp,
) -> anyhow::Result<Vec<Detail>> {
    let (id, access) = (&received.id_token, &received.access_token);
    Ok(vec![
        row("Signature of the ID token", signature(id)),
        row("Signature of the access token", signature(access)),
        issuers(issuer, id, access)?,
        audiences(id, access)?,
        expiry(id, access, now)?,
        access_token_hash(id, access)?,
        subject(received)?,
    ])
}

/// What a token is signed with. It was opened with exactly that.
pub(super) fn signature(token: &OpenToken) -> String {
    format!("{}, key {}", token.header_text("alg"), token.header_text("kid"))
}

fn issuers(issuer: &str, id: &OpenToken, access: &OpenToken) -> anyhow::Result<Detail> {
    for token in [id, access] {
        ensure!(token.text("iss") == Some(issuer), "a token is not from {issuer}");
    }
    Ok(row("Issuer", issuer))
}

fn audiences(id: &OpenToken, access: &OpenToken) -> anyhow::Result<Detail> {
    ensure!(id.text("aud") == Some(CLIENT), "the ID token is for somebody else");
    ensure!(access.text("client_id") == Some(CLIENT), "the access token is somebody else's");
    Ok(row("Audience", CLIENT))
}

fn expiry(id: &OpenToken, access: &OpenToken, now: Timestamp) -> anyhow::Result<Detail> {
    let moment = |token: &OpenToken| token.payload.get("exp").and_then(Value::as_i64);
    let ends = [id, access].map(moment).into_iter().collect::<Option<Vec<i64>>>();
    let first = ends.and_then(|ends| ends.into_iter().min());
    let first = Timestamp::from_unix(first.context("a token never expires")?);
    ensure!(first > now, "a token has expired");
    Ok(row("Expiry", format!("{}, in {}", first.rfc3339(), first.since(now))))
}

/// OIDC Core §3.1.3.8; our tokens are signed with algorithms that hash with SHA-256.
fn access_token_hash(id: &OpenToken, access: &OpenToken) -> anyhow::Result<Detail> {
    let hash = sha256(access.raw.as_bytes());
    let half = base64url(hash.get(..16).unwrap_or_default());
    ensure!(id.text("at_hash") == Some(&half), "the access token is not the ID token's");
    Ok(row("Tokens belong together", format!("at_hash {half}")))
}

fn subject(received: &Received) -> anyhow::Result<Detail> {
    let subject = received.id_token.text("sub").context("the ID token is about nobody")?;
    let info = received.userinfo.get("sub").and_then(Value::as_str);
    let same = received.access_token.text("sub") == Some(subject) && info == Some(subject);
    ensure!(same, "the tokens and UserInfo are about different people");
    Ok(row("Same person everywhere", subject))
}

/// That the ID token was made for this very sign-in.
pub(super) fn nonce(received: &Received, sent: &str) -> anyhow::Result<Detail> {
    let nonce = received.id_token.text("nonce").unwrap_or_default();
    let same = constant_time_eq(nonce.as_bytes(), sent.as_bytes());
    ensure!(same, "the ID token was made for another sign-in");
    Ok(row("Nonce", nonce))
}

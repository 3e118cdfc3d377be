//! Making a token: by its owner alone, within what its owner may do, shown once.

use keywright::{
    foundation::opaque::{Opaque, OpaqueKind},
    store::audit_events::AuditEvent,
};

use super::{APPS, ask_for, assert_dead, house, make, secret_on, seen_by, signed_in};
use crate::{
    refresh::outside::{bytes, restarted, texts},
    sessions::{form_token, sorted},
    support::app::TestApp,
};

/// PT-08: a token is shown in one answer, and of what is kept nobody can make it again.
#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_shown_once() {
    let app = house().await;
    let mut browser = signed_in(&app, "alice").await;
    let fields = [("name", "backup <b>"), ("lifetime", "90d"), ("scope.notes:read", "yes")];
    let page = ask_for(&mut browser, &fields).await;
    let token = secret_on(&page);
    assert_eq!(page.header("cache-control"), Some("no-store"));
    assert!(page.url.query().is_none() && page.location().is_none());
    let read = Opaque::parse(OpaqueKind::PersonalAccessToken, &token).expect("a whole token");
    assert!(token.starts_with("kw_pat_") && token.len() > 50, "{token}");

    let list = browser.get("/account/tokens").await.text();
    assert!(list.contains("backup &#60;b&#62;") && list.contains("notes:read"), "{list}");
    assert!(!list.contains(&token) && !list.contains("<b>"));
    assert_eq!(bytes(&app, "personal_access_tokens", "digest").await.len(), 1);
    let row = texts(&app, "SELECT name || scope || networks AS value FROM personal_access_tokens");
    assert!(!row.await.concat().contains(&token[7..]));
    let events = app.events().await;
    let made = events.iter().find(|event| event.action == "make_token").unwrap();
    assert!(made.detail.contains("notes:read") && made.address.is_some(), "{made:?}");
    for event in &events {
        assert!(!event.detail.contains(&token), "LG-01: {event:?}");
        assert!(!event.detail.contains(&read.digest().to_text()), "{event:?}");
    }
}

/// PT-01: nobody else makes one, and nobody by a session that was left open, or by a token.
#[tokio::test(flavor = "multi_thread")]
async fn only_its_owner_makes_a_token_right_after_signing_in() {
    let app = house().await;
    let mut browser = signed_in(&app, "alice").await;
    let token = make(&mut browser, "first", &["openid"]).await;
    let form = [("name", "x"), ("lifetime", "30d"), ("scope.openid", "yes"), ("user_id", "alice")];
    let bearer = format!("Bearer {token}");
    for headers in [&[][..], &[("authorization", bearer.as_str())]] {
        let answer = app.post("/account/tokens", &form, headers).await;
        assert_eq!(answer.status, 403, "{answer:?}");
    }
    app.clock.advance(301);
    let page = ask_for(&mut browser, &form[..3]).await;
    assert_eq!(page.status, 403);
    assert!(page.text().contains("code: reauth_required"), "{}", page.text());
    let list = browser.get("/account/tokens").await;
    assert!(list.text().contains("/account/prove") && !list.text().contains("name=\"lifetime\""));
    assert_eq!(app.count("personal_access_tokens").await, 1);
    let refusals = sorted(app.refusals("make_token").await);
    assert_eq!(refusals, ["form_not_ours", "form_not_ours", "reauth_required"]);
}

/// PT-02: what the form does not have is not taken from it, and nothing beyond the owner's rights.
#[tokio::test(flavor = "multi_thread")]
async fn a_form_with_more_in_it_makes_nothing() {
    let app = house().await;
    app.add_user("bob", &[]).await;
    let mut browser = signed_in(&app, "bob").await;
    let good = [("name", "x"), ("lifetime", "30d"), ("scope.openid", "yes")];
    for more in ["role", "is_admin", "scopes", "user_id", "created_at", "token", "digest", "acr"] {
        let page = ask_for(&mut browser, &[&good[..], &[(more, "admin")]].concat()).await;
        assert_eq!(page.status, 422, "{more}");
        assert!(page.text().contains("code: field_unknown"), "{more}");
    }
    for scope in ["*", "vault:open", "offline_access", "read", "admin", "openid notes:read"] {
        let field = format!("scope.{scope}");
        let page = ask_for(&mut browser, &[&good[..], &[(&field, "yes")]].concat()).await;
        assert_eq!(page.status, 422, "{scope}");
        assert!(page.text().contains("Choose at least one"), "{scope}");
    }
    let page = ask_for(&mut browser, &good[..2]).await;
    assert_eq!(page.status, 422, "no scope at all");
    assert_eq!(app.count("personal_access_tokens").await, 0);
    let refusals = app.refusals("make_token").await;
    assert_eq!(refusals.iter().filter(|reason| *reason == "field_unknown").count(), 8);
    assert_eq!(refusals.iter().filter(|reason| *reason == "scope_beyond_rights").count(), 7);
    // The vault is for others: its scope is not even offered.
    let page = browser.get("/account/tokens").await.text();
    assert!(page.contains("scope.notes:read") && !page.contains("vault:open"), "{page}");
}

/// PT-09: a token ends, and nobody says when it does not.
#[tokio::test(flavor = "multi_thread")]
async fn a_life_is_within_what_is_allowed() {
    let app = house().await;
    let mut browser = signed_in(&app, "alice").await;
    for life in ["", "0d", "-1d", "367d", "9999999999d", "lasting", "never", "2027-01-01"] {
        let fields = [("name", "x"), ("lifetime", life), ("scope.openid", "yes")];
        let page = ask_for(&mut browser, &fields).await;
        assert_eq!(page.status, 422, "{life:?}");
        assert!(page.text().contains("Choose one of the times"), "{life:?}");
    }
    assert_eq!(app.refusals("make_token").await, ["life_too_long"; 8]);
    assert_eq!(app.count("personal_access_tokens").await, 0);
    let page = browser.get("/account/tokens").await.text();
    assert!(page.contains("value=\"90d\" selected") && !page.contains("lasting"), "{page}");
    let token = make(&mut browser, "month", &["openid"]).await;
    app.clock.advance(30 * 86_400 - 1);
    assert_eq!(seen_by(&app, "notes", &token).await["active"], true);
    app.clock.advance(1);
    assert_dead(&app, &token).await;
}

/// PT-09: a rule that was made stricter counts for the tokens that there are.
#[tokio::test(flavor = "multi_thread")]
async fn a_stricter_rule_counts_at_once() {
    let lasting = "[tokens]\npersonal_access_tokens = \"lasting\"";
    let app = TestApp::builder().config(APPS).config(lasting).start().await;
    app.add_user("alice", &[]).await;
    let mut browser = signed_in(&app, "alice").await;
    let fields = [("name", "for good"), ("lifetime", "lasting"), ("scope.openid", "yes")];
    let token = secret_on(&ask_for(&mut browser, &fields).await);
    assert!(browser.get("/account/tokens").await.text().contains("Lasts until you revoke it"));
    app.clock.advance(400 * 86_400);
    let seen = seen_by(&app, "notes", &token).await;
    assert_eq!(seen["active"], true);
    assert!(seen.get("exp").is_none(), "{seen}");
    drop(browser);

    let stricter = "[tokens]\npersonal_access_token_max_lifetime = \"500d\"";
    let app = restarted(app, |builder| builder.config(APPS).config(stricter)).await;
    assert_eq!(seen_by(&app, "notes", &token).await["active"], true);
    app.clock.advance(100 * 86_400);
    assert_dead(&app, &token).await;
    let off = "[tokens]\npersonal_access_tokens = \"off\"";
    let app = restarted(app, |builder| builder.config(APPS).config(off)).await;
    assert_dead(&app, &token).await;
    let mut browser = signed_in(&app, "alice").await;
    let page = ask_for(&mut browser, &[("name", "x"), ("lifetime", "1d"), ("scope.openid", "y")]);
    assert_eq!(page.await.status, 422);
    assert!(browser.get("/account/tokens").await.text().contains("switched off"));
    assert_eq!(app.refusals("make_token").await, ["personal_access_tokens_off"]);
}

/// Names are plain, and nobody has two living tokens of one name.
#[tokio::test(flavor = "multi_thread")]
async fn a_name_is_plain_and_stands_for_one_token() {
    let app = house().await;
    let mut browser = signed_in(&app, "alice").await;
    let long = "x".repeat(101);
    for name in ["", "  ", "a\u{7}b", "a\u{202e}b", "a\nb", &long] {
        let fields = [("name", name), ("lifetime", "1d"), ("scope.openid", "yes")];
        let page = ask_for(&mut browser, &fields).await;
        assert_eq!(page.status, 422, "{name:?}");
        assert!(page.text().contains("Enter a name"), "{name:?}");
    }
    make(&mut browser, "backup", &["openid"]).await;
    let again = [("name", "backup"), ("lifetime", "1d"), ("scope.openid", "yes")];
    let page = ask_for(&mut browser, &again).await;
    assert_eq!(page.status, 422);
    assert!(page.text().contains("You have a token of this name"), "{}", page.text());
    assert_eq!(app.count("personal_access_tokens").await, 1);
    let refusals = app.refusals("make_token").await;
    assert_eq!(refusals.last().map(String::as_str), Some("name_taken"));
}

/// PT-06: nobody sees or revokes another's token; its owner does, once.
#[tokio::test(flavor = "multi_thread")]
async fn tokens_are_their_owners() {
    let app = house().await;
    app.add_user("mallory", &[]).await;
    let mut alice = signed_in(&app, "alice").await;
    let token = make(&mut alice, "backup", &["openid"]).await;
    let page = alice.get("/account/tokens").await;
    let handle = page.form_to("/account/tokens/revoke").value("handle").unwrap().to_owned();
    let mut mallory = signed_in(&app, "mallory").await;
    assert!(mallory.get("/account/tokens").await.text().contains("You have none."));
    let csrf = form_token(&mut mallory).await;
    for handle in [handle.as_str(), "", "x", "' OR 1=1 --", "\0", &token] {
        let fields = [("csrf", csrf.as_str()), ("handle", handle)];
        let page = mallory.post_form("/account/tokens/revoke", &fields).await;
        assert_eq!(page.status, 404, "{handle:?}");
    }
    assert_eq!(app.refusals("revoke_token").await, ["token_unknown"; 6]);
    assert_eq!(seen_by(&app, "notes", &token).await["active"], true);

    // However long ago she signed in: to revoke is never dangerous.
    app.clock.advance(3_600);
    let page = alice.get("/account/tokens").await;
    let form = page.form_to("/account/tokens/revoke");
    assert_eq!(alice.submit(&page, &form).await.status, 303);
    assert_dead(&app, &token).await;
    assert_eq!(alice.submit(&page, &form).await.status, 404, "once");
    let events = app.events().await;
    let revoked = |event: &&AuditEvent| event.action == "revoke_token" && event.reason.is_none();
    assert_eq!(events.iter().filter(revoked).count(), 1);
    assert!(alice.get("/account/tokens").await.text().contains("You have none."));
}

/// Whoever has an address of their own is told of each change.
#[tokio::test(flavor = "multi_thread")]
async fn the_owner_is_told() {
    let mail = "[mail]\nurl = \"smtp://127.0.0.1:9\"\nfrom = \"id@id.test\"";
    let app = TestApp::builder().config(mail).start().await;
    app.add_user("alice", &[]).await;
    let mut browser = signed_in(&app, "alice").await;
    let token = make(&mut browser, "backup", &["openid"]).await;
    assert_eq!(app.count("mail_outbox").await, 1);
    let page = browser.get("/account/tokens").await;
    browser.submit(&page, &page.form_to("/account/tokens/revoke")).await;
    assert_eq!(app.count("mail_outbox").await, 2);
    let kinds = texts(&app, "SELECT kind || recipient AS value FROM mail_outbox").await;
    assert_eq!(kinds, ["method_changedalice@corp.test"; 2]);
    assert!(!kinds.concat().contains(&token));
}

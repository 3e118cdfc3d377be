//! Forms that only our own pages can post.

use std::collections::BTreeSet;

use super::{cookie_line, form_token, person_of, sign_in};
use crate::support::{
    app::{Answer, ISSUER, TestApp},
    browser::Browser,
    journey::authorize_path,
};

/// What a forged request says of itself: its headers, and whose form token it carries.
struct Forgery {
    what: &'static str,
    headers: &'static [(&'static str, &'static str)],
    token: Token,
}

enum Token {
    Own,
    OfAnotherBrowser,
    Malformed,
    Missing,
}

const SAME_ORIGIN: &[(&str, &str)] = &[("sec-fetch-site", "same-origin"), ("origin", ISSUER)];

const FORGERIES: [Forgery; 12] = [
    Forgery { what: "no token", headers: SAME_ORIGIN, token: Token::Missing },
    Forgery { what: "another's token", headers: SAME_ORIGIN, token: Token::OfAnotherBrowser },
    Forgery { what: "malformed token", headers: SAME_ORIGIN, token: Token::Malformed },
    Forgery { what: "evil origin", headers: &[("origin", "https://evil.test")], token: Token::Own },
    Forgery { what: "origin null", headers: &[("origin", "null")], token: Token::Own },
    Forgery { what: "plain origin", headers: &[("origin", "http://id.test")], token: Token::Own },
    Forgery {
        what: "longer origin",
        headers: &[("origin", "https://id.test.evil.test")],
        token: Token::Own,
    },
    Forgery {
        what: "other port",
        headers: &[("origin", "https://id.test:444")],
        token: Token::Own,
    },
    Forgery { what: "no word of the origin", headers: &[], token: Token::Own },
    Forgery {
        what: "cross-site",
        headers: &[("sec-fetch-site", "cross-site"), ("origin", "https://evil.test")],
        token: Token::Own,
    },
    Forgery {
        what: "same-site",
        headers: &[("sec-fetch-site", "same-site"), ("origin", "https://other.id.test")],
        token: Token::Own,
    },
    Forgery {
        what: "cross-site with our origin",
        headers: &[("sec-fetch-site", "cross-site"), ("origin", ISSUER)],
        token: Token::Own,
    },
];

/// Everything that may be posted: with a form token, or by an app, which proves itself otherwise.
const GUARDED: [&str; 31] = [
    "CONNECT",
    "CONSENT",
    "DISCONNECT_APP_OF_MINE",
    "END_OTHER_SESSIONS_OF_MINE",
    "END_SESSION_OF_MINE",
    "EVERYWHERE",
    "EXPORT",
    "INVITATION",
    "KEEP_MY_ACCOUNT",
    "LINK",
    "LOGIN",
    "LOGOUT",
    "MY_DELETION",
    "MY_EMAIL",
    "MY_PASSWORD",
    "MY_PICTURE",
    "MY_PROFILE",
    "PASSKEY",
    "PASSKEYS",
    "RECOVERY",
    "RECOVERY_CODE",
    "RECOVERY_PASSWORD",
    "REMOVE_MY_PASSWORD",
    "REVOKE_TOKEN_OF_MINE",
    "SECOND_FACTOR",
    "SIGNUP",
    "TOKENS_OF_MINE",
    "TWO_STEP",
    "UNLINK",
    "VERIFY_EMAIL",
    "VERIFY_MY_EMAIL",
];
const FOR_APPS: [&str; 7] =
    ["AUTHORIZE", "INTROSPECT", "PAR", "REVOKE", "SESSION_TOKEN", "TOKEN", "USERINFO"];
/// Posted from an upstream's page, which changes nothing until the browser that asked fetches it; and
/// by an upstream itself, which signs what it says.
const FROM_UPSTREAMS: [&str; 2] = ["UPSTREAM_BACKCHANNEL_LOGOUT", "UPSTREAM_CALLBACK"];

/// SS-05: a route that can be posted to is in one of the three lists, or this fails: whoever adds one
/// adds it here, and to the walk below if it is a page of ours.
#[test]
fn every_route_that_can_be_posted_to_is_known_here() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/src/router.rs");
    let source = std::fs::read_to_string(file).unwrap();
    let public = source.split_once("pub fn management").unwrap().0;
    // The one route that takes DELETE is guarded for it as for POST (session_token/refusals.rs).
    let guarded = "post(session_token::post).delete(session_token::delete)";
    assert_eq!(public.matches(".delete(").count(), public.matches(guarded).count());
    for method in ["put(", "patch(", " delete(", "any(", "post_service(", "nest("] {
        assert!(!public.contains(method), "{method}: a new kind of route");
    }
    let routes = public.lines().filter(|line| line.contains("post(")).filter_map(|line| {
        let name = line.split_once("path::")?.1;
        Some(name.split(',').next().unwrap())
    });
    let found: BTreeSet<&str> = routes.collect();
    let known: BTreeSet<&str> = GUARDED.into_iter().chain(FOR_APPS).chain(FROM_UPSTREAMS).collect();
    assert_eq!(found, known);
    let posts = public.lines().filter(|line| line.contains("post(")).count();
    assert_eq!(posts, known.len(), "a route without a named path");
}

/// Two sessions of bob's, a sign-in in progress in one of them, and a stranger.
struct Scene {
    app: TestApp,
    browser: Browser,
    secret: String,
    other_secret: String,
    own_token: String,
    foreign_token: String,
}

impl Scene {
    async fn set() -> Self {
        let app = TestApp::start().await;
        app.add_user("bob", &[]).await;
        app.add_user("mallory", &[]).await;
        let other_secret = sign_in(&mut app.browser(), "bob").await;
        let mut browser = app.browser();
        let secret = sign_in(&mut browser, "bob").await;
        let own_token = form_token(&mut browser).await;
        let mut stranger = app.browser();
        sign_in(&mut stranger, "mallory").await;
        let foreign_token = form_token(&mut stranger).await;
        assert_ne!(own_token, foreign_token);
        Self { app, browser, secret, other_secret, own_token, foreign_token }
    }

    async fn post(
        &self,
        path: &str,
        fields: &[(&str, &str)],
        headers: &[(&str, &str)],
        token: &Token,
    ) -> Answer {
        let mut fields = fields.to_vec();
        match token {
            Token::Own => fields.push(("csrf", &self.own_token)),
            Token::OfAnotherBrowser => fields.push(("csrf", &self.foreign_token)),
            Token::Malformed => fields.push(("csrf", &self.own_token[1..])),
            Token::Missing => {}
        }
        let cookies = cookie_line(&self.browser);
        let mut headers = headers.to_vec();
        headers.push(("cookie", &cookies));
        self.app.post(path, &fields, &headers).await
    }

    /// Sends every forgery to one route: each is refused, and nothing has changed.
    async fn assert_refused(&self, action: &str, path: &str, fields: &[(&str, &str)]) {
        let sessions = self.app.count("sessions").await;
        for (number, forgery) in FORGERIES.iter().enumerate() {
            let answer = self.post(path, fields, forgery.headers, &forgery.token).await;
            let page = String::from_utf8_lossy(&answer.body).into_owned();
            let what = format!("{path}, {}: {} {page}", forgery.what, answer.status);
            assert_eq!(answer.status, 403, "{what}");
            assert!(page.contains("code: form_not_ours"), "{what}");
            assert!(!answer.headers.contains_key("set-cookie"), "{what}");
            assert!(!answer.headers.contains_key("location"), "{what}");
            assert_eq!(self.app.refusals(action).await.len(), number + 1, "{what}");
            for secret in [&self.secret, &self.other_secret] {
                assert_eq!(person_of(&self.app, secret).await.as_deref(), Some("bob"), "{what}");
            }
        }
        let refusals = self.app.refusals(action).await;
        assert!(refusals.iter().all(|reason| reason == "form_not_ours"), "{refusals:?}");
        assert_eq!(self.app.count("sessions").await, sessions);
    }
}

/// SS-05: signing in.
#[tokio::test(flavor = "multi_thread")]
async fn the_sign_in_form_is_taken_from_our_own_page_alone() {
    let mut scene = Scene::set().await;
    let again = authorize_path("web", &[("prompt", "login")]);
    let page = scene.browser.visit(&again).await;
    let form = page.last().form_to("/login");
    let path = format!("{}?{}", form.action.path(), form.action.query().unwrap());
    let fields = [("username", "mallory"), ("password", "mallory-password")];
    scene.assert_refused("sign_in", &path, &fields).await;

    let good = scene.post(&path, &fields, SAME_ORIGIN, &Token::Own).await;
    assert_eq!(good.status, 303, "the same form from our own page is taken: {good:?}");
    assert!(good.headers.contains_key("set-cookie"));
}

/// SS-05: ending a session.
#[tokio::test(flavor = "multi_thread")]
async fn a_session_is_ended_from_our_own_page_alone() {
    let mut scene = Scene::set().await;
    let page = scene.browser.get("/account").await;
    let form = page.form_to("/account/sessions/end");
    let fields = [("handle", form.value("handle").unwrap())];
    scene.assert_refused("end_session", "/account/sessions/end", &fields).await;

    let good = scene.post("/account/sessions/end", &fields, SAME_ORIGIN, &Token::Own).await;
    assert_eq!(good.status, 303, "{good:?}");
    assert_eq!(person_of(&scene.app, &scene.other_secret).await, None);
}

/// SS-05, LK-06: changing the ways in. From our own page each gets as far as what is not there.
#[tokio::test(flavor = "multi_thread")]
async fn ways_in_are_changed_from_our_own_page_alone() {
    let scene = Scene::set().await;
    for (action, path, field) in
        [("link", "/account/link", "upstream"), ("unlink", "/account/unlink", "handle")]
    {
        let fields = [(field, "none")];
        scene.assert_refused(action, path, &fields).await;
        let good = scene.post(path, &fields, SAME_ORIGIN, &Token::Own).await;
        assert_eq!(good.status, 404, "{good:?}");
    }
}

/// SS-05: one's password and address, and the way back into an account.
#[tokio::test(flavor = "multi_thread")]
async fn passwords_and_addresses_are_changed_from_our_own_page_alone() {
    let scene = Scene::set().await;
    let fields = [("password", "eleven quiet Otters 93"), ("current", "bob-password")];
    for (action, path) in [
        ("password_change", "/account/password"),
        ("password_removal", "/account/password/remove"),
        ("email_change", "/account/email"),
        ("profile_change", "/account/profile"),
        ("account_deletion", "/account/delete"),
    ] {
        scene.assert_refused(action, path, &fields).await;
    }
    let before = scene.app.refusals("recovery").await.len();
    assert_eq!(before, 0);
    scene.assert_refused("recovery", "/recovery", &[("username", "bob")]).await;
    let changed = scene.app.count("recovery_requests").await;
    assert_eq!(changed, 0);
    let good = scene.post("/account/password", &fields, SAME_ORIGIN, &Token::Own).await;
    assert_eq!(good.status, 200, "{good:?}");
}

/// SS-05: taking an invitation.
#[tokio::test(flavor = "multi_thread")]
async fn an_invitation_is_taken_from_our_own_page_alone() {
    let mut scene = Scene::set().await;
    let (_, link) = crate::invitations::make(&scene.app, crate::invitations::offer()).await;
    let page = crate::invitations::open(&mut scene.browser, &link).await;
    let form = page.form_to("/invitation");
    let path = format!("/invitation?{}", form.action.query().unwrap());
    scene.assert_refused("invitation", &path, &[]).await;
    assert_eq!(scene.app.count("users WHERE groups <> '[]'").await, 0);

    let good = scene.post(&path, &[], SAME_ORIGIN, &Token::Own).await;
    assert_eq!(good.status, 303, "{good:?}");
    assert_eq!(scene.app.count("users WHERE groups <> '[]'").await, 1);
}

/// SS-05, PT-01: making and revoking tokens.
#[tokio::test(flavor = "multi_thread")]
async fn tokens_are_made_and_revoked_from_our_own_page_alone() {
    let scene = Scene::set().await;
    let fields = [("name", "backup"), ("lifetime", "30d"), ("scope.openid", "yes")];
    scene.assert_refused("make_token", "/account/tokens", &fields).await;
    assert_eq!(scene.app.count("personal_access_tokens").await, 0);
    let good = scene.post("/account/tokens", &fields, SAME_ORIGIN, &Token::Own).await;
    assert_eq!(good.status, 200, "{good:?}");

    let fields = [("handle", "none")];
    scene.assert_refused("revoke_token", "/account/tokens/revoke", &fields).await;
    let good = scene.post("/account/tokens/revoke", &fields, SAME_ORIGIN, &Token::Own).await;
    assert_eq!(good.status, 404, "{good:?}");
}

/// SS-05: what ends more than one session, takes an app away, or tells everything. Last what is signed
/// out by.
#[tokio::test(flavor = "multi_thread")]
async fn own_pages_are_posted_from_our_own_page_alone() {
    let scene = Scene::set().await;
    for (action, path, good) in [
        ("disconnect_app", "/account/apps/disconnect", 404),
        ("export", "/account/export", 200),
        ("end_other_sessions", "/account/sessions/end-others", 303),
    ] {
        let fields = [("app", "none")];
        // The other session is gone with the last of them.
        scene.assert_refused(action, path, &fields).await;
        let answer = scene.post(path, &fields, SAME_ORIGIN, &Token::Own).await;
        assert_eq!(answer.status, good, "{answer:?}");
    }
    assert_eq!(person_of(&scene.app, &scene.other_secret).await, None);

    let scene = Scene::set().await;
    scene.assert_refused("sign_out_everywhere", "/account/everywhere", &[("tokens", "yes")]).await;
    let good = scene.post("/account/everywhere", &[], SAME_ORIGIN, &Token::Own).await;
    assert_eq!(good.status, 200, "{good:?}");
    assert_eq!(person_of(&scene.app, &scene.secret).await, None);
}

/// SS-05, MF-03: the second factors of somebody who is signed in.
#[tokio::test(flavor = "multi_thread")]
async fn second_factors_are_changed_from_our_own_page_alone() {
    let scene = Scene::set().await;
    for (action, step) in [
        ("add_second_factor", "begin"),
        ("remove_second_factor", "remove"),
        ("renew_recovery_codes", "codes"),
    ] {
        let fields = [("step", step), ("handle", "none")];
        scene.assert_refused(action, "/account/two-step", &fields).await;
        let good = scene.post("/account/two-step", &fields, SAME_ORIGIN, &Token::Own).await;
        assert_eq!(good.status, if step == "begin" { 303 } else { 404 }, "{good:?}");
    }
}

/// SS-05: passkeys.
#[tokio::test(flavor = "multi_thread")]
async fn passkeys_are_changed_from_our_own_page_alone() {
    let scene = Scene::set().await;
    for (action, step, status) in [
        ("add_passkey", "add", 400),
        ("rename_passkey", "rename", 404),
        ("remove_passkey", "remove", 404),
    ] {
        let fields = [("step", step), ("handle", "none"), ("credential", "{}")];
        scene.assert_refused(action, "/account/passkeys", &fields).await;
        let good = scene.post("/account/passkeys", &fields, SAME_ORIGIN, &Token::Own).await;
        assert_eq!(good.status, status, "{good:?}");
    }
}

/// SS-05: signing out.
#[tokio::test(flavor = "multi_thread")]
async fn a_confirmed_sign_out_comes_from_our_own_page_alone() {
    let scene = Scene::set().await;
    let fields = [("confirm", "yes")];
    scene.assert_refused("sign_out", "/logout", &fields).await;

    let good = scene.post("/logout", &fields, &[("origin", ISSUER)], &Token::Own).await;
    assert_eq!(good.status, 200, "{good:?}");
    assert_eq!(person_of(&scene.app, &scene.secret).await, None);
    assert_eq!(person_of(&scene.app, &scene.other_secret).await.as_deref(), Some("bob"));
}

/// SS-06: a form that pretends to be another method, and a body that is no form, change nothing.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_changed_by_a_read_or_by_what_is_no_form() {
    let scene = Scene::set().await;
    let fields = [("confirm", "yes"), ("csrf", scene.own_token.as_str())];
    let query: String =
        url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
    let cookies = cookie_line(&scene.browser);
    for path in [format!("/logout?{query}"), format!("/account/sessions/end?{query}")] {
        let lines = [cookies.as_bytes()];
        super::get_with_cookies(&scene.app, &path, &lines).await;
    }
    for kind in ["text/plain", "application/json", "multipart/form-data; boundary=x"] {
        let mut headers = SAME_ORIGIN.to_vec();
        headers.extend([("content-type", kind), ("cookie", cookies.as_str())]);
        headers.push(("x-http-method-override", "DELETE"));
        let request = axum::http::Request::builder().method("POST").uri(format!("{ISSUER}/logout"));
        let request = headers.iter().fold(request, |r, (name, value)| r.header(*name, *value));
        let answer = scene.app.send(request.body(query.clone().into()).unwrap()).await;
        assert!(answer.status.is_client_error(), "{kind}: {answer:?}");
    }
    assert_eq!(person_of(&scene.app, &scene.secret).await.as_deref(), Some("bob"));
}

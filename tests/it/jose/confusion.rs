//! Every kind of token at every place that takes one: only the diagonal passes.

use serde_json::json;

use super::{SignedIn, read, sign_in, userinfo};
use crate::{
    support::{
        app::TestApp,
        fake_upstream::FakeUpstream,
        journey::{authorize_path, redeem, refresh},
    },
    upstream::{SESSION_COOKIE, fails, gets_in},
};

/// Where a token may be brought.
const PLACES: [&str; 6] =
    ["userinfo", "introspection", "authorization hint", "sign-out hint", "refresh", "code"];

/// Which kinds of token pass where.
fn passes(kind: &str, place: &str) -> bool {
    matches!(
        (kind, place),
        ("access token", "userinfo" | "introspection")
            | ("ID token", "authorization hint" | "sign-out hint")
            | ("refresh token", "introspection" | "refresh")
            | ("code", "code")
    )
}

async fn is_taken(app: &TestApp, bob: &mut SignedIn, place: &str, token: &str) -> bool {
    match place {
        "userinfo" => userinfo(app, token).await.status == 200,
        "introspection" => {
            let told = app.post_as("web", "/introspect", &[("token", token)]).await;
            assert_eq!(told.status, 200, "{told:?}");
            told.json()["active"] == true
        }
        "authorization hint" => {
            let path = authorize_path("web", &[("id_token_hint", token), ("prompt", "none")]);
            bob.browser.visit(&path).await.param("code").is_some()
        }
        "sign-out hint" => {
            let mut url = url::Url::parse("https://id.test/logout").unwrap();
            url.query_pairs_mut()
                .append_pair("id_token_hint", token)
                .append_pair("post_logout_redirect_uri", "https://web.test/bye");
            bob.browser.clone().get(url.as_str()).await.location().is_some()
        }
        "refresh" => refresh(app, "web", token).await.status == 200,
        _ => redeem(app, "web", token).await.status == 200,
    }
}

/// JW-17: kinds of tokens are never taken for one another.
#[tokio::test(flavor = "multi_thread")]
async fn no_token_passes_for_one_of_another_kind() {
    let upstream = FakeUpstream::start().await;
    let app = TestApp::builder().upstream("kc", &upstream, "").start().await;
    app.add_user("bob", &[]).await;
    gets_in(&app, "kc").await.unwrap();
    for place in PLACES {
        // Fresh for each place: some are used up, and reuse is its own crime.
        let mut bob = sign_in(&app).await;
        let unused = crate::support::journey::code_by_session(&mut bob.browser, "web", &[]).await;
        let (_, claims) = read(&bob.id_token);
        let grant = [("grant_type", "client_credentials"), ("scope", "read")];
        let machine = app.post_as("m2m", "/token", &grant).await.text("access_token");
        let cookie = bob.browser.cookies().get(SESSION_COOKIE).unwrap().value.clone();
        let mark = bob.browser.cookies().get("__Host-kw-browser").unwrap().value.clone();
        let kinds = [
            ("machine token", machine),
            ("session cookie", cookie),
            ("browser mark", mark),
            ("ID token of an upstream", upstream.sign("JWT", &json!(claims))),
            ("access token of an upstream", "upstream-access-1".to_owned()),
            ("client secret", "web-secret-0123456789".to_owned()),
            ("access token", bob.access_token.clone()),
            ("ID token", bob.id_token.clone()),
            ("code", unused),
            ("refresh token", bob.refresh_token.clone()),
        ];
        for (kind, token) in kinds {
            let taken = is_taken(&app, &mut bob, place, &token).await;
            assert_eq!(taken, passes(kind, place), "{kind} at {place}");
        }
    }
}

/// JW-17: an ID token of ours, and any other text of ours, is none of the upstream's.
#[tokio::test(flavor = "multi_thread")]
async fn our_own_tokens_are_not_tokens_of_an_upstream() {
    let (app, upstream) = TestApp::with_upstream().await;
    app.add_user("bob", &[]).await;
    let bob = sign_in(&app).await;
    for token in [&bob.id_token, &bob.access_token, &bob.refresh_token, &bob.code] {
        let token = token.clone();
        upstream.misbehave(|lies| {
            lies.token_response.set("id_token", token);
        });
        fails(&app, &upstream, "kc").await.unwrap();
        upstream.behave();
    }
    gets_in(&app, "kc").await.unwrap();
}

/// JW-18: the opaque values that a browser carries: one bit changed, and they are nobody's.
#[tokio::test(flavor = "multi_thread")]
async fn cookies_and_states_with_one_bit_changed_are_nobodys() {
    let (app, upstream) = TestApp::with_upstream().await;
    app.add_user("bob", &[]).await;
    let bob = sign_in(&app).await;
    let cookie = bob.browser.cookies().get(SESSION_COOKIE).unwrap().value.clone();
    let silent = authorize_path("web", &[("prompt", "none")]);
    for changed in one_bit_changed(&cookie) {
        let mut browser = bob.browser.clone();
        browser.cookies_mut().overwrite(SESSION_COOKIE, &changed);
        let error = browser.visit(&silent).await.param("error");
        assert_eq!(error.as_deref(), Some("login_required"), "{changed}");
    }
    let away = crate::upstream::Away::at(&app, "kc").await;
    let state = away.callback.query_pairs().find(|(name, _)| name == "state").unwrap().1;
    for changed in one_bit_changed(&state) {
        let url = away.callback.as_str().replace(&*state, &changed);
        assert_eq!(away.browser.clone().get(&url).await.status, 400, "{changed}");
    }
    assert_eq!(upstream.count(crate::support::fake_upstream::Endpoint::Token), 0);
    assert_eq!(away.browser.clone().get(away.callback.as_str()).await.status, 303);
}

/// The text with the lowest bit of one letter or digit changed, for each of them.
fn one_bit_changed(text: &str) -> Vec<String> {
    let bytes = text.as_bytes();
    let places = (0..bytes.len()).filter(|at| bytes[*at].is_ascii_alphanumeric());
    let changed = places.filter_map(|at| {
        let mut changed = bytes.to_vec();
        changed[at] ^= 1;
        let still_plain = changed[at].is_ascii_alphanumeric();
        still_plain.then(|| String::from_utf8(changed).unwrap())
    });
    changed.collect()
}

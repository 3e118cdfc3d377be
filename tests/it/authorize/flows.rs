//! Sign-ins in progress: bound to one browser, fixed in what they are for, answered once.

use keywright::store::users;
use serde_json::json;
use url::Url;

use super::{
    assert_refusal_page, assert_sent_back, browser_of, refusals, start_with_people, traces,
};
use crate::support::{
    app::{ISSUER, TestApp},
    browser::{Browser, Form, Journey, Navigation, Page},
    fake_upstream::FakeUpstream,
    journey::{NONCE, authorize_path, code_by_session, code_for, redeem, sign_in_on_page},
};

fn flow_of(journey: &Journey) -> String {
    let url = &journey.last().url;
    let flow = url.query_pairs().find(|(name, _)| name == "flow");
    flow.unwrap_or_else(|| panic!("no flow in {:?}", journey.hops())).1.into_owned()
}

/// Sends the password form without following the answer.
async fn prove(browser: &mut Browser, journey: &Journey, username: &str) -> Page {
    let form = filled(journey, username);
    browser.submit(journey.last(), &form).await
}

fn filled(journey: &Journey, username: &str) -> Form {
    let form = journey.last().form_to("/login").fill("username", username);
    form.fill("password", &format!("{username}-password"))
}

/// AZ-20: every redirect is a 303, so that no password is ever posted on.
#[tokio::test(flavor = "multi_thread")]
async fn every_redirect_turns_into_a_get() {
    let app = start_with_people("").await;
    let mut browser = app.browser();
    let journey = browser.visit(&authorize_path("web", &[])).await;
    let signed_in = sign_in_on_page(&mut browser, &journey, "alice").await;
    let (federated, _upstream) = TestApp::with_upstream().await;
    let elsewhere = federated.browser().visit(&authorize_path("web", &[])).await;
    let front = browser.visit("/").await;
    let hops = [journey, signed_in, elsewhere, front].into_iter().flat_map(|journey| journey.pages);
    let mut redirects = 0;
    for page in hops.filter(|page| page.url.as_str().starts_with(ISSUER)) {
        if page.header("location").is_some() {
            assert_eq!(page.status, 303, "{}", page.url);
            redirects += 1;
        }
    }
    assert!(redirects >= 5, "{redirects}");
}

/// AZ-21: nothing that is added to a later form or address changes what was asked.
#[tokio::test(flavor = "multi_thread")]
async fn later_forms_cannot_change_what_was_asked() {
    let app = start_with_people("").await;
    let mut browser = app.browser();
    let journey = browser.visit(&authorize_path("web", &[("scope", "openid")])).await;
    let mut form = filled(&journey, "alice");
    let smuggled = [
        ("scope", "openid profile email groups offline_access"),
        ("redirect_uri", "https://evil.test/cb"),
        ("client_id", "evil"),
        ("code_challenge", "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"),
        ("response_type", "token"),
        ("response_mode", "form_post"),
        ("nonce", "mine"),
        ("state", "mine"),
        ("claims", "{}"),
    ];
    for (name, value) in smuggled {
        form = form.add(name, value);
    }
    let mut login = journey.last().url.clone();
    login.query_pairs_mut().extend_pairs(smuggled);
    assert_eq!(browser.get(login.as_str()).await.status, 200);
    let page = browser.submit(journey.last(), &form).await;
    assert_eq!(page.status, 303, "{}", page.text());
    let landing = page.location().unwrap();
    assert_eq!(landing.host_str(), Some("web.test"), "{landing}");
    let code = page.location_param("code").unwrap();
    // Bound to the verifier, the client and the address that were there from the start.
    let answer = redeem(&app, "web", &code).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.text("scope"), "openid");
    let (_, claims) = keywright::keys::parse_unverified(&answer.text("id_token")).unwrap();
    assert_eq!(claims["nonce"], NONCE);
}

/// AZ-22: a flow that mallory began is of no use in alice's browser, signed in or not.
#[tokio::test(flavor = "multi_thread")]
async fn a_flow_continues_only_in_the_browser_that_began_it() {
    let (app, upstream) = TestApp::with_upstream().await;
    app.add_user("alice", &["staff"]).await;
    let mut mallory = app.browser();
    let journey = mallory.visit(&authorize_path("evil", &[])).await;
    let flow = flow_of(&journey);
    upstream.clear_requests();
    let mut alice = browser_of(&app, "alice").await;
    let mut stranger = app.browser();
    for browser in [&mut alice, &mut stranger] {
        let before = app.count("sessions").await;
        for path in [
            format!("/login?flow={flow}"),
            format!("/login?flow={flow}&same=yes"),
            format!("/upstream/kc/start?flow={flow}"),
        ] {
            assert_refusal_page(&browser.get(&path).await, 403, "flow_not_yours");
        }
        assert_eq!(app.count("sessions").await, before);
    }
    assert_eq!(refusals(&app, "sign_in", "flow_not_yours").await, 6);
    assert!(upstream.requests().is_empty());
    // Alice's own password and form, sent to mallory's flow.
    let own = alice.visit(&authorize_path("web", &[("prompt", "login")])).await;
    let mut form = filled(&own, "alice");
    form.action = Url::parse(&format!("{ISSUER}/login?flow={flow}")).unwrap();
    let page = alice.submit(own.last(), &form).await;
    assert_refusal_page(&page, 403, "flow_not_yours");
    // It is still mallory's.
    assert_eq!(mallory.get(&format!("/login?flow={flow}")).await.status, 200);
}

/// AZ-22: the password form counts only when it comes from our own page in this browser.
#[tokio::test(flavor = "multi_thread")]
async fn a_form_from_elsewhere_signs_nobody_in() {
    let app = start_with_people("").await;
    let mut browser = app.browser();
    let journey = browser.visit(&authorize_path("web", &[])).await;
    let before = traces(&app).await;
    let form = filled(&journey, "alice");
    let fields: Vec<(&str, &str)> =
        form.fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let evil = Url::parse("https://evil.test/").unwrap();
    let cross = Navigation::post(form.action.clone(), &fields).started_by(&evil);
    assert_refusal_page(&browser.send(cross).await, 403, "form_not_ours");
    for form in [form.clone().without("csrf"), form.clone().fill("csrf", "x")] {
        let page = browser.submit(journey.last(), &form).await;
        assert_refusal_page(&page, 403, "form_not_ours");
    }
    // Another browser's token.
    let mut mallory = app.browser();
    let own = mallory.visit(&authorize_path("web", &[])).await;
    let before_mallory = traces(&app).await;
    let foreign = filled(&own, "alice").value("csrf").unwrap().to_owned();
    let page = browser.submit(journey.last(), &form.clone().fill("csrf", &foreign)).await;
    assert_refusal_page(&page, 403, "form_not_ours");
    assert_eq!(traces(&app).await, before_mallory);
    assert_ne!(before, before_mallory, "mallory's visit is the only thing that was kept");
    assert_eq!(refusals(&app, "sign_in", "form_not_ours").await, 4);
    // The honest form works.
    let page = browser.submit(journey.last(), &form).await;
    assert!(browser.follow(page).await.param("code").is_some());
}

async fn disable(app: &TestApp, username: &str) {
    let mut connection = app.app.connection().await.unwrap();
    let user = users::find_by_username(&mut connection, username).await.unwrap().unwrap();
    assert!(users::disable(&mut connection, &user.id, app.app.now()).await.unwrap());
}

/// A person of the upstream, with these groups from their next sign-in on.
fn set_groups(upstream: &FakeUpstream, groups: &[&str]) {
    upstream.set_person(json!({ "sub": "7", "preferred_username": "carol", "groups": groups }));
}

/// Signs carol in at another browser, whereupon we learn of her groups.
async fn learn_groups(app: &TestApp) {
    let journey = app.browser().visit(&authorize_path("web", &[])).await;
    assert!(journey.param("code").is_some(), "{:?}", journey.hops());
}

/// AZ-28: an account that is shut while the person is about to prove that it is theirs.
#[tokio::test(flavor = "multi_thread")]
async fn a_person_who_is_shut_out_midway_gets_no_code() {
    let app = start_with_people("").await;
    let mut browser = app.browser();
    let journey = browser.visit(&authorize_path("web", &[])).await;
    disable(&app, "alice").await;
    let before = traces(&app).await.rows;
    let page = prove(&mut browser, &journey, "alice").await;
    assert_eq!((page.status, page.url.path()), (400, "/login"));
    assert_eq!(page.header("location"), None);
    assert_eq!(traces(&app).await.rows, before);
    assert_eq!(refusals(&app, "sign_in", "wrong_password").await, 1);
}

/// AZ-28: somebody who loses the group while they are at the upstream.
#[tokio::test(flavor = "multi_thread")]
async fn a_person_who_loses_the_group_midway_gets_no_code() {
    let (app, upstream) = TestApp::with_upstream().await;
    set_groups(&upstream, &["staff"]);
    learn_groups(&app).await;
    let mut browser = app.browser();
    let away = browser.get(&authorize_path("members", &[])).await;
    set_groups(&upstream, &[]);
    let back = browser.get(away.location().unwrap().as_str()).await;
    let page = browser.get(back.location().unwrap().as_str()).await;
    assert_sent_back(&page, "members", "access_denied");
    assert_eq!(refusals(&app, "authorize", "access_denied").await, 1);
    assert_eq!(app.count("grants").await, 0);
}

/// AZ-28: the same change between the code and the tokens.
#[tokio::test(flavor = "multi_thread")]
async fn a_code_of_a_person_who_lost_the_group_gives_no_tokens() {
    let (app, upstream) = TestApp::with_upstream().await;
    set_groups(&upstream, &["staff"]);
    let mut browser = app.browser();
    let code = code_by_session(&mut browser, "members", &[]).await;
    let other = code_by_session(&mut browser, "web", &[]).await;
    set_groups(&upstream, &[]);
    learn_groups(&app).await;
    redeem(&app, "members", &code).await.assert_error(400, "invalid_grant");
    assert_eq!(app.refusals("token").await, ["no_longer_allowed"]);
    assert_eq!((app.count("grants").await, app.count("refresh_tokens").await), (0, 0));
    // An app without that rule still serves her.
    assert_eq!(redeem(&app, "web", &other).await.status, 200);
}

/// AZ-28: an account that is shut between the code and the tokens.
#[tokio::test(flavor = "multi_thread")]
async fn a_code_of_a_person_who_was_shut_out_gives_no_tokens() {
    let app = start_with_people("").await;
    let code = code_for(&mut app.browser(), "web", "alice", &[]).await;
    disable(&app, "alice").await;
    redeem(&app, "web", &code).await.assert_error(400, "invalid_grant");
    assert_eq!(app.refusals("token").await, ["session_ended"]);
    assert_eq!((app.count("grants").await, app.count("refresh_tokens").await), (0, 0));
}

/// AZ-28: a client that was switched off on the instance that answers.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_is_switched_off_is_unknown_everywhere() {
    let client = |enabled: bool| {
        format!(
            "[[clients]]\nid = \"off\"\nname = \"Off\"\nsecret = \"off-secret-0123456789\"\n\
             redirect_uris = [\"https://off.test/cb\"]\nenabled = {enabled}\n"
        )
    };
    let app = start_with_people(&client(false)).await;
    let mut browser = browser_of(&app, "alice").await;
    let paths = [authorize_path("off", &[])];
    super::assert_all_shown(&app, &mut browser, &paths, "client_unknown").await;
    app.post_as("off", "/token", &[("grant_type", "authorization_code"), ("code", "x")])
        .await
        .assert_error(401, "invalid_client");
    // Switched on, the same client works.
    let app = start_with_people(&client(true)).await;
    let mut browser = browser_of(&app, "alice").await;
    browser.stop_at("https://off.test/");
    let code = code_by_session(&mut browser, "off", &[]).await;
    assert_eq!(redeem(&app, "off", &code).await.status, 200);
}

/// AZ-30: a finished flow answers once, whichever way it is tried again.
#[tokio::test(flavor = "multi_thread")]
async fn a_finished_flow_gives_no_second_code() {
    let app = start_with_people("").await;
    let mut browser = app.browser();
    let journey = browser.visit(&authorize_path("web", &[])).await;
    let flow = flow_of(&journey);
    let form = filled(&journey, "alice");
    let finished = sign_in_on_page(&mut browser, &journey, "alice").await;
    assert!(finished.param("code").is_some());
    let before = traces(&app).await.rows;
    for path in [
        format!("/login?flow={flow}"),
        "/login".to_owned(),
        "/login?flow=".to_owned(),
        format!("/login?flow={flow}x"),
    ] {
        assert_refusal_page(&browser.get(&path).await, 400, "flow_expired");
    }
    let page = browser.submit(journey.last(), &form).await;
    assert_refusal_page(&page, 400, "flow_expired");
    assert_eq!(refusals(&app, "sign_in", "flow_expired").await, 5);
    assert_eq!(traces(&app).await.rows, before);
}

/// AZ-30: of many racing continuations of one flow exactly one gets a code.
#[tokio::test(flavor = "multi_thread")]
async fn a_flow_that_is_continued_many_times_at_once_gives_one_code() {
    let app = start_with_people("").await;
    let mut browser = browser_of(&app, "alice").await;
    let journey = browser.visit(&authorize_path("web", &[("prompt", "select_account")])).await;
    let next = format!("/login?flow={}&same=yes", flow_of(&journey));
    let tries = (0..20).map(|_| {
        let (mut browser, next) = (browser.clone(), next.clone());
        async move { browser.get(&next).await }
    });
    let pages = futures_util::future::join_all(tries).await;
    let codes: Vec<String> = pages.iter().filter_map(|page| page.location_param("code")).collect();
    assert_eq!(codes.len(), 1, "{codes:?}");
    for page in pages.iter().filter(|page| page.status != 303) {
        assert_refusal_page(page, 400, "flow_expired");
    }
    assert_eq!(redeem(&app, "web", &codes[0]).await.status, 200);
}

/// AZ-30: two good passwords at once, as of a double click: one signs in and answers the app, the
/// other signs nobody in.
#[tokio::test(flavor = "multi_thread")]
async fn a_form_that_is_sent_twice_gives_one_code() {
    let app = start_with_people("").await;
    let mut browser = app.browser();
    let journey = browser.visit(&authorize_path("web", &[])).await;
    let mut twin = browser.clone();
    let (one, other) = futures_util::join!(
        prove(&mut browser, &journey, "alice"),
        prove(&mut twin, &journey, "alice")
    );
    let codes = [&one, &other].into_iter().filter_map(|page| page.location_param("code"));
    assert_eq!(codes.count(), 1);
    let late = if one.status == 303 { &other } else { &one };
    assert_eq!(late.status, 400, "{}", late.text());
    assert!(late.text().contains("code: flow_expired"), "{}", late.text());
    assert!(late.set_cookies().is_empty(), "{:?}", late.set_cookies());
    assert_eq!(refusals(&app, "sign_in", "flow_expired").await, 1);
    assert_eq!((app.count("sessions").await, app.count("grants").await), (1, 0));
}

/// AZ-30: however many flows a browser begins, its cookies stay small and the last one works.
#[tokio::test(flavor = "multi_thread")]
async fn many_flows_do_not_fill_the_cookies_of_a_browser() {
    let app = start_with_people("").await;
    let mut browser = app.browser();
    for _ in 0..200 {
        assert_eq!(browser.get(&authorize_path("web", &[])).await.status, 303);
    }
    let cookies = browser.cookies().all().iter();
    let size: usize = cookies.map(|cookie| cookie.name.len() + cookie.value.len() + 3).sum();
    assert!(size < 4_096, "{size}");
    let code = code_for(&mut browser, "web", "alice", &[]).await;
    assert_eq!(redeem(&app, "web", &code).await.status, 200);
}

/// Several tabs: each flow of one browser is answered, in whatever order.
#[tokio::test(flavor = "multi_thread")]
async fn two_tabs_of_one_browser_both_get_their_codes() {
    let app = start_with_people("").await;
    let mut browser = app.browser();
    let first = browser.visit(&authorize_path("web", &[])).await;
    let second = browser.visit(&authorize_path("spa", &[])).await;
    let ended = sign_in_on_page(&mut browser, &second, "alice").await;
    assert_eq!(ended.landing().host_str(), Some("spa.test"));
    let ended = sign_in_on_page(&mut browser, &first, "alice").await;
    let code = ended.param("code").unwrap();
    assert_eq!(redeem(&app, "web", &code).await.status, 200);
}

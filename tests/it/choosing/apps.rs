//! What an app says about the ways to it: those that it accepts, and the one that it prefers.

use super::{
    both, browser, buttons, choice, client, is_at, is_choice, is_in, leads_to, two_upstreams,
};
use crate::{
    support::{
        app::TestApp,
        fake_upstream::{Endpoint, Fault},
        journey::{authorize_path, code_by_session, is_active, redeem, refresh, sign_in_on_page},
    },
    upstream::{Witness, is_refusal_page, rebuilt, sign_in_at},
};

/// An app that accepts one upstream sends everybody there, whatever other ways there are.
#[tokio::test(flavor = "multi_thread")]
async fn an_app_with_one_way_goes_it() {
    let (kc, eve) = two_upstreams().await;
    let fixed = client("fixed", "allowed_upstreams = [\"kc\"]");
    let app = both(TestApp::builder().config(&fixed), &kc, &eve).start().await;
    app.add_user("bob", &[]).await;
    let mut browser = browser(&app, &["fixed"]);
    assert!(is_at(&leads_to(&mut browser, "fixed", &[]).await, &kc));
    assert!(is_choice(&leads_to(&mut browser, "web", &[]).await));
    let journey = browser.visit(&authorize_path("fixed", &[])).await;
    assert!(is_in(&browser, &journey), "{:?}", journey.hops());
}

/// The page of an app shows the ways that lead to it, and no others.
#[tokio::test(flavor = "multi_thread")]
async fn the_page_shows_the_ways_that_lead_to_the_app() {
    let (kc, eve) = two_upstreams().await;
    let clients = [
        client("either", "allowed_upstreams = [\"kc\", \"eve\"]"),
        client("own", "allowed_upstreams = [\"local\", \"eve\"]"),
        client("inside", "allowed_upstreams = [\"local\"]"),
    ];
    let app = both(TestApp::builder().config(&clients.join("\n")), &kc, &eve).start().await;
    app.add_user("bob", &[]).await;
    let mut browser = browser(&app, &["either", "own", "inside"]);
    for (client, ways, passwords) in [
        ("web", vec!["kc", "eve"], true),
        ("either", vec!["kc", "eve"], false),
        ("own", vec!["eve"], true),
        ("inside", vec![], true),
    ] {
        let page = choice(&mut browser, client, &[]).await;
        assert_eq!(buttons(&page), ways, "{client}");
        assert_eq!(page.text().contains("name=\"password\""), passwords, "{client}");
    }
    let journey = browser.visit(&authorize_path("inside", &[])).await;
    let journey = sign_in_on_page(&mut browser, &journey, "bob").await;
    assert!(is_in(&browser, &journey));
}

/// UP-22: a way that the app does not accept is refused at its beginning, by address and by form.
#[tokio::test(flavor = "multi_thread")]
async fn a_way_that_the_app_does_not_accept_is_refused() {
    let (kc, eve) = two_upstreams().await;
    let settings = client("fixed", "allowed_upstreams = [\"kc\"]");
    let app = both(TestApp::builder().config(&settings), &kc, &eve).start().await;
    app.add_user("bob", &[]).await;
    let mut browser = browser(&app, &["fixed"]);
    // A page is only shown to who has to choose.
    let page = choice(&mut browser, "fixed", &[("prompt", "select_account")]).await;
    let flow = page.url.query_pairs().find(|(name, _)| name == "flow").unwrap().1.into_owned();
    let witness = Witness::of(&app).await;
    let refused = browser.get(&format!("/upstream/eve/start?flow={flow}")).await;
    let event = witness.only_refusal().await.unwrap();
    is_refusal_page(&refused, 403, &event).unwrap();
    assert_eq!(event.reason.as_deref(), Some("upstream_not_allowed"));
    assert_eq!(event.upstream.unwrap().as_str(), "eve");
    assert!(eve.requests().is_empty());

    // The form of another app's page carries the same fields.
    let form = choice(&mut browser, "web", &[]).await.form_to("/login");
    let csrf = form.value("csrf").unwrap();
    let fields = [("csrf", csrf), ("username", "bob"), ("password", "bob-password")];
    let witness = Witness::of(&app).await;
    let refused = browser.post_form(&format!("/login?flow={flow}"), &fields).await;
    let event = witness.only_refusal().await.unwrap();
    is_refusal_page(&refused, 403, &event).unwrap();
    assert_eq!(event.reason.as_deref(), Some("upstream_not_allowed"));

    let back = browser.get(&format!("/upstream/kc/start?flow={flow}")).await;
    let journey = browser.follow(back).await;
    assert!(is_in(&browser, &journey), "the sign-in goes on the right way");
}

/// UP-22: whoever is signed in another way has not come for this app: they are sent the right way,
/// and without a page they are not let in.
#[tokio::test(flavor = "multi_thread")]
async fn a_session_of_another_way_is_not_enough() {
    let (kc, eve) = two_upstreams().await;
    let settings = client("fixed", "allowed_upstreams = [\"kc\"]");
    let app = both(TestApp::builder().config(&settings), &kc, &eve).start().await;
    let mut browser = browser(&app, &["fixed"]);
    let journey = sign_in_at(&mut browser, "eve").await;
    assert!(is_in(&browser, &journey));
    let silent = browser.visit(&authorize_path("fixed", &[("prompt", "none")])).await;
    assert_eq!(silent.param("error").as_deref(), Some("login_required"));
    assert!(is_at(&leads_to(&mut browser, "fixed", &[]).await, &kc));
    let journey = browser.visit(&authorize_path("fixed", &[])).await;
    let answer = redeem(&app, "fixed", &journey.param("code").unwrap()).await;
    let (_, claims) = keywright::keys::parse_unverified(&answer.text("id_token")).unwrap();
    assert_eq!(claims["preferred_username"], "kate", "the person of the right upstream");
}

/// UP-22: the app is restricted while people are in it, or their session is renewed another way:
/// nothing that hangs on the other way goes on.
#[tokio::test(flavor = "multi_thread")]
async fn tokens_of_another_way_end_with_the_next_refresh() {
    let (kc, eve) = two_upstreams().await;
    let free = client("app", "");
    let app = both(TestApp::builder().config(&free), &kc, &eve).start().await;
    let mut browser = browser(&app, &["app"]);
    sign_in_at(&mut browser, "eve").await;
    let code = code_by_session(&mut browser, "app", &[]).await;
    let tokens = redeem(&app, "app", &code).await;
    let waiting = code_by_session(&mut browser, "app", &[]).await;
    let (access, token) = (tokens.text("access_token"), tokens.text("refresh_token"));
    assert!(is_active(&app, "app", &access).await);
    drop(browser);

    let fixed = client("app", "allowed_upstreams = [\"kc\", \"local\"]");
    let app = rebuilt(app, |builder| both(builder.config(&fixed), &kc, &eve)).await;
    assert!(!is_active(&app, "app", &access).await);
    refresh(&app, "app", &token).await.assert_error(400, "invalid_grant");
    let grant: Vec<_> = app.refusals("token").await;
    assert_eq!(grant, ["upstream_not_allowed"]);
    refresh(&app, "app", &token).await.assert_error(400, "invalid_grant");
    assert_eq!(app.refusals("token").await[1..], ["grant_revoked"], "the family has ended");
    redeem(&app, "app", &waiting).await.assert_error(400, "invalid_grant");
}

/// An app that prefers an upstream goes there, except for who has just signed out, who is to choose,
/// or who is signed in anyhow.
#[tokio::test(flavor = "multi_thread")]
async fn a_preferred_upstream_is_gone_to_without_a_page() {
    let (kc, eve) = two_upstreams().await;
    let settings = client("likes", "preferred_upstream = \"eve\"");
    let app = both(TestApp::builder().config(&settings), &kc, &eve).start().await;
    app.add_user("bob", &[]).await;
    let mut browser = browser(&app, &["likes"]);
    assert!(is_at(&leads_to(&mut browser, "likes", &[]).await, &eve));
    let page = choice(&mut browser, "likes", &[("prompt", "select_account")]).await;
    assert_eq!(buttons(&page), ["kc", "eve"]);
    sign_in_at(&mut browser, "kc").await;
    let journey = browser.visit(&authorize_path("likes", &[])).await;
    assert!(is_in(&browser, &journey) && journey.pages.len() == 1, "{:?}", journey.hops());
    let account = browser.get("/account").await;
    let form = account.form_to("/logout");
    browser.submit(&account, &form).await;
    let page = choice(&mut browser, "likes", &[]).await;
    assert_eq!(buttons(&page), ["kc", "eve"], "after a sign-out there is a choice");
}

/// No way ends in a circle: whatever the app asks and whoever is signed in where, a request ends at
/// the app or on a page within a few hops.
#[tokio::test(flavor = "multi_thread")]
async fn no_request_goes_in_circles() {
    let (kc, eve) = two_upstreams().await;
    let clients = [
        client("fixed", "allowed_upstreams = [\"kc\"]"),
        client("likes", "preferred_upstream = \"kc\""),
    ];
    let app = both(TestApp::builder().config(&clients.join("\n")), &kc, &eve).start().await;
    let prompts = ["", "login", "select_account", "none", "consent", "login consent"];
    for signed_in_there in [true, false] {
        for prompt in prompts {
            for client in ["fixed", "likes", "web"] {
                kc.set_signed_in(signed_in_there);
                let mut browser = browser(&app, &["fixed", "likes"]);
                let path = authorize_path(client, &[("prompt", prompt)]);
                // The second time with what the first has left behind.
                for _ in 0..2 {
                    let journey = browser.visit(&path).await;
                    let answered = journey.stopped_at.is_some();
                    let page = journey.last().status == 200 || journey.last().status == 400;
                    let told = format!("{client} {prompt:?}: {:?}", journey.hops());
                    assert!((answered || page) && journey.pages.len() <= 6, "{told}");
                }
            }
        }
    }
}

/// FT-34: nobody is sent to an upstream that is away without being asked; the page says that it is,
/// and the other ways stay.
#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_that_is_away_is_shown_as_such() {
    let (kc, eve) = two_upstreams().await;
    let clients = [
        client("fixed", "allowed_upstreams = [\"kc\"]"),
        client("likes", "preferred_upstream = \"kc\""),
    ];
    let app = both(TestApp::builder().config(&clients.join("\n")), &kc, &eve).start().await;
    let mut browser = browser(&app, &["fixed", "likes"]);
    kc.misbehave(|lies| {
        for endpoint in [Endpoint::Discovery, Endpoint::Jwks] {
            lies.fault(endpoint, Fault::Drop);
        }
    });
    for _ in 0..3 {
        assert_eq!(sign_in_at(&mut browser, "kc").await.last().status, 503);
    }
    for (client, changes, away) in [
        ("web", &[][..], &["kc"][..]),
        ("web", &[("idp_hint", "kc")], &["kc"]),
        ("likes", &[], &["kc"]),
    ] {
        let page = choice(&mut browser, client, changes).await;
        let shown = page.text().matches("Not reachable now").count();
        assert_eq!(shown, away.len(), "{client}: {}", page.text());
        assert!(buttons(&page).contains(&"kc".to_owned()), "it may be back by now");
    }
    let journey = browser.visit(&authorize_path("fixed", &[])).await;
    assert_eq!(journey.last().status, 503, "there is nothing to choose");
    assert!(journey.last().text().contains("kc sign-in cannot be reached at the moment."));
    let journey = sign_in_at(&mut browser, "eve").await;
    assert!(is_in(&browser, &journey), "nobody else is affected");

    kc.behave();
    app.clock.advance(60);
    keywright::jobs::look_after_upstreams(&app.app).await.unwrap();
    assert!(is_at(&leads_to(&mut browser, "fixed", &[]).await, &kc), "it is back");
}

/// A name that is no upstream's must not shut everybody out, or let everybody in.
#[test]
fn names_of_upstreams_are_checked() {
    let parse = |lines: &str| {
        let text = format!(
            "[server]\nissuer = \"http://localhost:8080\"\n[[upstreams]]\nslug = \"kc\"\nname = \"K\"\n\
             issuer = \"https://kc.test\"\nclient_id = \"x\"\nclient_secret = \"y\"\n{}",
            client("app", lines)
        );
        let parsed = keywright::config::parse(&text, &keywright::config::Environment::new());
        parsed.map(drop).map_err(|problems| problems.to_string())
    };
    parse("allowed_upstreams = [\"kc\", \"local\"]\npreferred_upstream = \"kc\"").unwrap();
    for (lines, setting, fix) in [
        (
            "allowed_upstreams = [\"cc\"]",
            "clients.0.allowed_upstreams",
            "= \"cc\": is the slug of no",
        ),
        (
            "preferred_upstream = \"cc\"",
            "clients.0.preferred_upstream",
            "= \"cc\": is the slug of no",
        ),
        ("preferred_upstream = \"local\"", "clients.0.preferred_upstream", "slug of no upstream"),
        (
            "allowed_upstreams = [\"local\"]\npreferred_upstream = \"kc\"",
            "clients.0.preferred_upstream",
            "not among allowed_upstreams",
        ),
    ] {
        let problems = parse(lines).unwrap_err();
        assert!(problems.contains(setting) && problems.contains(fix), "{lines}: {problems}");
    }
}

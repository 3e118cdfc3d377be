//! By what an upstream is asked: its refresh token, UserInfo, introspection; and what is said where
//! there is none of them.

use serde_json::json;

use super::{Scene, TEN_MINUTES, person};
use crate::support::{
    app::TestApp,
    fake_upstream::{CLIENT_ID, Endpoint, FakeUpstream, Fault, Placement, Refreshes},
    journey::is_active,
};

/// Three minutes: the upstream's access tokens live for five.
const THREE_MINUTES: &str = "max_staleness = \"3m\"\ngroups = { claim = \"groups\" }";
const WITHOUT_USERINFO: &str = "max_staleness = \"3m\"\nuserinfo = false";

/// A scene at an upstream that offers introspection.
async fn introspecting(settings: &str) -> Scene {
    Scene::prepared(Refreshes::None, settings, "", FakeUpstream::offer_introspection).await
}

fn metric(app: &TestApp, name: &str) -> Vec<String> {
    let text = app.app.metrics.render().unwrap();
    let lines = text.lines().filter(|line| line.starts_with(name));
    lines.map(|line| line[name.len()..].to_owned()).collect()
}

fn checks(app: &TestApp) -> Vec<String> {
    let mut lines = metric(app, "keywright_lease_checks_total");
    lines.sort();
    lines
}

/// OIDC Core §12.2: where a refresh brings no ID token, UserInfo is asked with the new access token:
/// groups follow all the same, and so do the gates.
#[tokio::test(flavor = "multi_thread")]
async fn a_refresh_without_id_token_asks_userinfo() {
    let gate = format!("{TEN_MINUTES}\nadmit = {{ groups = [\"staff\", \"guests\"] }}");
    let mut scene = Scene::with(Refreshes::Rotating, &gate, "").await;
    scene.upstream.misbehave(|lies| {
        lies.token_response.remove("id_token");
    });
    scene.upstream.set_person(person(&["guests"]));
    scene.app.clock.advance(300);
    scene.refresh().await;
    assert_eq!(scene.claims()["groups"], json!(["guests"]));
    let asked = scene.upstream.requests_to(Endpoint::Userinfo);
    let first = scene.upstream.requests_to(Endpoint::Token);
    assert_eq!((asked.len(), first.len(), scene.life()), (1, 1, 600));

    scene.upstream.set_person(person(&["strangers"]));
    scene.app.clock.advance(300);
    scene.assert_gone("not_admitted").await;
}

/// A refresh is a confirmation even where UserInfo has nothing to say: the refresh token is spent.
#[tokio::test(flavor = "multi_thread")]
async fn a_userinfo_that_fails_takes_no_refresh_back() {
    for fault in [Fault::Status(500), Fault::Status(401), Fault::html()] {
        let mut scene = Scene::set(Refreshes::Rotating).await;
        scene.upstream.misbehave(|lies| {
            lies.token_response.remove("id_token");
            lies.fault(Endpoint::Userinfo, fault.clone());
        });
        scene.upstream.set_person(person(&["guests"]));
        scene.app.clock.advance(300);
        scene.refresh().await;
        assert_eq!((scene.life(), scene.asked()), (600, 1), "{fault:?}");
        assert_eq!(scene.claims()["groups"], json!(["staff"]), "{fault:?}");
    }
    // Where it is switched off it is not asked.
    let mut scene = Scene::with(Refreshes::Rotating, WITHOUT_USERINFO, "").await;
    scene.upstream.misbehave(|lies| {
        lies.token_response.remove("id_token");
    });
    scene.app.clock.advance(90);
    scene.refresh().await;
    assert_eq!((scene.asked(), scene.upstream.count(Endpoint::Userinfo)), (1, 0));
}

/// UP-12: UserInfo about somebody else after a refresh is a no, with an ID token and without.
#[tokio::test(flavor = "multi_thread")]
async fn userinfo_about_somebody_else_ends_the_session() {
    for with_id_token in [true, false] {
        let mut scene = Scene::set(Refreshes::Rotating).await;
        // The ID token says too little: UserInfo is asked for the rest.
        scene.upstream.place_claims(Placement::UserinfoOnly);
        scene.upstream.misbehave(|lies| {
            lies.userinfo.set("sub", json!("8"));
            if !with_id_token {
                lies.token_response.remove("id_token");
            }
        });
        scene.app.clock.advance(300);
        scene.assert_gone("upstream_userinfo_subject").await;
        assert_eq!(scene.app.count("users").await, 1);
    }
}

/// RFC 7662: where UserInfo cannot be asked, introspection tells whether the token was taken back.
#[tokio::test(flavor = "multi_thread")]
async fn introspection_confirms_where_userinfo_cannot() {
    let mut scene = introspecting(WITHOUT_USERINFO).await;
    scene.app.clock.advance(90);
    scene.refresh().await;
    assert_eq!((scene.life(), scene.asked()), (180, 0));
    let asked = scene.upstream.requests_to(Endpoint::Introspection);
    let [asked] = asked.as_slice() else { panic!("{asked:?}") };
    assert!(asked.param("token").unwrap().starts_with("upstream-access"));
    assert_eq!(asked.param("token_type_hint"), Some("access_token"));
    assert!(asked.header("authorization").unwrap().starts_with("Basic "));
    let lines = checks(&scene.app);
    let line = "{upstream=\"kc\",means=\"introspection\",outcome=\"confirmed\"} 1";
    assert_eq!(lines, [line]);

    scene.upstream.expel();
    scene.app.clock.advance(90);
    scene.assert_gone("upstream_token_inactive").await;
    let ends = metric(&scene.app, "keywright_leases_ended_total");
    assert_eq!(ends, ["{upstream=\"kc\",reason=\"upstream_token_inactive\"} 1"]);
    assert_eq!(scene.upstream.count(Endpoint::Userinfo), 0);
}

/// Each means in its turn: while UserInfo answers, introspection is not asked; where UserInfo fails or
/// does not take the token, it is.
#[tokio::test(flavor = "multi_thread")]
async fn introspection_is_the_last_means() {
    let mut scene = introspecting(THREE_MINUTES).await;
    let asked = |scene: &Scene| {
        let count = |endpoint| scene.upstream.count(endpoint);
        (count(Endpoint::Userinfo), count(Endpoint::Introspection))
    };
    scene.app.clock.advance(90);
    scene.refresh().await;
    assert_eq!(asked(&scene), (1, 0));
    scene.upstream.misbehave(|lies| lies.fault(Endpoint::Userinfo, Fault::Status(403)));
    scene.app.clock.advance(90);
    scene.refresh().await;
    assert_eq!((asked(&scene), scene.life()), ((2, 1), 180));
    // A no of UserInfo is one.
    let mut scene = introspecting(THREE_MINUTES).await;
    scene.upstream.misbehave(|lies| lies.fault(Endpoint::Userinfo, Fault::Status(401)));
    scene.app.clock.advance(90);
    scene.assert_gone("upstream_userinfo_denied").await;
    assert_eq!(asked(&scene), (1, 0));
}

/// RFC 7662 §2.1: who we are is proved as at the token endpoint.
#[tokio::test(flavor = "multi_thread")]
async fn introspection_proves_who_we_are() {
    let settings = format!("{WITHOUT_USERINFO}\nclient_auth = \"post\"");
    let mut scene = introspecting(&settings).await;
    scene.app.clock.advance(90);
    scene.refresh().await;
    let asked = scene.upstream.requests_to(Endpoint::Introspection).pop().unwrap();
    assert_eq!(asked.param("client_id"), Some(CLIENT_ID));
    assert!(asked.param("client_secret").is_some() && asked.header("authorization").is_none());
}

/// What is no word about the token decides nothing: the lease runs out.
#[tokio::test(flavor = "multi_thread")]
async fn introspection_without_an_answer_decides_nothing() {
    for fault in [
        Fault::Status(401),
        Fault::Status(500),
        Fault::Drop,
        Fault::html(),
        Fault::json_array(),
        Fault::answer(200, "application/json", "{\"active\":\"true\"}"),
        Fault::answer(200, "application/json", "{}"),
    ] {
        let mut scene = introspecting(WITHOUT_USERINFO).await;
        scene.upstream.misbehave(|lies| lies.fault(Endpoint::Introspection, fault.clone()));
        scene.app.clock.advance(90);
        scene.refresh().await;
        assert_eq!(scene.life(), 90, "{fault:?}");
        scene.app.clock.advance(90);
        scene.assert_gone("lease_run_out").await;
    }
}

/// UP-12: a token of somebody else confirms nobody.
#[tokio::test(flavor = "multi_thread")]
async fn introspection_about_somebody_else_ends_the_session() {
    let mut scene = introspecting(WITHOUT_USERINFO).await;
    scene.upstream.misbehave(|lies| {
        lies.introspection.set("sub", json!("8"));
    });
    scene.app.clock.advance(90);
    scene.assert_gone("upstream_introspection_subject").await;
}

/// A token that may simply have expired proves nothing when it is not active any more.
#[tokio::test(flavor = "multi_thread")]
async fn an_old_token_that_is_not_active_proves_nothing() {
    // Asked again after 270 seconds of 300, when clocks may differ by a minute.
    let mut scene = introspecting("max_staleness = \"9m\"\nuserinfo = false").await;
    scene.upstream.expel();
    scene.app.clock.advance(270);
    scene.refresh().await;
    assert_eq!((scene.life(), scene.upstream.count(Endpoint::Introspection)), (270, 1));
}

/// Where nothing can confirm anybody, the administrator is told: by the number, and by the story of
/// the sign-in.
#[tokio::test(flavor = "multi_thread")]
async fn sign_ins_that_nothing_will_confirm_are_told_of() {
    let bounded = "{upstream=\"kc\",means=\"none\",outcome=\"bounded\"} 1";
    let told = async |scene: &Scene| {
        let events = scene.app.events().await;
        let event = events.iter().find(|event| event.action == "sign_in").unwrap();
        let told = event.detail.contains("gives nothing to ask it with again");
        assert_eq!(told, event.detail.contains("the session ends after"));
        (told, checks(&scene.app))
    };
    // Access tokens live for five minutes: too short to be asked after five, long enough after two.
    let scene = Scene::with(Refreshes::None, TEN_MINUTES, "").await;
    assert_eq!(told(&scene).await, (true, vec![bounded.to_owned()]));
    let scene = Scene::with(Refreshes::None, WITHOUT_USERINFO, "").await;
    assert_eq!(told(&scene).await, (true, vec![bounded.to_owned()]));
    for (refreshes, settings) in [
        (Refreshes::Rotating, TEN_MINUTES),
        (Refreshes::None, THREE_MINUTES),
        (Refreshes::None, "groups = { claim = \"groups\" }"),
    ] {
        let scene = Scene::with(refreshes, settings, "").await;
        assert_eq!(told(&scene).await, (false, Vec::new()), "{settings}");
    }
    let scene = introspecting(WITHOUT_USERINFO).await;
    assert_eq!(told(&scene).await, (false, Vec::new()));
    // Where an app alone limits it, the session goes on without that app.
    let picky = "[[clients]]\nid = \"picky\"\nname = \"Picky\"\n\
                 secret = \"picky-secret-0123456789\"\nmax_staleness = \"10m\"\n\
                 redirect_uris = [\"https://picky.test/cb\"]\n";
    let scene = Scene::with(Refreshes::None, "userinfo = false", picky).await;
    assert_eq!(checks(&scene.app), [bounded]);
    let events = scene.app.events().await;
    let event = events.iter().find(|event| event.action == "sign_in").unwrap();
    assert!(event.detail.contains("apps that limit it want a new sign-in after"));
}

/// RFC 7662 §2.2: a refresh token whose upstream does not stand by it any more is not active, although
/// nobody has tried to use it.
#[tokio::test(flavor = "multi_thread")]
async fn introspection_here_knows_of_the_lease() {
    let mut scene = Scene::set(Refreshes::Rotating).await;
    let token = scene.tokens.text("refresh_token");
    scene.app.clock.advance(299);
    assert!(is_active(&scene.app, "web", &token).await);
    assert_eq!(scene.asked(), 0);
    scene.app.clock.advance(1);
    assert!(is_active(&scene.app, "web", &token).await);
    assert_eq!(scene.asked(), 1, "it is asked like for a refresh");
    scene.upstream.expel();
    scene.app.clock.advance(300);
    assert!(!is_active(&scene.app, "web", &token).await);
    scene.assert_ended("upstream_refresh_refused").await;

    // An app that wants fresher word than there is.
    let picky = "[[clients]]\nid = \"picky\"\nname = \"Picky\"\n\
                 secret = \"picky-secret-0123456789\"\nmax_staleness = \"6m\"\n\
                 redirect_uris = [\"https://picky.test/cb\"]\n";
    let mut scene = Scene::with(Refreshes::None, TEN_MINUTES, picky).await;
    scene.browser.stop_at("https://picky.test/");
    let code = crate::support::journey::code_by_session(&mut scene.browser, "picky", &[]).await;
    let tokens = crate::support::journey::redeem(&scene.app, "picky", &code).await;
    let (own, of_web) = (tokens.text("refresh_token"), scene.tokens.text("refresh_token"));
    scene.app.clock.advance(360);
    assert!(!is_active(&scene.app, "picky", &own).await);
    assert!(is_active(&scene.app, "web", &of_web).await);
}

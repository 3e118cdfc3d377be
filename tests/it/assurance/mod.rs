//! How well people have proved who they are: what upstreams say of it, what is asked of them, and
//! what apps get to know.

use keywright::keys::parse_unverified;
use serde_json::{Map, Value, json};

use crate::{
    support::{
        app::TestApp,
        browser::{Browser, Journey},
        fake_upstream::{Endpoint, FakeUpstream},
        journey::{authorize_path, code_for, is_active, redeem},
    },
    upstream::{Witness, claims_of_sign_in, fails, is_refusal_page, rebuilt, sign_in_at},
};

/// What the upstream's own words mean.
const WORDS: &str = "acr = { \"1\" = \"sfa\", \"2\" = \"mfa\", \"3\" = \"phr\" }";

fn says(upstream: &FakeUpstream, more: &Value) {
    let mut person = json!({ "sub": "kate", "preferred_username": "kate" });
    person.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    upstream.set_person(person);
}

async fn house(lines: &str) -> (TestApp, FakeUpstream) {
    let upstream = FakeUpstream::start().await;
    let app = TestApp::builder().upstream("kc", &upstream, lines).start().await;
    (app, upstream)
}

/// What the app gets to know at the end of a journey: ID token and access token.
async fn tokens(app: &TestApp, journey: &Journey) -> (Map<String, Value>, Map<String, Value>) {
    let answer = redeem(app, "web", &journey.param("code").unwrap()).await;
    let claims = |name: &str| parse_unverified(&answer.text(name)).unwrap().1;
    (claims("id_token"), claims("access_token"))
}

async fn ask(browser: &mut Browser, acr_values: &str) -> Journey {
    browser.visit(&authorize_path("web", &[("acr_values", acr_values)])).await
}

/// The last `acr_values` that the upstream was asked for.
fn asked(upstream: &FakeUpstream) -> Option<String> {
    let requests = upstream.requests_to(Endpoint::Authorize);
    requests.last().unwrap().param("acr_values").map(str::to_owned)
}

/// TK-17: `acr` is ours and truthful, and `amr` is what the upstream said.
#[tokio::test(flavor = "multi_thread")]
async fn words_of_an_upstream_become_levels() {
    let (app, upstream) = house(WORDS).await;
    for (said, level) in [
        (json!({}), "sfa"),
        (json!({ "acr": "1" }), "sfa"),
        (json!({ "acr": "2" }), "mfa"),
        (json!({ "acr": "3" }), "phr"),
        (json!({ "acr": "4" }), "sfa"),
        (json!({ "acr": 2 }), "sfa"),
        (json!({ "acr": ["2"] }), "sfa"),
        (json!({ "acr": "phr" }), "phr"),
        (json!({ "acr": "phrh" }), "phr"),
        (json!({ "acr": "MFA" }), "sfa"),
        (json!({ "acr": "https://refeds.org/profile/mfa" }), "mfa"),
        (json!({ "amr": ["pwd"] }), "sfa"),
        (json!({ "amr": ["pwd", "otp"] }), "mfa"),
        (json!({ "amr": ["mfa"] }), "mfa"),
        (json!({ "amr": "mfa" }), "sfa"),
        // A level that it names is its word, whatever the methods look like.
        (json!({ "acr": "1", "amr": ["pwd", "otp"] }), "sfa"),
        (json!({ "acr": "4", "amr": ["pwd", "otp"] }), "mfa"),
    ] {
        says(&upstream, &said);
        let claims = claims_of_sign_in(&app, "kc").await;
        assert_eq!(claims["acr"], level, "{said}");
        let methods = said.get("amr").filter(|amr| amr.is_array());
        assert_eq!(claims.get("amr"), methods, "{said}");
    }
}

/// RFC 9470: a session that is too weak is not enough; the upstream is asked in its own words, and
/// what it reached is in both tokens.
#[tokio::test(flavor = "multi_thread")]
async fn a_step_up_asks_the_upstream() {
    let (app, upstream) = house(WORDS).await;
    says(&upstream, &json!({ "acr": "1" }));
    let mut browser = app.browser();
    let journey = sign_in_at(&mut browser, "kc").await;
    assert!(journey.param("code").is_some());
    assert_eq!(asked(&upstream), None, "nobody has asked for anything");
    let silent = [("acr_values", "mfa"), ("prompt", "none")];
    let silent = browser.visit(&authorize_path("web", &silent)).await;
    assert_eq!(silent.param("error").as_deref(), Some("login_required"));

    says(&upstream, &json!({ "acr": "2" }));
    let journey = ask(&mut browser, "urn:gold mfa").await;
    assert_eq!(asked(&upstream).as_deref(), Some("2 3"), "the least first");
    let (id_token, access_token) = tokens(&app, &journey).await;
    assert_eq!((&id_token["acr"], &access_token["acr"]), (&json!("mfa"), &json!("mfa")));
    // Now the session is enough for that, and for less, and not for more.
    for enough in ["mfa", "sfa", "phr mfa", "urn:gold", "mfa sfa"] {
        assert_eq!(ask(&mut browser, enough).await.pages.len(), 1, "{enough}");
    }
    let journey = ask(&mut browser, "phr").await;
    assert_eq!(asked(&upstream).as_deref(), Some("3"));
    let error = "unmet_authentication_requirements";
    assert_eq!(journey.param("error").as_deref(), Some(error));
    assert_eq!(app.refusals("authorize").await, ["login_required", error]);
    assert_eq!(ask(&mut browser, "mfa").await.pages.len(), 1, "she is still signed in");
}

/// MF-04: a password is one factor, and no page offers it to who needs two.
#[tokio::test(flavor = "multi_thread")]
async fn a_password_is_no_second_factor() {
    let (app, upstream) = house(WORDS).await;
    app.add_user("bob", &[]).await;
    let mut browser = app.browser();
    code_for(&mut browser, "web", "bob", &[]).await;
    assert_eq!(ask(&mut browser, "sfa").await.pages.len(), 1);
    says(&upstream, &json!({ "acr": "2" }));
    let journey = ask(&mut browser, "mfa").await;
    assert_eq!(tokens(&app, &journey).await.0["acr"], "mfa", "{:?}", journey.hops());

    let alone = TestApp::start().await;
    for (house, levels) in
        [(&app, json!(["sfa", "mfa", "phr"])), (&alone, json!(["sfa", "mfa", "phr"]))]
    {
        let metadata = house.get("/.well-known/openid-configuration", None).await.json();
        assert_eq!(metadata["acr_values_supported"], levels);
    }
    alone.add_user("bob", &[]).await;
    let mut browser = alone.browser();
    let error = Some("unmet_authentication_requirements");
    assert_eq!(ask(&mut browser, "mfa").await.param("error").as_deref(), error);
    code_for(&mut browser, "web", "bob", &[]).await;
    assert_eq!(ask(&mut browser, "mfa").await.param("error").as_deref(), error);
}

/// An app that always wants a level gets it, whatever its requests say.
#[tokio::test(flavor = "multi_thread")]
async fn an_app_can_always_want_a_level() {
    let upstream = FakeUpstream::start().await;
    let safe = "[[clients]]\nid = \"safe\"\nname = \"Safe\"\nsecret = \"safe-secret-0123456789\"\n\
                redirect_uris = [\"https://web.test/cb\"]\n";
    // Where nobody can set up a second factor here, it is the upstream or nothing.
    let strict = format!("{safe}require_acr = \"mfa\"\n[second_factors]\ntotp = \"off\"");
    let app = TestApp::builder().upstream("kc", &upstream, WORDS).config(safe).start().await;
    says(&upstream, &json!({ "acr": "1" }));
    let mut browser = app.browser();
    let path = authorize_path("safe", &[("redirect_uri", "https://web.test/cb")]);
    let journey = browser.visit(&path).await;
    let form = |journey: &Journey| {
        let code = journey.param("code").unwrap();
        [
            ("grant_type", "authorization_code".to_owned()),
            ("code", code),
            ("redirect_uri", "https://web.test/cb".to_owned()),
            ("code_verifier", crate::support::journey::VERIFIER.to_owned()),
        ]
    };
    let fields = form(&journey);
    let fields: Vec<(&str, &str)> = fields.iter().map(|(name, v)| (*name, v.as_str())).collect();
    let tokens = app.post_as("safe", "/token", &fields).await;
    let (before, access) = (tokens.text("refresh_token"), tokens.text("access_token"));
    for token in [&before, &access] {
        assert!(is_active(&app, "safe", token).await);
    }
    drop(browser);

    let app = rebuilt(app, |b| b.upstream("kc", &upstream, WORDS).config(&strict)).await;
    for token in [&before, &access] {
        assert!(!is_active(&app, "safe", token).await, "what a refresh would refuse is dead");
    }
    let refresh = [("grant_type", "refresh_token"), ("refresh_token", before.as_str())];
    app.post_as("safe", "/token", &refresh).await.assert_error(400, "invalid_grant");
    assert_eq!(app.refusals("token").await, ["acr_too_low"]);
    let mut browser = app.browser();
    for acr_values in ["", "sfa", "urn:gold"] {
        let changes = [("redirect_uri", "https://web.test/cb"), ("acr_values", acr_values)];
        let journey = browser.visit(&authorize_path("safe", &changes)).await;
        assert_eq!(asked(&upstream).as_deref(), Some("2 3"));
        let error = "unmet_authentication_requirements";
        assert_eq!(journey.param("error").as_deref(), Some(error), "{acr_values}");
    }
    says(&upstream, &json!({ "acr": "3" }));
    assert!(browser.visit(&path).await.param("code").is_some());
    assert!(sign_in_at(&mut browser, "kc").await.param("code").is_some());
}

/// UP-32: an upstream of which a level is required and that does not reach it signs nobody in,
/// whatever it says instead, and links nothing.
#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_has_to_reach_the_level_that_is_required() {
    let (app, upstream) = house(&format!("{WORDS}\nrequire_acr = \"mfa\"")).await;
    for said in [
        json!({}),
        json!({ "acr": "1" }),
        json!({ "acr": "" }),
        json!({ "acr": null }),
        json!({ "acr": " 2" }),
        json!({ "acr": 2 }),
        json!({ "acr": "1", "amr": ["pwd", "mfa"] }),
        json!({ "amr": ["pwd"] }),
    ] {
        says(&upstream, &said);
        let event = fails(&app, &upstream, "kc").await.unwrap();
        assert_eq!(event.reason.as_deref(), Some("upstream_acr_too_low"), "{said}");
        let detail = &event.detail;
        assert!(detail.contains("mfa is required"), "{detail}");
        assert_eq!(asked(&upstream).as_deref(), Some("2 3"));
    }
    for said in [json!({ "acr": "2" }), json!({ "acr": "3" }), json!({ "amr": ["pwd", "otp"] })] {
        says(&upstream, &said);
        let journey = sign_in_at(&mut app.browser(), "kc").await;
        assert!(journey.param("code").is_some(), "{said}: {}", journey.last().text());
    }
}

/// UP-32: a session from before counts no more than a new sign-in there would.
#[tokio::test(flavor = "multi_thread")]
async fn a_level_that_is_required_later_counts_for_sessions_too() {
    let (app, upstream) = house(WORDS).await;
    says(&upstream, &json!({ "acr": "1" }));
    let mut browser = app.browser();
    sign_in_at(&mut browser, "kc").await;
    let jar = browser.cookies().clone();
    drop(browser);
    let strict = format!("{WORDS}\nrequire_acr = \"mfa\"");
    let app = rebuilt(app, |builder| builder.upstream("kc", &upstream, &strict)).await;
    let mut browser = app.browser();
    *browser.cookies_mut() = jar;
    let silent = browser.visit(&authorize_path("web", &[("prompt", "none")])).await;
    assert_eq!(silent.param("error").as_deref(), Some("login_required"));
    says(&upstream, &json!({ "acr": "2" }));
    let journey = browser.visit(&authorize_path("web", &[])).await;
    assert_eq!(tokens(&app, &journey).await.0["acr"], "mfa", "{:?}", journey.hops());
}

/// An upstream without ID tokens says neither when nor how well anybody has signed in: it is no way
/// where that is asked.
#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_that_cannot_say_is_no_way_for_who_asks() {
    let (plain, kc) = (FakeUpstream::start().await, FakeUpstream::start().await);
    plain.speak_plain_oauth();
    let at = |endpoint| plain.url(endpoint);
    let lines = format!(
        "protocol = \"oauth2\"\nauthorization_endpoint = {:?}\ntoken_endpoint = {:?}\n\
         userinfo_endpoint = {:?}",
        at(Endpoint::Authorize),
        at(Endpoint::Token),
        at(Endpoint::Userinfo)
    );
    let builder = || TestApp::builder().upstream("plain", &plain, &lines);
    let alone = builder().start().await;
    let beside = builder().upstream("kc", &kc, "").start().await;
    for wish in [("max_age", "60"), ("acr_values", "mfa")] {
        let journey = alone.browser().visit(&authorize_path("web", &[wish])).await;
        let error = "unmet_authentication_requirements";
        assert_eq!(journey.param("error").as_deref(), Some(error), "{wish:?}");
        let page = beside.browser().get(&authorize_path("web", &[wish])).await;
        let url = page.location().unwrap();
        assert!(url.as_str().starts_with(&kc.origin()), "{wish:?}: {url}");
    }
    assert_eq!(alone.refusals("authorize").await.len(), 2);
    assert!(plain.requests().is_empty() && alone.count("sessions").await == 0);
    assert!(sign_in_at(&mut alone.browser(), "plain").await.param("code").is_some());
}

/// UP-32: the page tells what is missing.
#[tokio::test(flavor = "multi_thread")]
async fn the_refusal_says_what_is_missing() {
    let (app, upstream) = house(&format!("{WORDS}\nrequire_acr = \"phr\"")).await;
    says(&upstream, &json!({ "acr": "2" }));
    let witness = Witness::of(&app).await;
    let journey = sign_in_at(&mut app.browser(), "kc").await;
    let event = witness.only_refusal().await.unwrap();
    is_refusal_page(journey.last(), 400, &event).unwrap();
    assert!(journey.last().text().contains("by a weaker proof than is asked for"));
    assert_eq!(asked(&upstream).as_deref(), Some("3"));
}

/// Where nothing is said about its words, it is asked in ours; and one whose word is worth nothing
/// makes nobody more than one factor.
#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_can_be_asked_in_our_words_and_not_be_believed() {
    for (lines, level) in [("", Some("mfa")), ("acr_trust = \"never\"", None)] {
        let (app, upstream) = house(lines).await;
        for said in [json!({ "acr": "phr" }), json!({ "amr": ["pwd", "otp"] })] {
            says(&upstream, &said);
            let journey = ask(&mut app.browser(), "mfa").await;
            assert_eq!(asked(&upstream).as_deref(), Some("mfa phr"));
            assert_eq!(journey.param("code").is_some(), level.is_some(), "{lines} {said}");
        }
    }
}

/// "Continue as" is there only for who may go on as they are.
#[tokio::test(flavor = "multi_thread")]
async fn nobody_continues_at_a_level_that_is_too_low() {
    let (app, upstream) = house(WORDS).await;
    says(&upstream, &json!({ "acr": "1" }));
    let mut browser = app.browser();
    sign_in_at(&mut browser, "kc").await;
    for (acr_values, offered) in [("sfa", true), ("mfa", false)] {
        let changes = [("acr_values", acr_values), ("prompt", "select_account")];
        let journey = browser.visit(&authorize_path("web", &changes)).await;
        assert_eq!(journey.last().text().contains("Continue as"), offered, "{acr_values}");
    }
}

/// What the administrator always asks for is asked where no word for the level is known.
#[tokio::test(flavor = "multi_thread")]
async fn without_words_the_administrators_are_asked() {
    let (app, upstream) = house("acr_values = \"gold\"").await;
    says(&upstream, &json!({ "amr": ["pwd", "otp"] }));
    let mut browser = app.browser();
    let journey = ask(&mut browser, "mfa").await;
    assert_eq!(asked(&upstream).as_deref(), Some("gold"));
    assert_eq!(tokens(&app, &journey).await.0["acr"], "mfa");
}

/// The upstream's name is there for apps that want it, in the ID token and at UserInfo; an account
/// of our own is `local`.
#[tokio::test(flavor = "multi_thread")]
async fn an_app_can_be_told_the_upstream() {
    let upstream = FakeUpstream::start().await;
    let told = "[[clients]]\nid = \"spa2\"\nname = \"S\"\nsecret = \"spa2-secret-0123456789\"\n\
                redirect_uris = [\"https://web.test/cb\"]\n\
                claims = [{ name = \"idp\", from = \"upstream\" }]\n";
    let app = TestApp::builder().upstream("kc", &upstream, "").config(told).start().await;
    app.add_user("bob", &[]).await;
    for (own, name) in [(false, "kc"), (true, "local")] {
        let mut browser = app.browser();
        if own {
            code_for(&mut browser, "web", "bob", &[]).await;
        } else {
            sign_in_at(&mut browser, "kc").await;
        }
        let path = authorize_path("spa2", &[("redirect_uri", "https://web.test/cb")]);
        let code = browser.visit(&path).await.param("code").unwrap();
        let fields = [
            ("grant_type", "authorization_code"),
            ("code", &code),
            ("redirect_uri", "https://web.test/cb"),
            ("code_verifier", crate::support::journey::VERIFIER),
        ];
        let tokens = app.post_as("spa2", "/token", &fields).await;
        assert_eq!(parse_unverified(&tokens.text("id_token")).unwrap().1["idp"], name);
        let bearer = format!("Bearer {}", tokens.text("access_token"));
        assert_eq!(app.get("/userinfo", Some(&bearer)).await.json()["idp"], name);
    }
}

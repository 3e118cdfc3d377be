//! The relying-party modules of the OpenID Foundation's conformance suite, as tables: what the
//! provider does, and what has to become of the sign-in. Each row has its module's certified name.
//!
//! The provider is the fake upstream over real HTTP. The plans are listed here; whatever is in one of
//! them has a test, or stands in [`NOT_OFFERED`] with the reason.

mod basic;
mod configuration;
mod logout;
mod refreshing;

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::{
    support::{
        app::TestApp,
        browser::{Browser, Journey},
        fake_upstream::{Algorithm, CLIENT_ID, Endpoint, FakeUpstream, Misbehaviour, Placement},
    },
    upstream::{
        SESSION_COOKIE, Witness, claims_for_app, is_refusal_page, no_session_cookie, start_at,
    },
};

/// Basic RP. Form Post RP is the same list with `response_mode=form_post`.
const BASIC: [&str; 14] = [
    "oidcc-client-test",
    "oidcc-client-test-invalid-iss",
    "oidcc-client-test-missing-sub",
    "oidcc-client-test-invalid-aud",
    "oidcc-client-test-missing-iat",
    "oidcc-client-test-kid-absent-single-jwks",
    "oidcc-client-test-kid-absent-multiple-jwks",
    "oidcc-client-test-idtoken-sig-rs256",
    "oidcc-client-test-idtoken-sig-none",
    "oidcc-client-test-invalid-sig-rs256",
    "oidcc-client-test-userinfo-invalid-sub",
    "oidcc-client-test-nonce-invalid",
    "oidcc-client-test-scope-userinfo-claims",
    "oidcc-client-test-client-secret-basic",
];

/// Config RP.
const CONFIG: [&str; 6] = [
    "oidcc-client-test-discovery-openid-config",
    "oidcc-client-test-discovery-jwks-uri-keys",
    "oidcc-client-test-discovery-issuer-mismatch",
    "oidcc-client-test-idtoken-sig-none",
    "oidcc-client-test-signing-key-rotation-just-before-signing",
    "oidcc-client-test-signing-key-rotation",
];

/// Dynamic RP: what it adds to Config RP.
const DYNAMIC: [&str; 6] = [
    "oidcc-client-test-discovery-webfinger-acct",
    "oidcc-client-test-discovery-webfinger-url",
    "oidcc-client-test-dynamic-registration",
    "oidcc-client-test-request-uri-signed-rs256",
    "oidcc-client-test-request-uri-signed-none",
    "oidcc-client-test-userinfo-signed",
];

/// RP-Initiated Logout RP, Back-Channel Logout RP and Front-Channel Logout RP, with
/// `response_type=code`.
const LOGOUT: [&str; 12] = [
    logout::FRONT_CHANNEL,
    "oidcc-client-test-rp-init-logout",
    "oidcc-client-test-rp-init-logout-other-state",
    "oidcc-client-test-rp-init-logout-no-state",
    "oidcc-client-test-rp-backchannel-rpinitlogout",
    "oidcc-client-test-rp-backchannel-rpinitlogout-alg-none",
    "oidcc-client-test-rp-backchannel-rpinitlogout-no-event",
    "oidcc-client-test-rp-backchannel-rpinitlogout-with-nonce",
    "oidcc-client-test-rp-backchannel-rpinitlogout-wrong-alg",
    "oidcc-client-test-rp-backchannel-rpinitlogout-wrong-aud",
    "oidcc-client-test-rp-backchannel-rpinitlogout-wrong-event",
    "oidcc-client-test-rp-backchannel-rpinitlogout-wrong-iss",
];

/// What we do not offer as a relying party, and why. An administrator registers us at a provider and
/// types its issuer: nobody's address leads to one, and nothing is registered by itself.
const NOT_OFFERED: [(&str, &str); 6] = [
    ("oidcc-client-test-discovery-webfinger-acct", "the issuer is typed, not looked up"),
    ("oidcc-client-test-discovery-webfinger-url", "the issuer is typed, not looked up"),
    ("oidcc-client-test-dynamic-registration", "we are registered by hand"),
    ("oidcc-client-test-request-uri-signed-rs256", "no request objects by reference"),
    ("oidcc-client-test-request-uri-signed-none", "no request objects by reference"),
    ("oidcc-client-test-userinfo-signed", "asked for at registration only"),
];

/// One module: what the provider does, and what has to become of the sign-in.
struct Module {
    name: &'static str,
    algorithm: Algorithm,
    provider: fn(&FakeUpstream),
    lie: fn(&mut Misbehaviour),
    outcome: Outcome,
}

#[derive(Clone, Copy)]
enum Outcome {
    /// The person is in, and the app is told who they are.
    SignedIn,
    /// A page of status 400 for this reason: the answer was not believed.
    Refused(&'static str),
    /// A page of status 503 for this reason: nobody was sent there.
    NotBegun(&'static str),
}

/// How the provider's answer comes back (OAuth 2.0 Form Post Response Mode §2).
#[derive(Clone, Copy, Debug)]
enum ResponseMode {
    Query,
    FormPost,
}

impl ResponseMode {
    fn setting(self) -> &'static str {
        match self {
            Self::Query => "",
            Self::FormPost => "response_mode = \"form_post\"",
        }
    }
}

/// A module whose provider is set up in some way.
const fn module(name: &'static str, provider: fn(&FakeUpstream), outcome: Outcome) -> Module {
    Module { name, algorithm: Algorithm::Rs256, provider, lie: |_| {}, outcome }
}

/// A module whose provider lies.
const fn lying(name: &'static str, lie: fn(&mut Misbehaviour), outcome: Outcome) -> Module {
    Module { name, algorithm: Algorithm::Rs256, provider: |_| {}, lie, outcome }
}

impl Module {
    /// Runs it against a new provider and a new house; the provider, to look at what it was asked.
    async fn run(&self, mode: ResponseMode) -> FakeUpstream {
        let upstream = provider(self.algorithm).await;
        let builder = TestApp::builder();
        let app = builder.upstream("op", &upstream, mode.setting()).start().await;
        (self.provider)(&upstream);
        upstream.misbehave(self.lie);
        let met = match self.outcome {
            Outcome::SignedIn => is_signed_in(&app, &upstream).await,
            Outcome::Refused(reason) => is_refused(&app, 400, reason).await,
            Outcome::NotBegun(reason) => is_refused(&app, 503, reason).await,
        };
        met.unwrap_or_else(|fault| panic!("{} by {mode:?}: {fault}", self.name));
        upstream
    }
}

/// A provider like the suite's: what it knows of the person is told by UserInfo.
async fn provider(algorithm: Algorithm) -> FakeUpstream {
    let upstream = FakeUpstream::start_with(algorithm).await;
    upstream.set_person(person());
    upstream.place_claims(Placement::UserinfoOnly);
    upstream
}

fn person() -> Value {
    json!({
        "sub": "7", "preferred_username": "carol", "name": "Carol Example",
        "email": "carol@corp.test", "email_verified": true,
    })
}

/// Goes through the sign-in with a browser, and posts what the provider has it post.
async fn sign_in(browser: &mut Browser) -> Journey {
    let page = start_at(browser, "op").await;
    let journey = browser.follow(page).await;
    let page = journey.last();
    if journey.stopped_at.is_some() || page.url.host_str() == Some("id.test") {
        return journey;
    }
    let form = page.form_to("/upstream/op/callback");
    let answer = browser.submit(page, &form).await;
    browser.follow(answer).await
}

/// The person is in under one new account, which says what the provider says; and the provider was
/// asked as the profiles want it.
async fn is_signed_in(app: &TestApp, upstream: &FakeUpstream) -> Result<(), String> {
    let mut browser = app.browser();
    let journey = sign_in(&mut browser).await;
    if journey.stopped_at.is_none() {
        return Err(format!("ended on a page: {}", journey.last().text()));
    }
    let told = claims_for_app(app, &journey).await;
    for (name, value) in person().as_object().unwrap() {
        if name != "sub" && told.get(name) != Some(value) {
            return Err(format!("the app was told {name} = {:?}", told.get(name)));
        }
    }
    let identity = format!("identities WHERE issuer = '{}' AND subject = '7'", upstream.issuer());
    let rows =
        (app.count("users").await, app.count("identities").await, app.count(&identity).await);
    if rows != (1, 1, 1) || browser.cookies().get(SESSION_COOKIE).is_none() {
        return Err(format!("users, identities and this one: {rows:?}"));
    }
    asks_as_it_should(upstream);
    Ok(())
}

/// What the Basic profile wants of every request: `openid` in the scope, `nonce` and `state`, and the
/// access token in the header and nowhere else (OIDC Core §3.1.2.1, RFC 6750 §2.1).
fn asks_as_it_should(upstream: &FakeUpstream) {
    for asked in upstream.requests_to(Endpoint::Authorize) {
        let scope = asked.param("scope").unwrap();
        assert!(scope.split(' ').any(|word| word == "openid"), "{scope}");
        assert_eq!(asked.param("response_type"), Some("code"));
        assert_eq!(asked.param("client_id"), Some(CLIENT_ID));
        assert_eq!(asked.param("redirect_uri"), Some("https://id.test/upstream/op/callback"));
        for name in ["state", "nonce"] {
            assert!(asked.param(name).unwrap().len() >= 22, "{name}");
        }
    }
    for asked in upstream.requests_to(Endpoint::Userinfo) {
        let bearer = asked.header("authorization").unwrap();
        assert!(bearer.starts_with("Bearer "), "{bearer}");
        assert!(asked.param("access_token").is_none());
    }
}

/// A refusal to the person, with its reason kept; nobody is signed in, and nothing is left behind.
async fn is_refused(app: &TestApp, status: u16, reason: &str) -> Result<(), String> {
    let witness = Witness::of(app).await;
    let mut browser = app.browser();
    let journey = sign_in(&mut browser).await;
    if let Some(target) = &journey.stopped_at {
        return Err(format!("got through to {target}"));
    }
    let event = witness.only_refusal().await?;
    is_refusal_page(journey.last(), status, &event)?;
    no_session_cookie(&browser)?;
    let kept = (event.action.as_str(), event.reason.as_deref());
    if kept != ("sign_in", Some(reason)) {
        return Err(format!("{kept:?} instead of {reason}: {}", event.detail));
    }
    if journey.last().text().contains(&format!("code: {reason}\n")) {
        return Ok(());
    }
    Err(format!("the page does not say {reason}: {}", journey.last().text()))
}

/// No module of a plan is passed over in silence, and none is claimed that is not tested.
#[test]
fn every_module_is_accounted_for() {
    let rows = |modules: &[Module]| modules.iter().map(|module| module.name).collect::<Vec<_>>();
    let mut tested = rows(&basic::table());
    tested.extend(rows(&configuration::table()));
    tested.extend(configuration::ROTATION);
    tested.extend(logout::STATES.map(|(name, _)| name));
    tested.push(logout::FRONT_CHANNEL);
    tested.extend(logout::tokens().iter().map(|row| row.name));
    let not_offered = NOT_OFFERED.map(|(name, _)| name);
    let planned: BTreeSet<&str> =
        BASIC.iter().chain(&CONFIG).chain(&DYNAMIC).chain(&LOGOUT).copied().collect();
    let accounted: BTreeSet<&str> = tested.iter().chain(&not_offered).copied().collect();
    let missing: Vec<_> = planned.difference(&accounted).collect();
    assert!(missing.is_empty(), "{missing:?}");
    assert!(not_offered.iter().all(|name| !tested.contains(name)));
    let beyond: Vec<_> = accounted.difference(&planned).copied().collect();
    assert_eq!(beyond, basic::BEYOND, "in the suite, but in no plan");
}

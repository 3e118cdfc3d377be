//! Keywright as a relying party: what it takes from an upstream, and what it refuses.

mod absence;
mod accounts;
mod admission;
mod answers;
mod bound_tokens;
mod claims;
mod clocks;
mod credentials;
mod departures;
mod disabled;
mod email;
mod faults;
mod form_post;
mod frontchannel;
mod gates;
mod leaks;
mod logout;
mod logout_races;
mod lured;
mod mix_up;
mod own_network;
mod presets;
mod pushed_requests;
mod recorded;
mod secret_end;
mod signup;
mod signup_shut;
mod signup_table;
mod slow;
mod state;
mod steered;
pub(crate) mod transport;

use std::collections::BTreeSet;

use keywright::store::{audit_events, audit_events::AuditEvent, users, users::User};
use serde_json::{Map, Value};
use url::Url;

use crate::support::{
    app::{Builder, TestApp},
    browser::{Browser, Journey, Page},
    fake_upstream::{Endpoint, FakeUpstream, attacks::Attack},
    journey::{authorize_path, redeem},
};

/// The cookie of a session.
pub(crate) const SESSION_COOKIE: &str = "__Host-kw-session";

/// Every row that a sign-in could leave behind, as something to count.
const ROWS_OF_PEOPLE: &str = "(SELECT id FROM users UNION ALL SELECT id FROM identities \
                              UNION ALL SELECT id FROM sessions UNION ALL SELECT id FROM grants) t";

/// How things stood before something that must not change anything.
pub(crate) struct Witness<'a> {
    app: &'a TestApp,
    rows: i64,
    /// The ids of all refusals. On a clock that stands still no order tells the newest.
    refusals: BTreeSet<String>,
}

impl<'a> Witness<'a> {
    pub(crate) async fn of(app: &'a TestApp) -> Self {
        let rows = app.count(ROWS_OF_PEOPLE).await;
        let refusals = refusals(app).await.into_iter().map(|event| event.id).collect();
        Self { app, rows, refusals }
    }

    /// The one event that says why, when nothing else has changed.
    pub(crate) async fn only_refusal(&self) -> Result<AuditEvent, String> {
        let rows = self.app.count(ROWS_OF_PEOPLE).await - self.rows;
        let mut new = refusals(self.app).await;
        new.retain(|event| !self.refusals.contains(&event.id));
        match (new.len(), rows, new.pop()) {
            (1, 0, Some(event)) => Ok(event),
            (count, ..) => Err(format!("{count} refusals kept, {rows} rows more")),
        }
    }
}

async fn refusals(app: &TestApp) -> Vec<AuditEvent> {
    app.app.audit.flush().await;
    let mut connection = app.app.connection().await.unwrap();
    let mut events = audit_events::list_newest(&mut connection, 100_000).await.unwrap();
    events.retain(|event| event.outcome == audit_events::Outcome::Refused);
    events
}

/// The same house with another configuration: the one before is gone, with its short-lived state
/// unless that is in Redis. Its browsers have to be gone too.
pub(crate) async fn rebuilt(app: TestApp, configure: impl FnOnce(Builder) -> Builder) -> TestApp {
    let builder = configure(TestApp::builder().beside(&app));
    let tasks = app.app.tasks.clone();
    drop(app);
    tasks.close();
    tasks.wait().await;
    builder.start().await
}

/// Signs in at an upstream with this browser, as far as it goes.
pub(crate) async fn sign_in_at(browser: &mut Browser, slug: &str) -> Journey {
    let page = start_at(browser, slug).await;
    browser.follow(page).await
}

/// Sends this browser off to an upstream: the answer of the start. Where there is only one, that is
/// the answer to the app's request.
pub(crate) async fn start_at(browser: &mut Browser, slug: &str) -> Page {
    // Who is signed in already is asked again.
    let signed_in = browser.cookies().get(SESSION_COOKIE).is_some();
    let changes: &[(&str, &str)] = if signed_in { &[("prompt", "login")] } else { &[] };
    let page = browser.get(&authorize_path("web", changes)).await;
    match page.location_param("flow") {
        Some(flow) => browser.get(&format!("/upstream/{slug}/start?flow={flow}")).await,
        None => page,
    }
}

/// A person who has signed in at an upstream, and whose browser has not come back yet.
pub(crate) struct Away {
    pub(crate) browser: Browser,
    pub(crate) callback: Url,
}

impl Away {
    /// Signs in at the upstream with a new browser.
    pub(crate) async fn at(app: &TestApp, slug: &str) -> Self {
        let mut browser = app.browser();
        browser.stop_at(&format!("https://id.test/upstream/{slug}/callback"));
        let callback = sign_in_at(&mut browser, slug).await.landing().clone();
        Self { browser, callback }
    }

    /// Comes back, and answers the callback's own answer.
    pub(crate) async fn come_back(&mut self) -> Page {
        self.browser.get(self.callback.as_str()).await
    }
}

/// Signs an honest person in with a new browser; the claims that the app gets.
pub(crate) async fn claims_of_sign_in(app: &TestApp, slug: &str) -> Map<String, Value> {
    let journey = sign_in_at(&mut app.browser(), slug).await;
    claims_for_app(app, &journey).await
}

/// Redeems the code at the end of a journey; the claims that the app gets.
pub(crate) async fn claims_for_app(app: &TestApp, journey: &Journey) -> Map<String, Value> {
    let answer = redeem(app, "web", &journey.param("code").unwrap()).await;
    keywright::keys::parse_unverified(&answer.text("id_token")).unwrap().1
}

/// Whether an honest person gets in.
pub(crate) async fn gets_in(app: &TestApp, slug: &str) -> Result<(), String> {
    let mut browser = app.browser();
    let journey = sign_in_at(&mut browser, slug).await;
    let in_at_app = journey.stopped_at.is_some() && browser.cookies().get(SESSION_COOKIE).is_some();
    if in_at_app { Ok(()) } else { Err(format!("honest sign-in: {}", journey.last().text())) }
}

/// Signs in with a new browser and expects RP-FAIL: a page of status 400 (503 where the way there
/// cannot begin) with a trace id, no session cookie, no row, one event, and a state that is used up.
/// Answers the event.
pub(crate) async fn fails(
    app: &TestApp,
    upstream: &FakeUpstream,
    slug: &str,
) -> Result<AuditEvent, String> {
    let witness = Witness::of(app).await;
    let mut browser = app.browser();
    let journey = sign_in_at(&mut browser, slug).await;
    if let Some(target) = &journey.stopped_at {
        return Err(format!("got through to {target}"));
    }
    let page = journey.last();
    let event = witness.only_refusal().await?;
    let began = page.url.path().ends_with("/callback");
    is_refusal_page(page, if began { 400 } else { 503 }, &event)?;
    no_session_cookie(&browser)?;
    if began {
        let asked = upstream.count(Endpoint::Token);
        let witness = Witness::of(app).await;
        let again = browser.get(page.url.as_str()).await;
        let once = again.status == 400 && upstream.count(Endpoint::Token) == asked;
        let reason = witness.only_refusal().await?.reason;
        if !once || reason.as_deref() != Some("state_unknown") {
            return Err(format!("the state was not used up: {} {reason:?}", again.status));
        }
    }
    Ok(event)
}

/// A page of ours that tells a person where to find the story, and leads nowhere by itself.
pub(crate) fn is_refusal_page(page: &Page, status: u16, event: &AuditEvent) -> Result<(), String> {
    let text = page.text();
    let trace = event.trace_id.as_ref().map(ToString::to_string).unwrap_or_default();
    let html = page.header("content-type").unwrap_or_default().starts_with("text/html");
    let quiet = page.header("cache-control") == Some("no-store") && page.location().is_none();
    let told = !trace.is_empty() && text.contains(&trace);
    if page.status == status && html && quiet && told && event.reason.is_some() {
        return Ok(());
    }
    let reason = &event.reason;
    Err(format!("{} instead of {status}, or an odd page ({reason:?}): {text}", page.status))
}

/// No answer ever set a session cookie in this browser.
pub(crate) fn no_session_cookie(browser: &Browser) -> Result<(), String> {
    let set = browser.cookies().log().iter().find(|set| set.cookie.name == SESSION_COOKIE);
    set.map_or(Ok(()), |set| Err(format!("set {}", set.raw)))
}

/// Attacks one after the other. Each has to fail as [`fails`] says, and an honest person gets in
/// after each. `between` is called before each attack. Answers the reasons.
pub(crate) async fn fend_off(
    app: &TestApp,
    upstream: &FakeUpstream,
    attacks: Vec<Attack>,
    between: impl Fn(),
) -> Vec<String> {
    assert!(!attacks.is_empty());
    gets_in(app, "kc").await.unwrap();
    let mut reasons = Vec::new();
    let mut faults = Vec::new();
    for attack in attacks {
        between();
        attack.apply(upstream);
        match fails(app, upstream, "kc").await {
            Ok(event) => reasons.extend(event.reason),
            Err(fault) => faults.push(format!("{}: {fault}", attack.name)),
        }
        upstream.behave();
        // An unknown key is looked for twice a minute at most.
        app.clock.advance(31);
        if let Err(fault) = gets_in(app, "kc").await {
            faults.push(format!("after {}: {fault}", attack.name));
        }
    }
    assert!(faults.is_empty(), "{} attacks: {faults:#?}", faults.len());
    reasons
}

/// The account of this username.
pub(crate) async fn user(app: &TestApp, username: &str) -> User {
    let mut connection = app.app.connection().await.unwrap();
    let user = users::find_by_username(&mut connection, username).await.unwrap();
    user.unwrap_or_else(|| panic!("no {username}"))
}

//! The upstream lease: who is gone at the upstream is gone everywhere, in time, and nobody notices
//! anything else of it.

mod background;
mod failures;
mod keeping;
mod limits;
mod means;
mod silent;

use keywright::{
    foundation::ids::{SessionId, UpstreamSlug},
    store::sessions,
};
use serde_json::{Map, Value, json};

use crate::support::{
    app::{Answer, TestApp},
    browser::Browser,
    fake_upstream::{Endpoint, FakeUpstream, Refreshes},
    journey::{authorize_path, code_by_session, redeem, refresh},
};

/// Ten minutes: the upstream is asked again from the fifth on.
const TEN_MINUTES: &str = "max_staleness = \"10m\"\ngroups = { claim = \"groups\" }";

/// A person who has signed in at an upstream and at the app `web`.
struct Scene {
    app: TestApp,
    upstream: FakeUpstream,
    browser: Browser,
    tokens: Answer,
}

impl Scene {
    async fn set(refreshes: Refreshes) -> Self {
        Self::with(refreshes, TEN_MINUTES, "").await
    }

    async fn with(refreshes: Refreshes, settings: &str, config: &str) -> Self {
        Self::prepared(refreshes, settings, config, |_| {}).await
    }

    /// The same, at an upstream that was prepared for it.
    async fn prepared(
        refreshes: Refreshes,
        settings: &str,
        config: &str,
        prepare: impl FnOnce(&FakeUpstream),
    ) -> Self {
        let upstream = FakeUpstream::start().await;
        prepare(&upstream);
        upstream.set_refreshes(refreshes);
        upstream.set_person(person(&["staff"]));
        let builder = TestApp::builder().config(config).upstream("kc", &upstream, settings);
        let app = builder.start().await;
        let mut browser = app.browser();
        let code = code_by_session(&mut browser, "web", &[]).await;
        let tokens = redeem(&app, "web", &code).await;
        assert_eq!(tokens.status, 200, "{tokens:?}");
        upstream.clear_requests();
        Self { app, upstream, browser, tokens }
    }

    /// Refreshes the app's tokens, and goes on with the new ones.
    async fn refresh(&mut self) -> &Answer {
        self.tokens = refresh(&self.app, "web", &self.tokens.text("refresh_token")).await;
        assert_eq!(self.tokens.status, 200, "{:?}", self.tokens);
        &self.tokens
    }

    /// Refreshing is refused, for this reason, and everything of the session has ended.
    async fn assert_gone(&mut self, reason: &str) {
        let answer = refresh(&self.app, "web", &self.tokens.text("refresh_token")).await;
        answer.assert_error(400, "invalid_grant");
        self.assert_ended(reason).await;
    }

    /// Everything of the session has ended, for this reason.
    async fn assert_ended(&mut self, reason: &str) {
        assert_eq!(self.app.refusals("lease").await, [reason]);
        assert_eq!(self.app.count("sessions WHERE ended_at IS NULL").await, 0);
        assert_eq!(self.app.count("grants WHERE revoked_at IS NULL").await, 0);
        let page = self.browser.get(&authorize_path("web", &[("prompt", "none")])).await;
        assert_eq!(page.location_param("error").as_deref(), Some("login_required"));
    }

    fn claims(&self) -> Map<String, Value> {
        keywright::keys::parse_unverified(&self.tokens.text("access_token")).unwrap().1
    }

    fn session(&self) -> SessionId {
        SessionId::new(self.claims()["sid"].as_str().unwrap())
    }

    /// For how long the newest access token is good, in seconds.
    fn life(&self) -> i64 {
        let claims = self.claims();
        let life = claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap();
        assert_eq!(self.tokens.json()["expires_in"].as_i64(), Some(life));
        life
    }

    async fn confirmed_at(&self) -> i64 {
        let mut connection = self.app.app.connection().await.unwrap();
        let found = sessions::find(&mut connection, &self.session()).await.unwrap();
        found.unwrap().0.confirmed_at.unix()
    }

    /// How often the upstream's token endpoint was asked since the sign-in.
    fn asked(&self) -> usize {
        self.upstream.count(Endpoint::Token)
    }
}

fn person(groups: &[&str]) -> Value {
    json!({
        "sub": "7", "preferred_username": "carol", "name": "Carol", "groups": groups,
        "email": "carol@corp.test", "email_verified": true,
    })
}

/// In time the upstream is asked again with its own refresh token, once for many refreshes, whether
/// it rotates them or not; and whoever is still who they were notices nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_lease_is_renewed_in_time() {
    for refreshes in [Refreshes::Steady, Refreshes::Rotating] {
        let mut scene = Scene::set(refreshes).await;
        let begin = scene.app.app.now().unix();
        for (minute, asked) in [(1, 0), (4, 0), (5, 1), (6, 1), (9, 1), (10, 2), (15, 3), (600, 4)]
        {
            let elapsed = scene.app.app.now().unix() - begin;
            scene.app.clock.advance(minute * 60 - elapsed);
            scene.app.app.keys.refresh(&scene.app.app.store, scene.app.app.now()).await.unwrap();
            if minute == 600 {
                // Hours later the lease has run out; it can still be renewed.
                assert!(scene.confirmed_at().await < begin + 900 + 60);
            }
            scene.refresh().await;
            assert_eq!(scene.asked(), asked, "minute {minute}");
        }
        assert_eq!(scene.confirmed_at().await, begin + 600 * 60);
        assert_eq!(scene.app.refusals("lease").await, Vec::<String>::new());
        assert_eq!(scene.app.count("sessions WHERE ended_at IS NULL").await, 1);
    }
}

/// No token outlives the lease: access token, ID token and what is said about them.
#[tokio::test(flavor = "multi_thread")]
async fn no_token_outlives_the_lease() {
    let mut scene = Scene::set(Refreshes::Rotating).await;
    assert_eq!(scene.life(), 600, "ten minutes of lease, a quarter of an hour of token");
    scene.app.clock.advance(240);
    scene.refresh().await;
    assert_eq!(scene.life(), 360);
    let (_, claims) = keywright::keys::parse_unverified(&scene.tokens.text("id_token")).unwrap();
    let life = claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap();
    assert_eq!(life, 360);
    // A code of the same session, later.
    scene.app.clock.advance(30);
    let code = code_by_session(&mut scene.browser, "web", &[]).await;
    scene.tokens = redeem(&scene.app, "web", &code).await;
    assert_eq!(scene.life(), 330);
    scene.app.clock.advance(30);
    scene.refresh().await;
    assert_eq!((scene.life(), scene.asked()), (600, 1));
}

/// Somebody whose account is shut at the upstream is out within the time that was chosen, everywhere.
#[tokio::test(flavor = "multi_thread")]
async fn who_is_gone_at_the_upstream_is_gone_here() {
    let mut scene = Scene::set(Refreshes::Rotating).await;
    scene.upstream.expel();
    scene.app.clock.advance(299);
    scene.refresh().await;
    let until = scene.app.app.now().unix() + scene.life();
    assert_eq!(until, scene.confirmed_at().await + 600, "the last token ends with the lease");
    scene.app.clock.advance(1);
    scene.assert_gone("upstream_refresh_refused").await;
    let token = scene.tokens.text("access_token");
    let answer = scene.app.get("/userinfo", Some(&format!("Bearer {token}"))).await;
    assert_eq!(answer.status, 401);
    let events = scene.app.events().await;
    let event = events.iter().find(|event| event.action == "lease").unwrap();
    assert_eq!(event.upstream.as_ref().map(UpstreamSlug::as_str), Some("kc"));
    assert!(event.user_id.is_some() && event.detail.contains(scene.session().as_str()));
    assert!(!event.detail.contains("upstream-refresh"), "{}", event.detail);
}

/// UP-33: a group that the person has lost at the upstream is gone from the next confirmation on; so
/// is the way into an app that wanted it.
#[tokio::test(flavor = "multi_thread")]
async fn groups_follow_the_upstream() {
    let mut scene = Scene::set(Refreshes::Rotating).await;
    let code = code_by_session(&mut scene.browser, "members", &[]).await;
    let members = redeem(&scene.app, "members", &code).await;
    assert_eq!(scene.claims()["groups"], json!(["staff"]));
    scene.upstream.set_person(person(&["guests"]));
    scene.app.clock.advance(300);
    scene.refresh().await;
    assert_eq!(scene.claims()["groups"], json!(["guests"]));
    let answer = refresh(&scene.app, "members", &members.text("refresh_token")).await;
    answer.assert_error(400, "invalid_grant");
    assert_eq!(scene.app.refusals("token").await, ["no_longer_allowed"]);
    assert_eq!(scene.asked(), 1);
}

/// UP-31: what an upstream gave stands sealed in the database, and nowhere else.
#[tokio::test(flavor = "multi_thread")]
async fn what_the_upstream_gave_is_kept_sealed() {
    let scene = Scene::set(Refreshes::Rotating).await;
    let mut connection = scene.app.app.connection().await.unwrap();
    let session = scene.session();
    let lease = keywright::store::leases::find(&mut connection, &session).await.unwrap().unwrap();
    for secret in ["upstream-refresh", "upstream-access", "eyJ"] {
        let found = lease.sealed.windows(secret.len()).any(|part| part == secret.as_bytes());
        assert!(!found, "{secret}");
    }
    // Bound to its row: moved to another session it does not open.
    let place = format!("leases:sealed:{session}");
    assert!(scene.app.app.rows_ring.open(&place, &lease.sealed).is_some());
    assert!(scene.app.app.rows_ring.open("leases:sealed:another", &lease.sealed).is_none());
}

/// Without `max_staleness` nothing is kept, nothing is asked, and nothing is limited.
#[tokio::test(flavor = "multi_thread")]
async fn without_a_limit_nothing_is_asked() {
    let mut scene = Scene::with(Refreshes::Rotating, "", "").await;
    assert_eq!((scene.life(), scene.app.count("leases").await), (900, 0));
    scene.app.clock.advance(86_400);
    scene.app.app.keys.refresh(&scene.app.app.store, scene.app.app.now()).await.unwrap();
    scene.refresh().await;
    assert_eq!((scene.life(), scene.asked()), (900, 0));
}

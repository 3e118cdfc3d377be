//! Every kind of provider with its habits, as recorded in `fixtures/`: from the app's request to an
//! account that is filled as it should be.

use std::{fs, path::PathBuf};

use josekit::jwk::alg::ec::{EcCurve, EcKeyPair};
use keywright::store::identities;
use serde_json::{Map, Value};

use super::{claims_for_app, start_at, user};
use crate::support::{
    app::{Builder, TestApp},
    browser::{Browser, Journey},
    fake_upstream::{Algorithm, CLIENT_SECRET, ClientAuth, Endpoint, FakeUpstream},
};

/// One recorded provider.
pub(super) struct Fixture {
    name: String,
    recorded: Value,
}

impl Fixture {
    fn all() -> Vec<Self> {
        let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/it/upstream/fixtures");
        let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        let mut names: Vec<String> =
            files.map(|file| file.file_stem().unwrap().to_str().unwrap().to_owned()).collect();
        names.sort();
        names.into_iter().map(|name| Self::read(&name)).collect()
    }

    pub(super) fn read(name: &str) -> Self {
        let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/it/upstream/fixtures");
        let text = fs::read_to_string(folder.join(format!("{name}.json"))).unwrap();
        let recorded = serde_json::from_str(&text).unwrap_or_else(|e| panic!("{name}: {e}"));
        Self { name: name.to_owned(), recorded }
    }

    fn text(&self, name: &str) -> &str {
        self.recorded[name].as_str().unwrap_or_default()
    }

    fn members(&self, name: &str) -> Map<String, Value> {
        self.recorded[name].as_object().cloned().unwrap_or_default()
    }

    /// The provider, behaving as it was recorded.
    pub(super) async fn provider(&self) -> FakeUpstream {
        let algorithm = match self.text("algorithm") {
            "EdDSA" => Algorithm::EdDsa,
            "ES256" => Algorithm::Es256,
            _ => Algorithm::Rs256,
        };
        let upstream = FakeUpstream::start_with(algorithm).await;
        upstream.set_issuer_path(self.text("issuer_path"));
        if self.text("client_auth") == "unchecked" {
            upstream.set_client_auth(ClientAuth::Unchecked);
        }
        if self.recorded["plain"] == true {
            upstream.speak_plain_oauth();
        }
        upstream.post_user(self.recorded["posted_user"].as_str());
        for (path, endpoint) in self.members("aliases") {
            let endpoint = if endpoint == "token" { Endpoint::Token } else { Endpoint::Authorize };
            upstream.alias(&path, endpoint);
        }
        for (path, pages) in self.members("documents") {
            upstream.set_document(&path, pages.as_array().unwrap().clone());
        }
        self.behave(&upstream);
        upstream
    }

    /// What it says in its answers.
    pub(super) fn behave(&self, upstream: &FakeUpstream) {
        upstream.behave();
        upstream.set_person(serde_json::json!({ "sub": self.recorded["id_token"]["sub"] }));
        let origin = upstream.origin();
        let filled = |value: &Value| match value {
            Value::String(text) => Value::String(text.replace("{origin}", &origin)),
            other => other.clone(),
        };
        upstream.misbehave(|lies| {
            for (name, value) in self.members("metadata") {
                if value.is_null() {
                    lies.metadata.remove(&name);
                } else {
                    lies.metadata.set(&name, filled(&value));
                }
            }
            if self.recorded.get("iss").is_some_and(Value::is_null) {
                lies.metadata.remove("authorization_response_iss_parameter_supported");
                lies.authorization_response.remove("iss");
            }
            for (name, value) in self.members("id_token") {
                lies.claims.set(&name, filled(&value));
            }
            for (name, value) in self.members("userinfo") {
                lies.userinfo.set(&name, value);
            }
            for (name, value) in self.members("token") {
                lies.token_response.set(&name, value);
            }
        });
    }

    /// Its `[[upstreams]]` lines.
    pub(super) fn lines(&self, upstream: &FakeUpstream) -> String {
        let key = EcKeyPair::generate(EcCurve::P256).unwrap().to_pem_private_key();
        let settings = self
            .text("settings")
            .replace("{origin}", &upstream.origin())
            .replace("{issuer}", &upstream.issuer())
            .replace("{secret}", CLIENT_SECRET)
            .replace("{ec_key}", &String::from_utf8(key).unwrap());
        format!("preset = {:?}\n{settings}", self.text("preset"))
    }

    pub(super) fn builder(&self, upstream: &FakeUpstream) -> Builder {
        TestApp::builder().preset("up", upstream, &self.lines(upstream))
    }

    /// The account and what the app is told are as they should be.
    async fn check(&self, app: &TestApp, upstream: &FakeUpstream, told: &Map<String, Value>) {
        let (name, expected) = (&self.name, &self.recorded["expected"]);
        let account = user(app, expected["username"].as_str().unwrap()).await;
        let text = |value: Option<String>| value.map_or(Value::Null, Value::String);
        assert_eq!(text(account.name), expected["name"], "{name}");
        assert_eq!(text(account.email), expected["email"], "{name}");
        assert_eq!(text(account.picture), expected["picture"], "{name}");
        let verified = account.email_verified.map_or(Value::Null, Value::Bool);
        assert_eq!(verified, expected["email_verified"], "{name}");
        assert_eq!(told["groups"], expected["groups"], "{name}");
        assert_eq!(told["email"], expected["email"], "{name}");
        let issuer = expected["issuer"].as_str().map(|i| i.replace("{origin}", &upstream.origin()));
        let issuer = issuer.unwrap_or_else(|| upstream.issuer());
        let subject = expected.get("subject").unwrap_or(&self.recorded["id_token"]["sub"]);
        let mut connection = app.app.connection().await.unwrap();
        let identity = identities::find(&mut connection, &issuer, subject.as_str().unwrap()).await;
        assert_eq!(identity.unwrap().unwrap().1.id, account.id, "{name}: {issuer} {subject}");
    }
}

/// Signs in, and posts the form that a provider has the browser post.
pub(super) async fn sign_in_by_form(browser: &mut Browser) -> Journey {
    let page = start_at(browser, "up").await;
    let journey = browser.follow(page).await;
    let page = journey.last();
    if journey.stopped_at.is_some() || page.forms().is_empty() {
        return journey;
    }
    let form = page.form_to("/upstream/up/callback");
    let answer = browser.submit(page, &form).await;
    browser.follow(answer).await
}

/// UP-11, UP-13, UP-14, UP-19, UP-20: each provider as it is, in a whole journey.
#[tokio::test(flavor = "multi_thread")]
async fn people_of_every_provider_get_in() {
    for fixture in Fixture::all() {
        let upstream = fixture.provider().await;
        let app = fixture.builder(&upstream).start().await;
        // Twice: the second time the account is known.
        for _ in 0..2 {
            let journey = sign_in_by_form(&mut app.browser()).await;
            let told = claims_for_app(&app, &journey).await;
            fixture.check(&app, &upstream, &told).await;
        }
        assert_eq!(app.count("users").await, 1, "{}", fixture.name);
        asks_as_it_should(&fixture, &upstream);
    }
}

/// UP-11: PKCE with S256 and a verifier of its own each time; scopes as the provider wants them.
fn asks_as_it_should(fixture: &Fixture, upstream: &FakeUpstream) {
    let name = &fixture.name;
    let requests = upstream.requests_to(Endpoint::Authorize);
    let challenges: Vec<_> = requests.iter().map(|r| r.param("code_challenge").unwrap()).collect();
    assert_eq!(challenges.len(), 2, "{name}");
    assert_ne!(challenges[0], challenges[1], "{name}");
    let plain = fixture.recorded["plain"] == true;
    for request in &requests {
        assert_eq!(request.param("code_challenge_method"), Some("S256"), "{name}");
        assert_eq!(request.param("nonce").is_none(), plain, "{name}");
        if let Some(scopes) = fixture.recorded["scopes"].as_str() {
            assert_eq!(request.param("scope"), Some(scopes), "{name}");
        }
    }
    for request in upstream.requests_to(Endpoint::Token) {
        assert!(request.param("code_verifier").unwrap().len() >= 43, "{name}");
    }
}

/// UP-33: without a `groups` table no preset takes any.
#[tokio::test(flavor = "multi_thread")]
async fn no_preset_takes_groups_by_itself() {
    for fixture in Fixture::all() {
        let upstream = fixture.provider().await;
        let lines = fixture.lines(&upstream);
        let lines: Vec<&str> = lines.lines().filter(|line| !line.starts_with("groups")).collect();
        let lines = lines.join("\n");
        let app = TestApp::builder().preset("up", &upstream, &lines).start().await;
        let journey = sign_in_by_form(&mut app.browser()).await;
        let told = claims_for_app(&app, &journey).await;
        assert_eq!(told["groups"], serde_json::json!([]), "{}", fixture.name);
        let asked = upstream.requests_to(Endpoint::Authorize);
        let scope = asked[0].param("scope").unwrap();
        assert!(!scope.contains("groups"), "{}: {scope}", fixture.name);
    }
}

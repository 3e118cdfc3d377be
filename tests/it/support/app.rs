//! Keywright as a test has it: the real thing, built from a real configuration, with a clock that
//! stands still.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::{
    Router,
    http::{Method, Request, Response, StatusCode, header},
};
use base64::Engine as _;
use bytes::Bytes;
use keywright::{
    app::{Ambient, App},
    config::{self, Environment},
    foundation::names::{email_key, username_key},
    foundation::{ids::UserId, secret::Secret},
    router,
    store::{
        audit_events::{self, AuditEvent},
        users::{self, AccountKind, User},
    },
};
use serde_json::Value;
use url::{Url, form_urlencoded};

use super::{
    browser::Browser,
    clock::TestClock,
    database::{SECRET_KEY, TestDatabase, state_url},
    fake_upstream::{CLIENT_ID, CLIENT_SECRET, FakeUpstream},
    http::Network,
};

/// The issuer of all tests.
pub(crate) const ISSUER: &str = "https://id.test";
/// The secret of every confidential client of the tests is its id and this.
pub(crate) const SECRET: &str = "-secret-0123456789";

/// The apps of the tests: the actors of the attack tables.
const CLIENTS: &str = r#"
[[clients]]
id = "web"
name = "Web"
secret = "web-secret-0123456789"
redirect_uris = ["https://web.test/cb"]
post_logout_redirect_uris = ["https://web.test/bye"]

[[clients]]
id = "evil"
name = "Evil"
secret = "evil-secret-0123456789"
redirect_uris = ["https://evil.test/cb"]
post_logout_redirect_uris = ["https://evil.test/bye"]

[[clients]]
id = "spa"
name = "Spa"
type = "public"
redirect_uris = ["https://spa.test/cb"]

[[clients]]
id = "native"
name = "Native"
type = "native"
redirect_uris = ["http://127.0.0.1/cb"]

[[clients]]
id = "m2m"
name = "Machine"
secret = "m2m-secret-0123456789"
grant_types = ["client_credentials"]
scopes = ["read", "write"]

[[clients]]
id = "members"
name = "Members only"
secret = "members-secret-0123456789"
redirect_uris = ["https://members.test/cb"]
allowed_groups = ["staff"]
"#;

/// Builds a [`TestApp`].
pub(crate) struct Builder {
    more: String,
    upstreams: String,
    clock: Arc<TestClock>,
    database: Option<Arc<TestDatabase>>,
    state_url: String,
    environment: Environment,
}

/// Tests ask for much within one moment of their clock, and some count what the stores are asked.
const GENERAL_LIMIT: (&str, &str) = ("KEYWRIGHT_RATE_LIMITS__ENABLED", "false");

/// Keywright under test.
pub(crate) struct TestApp {
    pub(crate) app: App,
    pub(crate) router: Router,
    pub(crate) clock: Arc<TestClock>,
    /// The database, to start a second instance on it.
    pub(crate) database: Arc<TestDatabase>,
    network: Network,
    peer: SocketAddr,
}

impl Builder {
    /// Adds text to `keywright.toml`.
    pub(crate) fn config(mut self, text: &str) -> Self {
        self.more.push_str(text);
        self.more.push('\n');
        self
    }

    /// Adds an upstream under a slug, with more settings as TOML lines.
    pub(crate) fn upstream(mut self, slug: &str, upstream: &FakeUpstream, more: &str) -> Self {
        let clock = Arc::clone(&self.clock);
        upstream.set_clock(move || clock.unix());
        let settings = format!(
            "[[upstreams]]\nslug = {slug:?}\nname = \"{slug} sign-in\"\nissuer = {:?}\n\
             client_id = {CLIENT_ID:?}\nclient_secret = {CLIENT_SECRET:?}\n{more}\n",
            upstream.issuer(),
        );
        self.upstreams.push_str(&settings);
        self
    }

    /// Adds an upstream by a preset: what makes its issuer, and its secret, stand in the lines.
    pub(crate) fn preset(mut self, slug: &str, upstream: &FakeUpstream, lines: &str) -> Self {
        let clock = Arc::clone(&self.clock);
        upstream.set_clock(move || clock.unix());
        let settings = format!(
            "[[upstreams]]\nslug = {slug:?}\nname = \"{slug} sign-in\"\n\
             client_id = {CLIENT_ID:?}\n{lines}\n"
        );
        self.upstreams.push_str(&settings);
        self
    }

    /// Uses another instance's database and clock.
    pub(crate) fn beside(mut self, other: &TestApp) -> Self {
        self.database = Some(Arc::clone(&other.database));
        self.clock = Arc::clone(&other.clock);
        self
    }

    /// Uses this database.
    pub(crate) fn on(mut self, database: &Arc<TestDatabase>) -> Self {
        self.database = Some(Arc::clone(database));
        self
    }

    /// Limits requests as the configuration says, by default as everywhere.
    pub(crate) fn with_the_general_limit(mut self) -> Self {
        self.environment.clear();
        self
    }

    /// Keeps short-lived state elsewhere.
    pub(crate) fn state_url(mut self, url: &str) -> Self {
        url.clone_into(&mut self.state_url);
        self
    }

    /// The text of the configuration.
    fn text(&self, database: &TestDatabase) -> String {
        // Sections that a test writes itself must not stand twice.
        let section = |name: &str, text: &str| {
            let own = format!("[{name}]");
            if self.more.contains(&own) { String::new() } else { format!("{own}\n{text}\n") }
        };
        let sections = [
            section("server", &format!("issuer = {ISSUER:?}")),
            section("database", &format!("url = {:?}\nmax_connections = 8", database.url)),
            section("state", &format!("url = {:?}", self.state_url)),
            section("secrets", &format!("secret_key = {SECRET_KEY:?}")),
            section("passwords", "argon2_memory_kib = 64\nargon2_passes = 1"),
        ];
        format!("{}{}\n{CLIENTS}\n{}", sections.concat(), self.more, self.upstreams)
    }

    /// Starts it.
    pub(crate) async fn start(self) -> TestApp {
        let database = match &self.database {
            Some(database) => Arc::clone(database),
            None => Arc::new(TestDatabase::new().await),
        };
        let text = self.text(&database);
        let config = config::parse(&text, &self.environment)
            .unwrap_or_else(|problems| panic!("{problems}\n{text}"));
        let ambient = Ambient { clock: Arc::<TestClock>::clone(&self.clock), ..Ambient::default() };
        let app = App::start(config, ambient).await.unwrap();
        let router = router::public(&app);
        let mut network = Network::new();
        network.mount(&Url::parse(ISSUER).unwrap(), router.clone());
        // Rate limits count by address, and tests may share one Redis.
        let [a, b, c, ..] = *uuid::Uuid::new_v4().as_bytes();
        let peer = SocketAddr::from(([10, a, b, c], 40_000));
        network.set_peer(peer);
        TestApp { app, router, clock: self.clock, database, network, peer }
    }
}

/// An answer of an OAuth endpoint.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: axum::http::HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    /// The body as JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("not JSON: {:?}", self.body))
    }

    /// A text member of the body.
    pub(crate) fn text(&self, name: &str) -> String {
        let json = self.json();
        json[name].as_str().unwrap_or_else(|| panic!("no {name} in {json}")).to_owned()
    }

    /// Asserts a wire error (RFC 6749 §5.2), with all that belongs to one.
    pub(crate) fn assert_error(&self, status: u16, error: &str) {
        assert_eq!((self.status.as_u16(), self.json()["error"].as_str()), (status, Some(error)));
        assert_eq!(self.headers[header::CACHE_CONTROL], "no-store");
        assert!(self.json().get("access_token").is_none());
    }
}

impl TestApp {
    /// Begins building one.
    pub(crate) fn builder() -> Builder {
        Builder {
            more: String::new(),
            upstreams: String::new(),
            clock: Arc::new(TestClock::new()),
            database: None,
            state_url: state_url(),
            environment: [GENERAL_LIMIT].map(|(name, value)| (name.into(), value.into())).into(),
        }
    }

    /// One without upstreams.
    pub(crate) async fn start() -> Self {
        Self::builder().start().await
    }

    /// One federated with an honest upstream called `kc`.
    pub(crate) async fn with_upstream() -> (Self, FakeUpstream) {
        let upstream = FakeUpstream::start().await;
        let app = Self::builder()
            .upstream("kc", &upstream, "groups = { claim = \"groups\" }")
            .start()
            .await;
        (app, upstream)
    }

    /// A browser that has never been here, and that stops at any app.
    pub(crate) fn browser(&self) -> Browser {
        let mut browser = Browser::new(self.router.clone(), ISSUER);
        browser.set_peer(self.peer);
        for app in ["web", "evil", "spa", "members"] {
            browser.stop_at(&format!("https://{app}.test/"));
        }
        browser.stop_at("http://127.0.0.1:51234/");
        browser
    }

    /// Makes a local account whose password is its name and `-password`.
    pub(crate) async fn add_user(&self, username: &str, groups: &[&str]) -> User {
        let password = Secret::new(format!("{username}-password"));
        let now = self.app.now();
        let user = User {
            id: UserId::generate(self.app.random(), now),
            username: username.to_owned(),
            username_key: username_key(username),
            email: Some(format!("{username}@corp.test")),
            email_key: Some(email_key(&format!("{username}@corp.test"))),
            email_verified: Some(true),
            name: Some(format!("{username} Example")),
            picture: None,
            password_hash: Some(self.app.passwords.hash(&password).await.unwrap()),
            groups: groups.iter().collect(),
            disabled_at: None,
            created_at: now,
            updated_at: now,
            email_issuer: None,
            roles: std::iter::empty::<&str>().collect(),
            kind: AccountKind::Person,
            locale: None,
            own_picture: None,
            password_temporary: false,
        };
        assert!(users::insert(&mut self.app.connection().await.unwrap(), &user).await.unwrap());
        user
    }

    /// Sends any request to the issuer.
    pub(crate) async fn send(&self, request: Request<Bytes>) -> Answer {
        let answer: Response<Bytes> = self.network.send(request).await;
        let (parts, body) = answer.into_parts();
        Answer { status: parts.status, headers: parts.headers, body }
    }

    /// Gets a path, with an optional `Authorization` header.
    pub(crate) async fn get(&self, path: &str, authorization: Option<&str>) -> Answer {
        let mut request = Request::builder().uri(format!("{ISSUER}{path}"));
        if let Some(value) = authorization {
            request = request.header(header::AUTHORIZATION, value);
        }
        self.send(request.body(Bytes::new()).unwrap()).await
    }

    /// Posts a form, with more headers.
    pub(crate) async fn post(
        &self,
        path: &str,
        form: &[(&str, &str)],
        headers: &[(&str, &str)],
    ) -> Answer {
        let body: String =
            form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
        let mut request = Request::builder()
            .method(Method::POST)
            .uri(format!("{ISSUER}{path}"))
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.send(request.body(Bytes::from(body)).unwrap()).await
    }

    /// Posts a form as a confidential client of the tests, by Basic.
    pub(crate) async fn post_as(&self, client: &str, path: &str, form: &[(&str, &str)]) -> Answer {
        self.post(path, form, &[("authorization", &basic(client))]).await
    }

    /// Everything that was kept so far, the oldest first.
    pub(crate) async fn events(&self) -> Vec<AuditEvent> {
        self.app.audit.flush().await;
        let mut connection = self.app.connection().await.unwrap();
        let mut events = audit_events::list_newest(&mut connection, 1_000).await.unwrap();
        events.reverse();
        events
    }

    /// The reasons of all refusals of one action so far.
    pub(crate) async fn refusals(&self, action: &str) -> Vec<String> {
        let events = self.events().await;
        let of_action = events.into_iter().filter(|event| event.action == action);
        of_action.filter_map(|event| event.reason).collect()
    }

    /// How many rows a table has.
    pub(crate) async fn count(&self, table: &str) -> i64 {
        count_rows(&self.database.url, table).await
    }

    /// Lets go of the short-lived state, as a flush or restart of its store would.
    pub(crate) fn forget_short_lived_state(&self) {
        if let Some(memory) = &self.app.memory {
            return memory.clear();
        }
        panic!("Redis is shared between tests: use a test with its own state");
    }
}

/// The `Authorization` header of a confidential client of the tests.
pub(crate) fn basic(client: &str) -> String {
    let text = format!("{client}:{client}{SECRET}");
    format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(text))
}

/// Counts rows through a connection of its own.
async fn count_rows(url: &str, table: &str) -> i64 {
    use diesel_async::{AsyncConnection as _, RunQueryDsl as _};
    #[derive(diesel::QueryableByName)]
    struct Count {
        #[diesel(sql_type = diesel::sql_types::BigInt)]
        count: i64,
    }
    let sql = format!("SELECT count(*) AS count FROM {table}");
    if let Some(file) = url.strip_prefix("sqlite:") {
        use diesel::{Connection as _, connection::SimpleConnection as _};
        let mut connection = diesel::SqliteConnection::establish(file).unwrap();
        connection.batch_execute("PRAGMA busy_timeout = 5000").unwrap();
        return diesel::RunQueryDsl::get_result::<Count>(diesel::sql_query(sql), &mut connection)
            .unwrap()
            .count;
    }
    let mut connection = diesel_async::AsyncPgConnection::establish(url).await.unwrap();
    let counted: Count = diesel::sql_query(sql).get_result(&mut connection).await.unwrap();
    counted.count
}

/// Lets other tasks of this process go on.
pub(crate) async fn breathe() {
    tokio::time::sleep(Duration::from_millis(10)).await;
}

//! What the provider knows: its clients, the person, its keys, outstanding codes and tokens.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::{Map, Value, json};

use super::keys::{Algorithm, KeyRing};
use super::misbehaviour::Misbehaviour;
use super::refresh::RefreshTokens;
use super::requests::{Endpoint, Recorded};
use super::{CLIENT_ID, CLIENT_SECRET};

/// How the person answers at the authorization endpoint.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The person signs in and agrees.
    #[default]
    SignIn,
    /// The provider returns an error, for instance `access_denied`.
    Refuse { error: String, description: Option<String> },
}

/// Where the person's claims appear.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Placement {
    #[default]
    Both,
    IdTokenOnly,
    UserinfoOnly,
}

/// How a client may authenticate at the token endpoint (OIDC Core §9).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum ClientAuth {
    #[default]
    BasicOrPost,
    Basic,
    Post,
    /// Whoever names a client is it. The test looks at what was sent.
    Unchecked,
}

/// Whether requests are pushed (RFC 9126).
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Pushing {
    #[default]
    Unknown,
    Offered,
    Required,
}

/// What becomes of proofs of a key (RFC 9449).
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Proofs {
    #[default]
    Unknown,
    /// Tokens are bound to the key.
    Bind,
    /// Refresh tokens are; access tokens are good for anybody (RFC 9449 §5).
    BindRefresh,
    /// They are looked at, and tokens are good for anybody.
    LookedAt,
}

/// What it offers besides the code flow.
#[derive(Clone, Default)]
pub(super) struct Offers {
    pub(super) introspection: bool,
    pub(super) pushing: Pushing,
    pub(super) proofs: Proofs,
    /// The nonce that proofs have to carry.
    pub(super) nonce: Option<String>,
    /// Whether it is another one each time.
    pub(super) changing_nonce: bool,
}

/// What an authorization code stands for.
#[derive(Clone)]
pub(super) struct Grant {
    pub(super) client_id: String,
    pub(super) redirect_uri: String,
    pub(super) nonce: Option<String>,
    pub(super) challenge: Option<String>,
    pub(super) person: Map<String, Value>,
    pub(super) used: bool,
    /// The thumbprint of the key that its tokens are bound to.
    pub(super) jkt: Option<String>,
}

/// What an access token stands for.
#[derive(Clone)]
pub(super) struct Access {
    pub(super) client_id: String,
    pub(super) person: Map<String, Value>,
    pub(super) jkt: Option<String>,
}

/// All mutable state of one provider, behind one mutex that is never held across an await.
pub(super) struct State {
    pub(super) host: String,
    port: u16,
    /// Another origin that it goes by, where something stands in front of it.
    pub(super) public_origin: Option<String>,
    pub(super) issuer_path: String,
    pub(super) person: Map<String, Value>,
    pub(super) placement: Placement,
    pub(super) outcome: Outcome,
    pub(super) signed_in: bool,
    /// Whether it speaks plain OAuth 2.0: no ID tokens, no discovery, no `iss`.
    pub(super) plain: bool,
    /// What the browser posts about the person, besides the answer.
    pub(super) posted_user: Option<String>,
    /// Other paths of its endpoints.
    pub(super) aliases: BTreeMap<String, Endpoint>,
    /// What else a token opens, by path: one page after the other.
    pub(super) documents: BTreeMap<String, Vec<Value>>,
    pub(super) offers: Offers,
    /// Pushed requests by their names, each with its client.
    pub(super) pushed: HashMap<String, (String, Vec<(String, String)>)>,
    /// The proofs that were seen.
    pub(super) proofs: HashSet<String>,
    pub(super) clients: BTreeMap<String, String>,
    pub(super) client_auth: ClientAuth,
    pub(super) keys: KeyRing,
    pub(super) grants: HashMap<String, Grant>,
    pub(super) accesses: HashMap<String, Access>,
    pub(super) refresh_tokens: RefreshTokens,
    pub(super) lies: Misbehaviour,
    pub(super) requests: Vec<Recorded>,
    pub(super) clock: Arc<dyn Fn() -> i64 + Send + Sync>,
}

impl State {
    pub(super) fn new(port: u16, algorithm: Algorithm) -> Self {
        Self {
            host: "127.0.0.1".into(),
            port,
            public_origin: None,
            issuer_path: String::new(),
            person: alice(),
            placement: Placement::default(),
            outcome: Outcome::default(),
            signed_in: true,
            plain: false,
            posted_user: None,
            aliases: BTreeMap::new(),
            documents: BTreeMap::new(),
            offers: Offers::default(),
            pushed: HashMap::new(),
            proofs: HashSet::new(),
            clients: BTreeMap::from([(CLIENT_ID.into(), CLIENT_SECRET.into())]),
            client_auth: ClientAuth::default(),
            keys: KeyRing::new(algorithm),
            grants: HashMap::new(),
            accesses: HashMap::new(),
            refresh_tokens: RefreshTokens::default(),
            lies: Misbehaviour::default(),
            requests: Vec::new(),
            clock: Arc::new(system_seconds),
        }
    }

    pub(super) fn origin(&self) -> String {
        let own = || format!("http://{}:{}", self.host, self.port);
        self.public_origin.clone().unwrap_or_else(own)
    }

    pub(super) fn issuer(&self) -> String {
        format!("{}{}", self.origin(), self.issuer_path)
    }

    pub(super) fn url(&self, endpoint: Endpoint) -> String {
        match endpoint {
            Endpoint::Discovery => format!("{}{}", self.origin(), self.discovery_path()),
            _ => format!("{}{}", self.origin(), endpoint.path()),
        }
    }

    /// OIDC Discovery §4: a trailing slash of the issuer goes before the well-known part is added.
    pub(super) fn discovery_path(&self) -> String {
        format!("{}{}", self.issuer_path.trim_end_matches('/'), Endpoint::Discovery.path())
    }

    /// What its answers say about the time (RFC 9110 §6.6.1).
    pub(super) fn date(&self) -> String {
        let now = chrono::DateTime::from_timestamp(self.now(), 0).expect("a time in range");
        now.format("%a, %d %b %Y %H:%M:%S GMT").to_string()
    }

    pub(super) fn now(&self) -> i64 {
        (self.clock)()
    }
}

/// Locks the state. A panic elsewhere in a test must not hide behind a poisoned mutex.
pub(super) fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A value that no other provider of this process hands out.
pub(super) fn unique(prefix: &str) -> String {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    format!("{prefix}-{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

fn alice() -> Map<String, Value> {
    let Value::Object(claims) = json!({
        "sub": "alice-at-upstream",
        "email": "alice@corp.test",
        "email_verified": true,
        "name": "Alice Example",
        "preferred_username": "alice",
    }) else {
        unreachable!("the literal above is an object")
    };
    claims
}

fn system_seconds() -> i64 {
    let elapsed = std::time::UNIX_EPOCH.elapsed().expect("a clock after 1970");
    i64::try_from(elapsed.as_secs()).expect("a clock before the end of time")
}

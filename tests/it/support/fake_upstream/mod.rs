//! An `OpenID` Provider for tests, on a real loopback port.
//!
//! It is an honest provider (discovery, JWKS, code with PKCE, userinfo, logout) until a test tells
//! it to lie: [`Misbehaviour`] bends single steps, [`attacks`] lists ready-made lies that a relying
//! party must refuse, and every request is recorded so that a test can prove that an endpoint was
//! never asked. The authorization endpoint answers at once, as if the person had signed in.

pub(crate) mod attacks;
mod authorize;
mod bound;
mod checks;
mod discovery;
mod edits;
mod faults;
mod gzip_bomb;
mod id_token;
mod introspection;
mod key_set;
mod keys;
mod logout;
mod misbehaviour;
mod odd_keys;
mod pushed;
mod refresh;
mod requests;
mod server;
mod signature;
mod state;
mod token;
mod userinfo;

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

pub(crate) use faults::Fault;
pub(crate) use key_set::KeySet;
pub(crate) use keys::{Algorithm, SigningKey};
pub(crate) use misbehaviour::{Misbehaviour, UserinfoShape};
pub(crate) use odd_keys::OddKey;
pub(crate) use refresh::Refreshes;
pub(crate) use requests::{Endpoint, Recorded};
pub(crate) use signature::{Lure, PublicKeyForm, Signature};
pub(crate) use state::{ClientAuth, Outcome, Placement};

use state::{Proofs, Pushing, State};

/// The client that every fake upstream knows from the start.
pub(crate) const CLIENT_ID: &str = "keywright-at-upstream";

/// Its secret. It contains what RFC 6749 §2.3.1 wants form-encoded before Basic, and is long enough
/// to be an HS256 key.
pub(crate) const CLIENT_SECRET: &str = "up+stream:s3cret/with%odd&chars=and spaces";

/// A running provider. Dropping it closes its port and its connections.
pub(crate) struct FakeUpstream {
    state: Arc<Mutex<State>>,
    server: JoinHandle<()>,
}

impl FakeUpstream {
    /// Starts a provider on a free port of 127.0.0.1 that signs with RS256.
    pub(crate) async fn start() -> Self {
        Self::start_with(Algorithm::Rs256).await
    }

    /// Starts a provider that signs ID tokens with the given algorithm.
    pub(crate) async fn start_with(algorithm: Algorithm) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free loopback port");
        let port = listener.local_addr().expect("a bound address").port();
        let state = Arc::new(Mutex::new(State::new(port, algorithm)));
        let server = tokio::spawn(server::serve(listener, Arc::clone(&state)));
        Self { state, server }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        state::lock(&self.state)
    }

    /// The issuer identifier, byte for byte as tokens and metadata carry it.
    pub(crate) fn issuer(&self) -> String {
        self.state().issuer()
    }

    /// `http://host:port` without a trailing slash.
    pub(crate) fn origin(&self) -> String {
        self.state().origin()
    }

    /// The address of an endpoint, as honest metadata names it.
    pub(crate) fn url(&self, endpoint: Endpoint) -> String {
        self.state().url(endpoint)
    }

    /// Goes by `localhost` instead of 127.0.0.1.
    pub(crate) fn use_localhost(&self) {
        self.state().host = "localhost".into();
    }

    /// Goes by another origin, because something stands in front of it. Answers its own.
    pub(crate) fn stand_behind(&self, origin: &str) -> String {
        let own = self.origin();
        self.state().public_origin = Some(origin.to_owned());
        own
    }

    /// Gives the issuer a path, for instance `/application/o/app/` with its trailing slash.
    pub(crate) fn set_issuer_path(&self, path: &str) {
        self.state().issuer_path = path.into();
    }

    /// Sets what the provider knows of the person who signs in next (`sub` and any other claim).
    pub(crate) fn set_person(&self, claims: Value) {
        let Value::Object(claims) = claims else { panic!("a person is a JSON object of claims") };
        self.state().person = claims;
    }

    /// Says where the person's claims appear: ID token, userinfo or both.
    pub(crate) fn place_claims(&self, placement: Placement) {
        self.state().placement = placement;
    }

    /// Says how the person answers at the authorization endpoint from now on.
    pub(crate) fn set_outcome(&self, outcome: Outcome) {
        self.state().outcome = outcome;
    }

    /// Whether it gives refresh tokens from now on.
    pub(crate) fn set_refreshes(&self, kind: Refreshes) {
        self.state().refresh_tokens.kind = kind;
    }

    /// Shuts the person's account: no token of theirs is good for anything any more.
    pub(crate) fn expel(&self) {
        let mut state = self.state();
        state.refresh_tokens.forget();
        state.accesses.clear();
    }

    /// Offers introspection from now on (RFC 7662).
    pub(crate) fn offer_introspection(&self) {
        self.state().offers.introspection = true;
    }

    /// Offers pushed authorization requests from now on (RFC 9126), or takes no others.
    pub(crate) fn offer_pushed_requests(&self, required: bool) {
        self.state().offers.pushing = if required { Pushing::Required } else { Pushing::Offered };
    }

    /// Binds tokens to keys from now on (RFC 9449).
    pub(crate) fn bind_tokens(&self) {
        self.state().offers.proofs = Proofs::Bind;
    }

    /// The nonce that proofs have to carry from now on (RFC 9449 §8).
    pub(crate) fn want_nonce(&self, nonce: &str) {
        self.state().offers.nonce = Some(nonce.to_owned());
    }

    /// Wants another nonce in each proof, and never the one that it gave.
    pub(crate) fn want_nonce_that_changes(&self) {
        self.state().offers.changing_nonce = true;
    }

    /// Looks at proofs and binds nothing.
    pub(crate) fn answer_with_bearer_tokens(&self) {
        self.state().offers.proofs = Proofs::LookedAt;
    }

    /// Binds refresh tokens, and no access token.
    pub(crate) fn bind_refresh_tokens(&self) {
        self.state().offers.proofs = Proofs::BindRefresh;
    }

    /// Whether the person has a session here, which decides what `prompt=none` gets.
    pub(crate) fn set_signed_in(&self, signed_in: bool) {
        self.state().signed_in = signed_in;
    }

    /// Speaks plain OAuth 2.0 from now on: no ID tokens, no discovery, no `iss` in answers.
    pub(crate) fn speak_plain_oauth(&self) {
        self.state().plain = true;
    }

    /// What the browser posts about the person with an answer by form.
    pub(crate) fn post_user(&self, user: Option<&str>) {
        self.state().posted_user = user.map(str::to_owned);
    }

    /// Lets an endpoint answer at another path too.
    pub(crate) fn alias(&self, path: &str, endpoint: Endpoint) {
        self.state().aliases.insert(path.to_owned(), endpoint);
    }

    /// Puts a document behind an access token: what its pages hold.
    pub(crate) fn set_document(&self, path: &str, pages: Vec<Value>) {
        self.state().documents.insert(path.to_owned(), pages);
    }

    /// Registers a further client.
    pub(crate) fn add_client(&self, id: &str, secret: &str) {
        self.state().clients.insert(id.into(), secret.into());
    }

    /// Restricts how clients may authenticate at the token endpoint.
    pub(crate) fn set_client_auth(&self, client_auth: ClientAuth) {
        self.state().client_auth = client_auth;
    }

    /// Replaces the clock (seconds since 1970), for tests whose application runs on a frozen one.
    pub(crate) fn set_clock(&self, clock: impl Fn() -> i64 + Send + Sync + 'static) {
        self.state().clock = Arc::new(clock);
    }

    /// Signs with a new key from now on; the old key stays in the JWKS.
    pub(crate) fn rotate_keys(&self) {
        self.state().keys.rotate();
    }

    /// Signs with a new key from now on; all old keys leave the JWKS.
    pub(crate) fn replace_keys(&self) {
        let mut state = self.state();
        state.keys.rotate();
        state.keys.withdraw_retired();
    }

    /// The key that signs at this moment, for tests that build tokens of their own.
    pub(crate) fn signing_key(&self) -> SigningKey {
        self.state().keys.current().clone()
    }

    /// Signs any claims honestly with the current key, for instance as a logout token.
    pub(crate) fn sign(&self, typ: &str, claims: &Value) -> String {
        let key = self.signing_key();
        let header =
            serde_json::json!({"alg": key.algorithm().name(), "kid": key.kid(), "typ": typ});
        id_token::compact(&header.to_string(), &claims.to_string(), |input| key.sign(input))
    }

    /// Changes what the provider does wrong.
    pub(crate) fn misbehave(&self, change: impl FnOnce(&mut Misbehaviour)) {
        change(&mut self.state().lies);
    }

    /// Returns to honesty.
    pub(crate) fn behave(&self) {
        self.state().lies = Misbehaviour::default();
    }

    /// Every request since the start or the last [`Self::clear_requests`], oldest first.
    pub(crate) fn requests(&self) -> Vec<Recorded> {
        self.state().requests.clone()
    }

    /// The requests that one endpoint received.
    pub(crate) fn requests_to(&self, endpoint: Endpoint) -> Vec<Recorded> {
        self.requests().into_iter().filter(|request| request.endpoint == endpoint).collect()
    }

    /// How many requests one endpoint received.
    pub(crate) fn count(&self, endpoint: Endpoint) -> usize {
        self.requests_to(endpoint).len()
    }

    /// Waits until one endpoint has received a request.
    pub(crate) async fn until_asked(&self, endpoint: Endpoint) {
        let asked = async {
            while self.count(endpoint) == 0 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        // Only so that a test whose request never comes says so.
        tokio::time::timeout(Duration::from_secs(60), asked)
            .await
            .expect("a request within a minute");
    }

    /// Forgets the recorded requests.
    pub(crate) fn clear_requests(&self) {
        self.state().requests.clear();
    }
}

impl Drop for FakeUpstream {
    fn drop(&mut self) {
        self.server.abort();
    }
}

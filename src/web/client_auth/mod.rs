//! Client authentication (RFC 6749 §2.3): who calls an OAuth endpoint, proved before anything else.
//!
//! A client that names a way to prove itself is believed in that way alone. A secret may be sent in the
//! header or in the form, whichever is named.

mod assertion;
pub mod certificate;
mod secret;

use std::{net::IpAddr, sync::Arc};

use axum::http::{Extensions, HeaderMap, StatusCode, header};

use self::secret::{CHALLENGE, Credentials};
use super::{
    address,
    error::WireError,
    params::Params,
    throttle::{self, Brake},
};
use crate::{
    app::App,
    audit::{Event, printable},
    clients::{Client, KnownSecret},
    foundation::{ids::ClientId, secret::Secret},
    protocol::{
        error::{ErrorCode, OAuthError},
        words::AuthMethod,
    },
};

/// What is known of whoever calls before they prove anything.
#[derive(Clone, Copy, Debug)]
pub struct Caller<'r> {
    /// Which endpoint is called.
    pub path: &'r str,
    /// The headers of the request.
    pub headers: &'r HeaderMap,
    /// The address that it really came from.
    pub from: IpAddr,
    /// Whether one of our proxies has brought it.
    pub by_proxy: bool,
}

impl<'r> Caller<'r> {
    /// Who brings this request to `path`.
    pub fn of(app: &App, path: &'r str, extensions: &Extensions, headers: &'r HeaderMap) -> Self {
        let from = address::of(app, extensions, headers);
        Self { path, headers, from, by_proxy: address::is_by_proxy(app, extensions) }
    }
}

/// Proves who calls. Public clients are who they say they are; what they may do is limited to what
/// needs no proof.
pub async fn authenticate(
    app: &App,
    caller: &Caller<'_>,
    params: &Params,
) -> Result<Arc<Client>, WireError> {
    let names = ["client_assertion", "client_assertion_type"];
    if names.into_iter().any(|name| params.get(name).is_some()) {
        return assertion::prove(app, caller, params).await;
    }
    let in_body = (params.get("client_id"), params.get("client_secret"));
    let credentials =
        secret::read(caller.headers, in_body).map_err(|error| told(error, caller.headers))?;
    if credentials.secret.is_none()
        && let Some(client) = app.clients.find(&credentials.client_id)
        && client.auth_method().is_certificate()
    {
        return match certificate::check(app, caller, &client).await {
            Ok(()) => Ok(client),
            Err(why) => Err(refuse_because(app, caller, &credentials.client_id, why).await),
        };
    }
    examine(app, &credentials, caller.from).await
}

/// The same for what says in another way who calls: the `client_id` and the secret that stand in the
/// body, as far as they do. Nothing but a secret proves anything here.
pub async fn prove(
    app: &App,
    headers: &HeaderMap,
    in_body: (Option<&str>, Option<&str>),
    from: IpAddr,
) -> Result<Arc<Client>, WireError> {
    let credentials = secret::read(headers, in_body).map_err(|error| told(error, headers))?;
    examine(app, &credentials, from).await
}

async fn examine(
    app: &App,
    credentials: &Credentials,
    from: IpAddr,
) -> Result<Arc<Client>, WireError> {
    let client = app.clients.find(&credentials.client_id);
    let proved = client.filter(|client| match &credentials.secret {
        Some(secret) => is_its_secret(app, client, secret),
        None => client.auth_method() == AuthMethod::None,
    });
    match proved {
        Some(client) => Ok(client),
        None => Err(refuse(app, &credentials.client_id, credentials.challenge, None, from).await),
    }
}

fn is_its_secret(app: &App, client: &Client, secret: &Secret) -> bool {
    // A secret that is to be proved without being sent must not be sent.
    let known = client.secrets().find(secret.expose(), app.now());
    let known = known.filter(|_| client.auth_method().sends_secret());
    known.inspect(|known| note(app, client, *known)).is_some()
}

/// Tells, once, that a client still uses a secret that it is to do without.
fn note(app: &App, client: &Client, known: KnownSecret) {
    if known == KnownSecret::Previous && client.secrets().note_previous() {
        let client_id = client.id();
        tracing::warn!(client = %client_id, "it still uses a secret of clients.previous_secrets");
        app.audit.note(Event::done("previous_secret_used").client(client_id));
    }
}

fn told(error: OAuthError, headers: &HeaderMap) -> WireError {
    // RFC 6749 §5.2: whoever came with the header is told what the header has to be.
    let used =
        error.code == ErrorCode::InvalidClient && headers.contains_key(header::AUTHORIZATION);
    WireError { challenge: used.then_some(CHALLENGE), ..error.into() }
}

/// Refuses what is more than a wrong secret: the event says what it is, the answer does not.
async fn refuse_because(
    app: &App,
    caller: &Caller<'_>,
    client_id: &str,
    why: impl Into<String> + Send,
) -> WireError {
    refuse(app, client_id, None, Some(why.into()), caller.from).await
}

async fn refuse(
    app: &App,
    client_id: &str,
    challenge: Option<&'static str>,
    why: Option<String>,
    from: IpAddr,
) -> WireError {
    let known = app.clients.find(client_id).is_some();
    let client_id = ClientId::new(printable(client_id));
    let brake = throttle::client_failure(app, known.then_some(&client_id), from).await;
    let event = Event::refused("client_authentication", "invalid_client").client(&client_id);
    WireError {
        error: OAuthError::invalid_client("the client is unknown or its credentials are wrong"),
        event: Some(match why {
            Some(why) => event.detail("why", why),
            None => event,
        }),
        challenge,
        status: (brake == Brake::On).then_some(StatusCode::TOO_MANY_REQUESTS),
    }
}

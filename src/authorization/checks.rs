//! The checks of an authorization request, in their order (OIDC Core §3.1.2.2).
//!
//! Until client and redirect URI are proved, a fault is a page (RFC 6749 §4.1.2.1); from then on it
//! goes back to the client. The type [`RequestFault`] keeps the two apart.

use axum::http::StatusCode;

use super::pushed;
use crate::{
    app::App,
    audit::{Event, printable},
    clients::Client,
    dispatcher::Target,
    foundation::{
        clock::Span,
        digest::from_base64url,
        ids::{ClientId, UpstreamSlug, UserId},
    },
    interactions::AuthorizationRequest,
    protocol::{
        acr::Level,
        error::{ErrorCode, OAuthError},
        pkce::CodeChallenge,
        scope::Scope,
        words::{GrantType, Prompt, ResponseMode},
    },
    tokens::id_token,
    web::{error::PageError, params::Params},
};

const MAX_STATE: usize = 2_048;
const MAX_NONCE: usize = 1_024;
const MAX_HINT: usize = 320;

/// Why a request is not good, and who is told.
pub enum RequestFault {
    /// Nobody but the person may know: nothing is proved yet.
    ShowPage(Box<PageError>),
    /// The client is told, at an address that is proved to be its own.
    Redirect(Target, OAuthError),
}

impl From<PageError> for RequestFault {
    fn from(error: PageError) -> Self {
        Self::ShowPage(Box::new(error))
    }
}

/// By which way the parameters of a request have come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// Through the browser.
    Browser,
    /// From the client itself (RFC 9126).
    Pushed,
}

/// Checks a request that a browser brings.
pub async fn check(app: &App, params: &Params) -> Result<AuthorizationRequest, RequestFault> {
    let client = check_client(app, params)?;
    let pushed = pushed::find(app, &client, params).await?;
    // RFC 9126 §4: nothing that the browser brings beside them counts.
    let (params, way, name) = match &pushed {
        Some((own, name)) => (own, Way::Pushed, Some(name.clone())),
        None => (params, Way::Browser, None),
    };
    let mut target = target(&client, check_redirect_uri(&client, params)?);
    match check_rest(app, &client, (params, way), &mut target).await {
        Ok(request) => Ok(AuthorizationRequest { pushed: name, ..request }),
        Err(error) => Err(RequestFault::Redirect(target, error)),
    }
}

/// Checks a request that the client itself brings (RFC 9126 §2.1). It is told of every fault.
pub async fn check_pushed(
    app: &App,
    client: &Client,
    params: &Params,
) -> Result<AuthorizationRequest, OAuthError> {
    let redirect_uri = params.get("redirect_uri").unwrap_or_default();
    if !client.may_redirect_to(redirect_uri) {
        return Err(OAuthError::invalid_request("redirect_uri is not one that the client has"));
    }
    let mut target = target(client, redirect_uri.to_owned());
    check_rest(app, client, (params, Way::Pushed), &mut target).await
}

fn target(client: &Client, redirect_uri: String) -> Target {
    Target {
        client_id: client.id().clone(),
        redirect_uri,
        response_mode: ResponseMode::Query,
        state: None,
    }
}

/// Everything whose faults the client is told.
async fn check_rest(
    app: &App,
    client: &Client,
    (params, way): (&Params, Way),
    target: &mut Target,
) -> Result<AuthorizationRequest, OAuthError> {
    target.state = check_state(params)?;
    target.response_mode = check_response_mode(client, params)?;
    if way == Way::Browser && client.settings.require_pushed_authorization_requests {
        let fault = "the client has to push its requests (RFC 9126)";
        return Err(OAuthError::invalid_request(fault));
    }
    check_unsupported(params)?;
    check_response_type(client, params)?;
    let scope = check_scope(client, params)?;
    let code_challenge = check_pkce(app, client, params).await?;
    let nonce = check_length(params, "nonce", MAX_NONCE, "nonce is too long")?;
    let prompt = check_prompt(params)?;
    let max_age = check_max_age(params)?;
    let expected_user = check_id_token_hint(app, params)?;
    let level = params.get("acr_values").and_then(Level::least_of);
    // A hint that is too long is no hint.
    let login_hint = params.get("login_hint").filter(|hint| hint.len() <= MAX_HINT);
    Ok(AuthorizationRequest {
        client_id: client.id().clone(),
        redirect_uri: target.redirect_uri.clone(),
        response_mode: target.response_mode,
        scope,
        state: target.state.clone(),
        nonce,
        code_challenge,
        dpop_jkt: check_dpop_jkt(params)?,
        prompt,
        max_age,
        login_hint: login_hint.map(str::to_owned),
        upstream_hint: upstream_hint(app, params),
        level: level.max(client.settings.require_acr),
        expected_user,
        pushed: None,
    })
}

/// The upstream that the app would have the person sent to: by name, as apps that came from Keycloak
/// say it too, or by the domain of the organisation. One that is unknown here is no hint.
fn upstream_hint(app: &App, params: &Params) -> Option<UpstreamSlug> {
    let named = params.get("idp_hint").or_else(|| params.get("kc_idp_hint"));
    let by_name = || app.upstreams.find(named?);
    let by_domain = || app.upstreams.of_domain(params.get("domain_hint")?);
    by_name().or_else(by_domain).map(|upstream| upstream.slug().clone())
}

fn check_client(app: &App, params: &Params) -> Result<std::sync::Arc<Client>, PageError> {
    let client_id = params.get("client_id").unwrap_or_default();
    app.clients.find(client_id).ok_or_else(|| {
        let event = Event::refused("authorize", "client_unknown");
        PageError::new(
            "client_unknown",
            "This app is not known here",
            "The app that sent you here is not registered, or has been switched off.",
        )
        .next_step("Its administrator has to fix this; trying again will not help.")
        .detail("client_id", client_id)
        .event(event.client(&ClientId::new(printable(client_id))))
    })
}

/// The redirect URI, compared byte for byte (RFC 9700 §4.1.3). It is never left out, not even by a
/// client that has only one (OIDC Core §3.1.2.1).
fn check_redirect_uri(client: &Client, params: &Params) -> Result<String, PageError> {
    let received = params.get("redirect_uri").unwrap_or_default();
    if client.may_redirect_to(received) {
        return Ok(received.to_owned());
    }
    let registered = client.settings.redirect_uris.join(" ");
    let event = Event::refused("authorize", "redirect_uri_mismatch").client(client.id());
    let name = &client.settings.name;
    let page = PageError::new(
        "redirect_uri_mismatch",
        "The app's address is not registered here",
        format!("{name} asked to send you to an address that is not registered for it."),
    )
    .status(StatusCode::BAD_REQUEST)
    .next_step("Its administrator has to fix this; trying again will not help.")
    .detail("client_id", client.id().as_str())
    .detail("received", received);
    Err(page.event(event.detail("registered", registered)))
}

fn check_state(params: &Params) -> Result<Option<String>, OAuthError> {
    check_length(params, "state", MAX_STATE, "state is longer than 2048 bytes")
}

fn check_length(
    params: &Params,
    name: &str,
    most: usize,
    fault: &'static str,
) -> Result<Option<String>, OAuthError> {
    match params.get(name) {
        Some(value) if value.len() > most => Err(OAuthError::invalid_request(fault)),
        value => Ok(value.map(str::to_owned)),
    }
}

/// Only a mode that the client has (AZ-16).
fn check_response_mode(client: &Client, params: &Params) -> Result<ResponseMode, OAuthError> {
    let word = params.get("response_mode").unwrap_or(ResponseMode::Query.as_str());
    // JARM §2.3.4: the default of `code`, signed.
    let word = if word == "jwt" { ResponseMode::QueryJwt.as_str() } else { word };
    let mode = ResponseMode::from_word(word);
    mode.filter(|mode| client.settings.response_modes.contains(mode))
        .ok_or_else(|| OAuthError::invalid_request("response_mode is not one that the client has"))
}

/// What we do not do is refused, not ignored (OIDC Core §6.1, §7.2.1).
fn check_unsupported(params: &Params) -> Result<(), OAuthError> {
    let unsupported = [
        ("request", ErrorCode::RequestNotSupported),
        ("request_uri", ErrorCode::RequestUriNotSupported),
        ("registration", ErrorCode::RegistrationNotSupported),
    ];
    match unsupported.into_iter().find(|(name, _)| params.get(name).is_some()) {
        Some((_, code)) => Err(OAuthError::new(code, "this parameter is not supported")),
        None => Ok(()),
    }
}

fn check_response_type(client: &Client, params: &Params) -> Result<(), OAuthError> {
    match params.get("response_type") {
        None => Err(OAuthError::invalid_request("response_type is missing")),
        Some("code") if client.may_use(GrantType::AuthorizationCode) => Ok(()),
        Some("code") => Err(OAuthError::unauthorized_client("the client may not ask for a code")),
        Some(_) => Err(OAuthError::unsupported_response_type("only code is supported")),
    }
}

/// Unknown scopes are ignored (OIDC Core §3.1.2.1), known ones that the client may not have are
/// dropped; the answer says what was granted.
fn check_scope(client: &Client, params: &Params) -> Result<Scope, OAuthError> {
    let asked = Scope::parse(params.get("scope").unwrap_or_default())
        .ok_or_else(|| OAuthError::invalid_scope("scope is too long or cannot be read"))?;
    let granted = asked.limited_to(&client.scope);
    if granted.is_empty() {
        return Err(OAuthError::invalid_scope("nothing of the scope can be granted"));
    }
    let dropped = asked.beyond(&granted);
    if !dropped.is_empty() {
        tracing::debug!(client = %client.id(), dropped = dropped.join(" "), "scopes dropped");
    }
    Ok(granted)
}

/// PKCE with `S256` (RFC 7636 §4.3, RFC 9700 §2.1.1).
async fn check_pkce(
    app: &App,
    client: &Client,
    params: &Params,
) -> Result<Option<CodeChallenge>, OAuthError> {
    let method = params.get("code_challenge_method");
    match params.get("code_challenge") {
        Some(challenge) => {
            if method != Some("S256") {
                return Err(OAuthError::invalid_request("code_challenge_method must be S256"));
            }
            let challenge = CodeChallenge::parse(challenge)
                .ok_or_else(|| OAuthError::invalid_request("code_challenge is malformed"))?;
            Ok(Some(challenge))
        }
        None if method.is_some() => Err(OAuthError::invalid_request("code_challenge is missing")),
        None if app.clients.requires_pkce(client, async || app.connection().await).await? => {
            Err(OAuthError::invalid_request("PKCE is required: code_challenge is missing"))
        }
        None => Ok(None),
    }
}

/// The thumbprint of a key, by SHA-256 (RFC 9449 §10).
fn check_dpop_jkt(params: &Params) -> Result<Option<String>, OAuthError> {
    let thumbprint = params.get("dpop_jkt");
    let is_one = |text: &str| from_base64url(text).is_some_and(|bytes| bytes.len() == 32);
    if thumbprint.is_some_and(|text| !is_one(text)) {
        return Err(OAuthError::invalid_request("dpop_jkt is no thumbprint of a key"));
    }
    Ok(thumbprint.map(str::to_owned))
}

fn check_prompt(params: &Params) -> Result<Vec<Prompt>, OAuthError> {
    let words = params.get("prompt").unwrap_or_default().split(' ').filter(|w| !w.is_empty());
    let prompts: Option<Vec<Prompt>> = words.map(Prompt::from_word).collect();
    let prompts =
        prompts.ok_or_else(|| OAuthError::invalid_request("prompt holds an unknown word"))?;
    if prompts.contains(&Prompt::None) && prompts.len() > 1 {
        return Err(OAuthError::invalid_request("prompt=none stands alone"));
    }
    Ok(prompts)
}

fn check_max_age(params: &Params) -> Result<Option<Span>, OAuthError> {
    let Some(text) = params.get("max_age") else {
        return Ok(None);
    };
    let fault = || OAuthError::invalid_request("max_age is not a number of seconds");
    text.parse().map(Span::from_seconds).map(Some).map_err(|error| fault().because(error))
}

/// A hint that is there has to be an ID token of ours (AZ-26).
fn check_id_token_hint(app: &App, params: &Params) -> Result<Option<UserId>, OAuthError> {
    let Some(token) = params.get("id_token_hint") else {
        return Ok(None);
    };
    let hint = id_token::verify_hint(&app.keys, app.urls.issuer(), token);
    let hint = hint.ok_or_else(|| {
        OAuthError::invalid_request("id_token_hint is not an ID token of this issuer")
    })?;
    Ok(Some(hint.user_id))
}

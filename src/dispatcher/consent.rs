//! Consent: whether the person has agreed to what the app may know and do (OIDC Core §3.1.2.4).
//!
//! Most apps are trusted by the administrator for everybody. Of the others, and wherever an app wants its
//! people to be asked, nothing leaves the house before the person has said yes on our page.

use axum::response::Response;

use crate::{
    app::App,
    config::ConsentPolicy,
    foundation::clock::Timestamp,
    interactions::{self, AuthorizationRequest, ConsentWord, Interaction},
    protocol::{scope::Scope, words::Prompt},
    store::{
        StoreError, StoreResult,
        consents::{self, Consent},
        sessions::Session,
    },
    urls,
    web::{error::PageError, pages::see_other},
};

/// Whether the person of this session has agreed to all that the app asks for.
pub(super) async fn is_given(
    app: &App,
    interaction: &Interaction,
    request: &AuthorizationRequest,
    session: &Session,
) -> StoreResult<bool> {
    if interaction.consent == Some(ConsentWord::Given(session.id.clone())) {
        return Ok(true);
    }
    if request.prompts(Prompt::Consent) || is_claimable(&request.redirect_uri) {
        return Ok(false);
    }
    let client = app.clients.find(request.client_id.as_str());
    if client.is_some_and(|client| client.settings.consent == ConsentPolicy::Never) {
        return Ok(true);
    }
    let mut connection = app.connection().await?;
    let consent = consents::find(&mut connection, &session.user_id, &request.client_id).await;
    let agreed = consent.map_err(StoreError::from)?.map(|row| Scope::from(row.scope));
    Ok(agreed.is_some_and(|agreed| request.scope.is_within(&agreed)))
}

/// Whether any app on a device can have itself called at this address: one of a scheme that is nobody's
/// (RFC 8252 §7.1, §8.6). There nobody is answered for without having said so (AZ-10).
fn is_claimable(redirect_uri: &str) -> bool {
    let is_web =
        |scheme: &str| ["https", "http"].iter().any(|web| scheme.eq_ignore_ascii_case(web));
    redirect_uri.split_once(':').is_none_or(|(scheme, _)| !is_web(scheme))
}

/// Lets the sign-in wait for the person's word.
pub(super) async fn ask(
    app: &App,
    mut interaction: Interaction,
    session: &Session,
) -> Result<Response, PageError> {
    interaction.consent = Some(ConsentWord::Asked(session.id.clone()));
    let kept = interactions::put(&app.state, &mut interaction).await;
    kept.map_err(|error| PageError::from(error).trace(&interaction.trace_id))?;
    Ok(see_other(&urls::consent(&interaction.flow)))
}

/// What somebody has agreed to once they agree to this request too.
pub fn with(
    former: Option<Consent>,
    request: &AuthorizationRequest,
    session: &Session,
    now: Timestamp,
) -> Consent {
    let agreed = former.as_ref().map(|row| Scope::from(row.scope.clone())).unwrap_or_default();
    let scope: Scope = agreed.iter().chain(request.scope.iter()).collect();
    Consent {
        user_id: session.user_id.clone(),
        client_id: request.client_id.clone(),
        scope: scope.to_string(),
        given_at: former.map_or(now, |row| row.given_at),
        updated_at: now,
    }
}

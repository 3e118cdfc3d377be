//! Signing in without a page (OIDC Core §3.1.2.1, `prompt=none`).
//!
//! Somebody for whose session their upstream has to stand again is sent there without a page, and
//! comes back without one if they are signed in there still. Nobody else is: that somebody may be
//! signed in at an upstream is no reason to sign them in here. Whatever goes wrong, no page is shown;
//! the app hears that the person has to sign in.

use axum::{http::StatusCode, response::Response};

use super::{Target, Ways, depart, refuse, ways::client_of};
use crate::{
    app::App, foundation::clock::Timestamp, interactions::Interaction, protocol::error::OAuthError,
    web::error::PageError,
};

const NOT_ASKED: OAuthError =
    OAuthError::login_required("the upstream cannot be asked without a page");

/// Sends the person to the upstream that has to speak of them anew, if it can be asked.
pub(super) async fn ask(
    app: &App,
    interaction: Interaction,
    now: Timestamp,
) -> Result<Response, PageError> {
    let asked = interaction.clone();
    let departed = async {
        let ways = Ways::of(app, &interaction, now).await?;
        match ways.silent(&interaction) {
            Some(upstream) => depart(app, upstream, interaction, now).await.map(Some),
            None => Ok(None),
        }
    };
    match departed.await {
        Ok(Some(response)) => Ok(response),
        Ok(None) => {
            let request = asked.request().ok_or_else(PageError::not_found)?;
            Ok(refuse(app, &Target::of(request), &NOT_ASKED, &asked.trace_id, Some(&asked)))
        }
        Err(page) => without_page(app, &asked, page),
    }
}

/// Tells the app what would have been a page, if the app wants none to be shown (OIDC Core §3.1.2.6)
/// and is still one of ours (AZ-28).
pub fn without_page(
    app: &App,
    interaction: &Interaction,
    page: PageError,
) -> Result<Response, PageError> {
    let silent = interaction.is_silent() && client_of(app, interaction).is_some();
    let Some(request) = interaction.request().filter(|_| silent) else {
        return Err(page);
    };
    let error = match page.status {
        StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS => {
            OAuthError::temporarily_unavailable("nobody can be signed in at the moment")
        }
        StatusCode::INTERNAL_SERVER_ERROR => OAuthError::server_error("something is broken here"),
        _ => OAuthError::login_required("the person cannot be signed in without a page"),
    };
    let trace = &interaction.trace_id;
    if let Some(event) = page.event {
        app.audit.note(event.trace(trace));
    }
    let error = match page.source {
        Some(cause) => error.because(cause),
        None => error,
    };
    Ok(refuse(app, &Target::of(request), &error, trace, Some(interaction)))
}

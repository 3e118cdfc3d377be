//! `GET /upstream/{slug}/start`: off to the upstream that the person has chosen.

use axum::{
    extract::{Path, Request, State},
    response::Response,
};

use super::not_accepted;
use crate::{
    app::App,
    audit::Event,
    dispatcher,
    web::{address, error::PageError, flow, params, throttle},
};

/// `GET /upstream/{slug}/start`.
pub async fn start(
    State(app): State<App>,
    Path(slug): Path<String>,
    request: Request,
) -> Result<Response, PageError> {
    let now = app.now();
    let from = address::of(&app, request.extensions(), request.headers());
    let (headers, params) = params::of_page(request).await?;
    let Some(upstream) = app.upstreams.find(&slug) else {
        return Err(PageError::not_found());
    };
    let (mut interaction, _) = flow::find(&app, &headers, &params).await?;
    if !dispatcher::accepts(&app, &interaction, Some(upstream.slug())) {
        let event = Event::refused("sign_in", "upstream_not_allowed").upstream(upstream.slug());
        return Err(not_accepted(&interaction, &upstream.settings.name, event));
    }
    // Whoever takes a button is not who the typed name says.
    interaction.identifier = None;
    throttle::begin_flow(&app, from, now).map_err(|error| error.trace(&interaction.trace_id))?;
    dispatcher::depart(&app, upstream, interaction, now).await
}

//! Answers of upstreams that the browser posts (OAuth 2.0 Form Post Response Mode).
//!
//! Such a post comes from the upstream's page, so the browser leaves our cookies at home, and nothing
//! shows whose browser it is. The answer is parked beside the departure that its `state` names, and
//! the browser is sent to fetch it: with its cookies, and without a code in any address. Whoever
//! knows a `state` can park something under it, as they could put something into an address; the
//! nonce and the PKCE verifier of the departure tell what belongs to it.

use axum::response::Response;
use url::form_urlencoded;

use super::departure::{failed, find, state_in};
use crate::{
    app::App,
    ephemeral::{Key, KeyKind},
    federation::Upstream,
    foundation::opaque::Opaque,
    urls,
    web::{error::PageError, pages::see_other, params::Params},
};

/// What an answer may hold. Nothing else is kept.
const KEPT: [&str; 6] = ["code", "state", "iss", "error", "error_description", "user"];
/// An answer larger than this is none.
const MAX_ANSWER: usize = 8 * 1_024;

/// Parks an answer and sends the browser to fetch it. Only for a departure that there is: strangers
/// cannot fill the store, and each departure has one place.
pub async fn park_answer(
    app: &App,
    upstream: &Upstream,
    params: &Params,
) -> Result<Response, PageError> {
    let Some((state, presented)) = state_in(params).zip(params.get("state")) else {
        return Err(failed("state_unknown"));
    };
    let Some(departure) = find(app, &state).await? else {
        return Err(failed("state_unknown"));
    };
    let trace = &departure.interaction.trace_id;
    if !departure.is_to(upstream) {
        return Err(failed("upstream_mix_up").trace(trace));
    }
    let kept = KEPT.iter().filter_map(|name| Some((*name, params.get(name)?)));
    let answer = form_urlencoded::Serializer::new(String::new()).extend_pairs(kept).finish();
    if answer.len() > MAX_ANSWER {
        return Err(failed("upstream_answer_too_large").trace(trace));
    }
    let life = KeyKind::UpstreamAnswer.life();
    let parked = app.state.put(&key(&state), &answer, life).await;
    parked.map_err(|error| PageError::from(error).trace(trace))?;
    Ok(see_other(&urls::upstream_answer(upstream.slug(), presented)))
}

/// The answer that was parked under the state of this address, once; an empty one if there is none.
pub async fn fetch_answer(app: &App, params: &Params) -> Result<Params, PageError> {
    let Some(state) = state_in(params) else {
        return Ok(Params::default());
    };
    let parked = app.state.take::<String>(&key(&state)).await?;
    Ok(Params::read(parked.unwrap_or_default().as_bytes())?)
}

fn key(state: &Opaque) -> Key {
    Key::of_digest(KeyKind::UpstreamAnswer, &state.digest())
}

//! The logout endpoint (OIDC RP-Initiated Logout §2).

use axum::response::Response;
use url::Url;

use super::requests::Recorded;
use super::server::answer;
use super::state::State;

/// Ends the person's session and goes where the relying party asks.
pub(super) fn serve(state: &mut State, request: &Recorded) -> Response {
    state.signed_in = false;
    let target = request.param("post_logout_redirect_uri").and_then(|uri| Url::parse(uri).ok());
    let Some(mut target) = target else {
        return answer::page(200, "You are signed out of the upstream.");
    };
    if let Some(value) = request.param("state") {
        target.query_pairs_mut().append_pair("state", value);
    }
    answer::see_other(&target)
}

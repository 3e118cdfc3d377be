//! Finding the sign-in in progress that an address names, for the browser it belongs to.

use axum::http::{HeaderMap, StatusCode};

use super::{browser::BrowserMark, error::PageError, params::Params};
use crate::{
    accounts::invitations::Useless,
    app::App,
    audit::Event,
    interactions::{self, Interaction},
    urls,
};

/// The name of the parameter that holds a flow's name.
pub const FLOW: &str = "flow";

/// The interaction that `flow` names, if it is alive and of this browser.
pub async fn find(
    app: &App,
    headers: &HeaderMap,
    params: &Params,
) -> Result<(Interaction, BrowserMark), PageError> {
    let Some(flow) = params.get(FLOW) else {
        return Err(expired());
    };
    let Some(interaction) = interactions::find(&app.state, flow).await? else {
        return Err(expired());
    };
    let mark = BrowserMark::find(app, headers);
    match mark.filter(|mark| interaction.belongs_to(&mark.digest())) {
        Some(mark) => Ok((interaction, mark)),
        None => Err(foreign(&interaction)),
    }
}

/// The sign-in was open too long, or is finished.
pub fn expired() -> PageError {
    PageError::new(
        "flow_expired",
        "This sign-in was open too long",
        "It has ended, or it was finished in another tab.",
    )
    .next_step("Go back to the app and sign in from there again.")
    .action("/account", "Go to your account")
    .event(Event::refused("sign_in", "flow_expired"))
}

/// The invitation is of no use (LK-17). Whoever has not got the secret of one learns nothing by it.
pub fn useless_invitation(useless: Useless) -> PageError {
    let (heading, why) = match useless {
        Useless::Unknown => (
            "There is no such invitation",
            "The link is not complete, or it was never made here. Links in mails can lose their end.",
        ),
        Useless::Expired => ("This invitation has ended", "It was good until a while ago."),
        Useless::Used => ("This invitation was used", "It has let in as many as it was made for."),
        Useless::Revoked => {
            ("This invitation was taken back", "Whoever made it does not want it used.")
        }
    };
    PageError::new(useless.reason(), heading, why)
        .status(StatusCode::GONE)
        .next_step(
            "Ask whoever invited you for a new one. If you have an account already, sign in.",
        )
        .action(urls::path::ACCOUNT, "Sign in")
}

/// Somebody else's sign-in, or cookies are blocked (AZ-22).
fn foreign(interaction: &Interaction) -> PageError {
    PageError::new(
        "flow_not_yours",
        "This sign-in belongs to another browser",
        "The address you opened continues a sign-in that was begun somewhere else.",
    )
    .status(StatusCode::FORBIDDEN)
    .next_step("If you wanted to sign in, start again from the app, with cookies allowed.")
    .trace(&interaction.trace_id)
    .event(Event::refused("sign_in", "flow_not_yours").detail("story", interaction.story()))
}

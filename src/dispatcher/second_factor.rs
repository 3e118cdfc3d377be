//! Second factors in a sign-in: who has to give one, and how the sign-in waits for it.
//!
//! Whose password was right and who has a second factor is nobody yet (MF-01): no session begins, and
//! what was proved stays with the sign-in for ten minutes. A session that is worth too little for what
//! is asked is raised by the factor alone (RFC 9470 §4). Whoever must have one and has none sets it up
//! on the way; where an app merely asks, it hears that the person cannot reach that level.

use axum::response::Response;

use super::ways::client_of;
use crate::{
    app::App,
    clients::Client,
    foundation::{
        clock::{Span, Timestamp},
        ids::UserId,
    },
    interactions::{self, Half, HalfBy, Interaction},
    protocol::{acr::Level, words::Prompt},
    store::{
        Connection, StoreError, StoreResult, passkeys,
        sessions::Session,
        totp_factors::{self, TotpFactor},
        users,
    },
    urls,
    web::{error::PageError, pages::see_other},
};

/// How long the first half of a sign-in counts.
const HALF_LIFE: Span = Span::from_minutes(10);

/// What is left to do for somebody who has proved one thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remaining {
    /// Nothing.
    Nothing,
    /// A second factor has to be given.
    Factor,
    /// A second factor has to be set up.
    Enrolment,
}

/// What is left to do for somebody whose password was right. `remembered` says whether this browser
/// need not ask for these factors; that never counts for who needs a level, or a new proof.
pub async fn after_password(
    app: &App,
    conn: &mut Connection,
    interaction: &Interaction,
    user: &UserId,
    remembered: impl FnOnce(&[TotpFactor]) -> bool,
) -> StoreResult<Remaining> {
    let factors = totp_factors::list_of_user(conn, user).await?;
    let required = is_required(app, conn, interaction, user).await?;
    if factors.is_empty() {
        if required && has_passkey(app, conn, user).await? {
            return Ok(Remaining::Factor);
        }
        let enrols = required && app.config.second_factors.can_be_set_up();
        return Ok(if enrols { Remaining::Enrolment } else { Remaining::Nothing });
    }
    let request = interaction.request();
    let anew = interaction.prompts(Prompt::Login)
        || request.is_some_and(|request| request.max_age.is_some());
    let level = request.is_some_and(|request| request.level > Some(Level::SingleFactor));
    let spared = !required && !anew && !level && remembered(&factors);
    Ok(if spared { Remaining::Nothing } else { Remaining::Factor })
}

/// What is left to do in the sign-in that has just led to this session.
pub(super) async fn in_session(
    app: &App,
    interaction: &Interaction,
    session: &Session,
) -> StoreResult<Remaining> {
    let level = interaction.request().and_then(|request| request.level);
    let wanted = level == Some(Level::MultiFactor) || interaction.is_proof();
    let by_groups = !app.config.second_factors.required_for_groups.is_empty();
    let reached = session.acr >= Some(Level::MultiFactor) || level > Some(Level::MultiFactor);
    if reached || !(wanted || by_groups) {
        return Ok(Remaining::Nothing);
    }
    let mut connection = app.connection().await?;
    let user = &session.user_id;
    let required = is_required(app, &mut connection, interaction, user).await?;
    if !(wanted || required) {
        return Ok(Remaining::Nothing);
    }
    remaining(app, &mut connection, user, required).await
}

/// What is left to do for somebody whose second factor is asked for.
pub async fn of_half(
    app: &App,
    conn: &mut Connection,
    interaction: &Interaction,
    half: &Half,
) -> StoreResult<Remaining> {
    let required = is_required(app, conn, interaction, &half.user_id).await?;
    remaining(app, conn, &half.user_id, required).await
}

async fn remaining(
    app: &App,
    conn: &mut Connection,
    user: &UserId,
    required: bool,
) -> StoreResult<Remaining> {
    let has = !totp_factors::list_of_user(conn, user).await?.is_empty()
        || (required && has_passkey(app, conn, user).await?);
    let enrols = required && app.config.second_factors.can_be_set_up();
    Ok(match (has, enrols) {
        (true, _) => Remaining::Factor,
        (false, true) => Remaining::Enrolment,
        (false, false) => Remaining::Nothing,
    })
}

/// Whether the account has a passkey. Who has one shows it where two factors are required: to set up
/// another factor with the password alone would be a way round it.
async fn has_passkey(app: &App, conn: &mut Connection, user: &UserId) -> StoreResult<bool> {
    Ok(app.passkeys.is_some() && !passkeys::list_of_user(conn, user).await?.is_empty())
}

/// Whether this person must prove two factors here, for an app or for a group of theirs.
pub async fn is_required(
    app: &App,
    conn: &mut Connection,
    interaction: &Interaction,
    user: &UserId,
) -> StoreResult<bool> {
    let settings = &app.config.second_factors;
    if client_of(app, interaction).is_some_and(|client| requires(&client)) {
        return Ok(true);
    }
    if settings.required_for_groups.is_empty() {
        return Ok(false);
    }
    let person = users::find_person(conn, user).await?;
    Ok(person.is_some_and(|person| settings.required_for(&person.groups())))
}

fn requires(client: &Client) -> bool {
    client.settings.require_acr == Some(Level::MultiFactor)
}

/// Whether somebody could reach this level here with a password and something more.
pub(super) async fn could_reach(
    app: &App,
    interaction: &Interaction,
    level: Level,
) -> StoreResult<bool> {
    if level != Level::MultiFactor {
        return Ok(level < Level::MultiFactor);
    }
    let enrols = client_of(app, interaction).is_some_and(|client| requires(&client));
    if enrols && app.config.second_factors.can_be_set_up() {
        return Ok(true);
    }
    Ok(totp_factors::any(&mut app.connection().await?).await?)
}

/// Whether nothing is left to be proved by somebody in this session: a second factor has to have been
/// given where there is one (MF-03).
pub async fn is_whole(app: &App, session: &Session) -> StoreResult<bool> {
    Ok(session.acr >= Some(Level::MultiFactor) || !has(app, &session.user_id).await?)
}

/// Whether an account has a second factor.
pub async fn has(app: &App, user: &UserId) -> StoreResult<bool> {
    let mut connection = app.connection().await?;
    let factors = totp_factors::list_of_user(&mut connection, user).await;
    Ok(!factors.map_err(StoreError::from)?.is_empty())
}

/// Lets the sign-in wait for the second factor of who has proved the first. The step has claimed it.
pub async fn ask(
    app: &App,
    mut interaction: Interaction,
    half: Half,
) -> Result<Response, PageError> {
    interaction.half = Some(half);
    let kept = interactions::put(&app.state, &mut interaction).await;
    kept.map_err(|error| PageError::from(error).trace(&interaction.trace_id))?;
    Ok(see_other(&urls::second_factor(&interaction.flow)))
}

/// The same for who has a session that is to be worth more.
pub(super) async fn ask_in_session(
    app: &App,
    interaction: Interaction,
    session: &Session,
    now: Timestamp,
) -> Result<Response, PageError> {
    let by = HalfBy::Session(session.id.clone());
    ask(app, interaction, Half { user_id: session.user_id.clone(), at: now, by }).await
}

/// The half that a sign-in has come to, if it still counts.
pub fn half_of(interaction: &Interaction, now: Timestamp) -> Option<&Half> {
    interaction.half.as_ref().filter(|half| now.since(half.at) < HALF_LIFE)
}

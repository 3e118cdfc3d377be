//! `POST /account/sessions/end`: ending one of one's own sessions.

use axum::{
    extract::{Request, State},
    http::StatusCode,
    response::Response,
};

use crate::{
    app::App,
    audit::Event,
    foundation::ids::SessionId,
    sessions,
    store::{StoreError, audit_events, grants::RevokedBecause, sessions as session_rows},
    urls,
    web::{browser, csrf, error::PageError, pages::see_other, params},
};

/// `POST /account/sessions/end`. Somebody else's session is as unknown as none (SS-11).
pub async fn end(State(app): State<App>, request: Request) -> Result<Response, PageError> {
    let now = app.now();
    let (headers, params) = params::of_page(request).await?;
    if !csrf::is_own(&app, &headers, params.get(csrf::FIELD)) {
        let event = Event::refused("end_session", "form_not_ours");
        return Err(PageError::forged_form().event(event));
    }
    let Some(session) = browser::session(&app, &headers, now).await? else {
        return Ok(see_other(urls::path::ACCOUNT));
    };
    let handle = SessionId::new(params.get("handle").unwrap_or_default().replace('\0', ""));
    let own = &session.person.user.id;
    let mut connection = app.connection().await?;
    let found = session_rows::find(&mut connection, &handle).await.map_err(StoreError::from)?;
    let Some((row, _)) = found.filter(|(row, _)| row.user_id == *own) else {
        return Err(unknown().event(Event::refused("end_session", "session_unknown").user(own)));
    };
    let event = Event::done("end_session").user(own).detail("session", handle.as_str());
    let event = event.row(now, app.random());
    connection
        .transaction(async |conn| {
            sessions::end(conn, &row, &app.clients, RevokedBecause::SignedOut, now).await?;
            audit_events::insert(conn, &event).await?;
            Ok::<_, StoreError>(())
        })
        .await?;
    Ok(see_other(urls::path::ACCOUNT))
}

fn unknown() -> PageError {
    PageError::new("session_unknown", "There is no such session", "It may have ended already.")
        .status(StatusCode::NOT_FOUND)
        .action(urls::path::ACCOUNT, "Go to your account")
}

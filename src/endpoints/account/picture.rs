//! `POST /account/picture`: one's picture, another one, or none any more.

use axum::{
    extract::{Request, State},
    http::StatusCode,
    response::Response,
};
use bytes::Bytes;

use super::own;
use crate::{
    accounts::pictures::{MAX_FILE, PictureFault, Place},
    app::{App, Whence},
    audit::Event,
    foundation::{digest::base64url, random},
    sessions::LiveSession,
    store::{
        StoreResult, audit_events,
        pictures::{self, Picture},
        users,
    },
    urls::path,
    web::{address, browser, error::PageError, multipart, pages::see_other},
};

const ACTION: &str = "picture_change";
/// A file and the few fields around it.
pub const MAX_BODY: usize = MAX_FILE + 16 * 1_024;

/// `POST /account/picture`.
pub async fn change(State(app): State<App>, request: Request) -> Result<Response, PageError> {
    let now = app.now();
    let from = address::of(&app, request.extensions(), request.headers()).to_string();
    let headers = request.headers().clone();
    // Nobody's files are read who is not here.
    if browser::held_session(&app, &headers, None, now).await?.is_none() {
        return Ok(see_other(path::ACCOUNT));
    }
    let Some(place) = app.pictures.admit() else {
        let busy = anyhow::anyhow!("too many pictures are being uploaded");
        return Err(PageError::unavailable(busy).event(Event::refused(ACTION, "busy")));
    };
    let form = multipart::of_page(request, "picture").await?;
    let Some(session) = own::proved(&app, ACTION, &headers, &form.params, now).await? else {
        return Ok(see_other(path::ACCOUNT));
    };
    let whence = Whence { address: &from, at: now };
    if form.params.get("remove").is_some() {
        remove(&app, &session, whence).await?;
        return Ok(see_other(path::MY_PROFILE));
    }
    let content = draw(&app, &session, place, form.file).await?;
    keep(&app, &session, content, whence).await?;
    Ok(see_other(path::MY_PROFILE))
}

async fn draw(
    app: &App,
    session: &LiveSession,
    place: Place,
    file: Option<Bytes>,
) -> Result<Vec<u8>, PageError> {
    let refused = |reason: &'static str, explanation: String| {
        let event = Event::refused(ACTION, reason).user(&session.person.user.id);
        PageError::new(reason, "This is not a picture that can be shown", explanation)
            .status(StatusCode::UNPROCESSABLE_ENTITY)
            .next_step("Choose a PNG, JPEG or WebP picture of at most 2 MB.")
            .action(path::MY_PROFILE, "Back to your profile")
            .event(event)
    };
    let Some(file) = file.filter(|file| !file.is_empty()) else {
        return Err(refused("picture_missing", "No file was chosen.".to_owned()));
    };
    if file.len() > MAX_FILE {
        return Err(refused("picture_size", "The file is larger than 2 MB.".to_owned()));
    }
    let drawn = app.pictures.draw(place, file).await;
    drawn.map_err(|fault| refused(reason(fault), format!("The file {fault}.")))
}

const fn reason(fault: PictureFault) -> &'static str {
    match fault {
        PictureFault::Kind => "picture_kind",
        PictureFault::Size => "picture_size",
        PictureFault::Animated => "picture_animated",
        PictureFault::Damaged => "picture_damaged",
    }
}

/// Under a new name each time, so that nobody is shown an old one from a cache.
async fn keep(
    app: &App,
    session: &LiveSession,
    content: Vec<u8>,
    whence: Whence<'_>,
) -> StoreResult<()> {
    let user = &session.person.user.id;
    let name = base64url(&random::bytes::<32>(app.random()));
    let address = app.urls.picture(&name);
    let picture = Picture { user_id: user.clone(), name, content, created_at: whence.at };
    let event = Event::done(ACTION).user(user).address(whence.address);
    let event = event.row(whence.at, app.random());
    let mut connection = app.connection().await?;
    connection
        .transaction(async |conn| {
            if own::still(conn, session).await?.is_none() {
                return Ok(());
            }
            pictures::replace(conn, &picture).await?;
            users::set_own_picture(conn, user, Some(&address), whence.at).await?;
            audit_events::insert(conn, &event).await?;
            Ok(())
        })
        .await
}

async fn remove(app: &App, session: &LiveSession, whence: Whence<'_>) -> StoreResult<()> {
    let user = &session.person.user.id;
    let event = Event::done("picture_removal").user(user).address(whence.address);
    let event = event.row(whence.at, app.random());
    let mut connection = app.connection().await?;
    connection
        .transaction(async |conn| {
            if own::still(conn, session).await?.is_some() && pictures::delete(conn, user).await? {
                users::set_own_picture(conn, user, None, whence.at).await?;
                audit_events::insert(conn, &event).await?;
            }
            Ok(())
        })
        .await
}

//! RP-Initiated Logout 1.0: an app, or the person, ends the browser's session.
//!
//! An ID token of this very session is proof enough to end it at once. Everything else asks the
//! person first, and only an address that the client has registered is ever redirected to.

pub mod at_upstream;
pub mod backchannel;
pub mod frontchannel;
mod upstream_sessions;

use askama::Template;
use axum::{
    extract::{Request, State},
    http::{HeaderMap, Method, StatusCode},
    response::Response,
};

use crate::{
    app::App,
    audit::Event,
    clients::Client,
    foundation::clock::{Span, Timestamp},
    sessions::{self, LiveSession},
    store::{StoreError, audit_events, grants::RevokedBecause},
    tokens::id_token::{self, Hint},
    urls,
    web::{
        browser::{self, BrowserMark},
        cookies::{self, Cookie},
        csrf,
        error::{Link, PageError},
        pages::{Detail, PageFrame, page, see_other},
        params::{self, Params},
    },
};

const MAX_STATE: usize = 2_048;
/// For how long after a sign-out the next sign-in begins with a choice.
const SIGNED_OUT_LIFE: Span = Span::from_hours(1);

#[derive(Template)]
#[template(path = "logout/confirm.html")]
struct ConfirmPage {
    page: PageFrame,
    csrf: String,
    account_name: String,
    app_name: Option<String>,
    fields: Vec<Detail>,
}

#[derive(Template)]
#[template(path = "logout/signed_out.html")]
struct SignedOutPage {
    page: PageFrame,
    return_link: Option<Link>,
    sign_in_href: &'static str,
    ended: Vec<String>,
    remaining: Vec<String>,
}

/// What an app asks for, as far as it can be believed.
struct Asked {
    client: Option<std::sync::Arc<Client>>,
    hint: Option<Hint>,
    /// The address to go to afterwards, if it is registered, with `state`.
    redirect: Option<String>,
}

/// `GET` and `POST /logout`.
pub async fn logout(State(app): State<App>, request: Request) -> Result<Response, PageError> {
    let now = app.now();
    let posted = request.method() == Method::POST;
    let (headers, params) = params::of_page(request).await?;
    let asked = read(&app, &params);
    let session = browser::session(&app, &headers, now).await?;
    let confirmed = posted && params.get("confirm").is_some();
    let Some(session) = session else {
        if posted && !confirmed {
            // Browsers hold back `SameSite=Lax` cookies when another site posts. As a GET the same
            // request brings them; until then nobody is told that they are signed out.
            return Ok(see_other(&format!("{}?{}", urls::path::LOGOUT, params.to_query())));
        }
        return Ok(signed_out(&app, &headers, None, &asked));
    };
    if confirmed && !csrf::is_own(&app, &headers, params.get(csrf::FIELD)) {
        return Err(PageError::forged_form().event(Event::refused("sign_out", "form_not_ours")));
    }
    if confirmed || is_proved(&asked, &session) {
        // What the way out needs is gone with the session.
        let way_out = at_upstream::way_out(&app, &session, &asked, now).await;
        end(&app, &session, &asked, now).await?;
        let mut response = match way_out {
            Some(address) => leave(&app, &headers, see_other(&address)),
            None => signed_out(&app, &headers, Some(&session), &asked),
        };
        // Nobody is signed in again behind their back: the next sign-in begins with a choice.
        let mark = cookies::set(Cookie::SignedOut, "yes", SIGNED_OUT_LIFE, &app.urls);
        cookies::add(response.headers_mut(), mark);
        return Ok(response);
    }
    Ok(confirm(&app, &headers, &params, &asked, &session))
}

/// Reads what the app asks. A hint that is not an ID token of ours is no hint (LO-03).
fn read(app: &App, params: &Params) -> Asked {
    let token = params.get("id_token_hint");
    let hint = token.and_then(|token| id_token::verify_hint(&app.keys, app.urls.issuer(), token));
    let named = params.get("client_id");
    let hinted = hint.as_ref().map(|hint| hint.client_id.as_str());
    let consistent = named.is_none() || hinted.is_none() || named == hinted;
    let bad_hint = token.is_some() && hint.is_none();
    let client = named.or(hinted).filter(|_| consistent && !bad_hint);
    let client = client.and_then(|id| app.clients.find(id));
    let wanted = params.get("post_logout_redirect_uri");
    let redirect = client.as_ref().zip(wanted).and_then(|(client, uri)| {
        client.may_redirect_after_logout(uri).then(|| with_state(uri, params.get("state")))
    });
    Asked { client, hint: hint.filter(|_| consistent), redirect }
}

fn with_state(uri: &str, state: Option<&str>) -> String {
    let Some(state) = state.filter(|state| state.len() <= MAX_STATE) else {
        return uri.to_owned();
    };
    let separator = if uri.contains('?') { '&' } else { '?' };
    let encoded: String = url::form_urlencoded::byte_serialize(state.as_bytes()).collect();
    format!("{uri}{separator}state={}", encoded.replace('+', "%20"))
}

/// An ID token of this very person and session (RP-Initiated Logout §2).
fn is_proved(asked: &Asked, session: &LiveSession) -> bool {
    asked.hint.as_ref().is_some_and(|hint| {
        hint.user_id == session.person.user.id
            && hint.session_id.as_ref().is_none_or(|own| *own == session.session.id)
    })
}

async fn end(
    app: &App,
    session: &LiveSession,
    asked: &Asked,
    now: Timestamp,
) -> Result<(), PageError> {
    let because = RevokedBecause::SignedOut;
    let mut event = Event::done("sign_out").user(&session.person.user.id);
    if let Some(client) = &asked.client {
        event = event.client(client.id());
    }
    let event = event.detail("session", session.session.id.as_str());
    let row = event.row(now, app.random());
    let mut connection = app.connection().await?;
    connection
        .transaction(async |conn| {
            sessions::end(conn, &session.session, &app.clients, because, now).await?;
            audit_events::insert(conn, &row).await?;
            Ok::<_, StoreError>(())
        })
        .await?;
    Ok(())
}

fn signed_out(
    app: &App,
    headers: &HeaderMap,
    session: Option<&LiveSession>,
    asked: &Asked,
) -> Response {
    let response = match &asked.redirect {
        Some(address) => see_other(address),
        None => page(StatusCode::OK, &signed_out_page(app, session, asked)),
    };
    leave(app, headers, response)
}

/// An answer to somebody who has left.
fn leave(app: &App, headers: &HeaderMap, mut response: Response) -> Response {
    // A form on a foreign page comes without our cookies, but browsers would keep those of the
    // answer: only a cookie that came is removed (LO-01).
    if cookies::read(headers, Cookie::Session, &app.urls).is_some() {
        cookies::add(response.headers_mut(), cookies::clear(Cookie::Session, &app.urls));
    }
    response
}

fn signed_out_page(app: &App, session: Option<&LiveSession>, asked: &Asked) -> SignedOutPage {
    let upstream = session.and_then(|session| session.session.upstream.as_ref());
    let upstream = upstream.and_then(|slug| app.upstreams.find(slug.as_str()));
    let mut remaining = vec!["Apps that you opened, until their own sessions end".to_owned()];
    if let Some(upstream) = upstream {
        let name = &upstream.settings.name;
        remaining.push(format!("{name}, where you may still be signed in"));
    }
    let client = asked.client.as_ref();
    let home = client.and_then(|client| client.home().map(|home| (client, home)));
    SignedOutPage {
        page: PageFrame::new(app),
        return_link: home.map(|(client, href)| Link {
            href,
            label: format!("Back to {}", client.settings.name),
        }),
        sign_in_href: urls::path::ACCOUNT,
        ended: vec![format!("{} in this browser", app.config.branding.name)],
        remaining,
    }
}

/// Asks the person (LO-01).
fn confirm(
    app: &App,
    headers: &HeaderMap,
    params: &Params,
    asked: &Asked,
    session: &LiveSession,
) -> Response {
    let mark = BrowserMark::find_or_make(app, headers);
    let client_id = asked.client.as_ref().map(|client| client.id().as_str());
    let known = [
        ("client_id", client_id),
        ("post_logout_redirect_uri", params.get("post_logout_redirect_uri")),
        ("state", params.get("state")),
    ];
    let fields = known.into_iter().filter_map(|(name, value)| {
        Some(Detail { label: name.to_owned(), value: value?.to_owned() })
    });
    let template = ConfirmPage {
        page: PageFrame::new(app),
        csrf: csrf::token(app, &mark),
        account_name: session.person.user.username.clone(),
        app_name: asked.client.as_ref().map(|client| client.settings.name.clone()),
        fields: fields.collect(),
    };
    let mut response = page(StatusCode::OK, &template);
    cookies::add(response.headers_mut(), mark.cookie(app));
    response
}

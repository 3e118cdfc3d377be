//! Every route of the server, on one page.

use std::sync::Arc;

use axum::{
    Router,
    extract::DefaultBodyLimit,
    middleware::from_fn_with_state,
    routing::{get, post},
};
use tokio::sync::Semaphore;

use crate::{
    app::App,
    endpoints::{
        account, api, authorize, consent,
        discovery::{self, Documents},
        health, introspect,
        login::{self, second_factor},
        logout, mail, par, picture, recovery, revoke, session_token, signup, token, userinfo,
        verify_email,
    },
    urls::path,
    web::{assets, cors, edge::edge, error::PageError, throttle},
};

/// The largest body that any of these routes reads.
const MAX_BODY: usize = 64 * 1_024;

/// The public listener.
pub fn public(app: &App) -> Router {
    let house = for_people()
        .fallback(async || PageError::not_found())
        .layer(from_fn_with_state(app.clone(), throttle::general))
        .merge(for_apps())
        .merge(for_browser_apps(app))
        .merge(api::routes(app))
        .merge(with_cookies_of_browser_apps(app))
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .layer(from_fn_with_state((app.clone(), in_flight(app)), edge))
        .with_state(app.clone());
    documents(app).merge(house)
}

/// So many requests are worked on at once.
fn in_flight(app: &App) -> Arc<Semaphore> {
    let most = usize::try_from(app.config.connections.max_requests).unwrap_or(usize::MAX);
    Arc::new(Semaphore::new(most.min(Semaphore::MAX_PERMITS)))
}

/// What people ask for, and whoever strays here: limited by network.
fn for_people() -> Router<App> {
    let with_a_file = DefaultBodyLimit::max(account::picture::MAX_BODY);
    Router::new()
        .route(path::AUTHORIZE, get(authorize::authorize).post(authorize::authorize))
        .route(path::LOGIN, get(login::choose::show).post(login::password::post))
        .route(path::SECOND_FACTOR, get(second_factor::show).post(second_factor::post))
        .route(path::PASSKEY, get(login::passkey::show).post(login::passkey::post))
        .route(path::CONNECT, get(login::connect::show).post(login::connect::post))
        .route(path::CONSENT, get(consent::show).post(consent::post))
        .route(path::SIGNUP, get(signup::show).post(signup::post))
        .route(path::VERIFY_EMAIL, get(verify_email::show).post(verify_email::post))
        .route(path::RECOVERY, get(recovery::show).post(recovery::ask))
        .route(path::RECOVERY_CODE, post(recovery::code::post))
        .route(path::RECOVERY_PASSWORD, post(recovery::password::post))
        .route(path::INVITATION, get(signup::invited::show).post(signup::invited::accept))
        .route(path::UPSTREAM_START, get(login::start::start))
        .route(path::UPSTREAM_CALLBACK, get(login::callback::callback).post(login::callback::post))
        .route(path::UPSTREAM_SIGNED_OUT, get(logout::at_upstream::come_back))
        .route(path::UPSTREAM_FRONTCHANNEL_LOGOUT, get(logout::frontchannel::frontchannel))
        .route(path::LOGOUT, get(logout::logout).post(logout::logout))
        .route("/", get(account::front_door))
        .route(path::ACCOUNT, get(account::home))
        .route(path::END_SESSION_OF_MINE, post(account::sessions::end))
        .route(path::END_OTHER_SESSIONS_OF_MINE, post(account::sessions::end_others))
        .route(path::EVERYWHERE, get(account::sessions::ask).post(account::sessions::everywhere))
        .route(path::APPS_OF_MINE, get(account::apps::show))
        .route(path::DISCONNECT_APP_OF_MINE, post(account::apps::disconnect))
        .route(path::ACTIVITY, get(account::activity::show))
        .route(path::EXPORT, post(account::export::export))
        .route(path::TOKENS_OF_MINE, get(account::tokens::show).post(account::tokens::make))
        .route(path::REVOKE_TOKEN_OF_MINE, post(account::tokens::revoke))
        .route(path::PROVE, get(account::prove))
        .route(path::MY_PASSWORD, get(account::password::show).post(account::password::change))
        .route(path::REMOVE_MY_PASSWORD, post(account::password::remove))
        .route(path::MY_EMAIL, get(account::email::show).post(account::email::change))
        .route(path::MY_PROFILE, get(account::profile::show).post(account::profile::change))
        .route(path::MY_PICTURE, post(account::picture::change).layer(with_a_file))
        .route(path::MY_DELETION, get(account::deletion::show).post(account::deletion::delete))
        .route(path::KEEP_MY_ACCOUNT, get(account::keep::show).post(account::keep::post))
        .route(path::VERIFY_MY_EMAIL, post(account::email::verify))
        .route(path::TWO_STEP, get(account::two_step::show).post(account::two_step::post))
        .route(path::PASSKEYS, get(account::passkeys::show).post(account::passkeys::post))
        .route(path::LINK, post(account::linking::link))
        .route(path::UNLINK, post(account::linking::unlink))
}

/// What apps and upstreams ask for, which prove who they are and speak for many people; and what lies
/// in caches.
fn for_apps() -> Router<App> {
    Router::new()
        .route(path::INTROSPECT, post(introspect::introspect))
        .route(path::UPSTREAM_BACKCHANNEL_LOGOUT, post(logout::backchannel::backchannel))
        .route(path::PICTURE, get(picture::show))
        .route(path::ASSET, get(assets::get))
}

/// What the pages of browser apps may call from their own origin.
fn for_browser_apps(app: &App) -> Router<App> {
    Router::new()
        .route(path::TOKEN, post(token::token))
        .route(path::USERINFO, get(userinfo::userinfo).post(userinfo::userinfo))
        .route(path::REVOKE, post(revoke::revoke))
        .route(path::PAR, post(par::push))
        .route_layer(from_fn_with_state((app.clone(), &cors::OAUTH), cors::cors))
}

/// The same, where the browser keeps the refresh token.
fn with_cookies_of_browser_apps(app: &App) -> Router<App> {
    Router::new()
        .route(path::SESSION_TOKEN, post(session_token::post).delete(session_token::delete))
        .route_layer(from_fn_with_state((app.clone(), &cors::SESSION_TOKEN), cors::cors))
}

/// Documents that apps read all the time: bytes that are drawn already, with nothing in between.
fn documents(app: &App) -> Router {
    // Apps put the well-known path behind an issuer that they have given a slash too many.
    let doubled = |path: &str| format!("/{path}");
    Router::new()
        .route(path::OPENID_CONFIGURATION, get(discovery::openid_configuration))
        .route(&doubled(path::OPENID_CONFIGURATION), get(discovery::openid_configuration))
        .route(path::OAUTH_METADATA, get(discovery::openid_configuration))
        .route(&doubled(path::OAUTH_METADATA), get(discovery::openid_configuration))
        .route(path::JWKS, get(discovery::jwks))
        .with_state(Arc::new(Documents::new(app.clone())))
}

/// The management listener.
pub fn management(app: &App) -> Router {
    let mut router = Router::new()
        .route(path::LIVEZ, get(health::livez))
        .route(path::READYZ, get(health::readyz))
        .route(path::METRICS, get(health::metrics));
    if app.mail.carrier().shown().is_some() {
        router = router.route(path::MAIL, get(mail::show)).route(path::ASSET, get(assets::get));
    }
    router.with_state(app.clone())
}

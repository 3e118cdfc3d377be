//! `/api/v1`: signing in for apps that draw their own forms.
//!
//! Off by default and switched on per client: such an app sees people's passwords, and the code flow is
//! better wherever it is possible. What the pages refuse is refused here, by the same functions. No
//! session cookie counts here: whoever calls is the app, and proves it where it can.

mod call;
mod cross_origin;
mod document;
mod entering;
mod instance;
mod me;
mod recovery;
mod second_factor;
mod session;
mod signin;
mod signup;

use axum::{Extension, Router, middleware::from_fn_with_state};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::app::App;

/// Every route of the API. What describes it is there once there is an app that may use it.
pub fn routes(app: &App) -> Router<App> {
    let used = app.clients.iter().any(|client| client.settings.api);
    let router = if used {
        let (router, document) = calls().merge(descriptions()).split_for_parts();
        router.layer(Extension(document::Written::of(app, document)))
    } else {
        calls().split_for_parts().0
    };
    router.route_layer(from_fn_with_state(app.clone(), cross_origin::answer))
}

fn calls() -> OpenApiRouter<App> {
    OpenApiRouter::with_openapi(document::about())
        .routes(routes!(signup::sign_up))
        .routes(routes!(signin::sign_in))
        .routes(routes!(second_factor::give))
        .routes(routes!(session::refresh))
        .routes(routes!(session::log_out))
        .routes(routes!(recovery::ask))
        .routes(routes!(recovery::type_code))
        .routes(routes!(recovery::choose_password))
        .routes(routes!(me::show, me::change::change, me::deletion::delete))
}

fn descriptions() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(instance::instance)).routes(routes!(document::show))
}

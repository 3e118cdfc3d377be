//! Cross-origin calls of browser apps. Which client a call is of stands in its body, so that the
//! question before it is answered for every origin of a public client that may use the API; the call
//! itself is then refused where its origin is not that client's own (see [`super::call`]). Cookies come
//! along only for apps whose refresh token is one (SS-19).

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, Method, StatusCode, header},
    middleware::Next,
    response::{IntoResponse as _, Response},
};

use crate::{app::App, clients::Client};

/// Whether a client's own pages are at this origin.
pub(super) fn is_of(client: &Client, origin: &HeaderValue) -> bool {
    origin.to_str().is_ok_and(|text| client.is_public() && client.has_origin(text))
}

/// Lets the pages of those clients read these answers.
pub(super) async fn answer(State(app): State<App>, request: Request, next: Next) -> Response {
    let Some(origin) = request.headers().get(header::ORIGIN).cloned() else {
        // A cache must not show a page of another origin what it has kept of this.
        let mut response = next.run(request).await;
        response.headers_mut().insert(header::VARY, HeaderValue::from_static("origin"));
        return response;
    };
    let own = |client: &&Arc<Client>| client.settings.api && is_of(client, &origin);
    let known = app.clients.iter().any(|client| own(&client));
    let with_cookies = app.clients.iter().filter(own).any(|client| client.settings.session_token);
    let asks = request.method() == Method::OPTIONS;
    let mut response =
        if asks { StatusCode::NO_CONTENT.into_response() } else { next.run(request).await };
    let headers = response.headers_mut();
    headers.insert(header::VARY, HeaderValue::from_static("origin"));
    if known {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
        if with_cookies {
            let yes = HeaderValue::from_static("true");
            headers.insert(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, yes);
        }
        if asks {
            answer_question(headers);
        } else {
            let shown = HeaderValue::from_static("retry-after, www-authenticate");
            headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, shown);
        }
    }
    response
}

fn answer_question(headers: &mut HeaderMap) {
    let mut put = |name, text| {
        headers.insert(name, HeaderValue::from_static(text));
    };
    put(header::ACCESS_CONTROL_ALLOW_METHODS, "GET, POST, PATCH, DELETE");
    let own = "authorization, content-type, x-keywright-request";
    put(header::ACCESS_CONTROL_ALLOW_HEADERS, own);
    put(header::ACCESS_CONTROL_MAX_AGE, "600");
}

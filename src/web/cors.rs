//! Cross-origin requests of browser apps: answers, errors and the question before them.
//!
//! An origin is known if a public client has an address there. It is named exactly, never with
//! credentials (SS-19, TK-20).

use axum::{
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, Method, StatusCode, header},
    middleware::Next,
    response::{IntoResponse as _, Response},
};

use crate::app::App;

const VARY: HeaderValue = HeaderValue::from_static("origin");

/// Lets the pages of public clients read these answers.
pub async fn cors(State(app): State<App>, request: Request, next: Next) -> Response {
    let origin = request.headers().get(header::ORIGIN).cloned();
    let Some(origin) = origin else {
        return next.run(request).await;
    };
    let text = origin.to_str().unwrap_or_default();
    let known = app.clients.iter().any(|client| client.is_public() && client.has_origin(text));
    if request.method() == Method::OPTIONS {
        let mut response = StatusCode::NO_CONTENT.into_response();
        allow(response.headers_mut(), &origin, known);
        if known {
            answer_question(response.headers_mut());
        }
        return response;
    }
    let mut response = next.run(request).await;
    allow(response.headers_mut(), &origin, known);
    response
}

fn allow(headers: &mut HeaderMap, origin: &HeaderValue, known: bool) {
    headers.insert(header::VARY, VARY);
    if known {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
    }
}

fn answer_question(headers: &mut HeaderMap) {
    let mut put = |name, text| {
        headers.insert(name, HeaderValue::from_static(text));
    };
    put(header::ACCESS_CONTROL_ALLOW_METHODS, "GET, POST");
    put(header::ACCESS_CONTROL_ALLOW_HEADERS, "authorization, content-type");
    put(header::ACCESS_CONTROL_MAX_AGE, "600");
}

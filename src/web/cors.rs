//! Cross-origin requests of browser apps: answers, errors and the question before them.
//!
//! An origin is known if a client that may ask this way has an address there. It is named exactly;
//! cookies come along only where they are meant to (SS-19, TK-20).

use axum::{
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, Method, StatusCode, header},
    middleware::Next,
    response::{IntoResponse as _, Response},
};

use crate::{app::App, clients::Client};

const VARY: HeaderValue = HeaderValue::from_static("origin");
const EXPOSED: HeaderValue = HeaderValue::from_static("dpop-nonce, www-authenticate");

/// Who may call some endpoints from another origin, and how.
#[derive(Debug)]
pub struct Policy {
    /// The clients whose origins are known.
    pub clients: fn(&Client) -> bool,
    /// The methods beyond the simple ones that are let through.
    pub methods: &'static str,
    /// The headers beyond the simple ones that are let through.
    pub headers: &'static str,
    /// Whether the browser sends our cookies along.
    pub with_cookies: bool,
}

/// OAuth endpoints: the pages of public clients call them, and prove nothing by cookies.
pub static OAUTH: Policy = Policy {
    clients: Client::is_public,
    methods: "GET, POST",
    headers: "authorization, content-type, dpop",
    with_cookies: false,
};

/// The token endpoint of browser apps, whose refresh token is a cookie.
pub static SESSION_TOKEN: Policy = Policy {
    clients: |client| client.settings.session_token,
    methods: "POST, DELETE",
    headers: "content-type, dpop, x-keywright-request",
    with_cookies: true,
};

/// Lets the pages of these clients read these answers.
pub async fn cors(
    State((app, policy)): State<(App, &'static Policy)>,
    request: Request,
    next: Next,
) -> Response {
    let origin = request.headers().get(header::ORIGIN).cloned();
    let Some(origin) = origin else {
        return next.run(request).await;
    };
    let text = origin.to_str().unwrap_or_default();
    let known =
        app.clients.iter().any(|client| (policy.clients)(client) && client.has_origin(text));
    if request.method() == Method::OPTIONS {
        let mut response = StatusCode::NO_CONTENT.into_response();
        allow(response.headers_mut(), &origin, known, policy);
        if known {
            answer_question(response.headers_mut(), policy);
        }
        return response;
    }
    let mut response = next.run(request).await;
    allow(response.headers_mut(), &origin, known, policy);
    response
}

fn allow(headers: &mut HeaderMap, origin: &HeaderValue, known: bool, policy: &Policy) {
    headers.insert(header::VARY, VARY);
    if !known {
        return;
    }
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
    // Without it a page cannot read the nonce that its next proof has to carry (RFC 9449 §8).
    headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
    if policy.with_cookies {
        let yes = HeaderValue::from_static("true");
        headers.insert(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, yes);
    }
}

fn answer_question(headers: &mut HeaderMap, policy: &Policy) {
    let mut put = |name, text| {
        headers.insert(name, HeaderValue::from_static(text));
    };
    put(header::ACCESS_CONTROL_ALLOW_METHODS, policy.methods);
    put(header::ACCESS_CONTROL_ALLOW_HEADERS, policy.headers);
    put(header::ACCESS_CONTROL_MAX_AGE, "600");
}

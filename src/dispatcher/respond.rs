//! The authorization response (RFC 6749 §4.1.2, RFC 9207): the only way out of the house.

use askama::Template;
use axum::{http::StatusCode, response::Response};
use url::form_urlencoded;

use crate::{
    app::App,
    foundation::{ids::ClientId, secret::Secret},
    interactions::AuthorizationRequest,
    protocol::{error::OAuthError, words::ResponseMode},
    web::{
        assets::HREFS,
        pages::{Detail, PageFrame, page, see_other},
    },
};

/// Where an answer goes. The address is one that the client has registered.
#[derive(Debug)]
pub struct Target {
    /// Whose it is.
    pub client_id: ClientId,
    /// The address.
    pub redirect_uri: String,
    /// How the answer travels there.
    pub response_mode: ResponseMode,
    /// What the app gets back.
    pub state: Option<String>,
}

impl Target {
    /// Where the answer to a good request goes.
    pub fn of(request: &AuthorizationRequest) -> Self {
        Self {
            client_id: request.client_id.clone(),
            redirect_uri: request.redirect_uri.clone(),
            response_mode: request.response_mode,
            state: request.state.clone(),
        }
    }
}

#[derive(Template)]
#[template(path = "authorize/form_post.html")]
struct FormPost<'a> {
    page: PageFrame,
    #[expect(clippy::struct_field_names, reason = "the template calls it so")]
    form_post_script: &'a str,
    action: &'a str,
    fields: Vec<Detail>,
}

/// The code.
pub(super) fn with_code(app: &App, target: &Target, code: &Secret) -> Response {
    respond(app, target, vec![("code", code.expose().to_owned())])
}

/// An error (RFC 6749 §4.1.2.1).
pub(super) fn with_error(app: &App, target: &Target, error: &OAuthError) -> Response {
    let params = vec![
        ("error", error.code.as_str().to_owned()),
        ("error_description", error.description.to_owned()),
    ];
    respond(app, target, params)
}

fn respond(app: &App, target: &Target, mut params: Vec<(&'static str, String)>) -> Response {
    if let Some(state) = &target.state {
        params.push(("state", state.clone()));
    }
    params.push(("iss", app.urls.issuer().to_owned()));
    match target.response_mode {
        ResponseMode::Query => see_other(&with_query(&target.redirect_uri, &params)),
        ResponseMode::FormPost => {
            let field = |(label, value): (&str, String)| Detail { label: label.to_owned(), value };
            let template = FormPost {
                page: PageFrame::new(app),
                form_post_script: &HREFS.form_post,
                action: &target.redirect_uri,
                fields: params.into_iter().map(field).collect(),
            };
            page(StatusCode::OK, &template)
        }
    }
}

/// Adds parameters to an address without touching what stands there.
fn with_query(uri: &str, params: &[(&'static str, String)]) -> String {
    let mut full = uri.to_owned();
    for (name, value) in params {
        full.push(if full.contains('?') { '&' } else { '?' });
        full.push_str(name);
        full.push('=');
        // A space as `%20`, which every decoder reads alike.
        let encoded: String = form_urlencoded::byte_serialize(value.as_bytes()).collect();
        full.push_str(&encoded.replace('+', "%20"));
    }
    full
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// AZ-19: whatever the state is, it comes back as it went, in one header.
        #[test]
        fn values_survive_the_address(state in ".{0,200}") {
            let full = with_query("https://web.test/cb?tenant=1", &[("state", state.clone())]);
            prop_assert!(full.bytes().all(|byte| byte.is_ascii_graphic()));
            let url = url::Url::parse(&full).unwrap();
            let read: Vec<(String, String)> = url.query_pairs().into_owned().collect();
            prop_assert_eq!(&read[0], &("tenant".to_owned(), "1".to_owned()));
            prop_assert_eq!(&read[1].1, &state);
        }
    }
}

//! The authorization response (RFC 6749 §4.1.2, RFC 9207, JARM): the only way out of the house.

use askama::Template;
use axum::{
    http::StatusCode,
    response::{IntoResponse as _, Response},
};
use serde_json::{Map, Value, json};
use url::form_urlencoded;

use crate::{
    app::App,
    foundation::{clock::Span, ids::ClientId, secret::Secret},
    interactions::AuthorizationRequest,
    keys::{KeyError, TokenType},
    protocol::{
        error::OAuthError,
        jwa::SigningAlgorithm,
        words::{Carrier, ResponseMode},
    },
    web::{
        assets::HREFS,
        error::PageError,
        pages::{Detail, PageFrame, page, see_other},
    },
};

/// For how long a signed answer is good: the browser brings it at once (JARM §2.1 recommends ten minutes
/// at most).
const SIGNED_LIFE: Span = Span::from_minutes(5);

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
    let (carrier, is_signed) = target.response_mode.parts();
    if is_signed {
        params = match signed(app, target, params) {
            Ok(response) => vec![("response", response)],
            Err(error) => return PageError::broken(error).into_response(),
        };
    } else {
        params.push(("iss", app.urls.issuer().to_owned()));
    }
    match carrier {
        Carrier::Query => see_other(&with_query(&target.redirect_uri, &params)),
        // A registered address has no fragment (RFC 6749 §3.1.2).
        Carrier::Fragment => see_other(&format!("{}#{}", target.redirect_uri, encode(&params))),
        Carrier::Form => form(app, target, params),
    }
}

/// The answer as a JWT (JARM §2.1): who has it knows that it is ours and whom it is for.
fn signed(
    app: &App,
    target: &Target,
    params: Vec<(&'static str, String)>,
) -> Result<String, KeyError> {
    let now = app.now();
    let mut claims: Map<String, Value> =
        params.into_iter().map(|(name, value)| (name.to_owned(), json!(value))).collect();
    claims.insert("iss".to_owned(), json!(app.urls.issuer()));
    claims.insert("aud".to_owned(), json!(target.client_id));
    claims.insert("exp".to_owned(), json!(now.plus(SIGNED_LIFE)));
    let client = app.clients.find(target.client_id.as_str());
    let alg = client.map(|client| client.settings.authorization_signed_response_alg);
    let alg = alg.unwrap_or(SigningAlgorithm::Rs256);
    app.keys.sign(alg, TokenType::AuthorizationResponse, &claims, now)
}

fn form(app: &App, target: &Target, params: Vec<(&'static str, String)>) -> Response {
    let field = |(label, value): (&str, String)| Detail { label: label.to_owned(), value };
    let template = FormPost {
        page: PageFrame::new(app),
        form_post_script: &HREFS.form_post,
        action: &target.redirect_uri,
        fields: params.into_iter().map(field).collect(),
    };
    page(StatusCode::OK, &template)
}

/// Adds parameters to an address without touching what stands there.
fn with_query(uri: &str, params: &[(&'static str, String)]) -> String {
    format!("{uri}{}{}", if uri.contains('?') { '&' } else { '?' }, encode(params))
}

fn encode(params: &[(&'static str, String)]) -> String {
    let pair = |(name, value): &(&str, String)| {
        // A space as `%20`, which every decoder reads alike.
        let encoded: String = form_urlencoded::byte_serialize(value.as_bytes()).collect();
        format!("{name}={}", encoded.replace('+', "%20"))
    };
    params.iter().map(pair).collect::<Vec<_>>().join("&")
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

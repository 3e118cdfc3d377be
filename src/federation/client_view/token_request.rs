//! Asking a token endpoint, with `client_secret_basic` (RFC 6749 §2.3.1).

use base64::Engine as _;
use reqwest::{Method, Request, header};
use serde::Deserialize;
use url::form_urlencoded;

use super::{ClientView, PATIENCE, Registration, parsed};
use crate::federation::{fault::UpstreamFault, http::MAX_BODY, metadata::Metadata};

/// What a token endpoint gives (RFC 6749 §5.1, OIDC Core §3.1.3.3).
#[derive(Deserialize)]
pub(super) struct TokenAnswer {
    pub(super) access_token: String,
    token_type: String,
    pub(super) id_token: Option<String>,
    pub(super) refresh_token: Option<String>,
}

#[derive(Deserialize)]
struct Refusal {
    error: String,
}

impl ClientView {
    /// Sends a token request. Never twice: a code or refresh token that was sent may be used up.
    pub(super) async fn ask_for_tokens(
        &self,
        metadata: &Metadata,
        form: &[(&str, &str)],
    ) -> Result<TokenAnswer, UpstreamFault> {
        let request = request(&self.registration, &metadata.token_endpoint, form)?;
        let answer = self.http.send(request, PATIENCE, MAX_BODY).await?;
        let malformed =
            |detail: String| UpstreamFault::unacceptable("upstream_token_malformed", detail);
        if answer.status != 200 {
            let refusal = serde_json::from_slice::<Refusal>(&answer.body).ok();
            let word = refusal.map(|refusal| refusal.error).unwrap_or_default();
            let detail = format!("status {}, error {word:?}", answer.status);
            return Err(UpstreamFault::unacceptable("upstream_token_refused", detail));
        }
        let tokens: TokenAnswer =
            serde_json::from_slice(&answer.body).map_err(|error| malformed(error.to_string()))?;
        if !tokens.token_type.eq_ignore_ascii_case("Bearer") {
            return Err(malformed(format!("token_type is {:?}", tokens.token_type)));
        }
        Ok(tokens)
    }
}

fn request(
    registration: &Registration,
    endpoint: &str,
    form: &[(&str, &str)],
) -> Result<Request, UpstreamFault> {
    let mut request = Request::new(Method::POST, parsed(endpoint)?);
    let encoded = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    let id = encoded(&registration.client_id);
    let secret = encoded(registration.client_secret.expose());
    let pair = base64::engine::general_purpose::STANDARD.encode(format!("{id}:{secret}"));
    let mut authorization = header::HeaderValue::try_from(format!("Basic {pair}"))
        .map_err(|error| UpstreamFault::unacceptable("client_secret_unfit", error))?;
    authorization.set_sensitive(true);
    let headers = request.headers_mut();
    headers.insert(header::AUTHORIZATION, authorization);
    headers.insert(header::ACCEPT, header::HeaderValue::from_static("application/json"));
    let kind = header::HeaderValue::from_static("application/x-www-form-urlencoded");
    headers.insert(header::CONTENT_TYPE, kind);
    let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
    *request.body_mut() = Some(body.into());
    Ok(request)
}

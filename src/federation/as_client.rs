//! Requests that we send as the client that we are at an upstream, besides those for tokens: a form
//! with what proves who we are, in the same way as at the token endpoint (RFC 6749 §2.3).

use base64::Engine as _;
use reqwest::{Method, Request, header};
use url::{Url, form_urlencoded};

use super::{
    fault::UpstreamFault,
    http::{Answer, HttpClient, MAX_BODY},
    strict_json,
};
use crate::{
    config::{ClientAuthentication, UpstreamSettings},
    foundation::secret::Secret,
};

/// Posts a form, with `proof` besides the secret of the settings.
pub(super) async fn post(
    http: &HttpClient,
    settings: &UpstreamSettings,
    endpoint: &str,
    form: &[(&str, &str)],
    proof: &[(&'static str, String)],
) -> Result<Answer, UpstreamFault> {
    let request = request(settings, endpoint, form, proof)?;
    http.send(request, settings.timeout.to_std(), MAX_BODY).await
}

fn request(
    settings: &UpstreamSettings,
    endpoint: &str,
    form: &[(&str, &str)],
    proof: &[(&'static str, String)],
) -> Result<Request, UpstreamFault> {
    let endpoint = Url::parse(endpoint)
        .map_err(|error| UpstreamFault::unacceptable("upstream_address", error))?;
    let (id, secret) = (&settings.client_id, settings.client_secret.as_ref());
    let secret = secret.map(Secret::expose).unwrap_or_default();
    let mut body = form_urlencoded::Serializer::new(String::new());
    body.extend_pairs(form).extend_pairs(proof);
    let names_us = form.iter().any(|(name, _)| *name == "client_id");
    let mut request = Request::new(Method::POST, endpoint);
    let headers = request.headers_mut();
    if settings.client_auth == ClientAuthentication::Basic {
        headers.insert(header::AUTHORIZATION, basic(id, secret)?);
    } else {
        body.extend_pairs((!names_us).then_some(("client_id", id)));
        let posts = settings.client_auth == ClientAuthentication::Post;
        body.extend_pairs(posts.then_some(("client_secret", secret)));
    }
    let form_type = header::HeaderValue::from_static("application/x-www-form-urlencoded");
    headers.insert(header::ACCEPT, header::HeaderValue::from_static("application/json"));
    headers.insert(header::CONTENT_TYPE, form_type);
    *request.body_mut() = Some(body.finish().into());
    Ok(request)
}

/// RFC 6749 §2.3.1: both parts are form-encoded first.
fn basic(id: &str, secret: &str) -> Result<header::HeaderValue, UpstreamFault> {
    let encoded = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    let pair = format!("{}:{}", encoded(id), encoded(secret));
    let pair = base64::engine::general_purpose::STANDARD.encode(pair);
    let mut value = header::HeaderValue::try_from(format!("Basic {pair}"))
        .map_err(|error| UpstreamFault::unacceptable("client_secret_unfit", error))?;
    value.set_sensitive(true);
    Ok(value)
}

/// The `error` that an answer carries (RFC 6749 §5.2), fit to be shown.
pub(super) fn error_in(body: &[u8]) -> Option<String> {
    let error = strict_json::object(body)?.get("error")?.as_str()?.to_owned();
    Some(error.chars().filter(|c| !c.is_control()).take(100).collect())
}

//! Requests to upstreams: bounded in time and size, following no redirects, using no proxy that the
//! environment names.

use std::time::Duration;

use anyhow::Context as _;
use http_body_util::BodyExt as _;
use reqwest::{Client, Request, Response};

use super::fault::UpstreamFault;

/// How long a connection may take to come about.
const CONNECT: Duration = Duration::from_secs(2);

/// The largest answer that is read, counted after any decoding (SF-04).
pub(super) const MAX_BODY: usize = 512 * 1_024;

/// The one HTTP client of the house.
#[derive(Clone, Debug)]
pub struct HttpClient {
    client: Client,
}

/// An answer, read to its end.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: reqwest::header::HeaderMap,
    pub(super) body: Vec<u8>,
}

impl HttpClient {
    /// A client that trusts what the system trusts.
    #[expect(clippy::disallowed_methods, reason = "this is the one place that makes a client")]
    pub fn new() -> anyhow::Result<Self> {
        let client = Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .connect_timeout(CONNECT)
            .pool_idle_timeout(Duration::from_secs(30))
            .user_agent(concat!("keywright/", env!("CARGO_PKG_VERSION")))
            .build()
            .context("the HTTP client cannot be made")?;
        Ok(Self { client })
    }

    /// Gets a document.
    pub(super) async fn get(
        &self,
        url: &str,
        bearer: Option<&str>,
        patience: Duration,
        max_body: usize,
    ) -> Result<Answer, UpstreamFault> {
        let mut request = self.client.get(url).header("accept", "application/json");
        if let Some(token) = bearer {
            request = request.bearer_auth(token);
        }
        let request = request
            .build()
            .map_err(|error| UpstreamFault::unacceptable("upstream_address", without_url(error)))?;
        self.send(request, patience, max_body).await
    }

    /// Posts a form, and answers the status.
    pub async fn post_form(
        &self,
        url: &url::Url,
        form: &[(&str, &str)],
        patience: Duration,
    ) -> Result<u16, UpstreamFault> {
        let request = self.client.post(url.clone()).form(form).build();
        let request = request
            .map_err(|error| UpstreamFault::unacceptable("upstream_address", without_url(error)))?;
        Ok(self.send(request, patience, MAX_BODY).await?.status)
    }

    /// Sends a request and reads its answer within `patience` in all.
    pub(super) async fn send(
        &self,
        request: Request,
        patience: Duration,
        max_body: usize,
    ) -> Result<Answer, UpstreamFault> {
        let host = request.url().host_str().unwrap_or_default().to_owned();
        let exchange = async {
            let response = self.client.execute(request).await.map_err(|error| {
                UpstreamFault::unavailable("upstream_unreachable", without_url(error))
            })?;
            read(response, max_body).await
        };
        tokio::time::timeout(patience, exchange).await.unwrap_or_else(|_| {
            let detail = format!("{host} did not answer within {} s", patience.as_secs());
            Err(UpstreamFault::unavailable("upstream_slow", detail))
        })
    }
}

async fn read(response: Response, max_body: usize) -> Result<Answer, UpstreamFault> {
    let status = response.status().as_u16();
    let headers = response.headers().clone();
    let mut body = Vec::new();
    let mut stream = reqwest::Body::from(response);
    while let Some(frame) = stream.frame().await {
        let frame = frame.map_err(|error| {
            UpstreamFault::unavailable("upstream_unreachable", without_url(error))
        })?;
        if let Some(data) = frame.data_ref() {
            if body.len() + data.len() > max_body {
                let detail = format!("the answer is larger than {max_body} bytes");
                return Err(UpstreamFault::unacceptable("upstream_answer_too_large", detail));
            }
            body.extend_from_slice(data);
        }
    }
    Ok(Answer { status, headers, body })
}

/// The error with its causes, without the address, which may carry a code.
fn without_url(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(&error);
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    text
}

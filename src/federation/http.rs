//! Requests to upstreams: bounded in time and size, following no redirects, using no proxy that the
//! environment names. An upstream that is away is not asked ([`Health`]).

use std::{net::IpAddr, sync::Arc, time::Duration};

use anyhow::Context as _;
use http_body_util::BodyExt as _;
use reqwest::{Client, Request, Response};
use url::Url;

use super::{
    fault::UpstreamFault,
    health::{Errand, Health},
    inside::{LeadsInside, Outside, Strangers, literal_inside},
};
use crate::config::{Problems, UpstreamSettings};

/// How long a connection may take to come about.
const CONNECT: Duration = Duration::from_secs(2);

/// The largest answer that is read, counted after any decoding (SF-04).
pub(super) const MAX_BODY: usize = 512 * 1_024;

/// How upstreams are asked. One client serves all, but for those with certificates or an address of
/// their own.
#[derive(Clone, Debug)]
pub struct HttpClient {
    client: Client,
    /// The same for hosts that only the upstream's metadata names, and which.
    outside: Client,
    strangers: Arc<Strangers>,
    detour: Option<Arc<Detour>>,
    /// How the upstream that it is for has answered, and whether it surely is there now.
    health: Option<Arc<Health>>,
    sure: bool,
}

/// Requests to one origin that go elsewhere: to the address that it has inside.
#[derive(Debug)]
struct Detour {
    public: Url,
    internal: Url,
}

/// An answer, read to its end.
pub(super) struct Answer {
    pub(super) status: u16,
    /// Who has answered.
    pub(super) from: Option<IpAddr>,
    pub(super) headers: reqwest::header::HeaderMap,
    pub(super) body: Vec<u8>,
}

impl HttpClient {
    /// A client that trusts what the system trusts.
    pub fn new() -> anyhow::Result<Self> {
        Self::with(Outside::new())
    }

    /// One whose way outside this resolver finds.
    pub(super) fn with(outside: Outside) -> anyhow::Result<Self> {
        let what = "the HTTP client cannot be made";
        let client = builder().build().context(what)?;
        let outside = builder().dns_resolver(Arc::new(outside)).build().context(what)?;
        Ok(Self {
            client,
            outside,
            strangers: Arc::default(),
            detour: None,
            health: None,
            sure: false,
        })
    }

    /// This client, or one of its own for an upstream that needs it. Certificates are always
    /// checked; more can be trusted, never fewer checks made (UP-35).
    pub(super) fn for_upstream(
        &self,
        settings: &UpstreamSettings,
        health: Arc<Health>,
    ) -> Result<Self, Problems> {
        let health = Some(health);
        if settings.ca.is_none() && settings.internal_url.is_none() {
            return Ok(Self { health, strangers: Arc::default(), ..self.clone() });
        }
        let setting = |name: &str| format!("upstreams.{}.{name}", settings.slug);
        let unfit = |error: reqwest::Error| {
            Problems::one(&setting("ca"), format!("cannot be used: {}", without_url(error)))
        };
        let ca = settings.ca.as_ref().map(|ca| ca.pem().as_bytes());
        let ca = ca.map(reqwest::Certificate::from_pem_bundle).transpose().map_err(unfit)?;
        let trusting = |builder: reqwest::ClientBuilder| match &ca {
            Some(ca) => builder.tls_certs_merge(ca.clone()),
            None => builder,
        };
        let detour = settings
            .internal_url
            .clone()
            .map(|internal| Arc::new(Detour { public: settings.issuer.clone(), internal }));
        let mut inside = trusting(builder());
        if detour.is_some() {
            // HTTP/2 has no Host header beside the address.
            inside = inside.http1_only();
        }
        let outside = trusting(builder().dns_resolver(Arc::new(Outside::new())));
        Ok(Self {
            client: inside.build().map_err(unfit)?,
            outside: outside.build().map_err(unfit)?,
            strangers: Arc::default(),
            detour,
            health,
            sure: false,
        })
    }

    /// The hosts that only the upstream's own metadata names, if it may not lead us inside.
    pub(super) fn strangers(&self) -> &Strangers {
        &self.strangers
    }

    /// For what somebody brings from the upstream: it is there, whatever our own requests have met.
    pub(super) fn sure(&self) -> Self {
        Self { sure: true, ..self.clone() }
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
        let mut errand = Errand::Document;
        if let Some(token) = bearer {
            request = request.bearer_auth(token);
            errand = Errand::Person;
        }
        let request = request.build().map_err(unfit_address)?;
        self.exchange(request, patience, max_body, errand).await
    }

    /// Gets a document again of which there may be a copy.
    pub(super) async fn get_again(
        &self,
        url: &str,
        has_copy: bool,
        patience: Duration,
        max_body: usize,
    ) -> Result<Answer, UpstreamFault> {
        let request = self.client.get(url).header("accept", "application/json");
        let request = request.build().map_err(unfit_address)?;
        let errand = if has_copy { Errand::Copy } else { Errand::Document };
        self.exchange(request, patience, max_body, errand).await
    }

    /// Gets what a browser would get, to see whether and how somebody answers.
    pub(super) async fn visit(
        &self,
        url: &str,
        patience: Duration,
    ) -> Result<Answer, UpstreamFault> {
        let request = self.client.get(url).header("accept", "text/html");
        let request = request.build().map_err(unfit_address)?;
        self.exchange(request, patience, MAX_BODY, Errand::Knock).await
    }

    /// Posts a form, and answers the status.
    pub async fn post_form(
        &self,
        url: &Url,
        form: &[(&str, &str)],
        patience: Duration,
    ) -> Result<u16, UpstreamFault> {
        let request = self.client.post(url.clone()).form(form).build().map_err(unfit_address)?;
        Ok(self.send(request, patience, MAX_BODY).await?.status)
    }

    /// Sends a request and reads its answer within `patience` in all.
    pub(super) async fn send(
        &self,
        request: Request,
        patience: Duration,
        max_body: usize,
    ) -> Result<Answer, UpstreamFault> {
        let errand = if self.sure { Errand::Brought } else { Errand::Person };
        self.exchange(request, patience, max_body, errand).await
    }

    /// The same, unless the upstream is away.
    async fn exchange(
        &self,
        request: Request,
        patience: Duration,
        max_body: usize,
        errand: Errand,
    ) -> Result<Answer, UpstreamFault> {
        let Some(health) = &self.health else {
            return self.execute(request, patience, max_body).await;
        };
        let question = health.ask(errand)?;
        let answer = self.execute(request, patience, max_body).await;
        question.end(&answer);
        answer
    }

    async fn execute(
        &self,
        mut request: Request,
        patience: Duration,
        max_body: usize,
    ) -> Result<Answer, UpstreamFault> {
        let stranger = self.strangers.include(request.url());
        if let Some(inside) = literal_inside(request.url()).filter(|_| stranger) {
            return Err(leads_inside(&inside));
        }
        let client = if stranger { &self.outside } else { &self.client };
        if let Some(detour) = &self.detour {
            detour.take(&mut request);
        }
        let host = request.url().host_str().unwrap_or_default().to_owned();
        let exchange = async {
            let response = client.execute(request).await.map_err(unanswered)?;
            read(response, max_body).await
        };
        tokio::time::timeout(patience, exchange).await.unwrap_or_else(|_| {
            let detail = format!("{host} did not answer within {} s", patience.as_secs());
            Err(UpstreamFault::unavailable("upstream_slow", detail))
        })
    }
}

impl Detour {
    /// Turns a request to the public origin inside; the server still sees the public `Host`.
    fn take(&self, request: &mut Request) {
        let url = request.url();
        let Some(host) = url.host_str().filter(|_| url.origin() == self.public.origin()) else {
            return;
        };
        let host = url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
        let mut inside = self.internal.clone();
        inside.set_path(url.path());
        inside.set_query(url.query());
        // A host of an address is a header.
        if let Ok(host) = host.parse() {
            request.headers_mut().insert(reqwest::header::HOST, host);
            *request.url_mut() = inside;
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "this is the one place that makes clients")]
fn builder() -> reqwest::ClientBuilder {
    Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .connect_timeout(CONNECT)
        .pool_idle_timeout(Duration::from_secs(30))
        .user_agent(concat!("keywright/", env!("CARGO_PKG_VERSION")))
}

async fn read(response: Response, max_body: usize) -> Result<Answer, UpstreamFault> {
    let status = response.status().as_u16();
    let from = response.remote_addr().map(|address| address.ip());
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
    Ok(Answer { status, from, headers, body })
}

fn unfit_address(error: reqwest::Error) -> UpstreamFault {
    UpstreamFault::unacceptable("upstream_address", without_url(error))
}

fn unanswered(error: reqwest::Error) -> UpstreamFault {
    let mut cause = std::error::Error::source(&error);
    while let Some(inner) = cause {
        if let Some(inside) = inner.downcast_ref::<LeadsInside>() {
            return leads_inside(inside);
        }
        cause = inner.source();
    }
    UpstreamFault::unavailable("upstream_unreachable", without_url(error))
}

fn leads_inside(inside: &LeadsInside) -> UpstreamFault {
    UpstreamFault::unacceptable("upstream_endpoint_inside", inside)
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

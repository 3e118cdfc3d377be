//! Numbers for Prometheus. Labels are bounded: routes, clients and upstreams of the configuration,
//! fixed words; never people or addresses.

use std::time::Duration;

use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{
        counter::Counter,
        family::Family,
        gauge::Gauge,
        histogram::{Histogram, exponential_buckets},
        info::Info,
    },
    registry::Registry,
};

/// The labels of a request.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct RequestLabels {
    /// The route's pattern.
    pub route: String,
    /// The method; `other` for what is none of HTTP's own.
    pub method: &'static str,
    /// The status.
    pub status: u16,
}

/// The labels of a sign-in.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct SignInLabels {
    /// `done` or `refused`.
    pub result: &'static str,
    /// Why it was refused.
    pub reason: String,
    /// `password`, or the upstream's slug.
    pub method: String,
}

/// The labels of an issued token.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct TokenLabels {
    /// The grant type.
    pub grant: &'static str,
    /// The client.
    pub client: String,
}

/// The labels of a wire error.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct ErrorLabels {
    /// The route's pattern.
    pub route: String,
    /// The `error` value.
    pub error: &'static str,
}

/// The labels of a try to tell an app of a sign-out.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct LogoutLabels {
    /// `delivered`, `failed` or `given_up`.
    pub result: &'static str,
}

/// The label of a mail that has left.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct SentMailLabels {
    /// What it is about.
    pub kind: &'static str,
}

/// The label of a mail that has not.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct FailedMailLabels {
    /// `failed`, `given_up` or `not_queued`.
    pub result: &'static str,
}

/// The label of an upstream.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct UpstreamLabels {
    /// Its slug.
    pub upstream: String,
}

/// The label of a listener of ours.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct ListenerLabels {
    /// `public`.
    pub listener: &'static str,
}

/// How an upstream is at this moment.
#[derive(Clone, Copy, Debug)]
pub struct UpstreamNumbers {
    /// Whether it answers.
    pub up: bool,
    /// By how many seconds its clock is ahead of ours, if it has said.
    pub clock_ahead: Option<i64>,
    /// When our secret there ends, in seconds since 1970, if anybody has said.
    pub secret_expires: Option<i64>,
}

/// The label of a store.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct StoreLabels {
    /// `database`, or `state` for what is short-lived.
    pub store: &'static str,
}

/// The label of a signing key.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct KeyLabels {
    /// What it signs with.
    pub alg: &'static str,
}

/// The labels of a question to an upstream about somebody who has signed in there.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct LeaseLabels {
    /// The upstream's slug.
    pub upstream: String,
    /// How it was asked: `refresh`, `userinfo`, `introspection`, or `none` where it was not.
    pub means: &'static str,
    /// `confirmed`, `refused`, `unclear`, `away` or `no_means`; or `bounded`, at a sign-in that
    /// nothing will confirm.
    pub outcome: &'static str,
}

/// The labels of the end of a lease.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct LeaseEndLabels {
    /// The upstream's slug.
    pub upstream: String,
    /// Why.
    pub reason: &'static str,
}

/// What may become of telling an app of a sign-out.
const LOGOUTS: [&str; 3] = ["delivered", "failed", "given_up"];
/// What may become of a mail that does not leave.
const FAILED_MAIL: [&str; 3] = ["failed", "given_up", "not_queued"];

/// All numbers of one server.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    requests: Family<RequestLabels, Counter>,
    durations: Histogram,
    sign_ins: Family<SignInLabels, Counter>,
    tokens: Family<TokenLabels, Counter>,
    errors: Family<ErrorLabels, Counter>,
    logouts: Family<LogoutLabels, Counter>,
    mail: Mail,
    upstreams: Upstreams,
    stores: Family<StoreLabels, Gauge>,
    key_ages: Family<KeyLabels, Gauge>,
    leases: Family<LeaseLabels, Counter>,
    lease_ends: Family<LeaseEndLabels, Counter>,
    certificate_ends: Family<ListenerLabels, Gauge>,
    /// Times that the short-lived state could not be reached.
    pub state_errors: Counter,
}

/// The numbers of mail.
#[derive(Debug, Default)]
struct Mail {
    sent: Family<SentMailLabels, Counter>,
    failed: Family<FailedMailLabels, Counter>,
    waiting: Gauge,
}

impl Mail {
    fn register(&self, registry: &mut Registry) {
        registry.register("mail_sent", "Mails that the mail server has taken", self.sent.clone());
        registry.register("mail_failed", "Mails that did not leave", self.failed.clone());
        // From nothing to one is no increase to Prometheus; from zero to one is.
        for result in FAILED_MAIL {
            drop(self.failed.get_or_create(&FailedMailLabels { result }));
        }
        registry.register("mail_waiting", "Mails that wait to leave", self.waiting.clone());
    }
}

/// The numbers of upstreams.
#[derive(Debug, Default)]
struct Upstreams {
    up: Family<UpstreamLabels, Gauge>,
    clock_ahead: Family<UpstreamLabels, Gauge>,
    secret_expires: Family<UpstreamLabels, Gauge>,
}

impl Upstreams {
    fn register(&self, registry: &mut Registry) {
        registry.register("upstream_up", "Whether the upstream answers", self.up.clone());
        let about = "By how much the clock of the upstream is ahead of ours";
        registry.register("upstream_clock_ahead_seconds", about, self.clock_ahead.clone());
        let about = "When our client secret there ends, since 1970";
        registry.register("upstream_secret_expires_seconds", about, self.secret_expires.clone());
    }
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("keywright");
        let metrics = Self {
            requests: Family::default(),
            durations: Histogram::new(exponential_buckets(0.000_25, 4.0, 8)),
            sign_ins: Family::default(),
            tokens: Family::default(),
            errors: Family::default(),
            logouts: Family::default(),
            mail: Mail::default(),
            upstreams: Upstreams::default(),
            stores: Family::default(),
            key_ages: Family::default(),
            leases: Family::default(),
            lease_ends: Family::default(),
            certificate_ends: Family::default(),
            state_errors: Counter::default(),
            registry: Registry::default(),
        };
        let build = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
        registry.register("build", "The running program", build);
        registry.register("http_requests", "Requests answered", metrics.requests.clone());
        let durations = metrics.durations.clone();
        registry.register("http_request_duration_seconds", "Time to answer", durations);
        registry.register("sign_ins", "Sign-ins, done and refused", metrics.sign_ins.clone());
        registry.register("tokens_issued", "Token answers", metrics.tokens.clone());
        registry.register("oauth_errors", "Wire errors", metrics.errors.clone());
        for result in LOGOUTS {
            drop(metrics.logouts.get_or_create(&LogoutLabels { result }));
        }
        let logouts = metrics.logouts.clone();
        registry.register("backchannel_logouts", "Tries to tell apps of sign-outs", logouts);
        metrics.mail.register(&mut registry);
        metrics.upstreams.register(&mut registry);
        registry.register("store_up", "Whether the store answers", metrics.stores.clone());
        let about = "For how long the key of the moment has signed";
        registry.register("signing_key_age_seconds", about, metrics.key_ages.clone());
        let leases = metrics.leases.clone();
        registry.register("lease_checks", "Questions to upstreams about people", leases);
        let ends = metrics.lease_ends.clone();
        registry.register("leases_ended", "Sessions that an upstream's word ended", ends);
        let about = "When the certificate of a listener of ours ends, since 1970";
        let certificate_ends = metrics.certificate_ends.clone();
        registry.register("tls_certificate_expires_seconds", about, certificate_ends);
        let state_errors = metrics.state_errors.clone();
        registry.register("state_errors", "Failures of the short-lived state", state_errors);
        Self { registry, ..metrics }
    }
}

impl Metrics {
    /// Says when the certificate of the public listener ends.
    pub fn set_certificate_end(&self, unix: i64) {
        let labels = ListenerLabels { listener: "public" };
        self.certificate_ends.get_or_create(&labels).set(unix);
    }

    /// Counts an answered request.
    pub fn count_request(&self, route: &str, method: &'static str, status: u16, took: Duration) {
        let labels = RequestLabels { route: route.to_owned(), method, status };
        self.requests.get_or_create(&labels).inc();
        self.durations.observe(took.as_secs_f64());
    }

    /// Counts a sign-in that was done.
    pub fn count_sign_in(&self, method: &str) {
        let (result, reason) = ("done", String::new());
        let labels = SignInLabels { result, reason, method: method.to_owned() };
        self.sign_ins.get_or_create(&labels).inc();
    }

    /// Counts a sign-in that was refused.
    pub fn count_refused_sign_in(&self, method: &str, reason: &str) {
        let (result, reason) = ("refused", reason.to_owned());
        let labels = SignInLabels { result, reason, method: method.to_owned() };
        self.sign_ins.get_or_create(&labels).inc();
    }

    /// Counts a token answer.
    pub fn count_tokens(&self, grant: &'static str, client: &str) {
        let labels = TokenLabels { grant, client: client.to_owned() };
        self.tokens.get_or_create(&labels).inc();
    }

    /// Counts a wire error.
    pub fn count_error(&self, route: &str, error: &'static str) {
        self.errors.get_or_create(&ErrorLabels { route: route.to_owned(), error }).inc();
    }

    /// Counts a try to tell an app of a sign-out.
    pub fn count_logout(&self, result: &'static str) {
        self.logouts.get_or_create(&LogoutLabels { result }).inc();
    }

    /// Counts a mail that the mail server has taken.
    pub fn count_sent_mail(&self, kind: &'static str) {
        self.mail.sent.get_or_create(&SentMailLabels { kind }).inc();
    }

    /// Counts a mail that did not leave.
    pub fn count_failed_mail(&self, result: &'static str) {
        self.mail.failed.get_or_create(&FailedMailLabels { result }).inc();
    }

    /// Shows how many mails wait.
    pub fn show_waiting_mail(&self, count: i64) {
        self.mail.waiting.set(count);
    }

    /// Shows how an upstream is.
    pub fn show_upstream(&self, slug: &str, numbers: UpstreamNumbers) {
        let labels = UpstreamLabels { upstream: slug.to_owned() };
        let Upstreams { up, clock_ahead, secret_expires } = &self.upstreams;
        up.get_or_create(&labels).set(i64::from(numbers.up));
        if let Some(seconds) = numbers.clock_ahead {
            clock_ahead.get_or_create(&labels).set(seconds);
        }
        if let Some(at) = numbers.secret_expires {
            secret_expires.get_or_create(&labels).set(at);
        }
    }

    /// Shows whether a store answers.
    pub fn show_store(&self, store: &'static str, up: bool) {
        self.stores.get_or_create(&StoreLabels { store }).set(i64::from(up));
    }

    /// Shows for how long the key of the moment has signed.
    pub fn show_key_age(&self, alg: &'static str, seconds: i64) {
        self.key_ages.get_or_create(&KeyLabels { alg }).set(seconds);
    }

    /// Counts what came of asking an upstream, or of having nothing to ask it with.
    pub fn count_lease(&self, upstream: &str, means: &'static str, outcome: &'static str) {
        let labels = LeaseLabels { upstream: upstream.to_owned(), means, outcome };
        self.leases.get_or_create(&labels).inc();
    }

    /// Counts a session that ended because its upstream does not stand by it any more.
    pub fn count_lease_end(&self, upstream: &str, reason: &'static str) {
        let labels = LeaseEndLabels { upstream: upstream.to_owned(), reason };
        self.lease_ends.get_or_create(&labels).inc();
    }

    /// Everything in the text format of `OpenMetrics`.
    pub fn render(&self) -> Result<String, std::fmt::Error> {
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(text)
    }
}

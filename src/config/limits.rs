//! What requests and connections may cost.

use super::problems::Problems;
use crate::foundation::clock::Span;

section! {
    /// What connections to the public listener may cost.
    pub struct ConnectionSettings {
        /// So many at once; whoever comes then waits until one ends. Fewer, where the process may
        /// not open so many files.
        max: u32 = 10_000,
        /// So many at once from one network (an IPv4 address or an IPv6 /64); further ones are
        /// closed. Those of `server.trusted_proxies` are not counted.
        max_per_network: u32 = 500,
        /// So many requests are worked on at once; further ones get 503 with `Retry-After`.
        max_requests: u32 = 2_000,
        /// For how long the head of a request may be on its way, or an answer may not be taken.
        stall_timeout: Span = Span::from_seconds(10),
        /// For how long a connection may rest between two requests: longer than any proxy keeps one.
        idle_timeout: Span = Span::from_seconds(90),
    }
}

impl ConnectionSettings {
    pub(super) fn check(&self, problems: &mut Problems) {
        for (name, value) in [
            ("max", self.max),
            ("max_per_network", self.max_per_network),
            ("max_requests", self.max_requests),
        ] {
            if !(1..=1_000_000).contains(&value) {
                let fix = "must be between 1 and 1000000";
                problems.add(&format!("connections.{name}"), value, fix);
            }
        }
        let (shortest, longest) = (Span::from_seconds(4), Span::from_hours(1));
        for (name, span) in
            [("stall_timeout", self.stall_timeout), ("idle_timeout", self.idle_timeout)]
        {
            if span < shortest || span > longest {
                let fix = format!("must be between \"{shortest}\" and \"{longest}\"");
                problems.add(&format!("connections.{name}"), span, fix);
            }
        }
    }
}

section! {
    /// Brakes. They count in the short-lived state, but for wrong passwords, which count in the
    /// database.
    pub struct RateLimitSettings {
        /// Whether `requests_per_minute` counts. Everything else here counts in any case. Also read
        /// from `RATE_LIMIT_ENABLED`.
        enabled: bool = true,
        /// Requests for pages per minute from one network (an IPv4 address or an IPv6 /64), at all
        /// instances together. What apps ask for is not counted. Behind one address with many
        /// people, raise it. Also read from `RATE_LIMIT_PER_MINUTE`.
        requests_per_minute: u32 = 60,
        /// Password attempts per minute from one network (an IPv4 address or an IPv6 /64).
        sign_in_per_minute: u32 = 20,
        /// Tries to make a local account within an hour from one network.
        sign_up_per_hour: u32 = 20,
        /// Wishes to get back into an account within an hour from one network.
        recovery_per_hour: u32 = 10,
        /// After wrong passwords for so many accounts, unknown browsers of a network have to wait
        /// between tries.
        failed_accounts_per_network: u32 = 20,
        /// Failed client authentications per minute for one client from one network.
        client_failures_per_minute: u32 = 30,
        /// Sign-ins that may begin within a minute from one network, at each instance. A whole
        /// company may come from one address.
        max_new_flows: u32 = 1200,
    }
}

impl RateLimitSettings {
    pub(super) fn check(&self, problems: &mut Problems) {
        if !(1..=10_000_000).contains(&self.requests_per_minute) {
            let fix =
                "must be between 1 and 10000000; without a limit: rate_limits.enabled = false";
            problems.add("rate_limits.requests_per_minute", self.requests_per_minute, fix);
        }
    }
}

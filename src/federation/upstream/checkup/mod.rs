//! The examination of an upstream: everything about it that can be seen without a person.
//!
//! It asks as a sign-in does, with the same code, but for a code that nobody has issued and a browser
//! that nobody sits at. It changes nothing there and nothing here.

mod documents;
mod requests;

use super::{Kind, SecretEnd, Upstream, oauth2, oidc};
use crate::{
    config::ClientAuthentication,
    federation::{
        fault::{FaultKind, UpstreamFault},
        finding::Finding,
    },
    foundation::{
        clock::{Span, Timestamp},
        random::Random,
    },
};

/// Beyond this the times of ID tokens are not accepted.
const MAX_AHEAD: i64 = super::super::id_token::ID_TOKEN_LEEWAY.seconds();
const A_MONTH: Span = Span::from_days(30);

impl Upstream {
    /// Looks at everything, one after the other. What cannot be looked at because of what came before
    /// is left out.
    pub async fn examine(&self, random: &dyn Random, now: Timestamp) -> Vec<Finding> {
        let mut found = match &self.kind {
            Kind::Oidc(provider) => self.examine_provider(provider, random, now).await,
            Kind::OAuth2(server) => self.examine_server(server, random, now).await,
        };
        found.extend(self.examine_clock());
        found.extend(self.examine_secret(now));
        found
    }

    async fn examine_provider(
        &self,
        provider: &oidc::Provider,
        random: &dyn Random,
        now: Timestamp,
    ) -> Vec<Finding> {
        let (mut found, document) = documents::discovery(self, provider).await;
        let Some((document, metadata)) = document else {
            return found;
        };
        found.push(documents::algorithms(&self.settings, &document));
        found.push(documents::keys(self, provider, &metadata.jwks_uri).await);
        found.push(documents::pkce(&document));
        match provider.relying_party(self, &metadata.clone().into()) {
            Ok(party) => found.push(requests::credentials(self, &party, random, now).await),
            Err(fault) => found.push(unfit("credentials", &fault)),
        }
        found.push(requests::redirect_uri(self, random, now).await);
        found.push(documents::logout(&self.settings, metadata.end_session_endpoint.as_deref()));
        let userinfo = metadata.userinfo_endpoint.is_some();
        found.extend(documents::lease(&self.settings, &document, userinfo));
        found
    }

    /// OAuth 2.0 has no documents: there is less to see.
    async fn examine_server(
        &self,
        server: &oauth2::Server,
        random: &dyn Random,
        now: Timestamp,
    ) -> Vec<Finding> {
        let endpoint = server.party().token_uri().as_str();
        let seen = self.http.visit(endpoint, self.settings.timeout.to_std()).await;
        if let Err(fault) = seen
            && fault.kind == FaultKind::Unavailable
        {
            return vec![unfit("reachable", &fault)];
        }
        let what = format!(
            "{endpoint} answers. It speaks OAuth 2.0, which has no discovery, issuer and keys to look at"
        );
        let mut found = vec![Finding::pass("reachable", what)];
        found.push(requests::credentials(self, server.party(), random, now).await);
        found.push(requests::redirect_uri(self, random, now).await);
        if self.settings.max_staleness.is_some() {
            let what = "max_staleness is set, and nobody can say whether it gives refresh tokens";
            let fix =
                "sign in and see: without one, it is asked only as long as its access token lives";
            found.push(Finding::warn("lease", what, fix));
        }
        found
    }

    fn examine_clock(&self) -> Option<Finding> {
        const CHECK: &str = "clock";
        // Who has not answered has said nothing about the time.
        let Some(ahead) = self.health.clock_ahead() else {
            let what = "its answers have no Date, so its clock could not be compared";
            return self.health.has_answered().then(|| Finding::pass(CHECK, what));
        };
        let Some(trouble) = self.health.clock_trouble() else {
            return Some(Finding::pass(
                CHECK,
                format!("it differs from ours by {} s", ahead.abs()),
            ));
        };
        let fix = "keep both clocks with a time server (NTP)";
        Some(if ahead.abs() > MAX_AHEAD {
            let what = format!("{trouble}; ID tokens are refused for more than {MAX_AHEAD} s");
            Finding::fail(CHECK, what, fix)
        } else {
            Finding::warn(CHECK, trouble, fix)
        })
    }

    fn examine_secret(&self, now: Timestamp) -> Option<Finding> {
        const CHECK: &str = "secret";
        let fix = "make a new one there, then change client_secret and client_secret_expires";
        let settings = &self.settings;
        let secret = matches!(
            settings.client_auth,
            ClientAuthentication::Basic | ClientAuthentication::Post
        );
        match (self.secret_end(now), settings.client_secret_expires) {
            (SecretEnd::Over(day), _) => {
                Some(Finding::fail(CHECK, format!("the client secret has ended on {day}"), fix))
            }
            (SecretEnd::Near(day), _) => {
                let what = format!("the client secret ends on {day}, in less than {A_MONTH}");
                Some(Finding::warn(CHECK, what, fix))
            }
            (SecretEnd::Far, Some(day)) => {
                Some(Finding::pass(CHECK, format!("the client secret ends on {day}")))
            }
            (SecretEnd::Far, None) if secret && settings.preset.lets_secrets_end() => {
                let what =
                    "client secrets end there, and nobody has written down when this one does";
                Some(Finding::warn(CHECK, what, "set client_secret_expires = \"YYYY-MM-DD\""))
            }
            (SecretEnd::Far, None) => None,
        }
    }
}

/// Something that cannot be used as it is.
fn unfit(check: &'static str, fault: &UpstreamFault) -> Finding {
    let fix = match fault.reason {
        "upstream_unreachable" | "upstream_away" => {
            "look at name, network and certificate (ca_file); proxies of the environment are not used"
        }
        "upstream_slow" => "raise timeout, or ask why it is slow",
        "upstream_discovery_failed" => "the issuer is wrong, or the provider is not in order",
        "upstream_issuer_mismatch" => {
            "set issuer to the one that it names, or mend the host name there"
        }
        "upstream_endpoint_insecure" => "set the public host name and https in the provider",
        "upstream_mix_up" => "compare the issuers of the two upstreams: one answers for the other",
        "upstream_jwks_empty" => "select a signing key in the provider",
        "client_key_unfit" => "make a new client_key",
        _ => "look at docs/troubleshooting.md, where the word is explained",
    };
    Finding::fail(check, fault.to_string(), fix)
}

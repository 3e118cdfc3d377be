//! Whether an upstream is there, what time it is there, and for how long our secret there is good.

use super::{Kind, Upstream};
use crate::{
    config::Day,
    federation::fault::UpstreamFault,
    foundation::clock::{Span, Timestamp},
};

/// From when on the end of a secret is worth a warning.
const NOTICE: Span = Span::from_days(30);

/// What is to be said about the end of a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SecretEnd {
    /// It is far away, or nobody knows.
    Far,
    /// It is near.
    Near(Day),
    /// It is over.
    Over(Day),
}

impl Upstream {
    /// Whether it has not answered lately. Cheap: for pages that list ways to sign in.
    pub fn is_away(&self) -> bool {
        self.health.is_away()
    }

    /// By how many seconds its clock is ahead of ours, as far as it has said.
    pub fn clock_ahead(&self) -> Option<i64> {
        self.health.clock_ahead()
    }

    /// Asks how it is, if it is in doubt or has not been asked for a while.
    pub async fn look_after(&self, now: Timestamp) {
        if self.health.wants_a_look() {
            // What came of it is kept, and told where it changes anything.
            let _ = self.look(now).await;
        }
    }

    /// Nobody is sent to an upstream that is away, warm as its metadata may be. When it is time to
    /// try it again, that is done first: an absence never lasts only because nobody asks.
    pub(super) async fn check_presence(&self, now: Timestamp) -> Result<(), UpstreamFault> {
        if self.is_away() {
            let _ = self.look(now).await;
        }
        self.health.check()
    }

    async fn look(&self, now: Timestamp) -> Result<(), UpstreamFault> {
        let provider = match &self.kind {
            Kind::Oidc(provider) => provider,
            // There is no document to ask for.
            Kind::OAuth2(server) => return self.knock(server.party().token_uri().as_str()).await,
        };
        // Where there is a copy, the document is not what people would miss.
        let Some(copy) = provider.documents.copy(now).await else {
            return provider.documents.look(&self.http, now).await;
        };
        if !self.is_away() && provider.documents.look(&self.http, now).await.is_ok() {
            return Ok(());
        }
        self.knock(&copy.token_endpoint).await
    }

    /// Sees whether anybody is there. Whatever they say, they are.
    async fn knock(&self, endpoint: &str) -> Result<(), UpstreamFault> {
        self.http.visit(endpoint, self.settings.timeout.to_std()).await.map(drop)
    }

    /// What is to be said about the end of our secret there.
    pub fn secret_end(&self, now: Timestamp) -> SecretEnd {
        match self.settings.client_secret_expires {
            Some(day) if day.begins() <= now => SecretEnd::Over(day),
            Some(day) if day.begins() <= now.plus(NOTICE) => SecretEnd::Near(day),
            _ => SecretEnd::Far,
        }
    }

    /// A refusal of our credentials, with what is known of their end.
    pub(super) fn name_secret(&self, mut fault: UpstreamFault, now: Timestamp) -> UpstreamFault {
        let refused = fault.reason == "upstream_token_refused"
            && (fault.detail.starts_with("invalid_client")
                || fault.detail.starts_with("unauthorized_client"));
        if let SecretEnd::Over(day) = self.secret_end(now)
            && refused
        {
            fault.detail = format!(
                "{}: the client secret has ended on {day} (client_secret_expires)",
                fault.detail
            );
        }
        fault
    }
}

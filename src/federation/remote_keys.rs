//! The keys that an app publishes at an address of its own (`jwks_uri`): fetched like those of upstreams,
//! kept, and fetched again for an unknown `kid`.

use std::{sync::Arc, time::Duration};

use url::Url;

use super::{fault::UpstreamFault, http::HttpClient, kept::Shared};
use crate::{
    foundation::clock::Timestamp,
    keys::{MAX_JWKS, PublishedKey, read_jwks},
};

/// How long the whole exchange may take (SF-04).
const PATIENCE: Duration = Duration::from_secs(5);

/// The keys of one address.
pub struct RemoteKeys {
    address: Url,
    http: HttpClient,
    kept: Shared<Vec<PublishedKey>>,
}

impl std::fmt::Debug for RemoteKeys {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "RemoteKeys({})", self.address)
    }
}

impl RemoteKeys {
    /// The keys at this address. Nothing is fetched yet.
    pub fn new(address: Url, http: HttpClient) -> Self {
        Self { address, http, kept: Shared::new() }
    }

    /// The keys as they were fetched within the hour, or are now. Strangers can have it asked for, so an
    /// address that has just failed is left alone for a while.
    pub async fn get(&self, now: Timestamp) -> Result<Arc<Vec<PublishedKey>>, UpstreamFault> {
        self.kept.get_sparingly(now, async |has_copy| self.fetch(has_copy).await).await
    }

    /// The keys after one more look, because `tried` did not do; nothing if the last such look was just now.
    pub async fn get_newer(
        &self,
        tried: &Arc<Vec<PublishedKey>>,
        now: Timestamp,
    ) -> Result<Option<Arc<Vec<PublishedKey>>>, UpstreamFault> {
        self.kept.get_newer(tried, now, async |has_copy| self.fetch(has_copy).await).await
    }

    async fn fetch(&self, has_copy: bool) -> Result<Vec<PublishedKey>, UpstreamFault> {
        let address = self.address.as_str();
        let answer = self.http.get_again(address, has_copy, PATIENCE, MAX_JWKS).await?;
        if answer.status != 200 {
            let detail = format!("{address} answered with status {}", answer.status);
            return Err(UpstreamFault::unavailable("client_jwks_failed", detail));
        }
        read_jwks(&answer.body).map_err(|fault| {
            UpstreamFault::unacceptable("client_jwks_unfit", format!("{address}: {fault}"))
        })
    }
}

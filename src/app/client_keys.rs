//! The public keys of the apps: those of the settings, and those that an app publishes itself.

use std::{collections::HashMap, sync::Arc};

use crate::{
    config::{Config, Problems},
    federation::{HttpClient, RemoteKeys, UpstreamFault},
    foundation::{clock::Timestamp, ids::ClientId},
    keys::{Authorities, PublishedKey, read_jwks},
};

/// The keys of one app, as they were seen at one time.
pub type Keys = Arc<Vec<PublishedKey>>;

#[derive(Debug)]
enum Source {
    /// Read at the start.
    Settings(Keys),
    /// Fetched, and kept for a while.
    Address(Box<RemoteKeys>),
}

/// The public keys of all apps that have any.
#[derive(Debug)]
pub struct ClientKeys {
    sources: HashMap<ClientId, Source>,
    /// Who may certify apps, if anybody may.
    pub authorities: Option<Authorities>,
}

impl ClientKeys {
    /// Reads the keys of the settings. Nothing is fetched before it is needed.
    pub(super) fn new(config: &Config, http: &HttpClient) -> Result<Self, Problems> {
        let mut sources = HashMap::new();
        for client in &config.clients {
            let source = match (&client.jwks, &client.jwks_uri) {
                (Some(jwks), _) => {
                    let keys = read_jwks(jwks.as_bytes()).map_err(|fault| {
                        let setting = format!("clients.{}.jwks", client.id);
                        Problems::one(&setting, format!("cannot be used: {fault}"))
                    })?;
                    Source::Settings(Arc::new(keys))
                }
                (None, Some(uri)) => {
                    Source::Address(Box::new(RemoteKeys::new(uri.clone(), http.clone())))
                }
                (None, None) => continue,
            };
            sources.insert(client.id.clone(), source);
        }
        Ok(Self { sources, authorities: authorities(config)? })
    }

    /// The keys of an app; none if it has none.
    pub async fn find(&self, client: &ClientId, now: Timestamp) -> Result<Keys, UpstreamFault> {
        match self.sources.get(client) {
            None => Ok(Keys::default()),
            Some(Source::Settings(keys)) => Ok(Arc::clone(keys)),
            Some(Source::Address(remote)) => remote.get(now).await,
        }
    }

    /// The keys of an app after one more look, because `tried` did not do; nothing if looking cannot help,
    /// or the last look was just now.
    pub async fn find_newer(
        &self,
        client: &ClientId,
        tried: &Keys,
        now: Timestamp,
    ) -> Result<Option<Keys>, UpstreamFault> {
        match self.sources.get(client) {
            Some(Source::Address(remote)) => remote.get_newer(tried, now).await,
            Some(Source::Settings(_)) | None => Ok(None),
        }
    }
}

/// Who may certify apps.
fn authorities(config: &Config) -> Result<Option<Authorities>, Problems> {
    let read = |pem| {
        Authorities::read(pem).map_err(|error| {
            let setting = "server.client_certificate_ca";
            Problems::one(setting, format!("cannot be used: {error:#}"))
        })
    };
    config.server.client_certificate_ca.as_ref().map(|ca| read(ca.pem())).transpose()
}

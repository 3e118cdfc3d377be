//! Places for connections: so many in all, and so many for one network, so that nobody takes them all.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::Instant,
};

use crate::web::address;

/// What may happen all the time is said once in so long.
const SAID_AGAIN: Duration = Duration::from_secs(60);

/// All places.
#[derive(Debug)]
pub(super) struct Places {
    all: Arc<Semaphore>,
    per_network: usize,
    networks: Mutex<HashMap<String, usize>>,
    full: Saying,
    refused: Saying,
}

/// A place of one network. It is free again when this is dropped.
#[derive(Debug)]
pub(super) struct OfNetwork {
    places: Arc<Places>,
    network: String,
}

impl Places {
    pub(super) fn new(all: usize, per_network: usize) -> Arc<Self> {
        Arc::new(Self {
            all: Arc::new(Semaphore::new(all.min(Semaphore::MAX_PERMITS))),
            per_network,
            networks: Mutex::default(),
            full: Saying::default(),
            refused: Saying::default(),
        })
    }

    /// A place, as soon as there is one. Nothing only if nobody gives places any more.
    pub(super) async fn wait(&self) -> Option<OwnedSemaphorePermit> {
        if let Some(place) = self.now() {
            return Some(place);
        }
        if self.full.is_due() {
            tracing::warn!("all connections are in use (connections.max): whoever comes waits");
        }
        Arc::clone(&self.all).acquire_owned().await.ok()
    }

    /// A place, if there is one.
    pub(super) fn now(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.all).try_acquire_owned().ok()
    }

    /// One of the places of this network, unless all of them are taken.
    pub(super) fn of(self: &Arc<Self>, address: IpAddr) -> Option<OfNetwork> {
        let network = address::network(address);
        let mut networks = self.networks.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = networks.entry(network.clone()).or_default();
        if *taken >= self.per_network {
            if self.refused.is_due() {
                tracing::warn!(
                    network,
                    "too many connections (connections.max_per_network): further ones are closed; \
                     if this is your proxy, it belongs in server.trusted_proxies"
                );
            }
            return None;
        }
        *taken += 1;
        Some(OfNetwork { places: Arc::clone(self), network })
    }
}

impl Drop for OfNetwork {
    fn drop(&mut self) {
        let mut networks = self.places.networks.lock().unwrap_or_else(PoisonError::into_inner);
        let left = networks.get_mut(&self.network).map(|taken| {
            *taken -= 1;
            *taken
        });
        if left == Some(0) {
            networks.remove(&self.network);
        }
    }
}

/// When something was said last.
#[derive(Debug, Default)]
pub(super) struct Saying(Mutex<Option<Instant>>);

impl Saying {
    /// Whether it is time to say it again.
    pub(super) fn is_due(&self) -> bool {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let due = last.is_none_or(|last| last.elapsed() >= SAID_AGAIN);
        if due {
            *last = Some(Instant::now());
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn places_are_given_back() {
        let places = Places::new(2, 1);
        let here: IpAddr = "2001:db8::1".parse().unwrap();
        let neighbour: IpAddr = "2001:db8::2".parse().unwrap();
        let taken = places.of(here);
        assert!(taken.is_some() && places.of(neighbour).is_none());
        assert!(places.of("2001:db8:0:1::1".parse().unwrap()).is_some(), "another network");
        drop(taken);
        assert!(places.of(neighbour).is_some());
        assert!(places.networks.lock().unwrap().is_empty(), "nobody is remembered");
        let (one, other) = (places.wait().await, places.now());
        assert!(one.is_some() && other.is_some() && places.now().is_none());
        drop(one);
        assert!(places.now().is_some());
    }

    #[test]
    fn what_was_just_said_is_not_said_again() {
        let saying = Saying::default();
        assert!(saying.is_due() && !saying.is_due());
    }
}

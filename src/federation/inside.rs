//! Who may lead us inside: to this computer, or into the network around it (SF-01, SF-02).
//!
//! The administrator may name any host; many upstreams are neighbours. A host that only an upstream's
//! own metadata names is another matter: from outside nobody leads us inside. Such hosts are looked
//! at when the metadata is read, and again by the resolver at every connection, which then goes to
//! the addresses that were looked at and to no others.

use std::{
    collections::HashSet,
    future::ready,
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::{Arc, PoisonError, RwLock},
};

use futures_util::{FutureExt as _, future::BoxFuture};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::{Host, Url};

/// Finds the addresses of a host.
type Lookup = dyn Fn(String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> + Send + Sync;

/// The hosts that upstreams have named, and how the addresses of any host are found.
#[derive(Clone)]
pub(super) struct Doorkeeper {
    watched: Arc<RwLock<HashSet<String>>>,
    lookup: Arc<Lookup>,
}

impl std::fmt::Debug for Doorkeeper {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("Doorkeeper")
    }
}

impl Doorkeeper {
    /// One that asks the system's resolver.
    pub(super) fn new() -> Self {
        Self::with(|host| {
            let found = async move {
                let found = tokio::net::lookup_host((host, 0)).await?;
                Ok(found.map(|address| address.ip()).collect())
            };
            found.boxed()
        })
    }

    pub(super) fn with(
        lookup: impl Fn(String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> + Send + Sync + 'static,
    ) -> Self {
        Self { watched: Arc::default(), lookup: Arc::new(lookup) }
    }

    /// The address inside to which this one leads, if it does.
    pub(super) async fn leads_inside(&self, url: &Url) -> io::Result<Option<IpAddr>> {
        let found = match url.host() {
            Some(Host::Ipv4(address)) => vec![address.into()],
            Some(Host::Ipv6(address)) => vec![address.into()],
            Some(Host::Domain(host)) => (self.lookup)(host.to_owned()).await?,
            None => Vec::new(),
        };
        Ok(found.into_iter().find(|address| is_inside(*address)))
    }

    /// From now on nobody is led inside by this host.
    pub(super) fn watch(&self, url: &Url) {
        let Some(host) = url.host_str() else {
            return;
        };
        if !self.watches(host) {
            self.watched.write().unwrap_or_else(PoisonError::into_inner).insert(host.to_owned());
        }
    }

    fn watches(&self, host: &str) -> bool {
        self.watched.read().unwrap_or_else(PoisonError::into_inner).contains(host)
    }
}

impl Resolve for Doorkeeper {
    fn resolve(&self, name: Name) -> Resolving {
        let watched = self.watches(name.as_str());
        let found = (self.lookup)(name.as_str().to_owned());
        let host = name.as_str().to_owned();
        found
            .then(move |found| {
                ready(found.map_err(Into::into).and_then(|mut found| {
                    if watched {
                        found.retain(|address| !is_inside(*address));
                    }
                    if found.is_empty() {
                        return Err(format!("{host} has no address outside").into());
                    }
                    let found = found.into_iter().map(|address| SocketAddr::new(address, 0));
                    Ok(Box::new(found) as Addrs)
                }))
            })
            .boxed()
    }
}

/// Whether an address belongs to this computer, to a network of somebody's own, or to nobody: all
/// that the registries of special addresses (RFC 6890) do not call global.
fn is_inside(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_inside_v4(address),
        IpAddr::V6(address) => is_inside_v6(address),
    }
}

fn is_inside_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_multicast()
        || address.is_documentation()
        // This network, protocol assignments, benchmarks, carriers' own (RFC 6598), reserved and
        // broadcast.
        || a == 0
        || (a, b, c) == (192, 0, 0)
        || (a == 198 && b & 0xfe == 18)
        || (a == 100 && b & 0xc0 == 64)
        || a >= 240
}

fn is_inside_v6(address: Ipv6Addr) -> bool {
    let groups = address.segments();
    let embedded = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        is_inside_v4(Ipv4Addr::new(a, b, c, d))
    };
    match groups {
        // IPv4 in other words: compatible and mapped (RFC 4291 §2.5.5), translated (RFC 6052), 6to4
        // (RFC 3056). Unspecified and loopback are among the first.
        [0, 0, 0, 0, 0, 0 | 0xffff, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => {
            embedded(high, low)
        }
        [0x2002, high, low, ..] => embedded(high, low),
        // Only 2000::/3 is global unicast; of that, protocol assignments with Teredo (2001::/23) and
        // documentation are not.
        [0x2001, second, ..] => second < 0x200 || second == 0xdb8,
        [0x3fff, second, ..] => second < 0x1000,
        [first, ..] => first & 0xe000 != 0x2000,
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::atomic::{AtomicUsize, Ordering},
        time::Duration,
    };

    use super::*;
    use crate::federation::http::HttpClient;

    const INSIDE: &[&str] = &[
        "127.0.0.1",
        "127.1.2.3",
        "127.255.255.255",
        "0.0.0.0",
        "0.1.2.3",
        "10.0.0.1",
        "10.255.255.255",
        "172.16.0.1",
        "172.31.255.255",
        "192.168.0.1",
        "192.168.255.255",
        "169.254.0.1",
        "169.254.169.254",
        "100.64.0.1",
        "100.127.255.255",
        "192.0.0.1",
        "192.0.0.192",
        "192.0.2.1",
        "198.51.100.1",
        "203.0.113.1",
        "198.18.0.1",
        "198.19.255.255",
        "224.0.0.1",
        "239.255.255.250",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::127.0.0.1",
        "::10.0.0.1",
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
        "::ffff:169.254.169.254",
        "::ffff:7f00:1",
        "::ffff:0.0.0.0",
        "64:ff9b::127.0.0.1",
        "64:ff9b::10.0.0.1",
        "64:ff9b::169.254.169.254",
        "64:ff9b:1::1",
        "64:ff9b:1::8.8.8.8",
        "100::1",
        "2001::1",
        "2001:0:7f00:1::",
        "2001:2::1",
        "2001:10::1",
        "2001:20::1",
        "2001:db8::1",
        "2002:7f00:1::",
        "2002:a00:1::1",
        "2002:a9fe:a9fe::",
        "2002:c0a8:1::",
        "3fff::1",
        "5f00::1",
        "fc00::1",
        "fd00::1",
        "fd12:3456:789a::1",
        "fe80::1",
        "fe80::a00:27ff:fe4e:66a1",
        "febf::1",
        "fec0::1",
        "feff::1",
        "ff02::1",
        "ff05::2",
        "ff0e::1",
    ];
    const OUTSIDE: &[&str] = &[
        "1.1.1.1",
        "8.8.8.8",
        "9.255.255.255",
        "11.0.0.1",
        "100.63.255.255",
        "100.128.0.1",
        "126.255.255.255",
        "128.0.0.1",
        "169.253.0.1",
        "172.15.255.255",
        "172.32.0.1",
        "191.0.0.1",
        "192.0.1.1",
        "192.167.0.1",
        "192.169.0.1",
        "198.17.0.1",
        "198.20.0.1",
        "223.255.255.255",
        "::ffff:8.8.8.8",
        "64:ff9b::8.8.8.8",
        "2002:808:808::",
        "2001:200::1",
        "2001:4860::8888",
        "2606:4700::1111",
        "2a00:1450::1",
        "3ffe::1",
    ];

    /// SF-01.
    #[test]
    fn every_kind_of_address_is_known() {
        assert!(INSIDE.len() >= 60);
        for (addresses, inside) in [(INSIDE, true), (OUTSIDE, false)] {
            for text in addresses {
                assert_eq!(is_inside(text.parse().unwrap()), inside, "{text}");
            }
        }
    }

    /// SF-01: the ways of writing an address that browsers and resolvers know mean the same here.
    #[tokio::test]
    async fn however_it_is_written() {
        let doors = Doorkeeper::new();
        for host in [
            "127.1",
            "127.0.1",
            "0x7f.1",
            "0x7f000001",
            "2130706433",
            "017700000001",
            "0177.0.0.1",
            "127.000.000.001",
            "0",
            "0xa9fea9fe",
            "2852039166",
            "[::ffff:127.0.0.1]",
            "[::FFFF:a9fe:a9fe]",
            "localhost",
            "LOCALHOST",
            "127.0.0.1.",
            "１２７.0.0.1",
        ] {
            let url = Url::parse(&format!("https://{host}/keys")).unwrap();
            assert!(doors.leads_inside(&url).await.unwrap().is_some(), "{host}: {url}");
        }
    }

    /// SF-02: a name that first led outside leads nobody inside later. Others, which the administrator
    /// has named, may.
    #[tokio::test]
    async fn a_name_that_changes_its_mind_leads_nowhere() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let asked = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&asked);
        let doors = Doorkeeper::with(move |_| {
            let first = counted.fetch_add(1, Ordering::Relaxed) == 0;
            let address = if first { [8, 8, 8, 8] } else { [127, 0, 0, 1] };
            ready(Ok(vec![IpAddr::from(address)])).boxed()
        });
        let url = Url::parse(&format!("http://keys.test:{port}/")).unwrap();
        assert_eq!(doors.leads_inside(&url).await.unwrap(), None);
        doors.watch(&url);
        let http = HttpClient::with_doors(doors).unwrap();
        let patience = Duration::from_secs(5);
        let fault = http.get(url.as_str(), None, patience, 1_024).await.map(drop).unwrap_err();
        assert!(fault.detail.contains("keys.test has no address outside"), "{fault}");
        let named = format!("http://named.test:{port}/");
        tokio::select! {
            answer = http.get(&named, None, patience, 1_024) => panic!("{:?}", answer.map(drop)),
            accepted = listener.accept() => drop(accepted.unwrap()),
        }
        assert_eq!(asked.load(Ordering::Relaxed), 3);
    }
}

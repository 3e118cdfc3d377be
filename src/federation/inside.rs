//! Who may lead us inside: to this computer, or into the network around it (SF-01, SF-02).
//!
//! The administrator may name any host; many upstreams are neighbours. A host that only the metadata
//! of an upstream names is another matter: who answers from outside leads nobody inside. Requests to
//! such hosts go through a resolver that keeps the addresses outside and drops the others, so that a
//! connection goes to an address that was looked at, whatever a name leads to later.

use std::{
    collections::HashSet,
    fmt,
    future::ready,
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::{Arc, PoisonError, RwLock},
};

use futures_util::{FutureExt as _, future::BoxFuture};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::{Host, Url};

/// Finds the addresses of a host.
type Lookup = dyn Fn(String) -> BoxFuture<'static, io::Result<Vec<SocketAddr>>> + Send + Sync;

/// The hosts by which an upstream would lead us elsewhere. What it says last counts.
#[derive(Debug, Default)]
pub(super) struct Strangers(RwLock<HashSet<String>>);

impl Strangers {
    /// From now on these are the hosts that are only met outside.
    pub(super) fn set(&self, hosts: HashSet<String>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = hosts;
    }

    /// Whether this address is one of a host that is only met outside.
    pub(super) fn include(&self, url: &Url) -> bool {
        let strangers = self.0.read().unwrap_or_else(PoisonError::into_inner);
        !strangers.is_empty() && url.host_str().is_some_and(|host| strangers.contains(host))
    }
}

/// A resolver that finds addresses outside only.
#[derive(Clone)]
pub(super) struct Outside(Arc<Lookup>);

/// Why a host was not asked.
#[derive(Debug)]
pub(super) struct LeadsInside {
    host: String,
    address: IpAddr,
}

impl fmt::Display for LeadsInside {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, address } = self;
        write!(
            out,
            "{host} leads to {address}, which is inside your network, and the upstream is not; if \
             that is meant, set `internal_url`"
        )
    }
}

impl std::error::Error for LeadsInside {}

impl Outside {
    /// One that asks the system's resolver.
    pub(super) fn new() -> Self {
        Self::with(|host| {
            let found = async move { Ok(tokio::net::lookup_host((host, 0)).await?.collect()) };
            found.boxed()
        })
    }

    pub(super) fn with(
        lookup: impl Fn(String) -> BoxFuture<'static, io::Result<Vec<SocketAddr>>>
        + Send
        + Sync
        + 'static,
    ) -> Self {
        Self(Arc::new(lookup))
    }
}

impl Resolve for Outside {
    fn resolve(&self, name: Name) -> Resolving {
        let host = name.as_str().to_owned();
        let found = (self.0)(host.clone());
        let judged = found.then(move |found| {
            ready(found.map_err(Into::into).and_then(|mut found| {
                let first = found.first().map(SocketAddr::ip);
                found.retain(|address| !is_inside(address.ip()));
                match first {
                    Some(address) if found.is_empty() => Err(LeadsInside { host, address }.into()),
                    _ => Ok(Box::new(found.into_iter()) as Addrs),
                }
            }))
        });
        judged.boxed()
    }
}

/// An address that needs no resolver, and lies inside.
pub(super) fn literal_inside(url: &Url) -> Option<LeadsInside> {
    let address: IpAddr = match url.host()? {
        Host::Ipv4(address) => address.into(),
        Host::Ipv6(address) => address.into(),
        Host::Domain(_) => return None,
    };
    is_inside(address).then(|| LeadsInside { host: address.to_string(), address })
}

/// Whether an address belongs to this computer, to a network of somebody's own, or to nobody: all
/// that the registries of special addresses (RFC 6890) do not call global.
pub(super) fn is_inside(address: IpAddr) -> bool {
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
        // This network, protocol assignments, the former 6to4 relays, benchmarks, carriers' own (RFC
        // 6598), reserved and broadcast.
        || a == 0
        || matches!((a, b, c), (192, 0, 0) | (192, 88, 99))
        // Azure answers every machine there with its secrets, as others do at 169.254.169.254.
        || address == Ipv4Addr::new(168, 63, 129, 16)
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
    use super::*;

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
    #[test]
    fn however_it_is_written() {
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
            "127.0.0.1.",
            "\u{ff11}\u{ff12}\u{ff17}.0.0.1",
        ] {
            let url = Url::parse(&format!("https://{host}/keys")).unwrap();
            assert!(literal_inside(&url).is_some(), "{host}: {url}");
        }
    }

    async fn asks(hosts: &[(&'static str, &[[u8; 4]])], host: &str) -> Result<Vec<IpAddr>, String> {
        let hosts: Vec<_> = hosts.iter().map(|(host, found)| (*host, found.to_vec())).collect();
        let outside = Outside::with(move |asked| {
            let found = hosts.iter().find(|(host, _)| *host == asked);
            let found = found.map(|(_, found)| found.iter().map(|ip| (*ip, 0).into()).collect());
            ready(found.ok_or_else(|| io::Error::other("nobody of that name"))).boxed()
        });
        let found = outside.resolve(host.parse().unwrap()).await;
        found.map(|found| found.map(|at| at.ip()).collect()).map_err(|error| error.to_string())
    }

    /// SF-02: only the addresses outside are connected to, and without one nothing is.
    #[tokio::test]
    async fn a_name_leads_outside_or_nowhere() {
        let hosts: &[(&'static str, &[[u8; 4]])] = &[
            ("both.test", &[[10, 0, 0, 1], [8, 8, 8, 8]]),
            ("inside.test", &[[10, 0, 0, 1], [127, 0, 0, 1]]),
            ("nowhere.test", &[]),
        ];
        assert_eq!(asks(hosts, "both.test").await, Ok(vec![IpAddr::from([8, 8, 8, 8])]));
        let refused = asks(hosts, "inside.test").await.unwrap_err();
        assert!(refused.starts_with("inside.test leads to 10.0.0.1"), "{refused}");
        assert_eq!(asks(hosts, "nowhere.test").await, Ok(Vec::new()));
        assert_eq!(asks(hosts, "gone.test").await.unwrap_err(), "nobody of that name");
    }
}

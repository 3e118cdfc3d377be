//! From where and with what a request came.
//!
//! The socket's address counts. Only behind a configured proxy is `X-Forwarded-For` read, from the
//! right, up to the first hop that is no proxy of ours (RL-01, RL-02). What cannot be read there
//! changes nothing.

use std::net::{IpAddr, SocketAddr};

use axum::{
    extract::ConnectInfo,
    http::{Extensions, HeaderMap, header},
};
use ipnet::IpNet;

use crate::{app::App, audit::printable};

/// Begins what is kept of an app in the place of a browser.
const OF_APP: &str = "app ";

/// The address that a request really came from.
pub fn of(app: &App, extensions: &Extensions, headers: &HeaderMap) -> IpAddr {
    behind_proxies(socket(extensions), &app.config.server.trusted_proxies, headers)
}

/// Whether one of our proxies has brought a request: only then do headers that say something of the
/// connection count.
pub fn is_by_proxy(app: &App, extensions: &Extensions) -> bool {
    let socket = socket(extensions);
    app.config.server.trusted_proxies.iter().any(|net| net.contains(&socket))
}

fn socket(extensions: &Extensions) -> IpAddr {
    let socket = extensions.get::<ConnectInfo<SocketAddr>>().map(|info| info.0.ip());
    socket.unwrap_or(IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED)).to_canonical()
}

fn behind_proxies(socket: IpAddr, trusted: &[IpNet], headers: &HeaderMap) -> IpAddr {
    let is_proxy = |address: &IpAddr| trusted.iter().any(|net| net.contains(address));
    let mut address = socket;
    if !is_proxy(&address) {
        return address;
    }
    let lines: Vec<&str> =
        headers.get_all("x-forwarded-for").iter().filter_map(|line| line.to_str().ok()).collect();
    for hop in lines.iter().rev().flat_map(|line| line.rsplit(',')) {
        let Ok(hop) = hop.trim().parse::<IpAddr>() else {
            return address;
        };
        address = hop.to_canonical();
        if !is_proxy(&address) {
            return address;
        }
    }
    address
}

/// The network that is counted as one guesser: an IPv4 address or an IPv6 /64 (RL-03).
pub fn network(address: IpAddr) -> String {
    match address.to_canonical() {
        IpAddr::V4(v4) => v4.to_string(),
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            format!("{a:x}:{b:x}:{c:x}:{d:x}::/64")
        }
    }
}

/// What the browser calls itself, cut to a sane length.
pub fn user_agent(headers: &HeaderMap) -> String {
    let text = headers.get(header::USER_AGENT).and_then(|value| value.to_str().ok());
    printable(text.unwrap_or_default()).chars().take(200).collect()
}

/// The same for an app that signs people in by itself: its name stands before what it calls itself.
pub fn user_agent_of_app(name: &str, headers: &HeaderMap) -> String {
    format!("{OF_APP}{}; {}", name.replace(';', ","), user_agent(headers))
}

/// The name of the app that a session was begun by, if one has.
pub fn app_in(user_agent: &str) -> Option<&str> {
    user_agent.strip_prefix(OF_APP)?.split_once("; ").map(|(name, _)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(socket: &str, forwarded: &[&str]) -> String {
        let trusted = ["10.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()];
        let mut headers = HeaderMap::new();
        for line in forwarded {
            headers.append("x-forwarded-for", line.parse().unwrap());
        }
        behind_proxies(socket.parse().unwrap(), &trusted, &headers).to_string()
    }

    /// RL-01: nobody but a configured proxy is believed.
    #[test]
    fn forwarded_addresses_count_only_from_our_proxies() {
        assert_eq!(seen("203.0.113.9", &["198.51.100.1"]), "203.0.113.9");
        assert_eq!(seen("10.0.0.1", &["198.51.100.1"]), "198.51.100.1");
        assert_eq!(seen("10.0.0.1", &["6.6.6.6, 198.51.100.1, 10.0.0.2"]), "198.51.100.1");
        assert_eq!(seen("10.0.0.1", &["6.6.6.6", "198.51.100.1"]), "198.51.100.1");
    }

    /// RL-02: what cannot be read never skips anything.
    #[test]
    fn unreadable_hops_change_nothing() {
        for line in ["a", "", "1.2.3.4:99", "[::1]%eth0", "unknown", ","] {
            assert_eq!(seen("10.0.0.1", &[line]), "10.0.0.1", "{line:?}");
        }
        assert_eq!(seen("10.0.0.1", &[]), "10.0.0.1");
    }

    /// RL-03: one /64 is one guesser, and a mapped address is the address.
    #[test]
    fn networks_are_counted_as_one() {
        let of = |text: &str| network(text.parse().unwrap());
        assert_eq!(of("2001:db8:1:2::1"), of("2001:db8:1:2:ffff::9"));
        assert_ne!(of("2001:db8:1:2::1"), of("2001:db8:1:3::1"));
        assert_eq!(of("::ffff:1.2.3.4"), of("1.2.3.4"));
    }
}

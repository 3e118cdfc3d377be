//! Redirect URIs: what may be registered, and when a requested one is the registered one.
//!
//! Comparison is of bytes (RFC 9700 §4.1.3). The only freedom is the port of a native app's
//! loopback address (RFC 8252 §7.3). Nothing is ever normalised at request time: every way of
//! normalising has been somebody's open redirect.

use url::{Host, Url};

/// Whether an app's own kind of client gets the freedom of native apps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoopbackPort {
    /// The port is part of the address, as for every web app.
    Fixed,
    /// Any port of a registered loopback IP literal is accepted (RFC 8252 §7.3).
    Free,
}

/// Whether `requested` is the registered address `registered`.
pub fn matches(registered: &str, requested: &str, loopback: LoopbackPort) -> bool {
    registered == requested
        || (loopback == LoopbackPort::Free
            && without_port(registered).is_some_and(|parts| without_port(requested) == Some(parts)))
}

/// The parts of `http://127.0.0.1:PORT/path` or `http://[::1]:PORT/path` around the port,
/// read from the bytes themselves; nothing for any other address.
fn without_port(uri: &str) -> Option<(&str, &str)> {
    ["http://127.0.0.1", "http://[::1]"].into_iter().find_map(|host| {
        let rest = uri.strip_prefix(host)?;
        let path_at = rest.find('/').unwrap_or(rest.len());
        let (port, path) = rest.split_at_checked(path_at)?;
        let is_port = port.is_empty()
            || port.strip_prefix(':').is_some_and(|digits| {
                digits.bytes().all(|b| b.is_ascii_digit())
                    && digits.parse::<u16>().is_ok_and(|p| p > 0)
            });
        is_port.then_some((host, path))
    })
}

/// Why an address may not be registered, or nothing if it may.
pub fn registration_fault(uri: &str) -> Option<&'static str> {
    if uri.contains('*') {
        return Some("wildcards are not allowed; register each address in full");
    }
    if !uri.bytes().all(|byte| byte.is_ascii_graphic()) || uri.contains(['\\', '"', '<', '>']) {
        return Some("only printable ASCII is allowed; write other characters percent-encoded");
    }
    let Ok(parsed) = Url::parse(uri) else {
        return Some("it is not an absolute address");
    };
    if uri.contains('#') {
        return Some("a fragment is not allowed (RFC 6749 §3.1.2)");
    }
    if !parsed.username().is_empty() || parsed.password().is_some() || authority(uri).contains('@')
    {
        return Some("a user name or password in the address is not allowed");
    }
    if has_dot_segments(uri) {
        return Some("`.` and `..` in the path are not allowed");
    }
    match parsed.scheme() {
        "https" => host_fault(&parsed),
        "http" if is_loopback(&parsed) => None,
        "http" => Some("http is allowed for loopback addresses only; use https"),
        // A private-use scheme is a reversed domain name, so that two apps do not
        // claim the same one (RFC 8252 §7.1).
        scheme if scheme.contains('.') => None,
        _ => {
            Some("the scheme must be https, http to a loopback address, or a reversed domain name")
        }
    }
}

fn authority(uri: &str) -> &str {
    let after = uri.split_once("://").map_or("", |(_, rest)| rest);
    after.split(['/', '?', '#']).next().unwrap_or("")
}

fn has_dot_segments(uri: &str) -> bool {
    let path = uri.split(['?', '#']).next().unwrap_or("").to_ascii_lowercase().replace("%2e", ".");
    let path = path.replace("%2f", "/").replace("%5c", "/");
    path.split('/').any(|segment| matches!(segment.split(';').next(), Some("." | "..")))
}

/// A host that decodes to another spelling of itself hides a twin (RUSTSEC-2024-0421).
fn host_fault(url: &Url) -> Option<&'static str> {
    let Some(Host::Domain(domain)) = url.host() else {
        return None;
    };
    let hidden = domain.split('.').any(|label| {
        label.strip_prefix("xn--").is_some_and(|rest| rest.is_empty() || rest.ends_with('-'))
    });
    hidden.then_some("the host contains a label that is not valid punycode")
}

/// Whether an address stays on this computer.
pub fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(domain)) => domain == "localhost",
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// AZ-02, AZ-03, AZ-04: nothing but the registered bytes.
    #[test]
    fn only_the_registered_bytes_match() {
        let registered = "https://web.test/cb";
        for wrong in [
            "https://web.test/cb/",
            "https://web.test/cbx",
            "https://web.test/cb?x=1",
            "https://web.test/cb#f",
            "HTTPS://web.test/cb",
            "https://WEB.test/cb",
            "https://web.test:443/cb",
            "http://web.test/cb",
            "https://web.test.evil.test/cb",
            "https://evil.test/?u=https://web.test/cb",
            "https://web.test@evil.test/cb",
            "https://a@b@web.test/cb",
            "https://evil.test\\@web.test/cb",
            "https://web.test%40evil.test/cb",
            "https://web.test%5c@evil.test/cb",
            "https://web.test/cb/../evil",
            "https://web.test/cb/..;/evil",
            "https://web.test/cb/%2e%2e/evil",
            "https://web.test/cb%2f..%2fevil",
            "https://web.test//cb",
            "https://web.test/cb/.",
            "",
        ] {
            for loopback in [LoopbackPort::Fixed, LoopbackPort::Free] {
                assert!(!matches(registered, wrong, loopback), "{wrong}");
            }
        }
        assert!(matches(registered, registered, LoopbackPort::Fixed));
    }

    /// AZ-09: any port of the loopback literal, for native apps only.
    #[test]
    fn native_apps_choose_their_loopback_port() {
        let registered = "http://127.0.0.1/cb";
        assert!(matches(registered, "http://127.0.0.1:51234/cb", LoopbackPort::Free));
        assert!(!matches(registered, "http://127.0.0.1:51234/cb", LoopbackPort::Fixed));
        assert!(matches("http://[::1]/cb", "http://[::1]:5/cb", LoopbackPort::Free));
        for wrong in [
            "http://localhost:51234/cb",
            "http://127.0.0.1.evil.test/cb",
            "http://127.1:5/cb",
            "http://0x7f.1/cb",
            "http://127.0.0.1:5@evil.test/cb",
            "http://127.0.0.1:5/other",
            "http://127.0.0.1:99999/cb",
            "http://127.0.0.1:/cb",
            "http://127.0.0.1:0/cb",
            "http://127.0.0.1:+5/cb",
            "https://127.0.0.1:5/cb",
            "http://127.0.0.1:5",
        ] {
            assert!(!matches(registered, wrong, LoopbackPort::Free), "{wrong}");
        }
    }

    /// AZ-03, AZ-05, AZ-06, AZ-10, AZ-11, AZ-12: what may not be registered.
    #[test]
    fn dangerous_addresses_cannot_be_registered() {
        for wrong in [
            "*",
            "https://*.web.test/cb",
            "https://web.test/*",
            "javascript:alert(1)",
            "JaVaScRiPt:alert(1)",
            "java%09script:x",
            "data:text/html,x",
            "vbscript:x",
            "file:///x",
            "blob:https://web.test/x",
            "http://web.test/cb",
            "https://u:p@web.test/cb",
            "https://@web.test/cb",
            "https://web.test/cb#x",
            "myapp:/cb",
            "/cb",
            "",
            "https://b\u{fc}cher.test/cb",
            "https://xn--example-.org/",
            "https://web.test/a/../b",
            "https://web.test/a/%2e%2E/b",
            "https://web.test/cb\n",
            "https://web.test\\@evil.test/",
        ] {
            assert!(registration_fault(wrong).is_some(), "{wrong}");
        }
        for right in [
            "https://web.test/cb",
            "https://web.test/cb?tenant=1",
            "http://127.0.0.1/cb",
            "http://localhost:3000/cb",
            "http://[::1]/cb",
            "com.example.app:/cb",
            "https://xn--bcher-kva.test/cb",
        ] {
            assert_eq!(registration_fault(right), None, "{right}");
        }
    }

    proptest! {
        /// AZ-02: no other byte string is ever the registered one.
        #[test]
        fn no_other_text_matches(text in ".*") {
            let registered = "https://web.test/cb";
            prop_assert_eq!(matches(registered, &text, LoopbackPort::Free), text == registered);
        }

        #[test]
        fn registration_never_panics(text in ".*") {
            let _ = registration_fault(&text);
        }
    }
}

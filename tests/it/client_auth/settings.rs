//! Settings that contradict themselves are found before anything starts.

use keywright::config::{self, Environment};
use serde_json::json;

use super::{Key, LONG_SECRET, client};

const PROXY: &str = "[server]\nissuer = \"https://id.test\"\ntrusted_proxies = [\"10.0.0.0/8\"]\n\
                     client_certificate_header = \"Client-Cert\"\n\
                     [secrets]\nsecret_key = \"0123456789abcdef0123456789abcdef\"\n";

fn problems(text: &str) -> String {
    let read = config::parse(text, &Environment::new());
    read.map_or_else(|problems| problems.to_string(), |_| String::new())
}

#[test]
fn contradictions_are_found() {
    let jwks = format!("jwks = '{}'", json!({ "keys": [Key::new("ES256").public("k")] }));
    let secret = format!("secret = {LONG_SECRET:?}");
    let private = "token_endpoint_auth_method = \"private_key_jwt\"";
    let mac = "token_endpoint_auth_method = \"client_secret_jwt\"";
    let tls = "token_endpoint_auth_method = \"tls_client_auth\"";
    let own = "token_endpoint_auth_method = \"self_signed_tls_client_auth\"";
    let lines = |lines: &[&str]| lines.join("\n");
    let cases = [
        (lines(&[]), "secret: must be set"),
        (lines(&[mac]), "secret: must be set"),
        (lines(&[private]), "jwks: must be set"),
        (lines(&[private, &jwks, &secret]), "secret: is not used with private_key_jwt"),
        (lines(&[private, &jwks, "jwks_uri = \"https://a.test/k\""]), "either jwks or jwks_uri"),
        (lines(&[private, "jwks_uri = \"http://a.test/k\""]), "must begin with https://"),
        (lines(&[private, "jwks_uri = \"https://u:p@a.test/k\""]), "user name or password"),
        (lines(&[private, "jwks_uri = \"https://a.test/k#x\""]), "fragment"),
        (lines(&[private, "jwks = 'x'"]), "must be a JWKS"),
        (lines(&[private, "jwks = '{\"keys\":[{\"d\":\"x\"}]}'"]), "private keys"),
        (lines(&[private, &jwks, "token_endpoint_auth_signing_alg = \"HS256\""]), "one of RS256"),
        (lines(&[&secret, mac, "token_endpoint_auth_signing_alg = \"ES256\""]), "one of HS256"),
        (lines(&[&secret, "token_endpoint_auth_signing_alg = \"ES256\""]), "leave it out"),
        (lines(&[mac, "secret = \"only-twenty-one-chars\""]), "at least 32 characters"),
        (
            lines(&[
                mac,
                "token_endpoint_auth_signing_alg = \"HS512\"",
                "secret = \"forty-characters-are-not-enough-for-this\"",
            ]),
            "at least 64 characters",
        ),
        (lines(&["secret = \"short\""]), "at least 16 characters"),
        (lines(&[&secret, "previous_secrets = [{ secret = \"short\" }]"]), "previous_secrets.0"),
        (lines(&[&secret, "previous_secrets = [{ }]"]), "previous_secrets.0.secret"),
        (
            lines(&[private, &jwks, "previous_secrets = [{ secret = \"0123456789abcdef\" }]"]),
            "needs a secret",
        ),
        (lines(&[&secret, "token_endpoint_auth_method = \"none\""]), "type = \"public\""),
        (lines(&[&secret, mac, "api = true"]), "does not go with api"),
        (lines(&[&secret, "api = true\ndpop_bound_access_tokens = true"]), "bearer tokens"),
        (
            lines(&[&secret, "api = true\ntls_client_certificate_bound_access_tokens = true"]),
            "bearer tokens",
        ),
        (lines(&[&secret, "token_endpoint_auth_method = \"password\""]), "must be"),
        (
            lines(&[tls, "tls_client_auth_san_dns = \"a.test\""]),
            "server.client_certificate_ca_file",
        ),
        (lines(&[tls]), "give one of it"),
        (
            lines(&[tls, "tls_client_auth_san_dns = \"a\"", "tls_client_auth_san_uri = \"b:c\""]),
            "give one of it",
        ),
        (lines(&[tls, "tls_client_auth_subject_dn = \"app\""]), "distinguished name"),
        (lines(&[own]), "jwks: must be set"),
        (lines(&[&secret, "tls_client_auth_san_dns = \"a.test\""]), "tls_client_auth alone"),
    ];
    for (lines, problem) in cases {
        let found = problems(&format!("{PROXY}{}", client("app", &lines)));
        assert!(found.contains("clients.0."), "{lines}: {found}");
        assert!(found.contains(problem), "{lines}: {found}");
        assert!(!found.contains(LONG_SECRET) && !found.contains("only-twenty"), "{found}");
    }
    let public = "type = \"public\"\nredirect_uris = [\"https://a.test/cb\"]\n\
                  token_endpoint_auth_method = \"client_secret_basic\"";
    let text = format!("[[clients]]\nid = \"p\"\nname = \"P\"\n{public}");
    assert!(problems(&text).contains("leave it out"), "{}", problems(&text));
    let fine = "type = \"public\"\nredirect_uris = [\"https://a.test/cb\"]\n\
                token_endpoint_auth_method = \"none\"";
    assert_eq!(problems(&format!("[[clients]]\nid = \"p\"\nname = \"P\"\n{fine}")), "");
    let without = PROXY.replace("client_certificate_header", "#");
    let found = problems(&format!("{without}{}", client("app", &lines(&[own, &jwks]))));
    assert!(found.contains("server.client_certificate_header"), "{found}");
}

#[test]
fn a_header_for_certificates_needs_proxies_that_are_believed() {
    for (server, problem) in [
        ("client_certificate_header = \"Client-Cert\"", "server.trusted_proxies"),
        ("client_certificate_header = \"a b\"", "the name of a header"),
        ("client_certificate_header = \"\"", "the name of a header"),
        ("client_certificate_ca = \"x\"", "certificates in PEM"),
    ] {
        let found = problems(&format!("[server]\n{server}"));
        assert!(found.contains(problem), "{server}: {found}");
    }
}

//! How an app proves who it is: secrets, keys, certificates.

use std::sync::Arc;

use serde_json::Value as Json;
use toml::Value;
use url::Url;

use super::{
    clients::ClientSettings, problems::Problems, reading::Setting, sections::ServerSettings,
    upstream_values::Day, values::word_setting,
};
use crate::{
    foundation::{secret::Secret, strict_json},
    protocol::{
        distinguished_name::DistinguishedName,
        jwa::{FOREIGN_ALGORITHMS, SECRET_ALGORITHMS},
        redirect_uri::is_loopback,
        words::AuthMethod,
    },
};

text_enum! {
    /// What an assertion may name as its audience.
    AssertionAudience {
        /// The issuer, or the address of the token endpoint or of the endpoint that is called.
        Endpoints = "endpoints",
        /// The issuer and nothing else, as one text.
        Issuer = "issuer",
    }
}
word_setting!(AuthMethod, AssertionAudience);

/// What is shorter can be guessed.
const LEAST_SECRET: usize = 16;

section! {
    /// A secret that an app had before.
    pub struct PreviousSecret {
        /// The secret.
        secret: Secret,
        /// The day with whose first moment (UTC) it ends. Without one it ends when it is taken out here.
        expires: Option<Day>,
    }
}

/// A JWKS (RFC 7517 §5), as it stands in a file or in the settings.
#[derive(Clone, Debug)]
pub struct JwksText(Arc<str>);

impl JwksText {
    /// The document.
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl Setting for JwksText {
    // No secret, but long; and it comes from a file.
    const SECRET: bool = true;

    fn kind() -> String {
        "JWKS".to_owned()
    }

    fn read(value: &Value, path: &str, problems: &mut Problems) -> Option<Self> {
        let text = value.as_str().unwrap_or_default();
        let document = strict_json::object(text.as_bytes());
        let Some(Json::Array(keys)) = document.as_ref().and_then(|found| found.get("keys")) else {
            problems.add_bare(path, "must be a JWKS: {\"keys\": [...]}");
            return None;
        };
        // RFC 7518 §6: what only the app itself may have.
        if keys.iter().any(|key| ["d", "k", "p"].iter().any(|name| key.get(*name).is_some())) {
            problems.add_bare(path, "holds private keys; give the public halves alone");
            return None;
        }
        Some(Self(text.into()))
    }

    fn show(&self) -> String {
        String::new()
    }
}

impl ClientSettings {
    /// How it proves who it is. A secret may be sent in either of the two ways.
    pub fn auth_method(&self) -> AuthMethod {
        let usual = if self.is_public() { AuthMethod::None } else { AuthMethod::ClientSecretBasic };
        self.token_endpoint_auth_method.unwrap_or(usual)
    }

    /// The secrets that it had before.
    fn former_secrets(&self) -> impl Iterator<Item = (String, &Secret)> {
        let named = |(index, former)| {
            let former: &PreviousSecret = former;
            (format!("previous_secrets.{index}.secret"), &former.secret)
        };
        self.previous_secrets.iter().enumerate().map(named)
    }
}

pub(super) fn check(
    client: &ClientSettings,
    server: &ServerSettings,
    at: &dyn Fn(&str) -> String,
    problems: &mut Problems,
) {
    check_method(client, at, problems);
    check_secrets(client, at, problems);
    check_keys(client, at, problems);
    check_algorithm(client, at, problems);
    check_certificate(client, server, at, problems);
}

fn check_method(client: &ClientSettings, at: &dyn Fn(&str) -> String, problems: &mut Problems) {
    let method = client.auth_method();
    let bound = at("dpop_bound_access_tokens");
    let with_certificate = at("tls_client_certificate_bound_access_tokens");
    let at = at("token_endpoint_auth_method");
    if (method == AuthMethod::None) != client.is_public() {
        let fix = if client.is_public() {
            "does not go with a public or native client, which proves nothing; leave it out"
        } else {
            "is for clients of type = \"public\" or \"native\""
        };
        problems.add(&at, method, fix);
    } else if client.api && !client.is_public() && !method.sends_secret() {
        problems.add(&at, method, "does not go with api: the JSON API knows secrets alone");
    }
    let certificate = client.tls_client_certificate_bound_access_tokens;
    if certificate && client.is_public() {
        let fix = "is for clients that prove who they are; leave it out";
        problems.add(&with_certificate, true, fix);
    }
    if client.api && certificate {
        let fix = "does not go with api: the JSON API gives bearer tokens";
        problems.add(&with_certificate, true, fix);
    }
    if client.api && client.dpop_bound_access_tokens {
        let fix = "does not go with api: the JSON API gives bearer tokens";
        problems.add(&bound, true, fix);
    }
}

fn check_secrets(client: &ClientSettings, at: &dyn Fn(&str) -> String, problems: &mut Problems) {
    let method = client.auth_method();
    let at_secret = at("secret");
    match &client.secret {
        Some(_) if client.is_public() => {
            let fix = "a public or native client cannot keep a secret; remove it";
            problems.add_bare(&at_secret, fix);
        }
        Some(_) if !method.has_secret() => {
            problems.add_bare(&at_secret, format!("is not used with {method}; leave it out"));
        }
        None if method.has_secret() && !client.is_public() => {
            let fix = "must be set (or secret_file); a client without one is type = \"public\"";
            problems.add_bare(&at_secret, fix);
        }
        None if !client.previous_secrets.is_empty() => {
            problems.add_bare(&at("previous_secrets"), "needs a secret that has replaced them");
        }
        _ => {}
    }
    let least = least_secret(client);
    let own = client.secret.iter().map(|secret| ("secret".to_owned(), secret));
    for (name, secret) in own.chain(client.former_secrets()) {
        let secret = secret.expose();
        if !secret.bytes().all(|byte| (0x20..=0x7e).contains(&byte)) {
            // RFC 6749 appendix A.2.
            problems.add_bare(&at(&name), "must consist of printable ASCII characters");
        } else if secret.len() < least {
            let fix =
                format!("must have at least {least} characters; make one: keywright client secret");
            problems.add_bare(&at(&name), fix);
        }
    }
}

/// A key of a MAC is at least as long as what it makes (RFC 7518 §3.2, JW-10).
fn least_secret(client: &ClientSettings) -> usize {
    if client.auth_method() != AuthMethod::ClientSecretJwt {
        return LEAST_SECRET;
    }
    let alg = client.token_endpoint_auth_signing_alg.as_deref().unwrap_or("HS256");
    let found = SECRET_ALGORITHMS.iter().find(|(own, _)| *own == alg);
    found.map_or(32, |(_, least)| *least)
}

fn check_keys(client: &ClientSettings, at: &dyn Fn(&str) -> String, problems: &mut Problems) {
    let method = client.auth_method();
    match (&client.jwks, &client.jwks_uri) {
        (Some(_), Some(_)) => {
            problems.add_bare(&at("jwks_uri"), "give either jwks or jwks_uri (RFC 7591 §2)");
        }
        (None, None)
            if matches!(
                method,
                AuthMethod::PrivateKeyJwt | AuthMethod::SelfSignedTlsClientAuth
            ) =>
        {
            problems.add_bare(&at("jwks"), format!("must be set (or jwks_uri) with {method}"));
        }
        (None, Some(uri)) => check_address(uri, &at("jwks_uri"), problems),
        _ => {}
    }
}

/// The address is ours to call (SF-05).
fn check_address(uri: &Url, at: &str, problems: &mut Problems) {
    if !uri.username().is_empty() || uri.password().is_some() {
        problems.add_bare(at, "must not hold a user name or password");
    } else if !(uri.scheme() == "https" || (uri.scheme() == "http" && is_loopback(uri))) {
        problems.add(at, uri, "must begin with https:// (http is for loopback only)");
    } else if uri.fragment().is_some() {
        problems.add(at, uri, "must not have a fragment");
    }
}

fn check_algorithm(client: &ClientSettings, at: &dyn Fn(&str) -> String, problems: &mut Problems) {
    let Some(alg) = &client.token_endpoint_auth_signing_alg else {
        return;
    };
    let at = at("token_endpoint_auth_signing_alg");
    let fits: Vec<&str> = match client.auth_method() {
        AuthMethod::PrivateKeyJwt => FOREIGN_ALGORITHMS.to_vec(),
        AuthMethod::ClientSecretJwt => SECRET_ALGORITHMS.iter().map(|(alg, _)| *alg).collect(),
        _ => {
            let fix = "is of use with private_key_jwt and client_secret_jwt alone; leave it out";
            problems.add(&at, format!("{alg:?}"), fix);
            return;
        }
    };
    if !fits.contains(&alg.as_str()) {
        problems.add(&at, format!("{alg:?}"), format!("must be one of {}", fits.join(", ")));
    }
}

fn check_certificate(
    client: &ClientSettings,
    server: &ServerSettings,
    at: &dyn Fn(&str) -> String,
    problems: &mut Problems,
) {
    let method = client.auth_method();
    let names = [
        &client.tls_client_auth_subject_dn,
        &client.tls_client_auth_san_dns,
        &client.tls_client_auth_san_uri,
    ];
    let given = names.into_iter().flatten().count();
    let at_name = at("tls_client_auth_subject_dn");
    if method == AuthMethod::TlsClientAuth && given != 1 {
        // RFC 8705 §2.1.2: exactly one of them.
        let fix = "give one of it, tls_client_auth_san_dns and tls_client_auth_san_uri";
        problems.add_bare(&at_name, fix);
    } else if method != AuthMethod::TlsClientAuth && given != 0 {
        problems.add_bare(&at_name, "is of use with tls_client_auth alone; leave it out");
    }
    if let Some(name) = &client.tls_client_auth_subject_dn
        && DistinguishedName::parse(name).is_none()
    {
        let fix = "must be a distinguished name such as \"CN=app,O=Example\" (RFC 4514)";
        problems.add(&at_name, format!("{name:?}"), fix);
    }
    let at_method = at("token_endpoint_auth_method");
    let missing = server.client_certificate_header.is_none();
    let fix = "needs server.client_certificate_header, by which a proxy passes certificates on";
    if client.tls_client_certificate_bound_access_tokens && missing {
        problems.add(&at("tls_client_certificate_bound_access_tokens"), true, fix);
    }
    if method.is_certificate() && missing {
        problems.add(&at_method, method, fix);
    } else if method == AuthMethod::TlsClientAuth && server.client_certificate_ca.is_none() {
        let fix = "needs server.client_certificate_ca_file: the authority that certifies apps";
        problems.add(&at_method, method, fix);
    }
}

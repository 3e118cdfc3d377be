//! What has to fit together in one `[[upstreams]]` table.

use url::Url;

use super::{
    mapping::EmailTrust,
    problems::Problems,
    upstreams::{
        BoundTokens, ClientAuthentication, FrontChannelLogout, Protocol, PushedRequests,
        UpstreamSettings,
    },
};
use crate::protocol::redirect_uri::is_loopback;

/// Parameters of the authorization request that are ours alone.
const OURS: &[&str] = &[
    "client_id",
    "client_secret",
    "redirect_uri",
    "response_type",
    "response_mode",
    "scope",
    "state",
    "nonce",
    "code_challenge",
    "code_challenge_method",
    "prompt",
    "max_age",
    "login_hint",
    "acr_values",
    "request",
    "request_uri",
    "hd",
    "client_assertion",
    "client_assertion_type",
    "dpop_jkt",
];

/// Adds what is wrong with how an upstream is reached and asked.
pub(super) fn check(
    upstream: &UpstreamSettings,
    at: &dyn Fn(&str) -> String,
    problems: &mut Problems,
) {
    check_issuer(&upstream.issuer, &at("issuer"), problems);
    check_credentials(upstream, at, problems);
    check_scopes(upstream, at, problems);
    check_gates(upstream, at, problems);
    if upstream.link_verified_email && upstream.email_trust != EmailTrust::Claim {
        // The administrator trusts what the upstream says about an address: it has to say something.
        let fix = "needs email_trust = \"claim\"";
        problems.add_bare(&at("link_verified_email"), fix);
    }
    match upstream.protocol {
        Protocol::Oidc => check_oidc(upstream, at, problems),
        Protocol::OAuth2 => check_oauth2(upstream, at, problems),
    }
    for name in upstream.authorization_params.iter().map(|(name, _)| name) {
        if OURS.contains(&name.to_lowercase().as_str()) {
            let at = at(&format!("authorization_params.{name}"));
            problems.add_bare(&at, "is a parameter that Keywright sets itself; leave it out");
        }
    }
    if let Some(url) = &upstream.internal_url {
        let at = at("internal_url");
        check_address(url, &at, problems);
        if url.path() != "/" || url.query().is_some() {
            problems.add(&at, url, "must be scheme, host and port only; paths stay as they are");
        }
    }
}

/// Without ID tokens nobody proves that the issuer is theirs, and accounts belong to it: it must not
/// be that of another server, whose people this one could name (UP-16).
pub(super) fn check_others(
    upstream: &UpstreamSettings,
    all: &[UpstreamSettings],
    at: &str,
    problems: &mut Problems,
) {
    let issuer = |any: &UpstreamSettings| any.issuer.as_str().trim_end_matches('/').to_owned();
    let server = |any: &UpstreamSettings| {
        let UpstreamSettings { protocol, token_endpoint, userinfo_endpoint, subject_claim, .. } =
            any;
        (*protocol, token_endpoint.clone(), userinfo_endpoint.clone(), subject_claim.clone())
    };
    let is_other = |other: &&UpstreamSettings| {
        issuer(other) == issuer(upstream) && server(other) != server(upstream)
    };
    let plain = upstream.protocol == Protocol::OAuth2;
    if let Some(other) = all.iter().find(is_other).filter(|_| plain) {
        let fix =
            format!("is the issuer of {:?}, whose accounts it would open", other.slug.as_str());
        problems.add(at, &upstream.issuer, fix);
    }
}

fn check_credentials(
    upstream: &UpstreamSettings,
    at: &dyn Fn(&str) -> String,
    problems: &mut Problems,
) {
    use ClientAuthentication::{Basic, None as Nothing, Post, PrivateKeyJwt, SignedSecret};
    let auth = upstream.client_auth;
    let has_secret = upstream.client_secret.is_some();
    if matches!(auth, Basic | Post) && !has_secret {
        problems.add_bare(&at("client_secret"), "must be set (or client_secret_file)");
    }
    if let Some(day) = upstream.client_secret_expires.filter(|_| !has_secret) {
        let fix = "is about a client_secret that is not there; leave it out";
        problems.add(&at("client_secret_expires"), day, fix);
    }
    if matches!(auth, PrivateKeyJwt | SignedSecret | Nothing) && has_secret {
        let fix = format!("is not used with client_auth = {:?}; leave it out", auth.as_str());
        problems.add_bare(&at("client_secret"), fix);
    }
    if !matches!(auth, PrivateKeyJwt | SignedSecret) {
        return;
    }
    if upstream.client_key.is_none() {
        problems.add_bare(&at("client_key"), "must be set (or client_key_file): PEM or JWK");
    }
    let named = [("key_id", &upstream.key_id), ("team_id", &upstream.team_id)];
    for (name, value) in named.into_iter().filter(|_| auth == SignedSecret) {
        if value.is_none() {
            problems.add_bare(&at(name), "must be set, with client_auth = \"signed_secret\"");
        }
    }
}

fn check_scopes(upstream: &UpstreamSettings, at: &dyn Fn(&str) -> String, problems: &mut Problems) {
    let has = |scope: &str| upstream.scopes.iter().any(|own| own == scope);
    if upstream.protocol == Protocol::Oidc && !has("openid") {
        problems.add_bare(&at("scopes"), "must contain \"openid\"");
    }
    let refused = upstream.preset.preset().map(|preset| &preset.refused_scopes);
    for scope in refused.into_iter().flatten().filter(|scope| has(scope)) {
        let fix = format!("{} refuses this scope; leave it out", upstream.preset.title());
        problems.add(&at("scopes"), format!("{scope:?}"), fix);
    }
}

/// Who may come in through an upstream at which anybody can sign in.
fn check_gates(upstream: &UpstreamSettings, at: &dyn Fn(&str) -> String, problems: &mut Problems) {
    let shared = upstream.preset.preset().map(|preset| &preset.shared_tenants);
    let mut tenant = upstream.issuer.path_segments().into_iter().flatten();
    let tenant = tenant.next().unwrap_or_default();
    let is_shared = shared.into_iter().flatten().any(|shared| shared == tenant);
    if is_shared && upstream.tenants.is_empty() {
        // Everybody with an account there could sign in, under any address (UP-19).
        let fix =
            format!("must list the tenants that may sign in, because {tenant:?} is no tenant");
        problems.add_bare(&at("tenants"), fix);
    }
    if !upstream.allowed_orgs.is_empty() && upstream.orgs_endpoint.is_none() {
        problems.add_bare(&at("allowed_orgs"), "needs orgs_endpoint");
    }
}

fn check_oidc(upstream: &UpstreamSettings, at: &dyn Fn(&str) -> String, problems: &mut Problems) {
    let fix = "is for protocol = \"oauth2\"; an OpenID Provider says it in its metadata";
    for (name, endpoint) in endpoints(upstream) {
        if endpoint.is_some() {
            problems.add_bare(&at(name), fix);
        }
    }
    if upstream.subject_claim != "sub" {
        problems.add_bare(&at("subject_claim"), "is for protocol = \"oauth2\"; here it is sub");
    }
}

fn check_oauth2(upstream: &UpstreamSettings, at: &dyn Fn(&str) -> String, problems: &mut Problems) {
    for (name, endpoint) in endpoints(upstream) {
        match endpoint {
            Some(endpoint) => check_address(endpoint, &at(name), problems),
            None if matches!(name, "emails_endpoint" | "orgs_endpoint" | "teams_endpoint") => {}
            None => problems.add_bare(&at(name), "must be set, with protocol = \"oauth2\""),
        }
    }
    let fix = "needs an OpenID Provider, whose metadata says where; leave it out";
    if upstream.par == PushedRequests::Always {
        problems.add(&at("par"), "\"always\"", fix);
    }
    if upstream.dpop == BoundTokens::Auto {
        problems.add(&at("dpop"), "\"auto\"", fix);
    }
    if upstream.frontchannel_logout == FrontChannelLogout::Sid {
        let fix = "needs an ID token, which names the session, and there is none here";
        problems.add(&at("frontchannel_logout"), "\"sid\"", fix);
    }
    let gates = [("tenants", &upstream.tenants), ("hosted_domains", &upstream.hosted_domains)];
    for (name, gate) in gates {
        if !gate.is_empty() {
            problems.add_bare(&at(name), "needs an ID token, and there is none here");
        }
    }
}

fn endpoints(upstream: &UpstreamSettings) -> [(&'static str, Option<&Url>); 6] {
    [
        ("authorization_endpoint", upstream.authorization_endpoint.as_ref()),
        ("token_endpoint", upstream.token_endpoint.as_ref()),
        ("userinfo_endpoint", upstream.userinfo_endpoint.as_ref()),
        ("emails_endpoint", upstream.emails_endpoint.as_ref()),
        ("orgs_endpoint", upstream.orgs_endpoint.as_ref()),
        ("teams_endpoint", upstream.teams_endpoint.as_ref()),
    ]
}

fn check_issuer(issuer: &Url, at: &str, problems: &mut Problems) {
    check_address(issuer, at, problems);
    if issuer.query().is_some() || issuer.fragment().is_some() {
        problems.add(at, issuer, "must not have a query or fragment (OIDC Discovery §2)");
    }
}

fn check_address(url: &Url, at: &str, problems: &mut Problems) {
    let secure = url.scheme() == "https" || (url.scheme() == "http" && is_loopback(url));
    if !secure {
        problems.add(at, url, "must begin with https:// (http is for loopback only)");
    }
    if !url.username().is_empty() || url.password().is_some() {
        problems.add_bare(at, "must not hold a user name or password");
    }
}

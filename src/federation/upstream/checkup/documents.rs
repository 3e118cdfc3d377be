//! What an upstream publishes, and whether it fits the settings.

use serde_json::{Map, Value};

use super::unfit;
use crate::{
    config::{UpstreamLogout, UpstreamSettings},
    federation::{
        finding::Finding,
        metadata::Metadata,
        upstream::{Upstream, oidc::Provider},
    },
};

type Document = Map<String, Value>;

/// Discovery, the issuer, the endpoints: the document, and what counts of it, if it can be used.
pub(super) async fn discovery(
    up: &Upstream,
    provider: &Provider,
) -> (Vec<Finding>, Option<(Document, Metadata)>) {
    let (document, from) = match provider.documents.document(&up.http, false).await {
        Ok(answer) => answer,
        Err(fault) => return (vec![unfit("discovery", &fault)], None),
    };
    let metadata = provider.documents.read(&document);
    if let Ok(metadata) = &metadata {
        provider.documents.keep_outside(&up.http, metadata, from);
    }
    let reason = metadata.as_ref().err().map(|fault| fault.reason);
    let what = ["it answers", "it names the configured one", "all are https and its own"];
    let mut found = Vec::new();
    for (check, what, reasons) in [
        ("discovery", what[0], &["upstream_discovery_malformed"][..]),
        ("issuer", what[1], &["upstream_issuer_mismatch"]),
        ("endpoints", what[2], &["upstream_endpoint_insecure", "upstream_mix_up"]),
    ] {
        match &metadata {
            Err(fault) if reason.is_some_and(|reason| reasons.contains(&reason)) => {
                found.push(unfit(check, fault));
                return (found, None);
            }
            _ => found.push(Finding::pass(check, what)),
        }
    }
    (found, metadata.ok().map(|metadata| (document, metadata)))
}

/// The words of a list, if there is one.
fn words<'d>(document: &'d Document, name: &str) -> Option<Vec<&'d str>> {
    let list = document.get(name)?.as_array()?;
    Some(list.iter().filter_map(Value::as_str).collect())
}

/// Whether it signs with something that is accepted.
pub(super) fn algorithms(settings: &UpstreamSettings, document: &Document) -> Finding {
    const CHECK: &str = "algorithms";
    let accepted = settings.id_token_algs.join(", ");
    // Discovery without this list is none (OIDC Discovery §3).
    let offered = words(document, "id_token_signing_alg_values_supported").unwrap_or_default();
    let common: Vec<&str> = offered
        .iter()
        .copied()
        .filter(|alg| settings.id_token_algs.iter().any(|own| own == alg))
        .collect();
    if common.is_empty() {
        let what = format!("it signs with {}; accepted are {accepted}", offered.join(", "));
        let fix = "select a signing key there, or extend id_token_algs";
        return Finding::fail(CHECK, what, fix);
    }
    Finding::pass(CHECK, format!("it offers {}", common.join(", ")))
}

/// Whether it publishes a key that can have signed something acceptable.
pub(super) async fn keys(up: &Upstream, provider: &Provider, jwks_uri: &str) -> Finding {
    let keys = match provider.documents.fetch_keys(&up.http, jwks_uri, false).await {
        Ok(keys) => keys,
        Err(fault) => return unfit("keys", &fault),
    };
    let algorithms = &up.settings.id_token_algs;
    let usable = keys.iter().filter(|key| algorithms.iter().any(|alg| key.fits(alg))).count();
    if usable == 0 {
        let what = format!("none of its keys is for {}", algorithms.join(", "));
        let fix = "select a signing key there, or extend id_token_algs";
        return Finding::fail("keys", what, fix);
    }
    Finding::pass("keys", format!("{usable} of its keys can be used"))
}

/// Whether it knows the way in which we use PKCE (RFC 7636 §4.2).
pub(super) fn pkce(document: &Document) -> Finding {
    match words(document, "code_challenge_methods_supported") {
        Some(methods) if methods.contains(&"S256") => Finding::pass("pkce", "it offers S256"),
        Some(methods) => {
            let what = format!("it offers {:?}, and S256 is what is sent", methods.join(", "));
            Finding::fail("pkce", what, "switch on PKCE with S256 for this client there")
        }
        None => {
            let fix = "nothing, if people get in: many use it without saying so";
            Finding::warn(
                "pkce",
                "it does not say whether it knows PKCE, which is always sent",
                fix,
            )
        }
    }
}

/// Whether people can be signed out there, if that is wanted.
pub(super) fn logout(settings: &UpstreamSettings, endpoint: Option<&str>) -> Finding {
    match (settings.logout, endpoint) {
        (UpstreamLogout::Always, None) => {
            let what = "logout = \"always\", and it has no end_session_endpoint";
            Finding::fail("logout", what, "set logout = \"never\"; people stay signed in there")
        }
        (UpstreamLogout::Always, Some(_)) => {
            Finding::pass("logout", "people are signed out there as well")
        }
        (UpstreamLogout::Never, Some(_)) => {
            Finding::pass("logout", "it could sign people out; logout = \"never\"")
        }
        (UpstreamLogout::Never, None) => {
            Finding::pass("logout", "it cannot sign people out, and is not asked to")
        }
    }
}

/// Whether there is something to confirm people with, where that is wanted.
pub(super) fn lease(
    settings: &UpstreamSettings,
    document: &Document,
    userinfo: bool,
) -> Option<Finding> {
    const CHECK: &str = "lease";
    const OFFLINE: &str = "offline_access";
    let max = settings.max_staleness?;
    let has = |name: &str, word: &str| words(document, name).map(|all| all.contains(&word));
    let asked = settings.scopes.iter().any(|scope| scope == OFFLINE);
    // RFC 8414 §2: without a list there are codes, and nothing to refresh.
    let refreshes = has("grant_types_supported", "refresh_token").unwrap_or(asked);
    let wants_scope = has("scopes_supported", OFFLINE).unwrap_or(false) && !asked;
    let fix = format!("add {OFFLINE} to scopes, unless it gives refresh tokens without");
    if refreshes && (asked || !wants_scope || settings.preset.always_refreshes()) {
        return Some(Finding::pass(CHECK, "it confirms people by their refresh tokens"));
    }
    if refreshes || wants_scope {
        let what =
            format!("it may give a refresh token only for {OFFLINE}, which is not asked for");
        return Some(Finding::warn(CHECK, what, fix));
    }
    if userinfo && settings.userinfo {
        let what =
            "without refresh tokens it is asked by UserInfo, as long as its access token lives";
        let fix = format!("if that is shorter than {max}, people are sent there again each time");
        return Some(Finding::warn(CHECK, what, fix));
    }
    let what = format!("nothing can confirm people: each session ends after {max}");
    Some(Finding::fail(CHECK, what, "leave max_staleness out, or let it give refresh tokens"))
}

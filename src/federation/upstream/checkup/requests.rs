//! What an upstream says to requests that cannot succeed: a code that nobody has issued, and an
//! authorization request of a browser that nobody sits at.

use reqwest::header::LOCATION;
use url::Url;

use super::unfit;
use crate::{
    config::UpstreamSettings,
    federation::{
        exchange::RelyingParty,
        fault::{FaultKind, UpstreamFault},
        finding::Finding,
        http::Answer,
        upstream::{Begin, Returned, Upstream},
    },
    foundation::{
        clock::Timestamp,
        digest::base64url,
        random::{self, Random},
    },
};

const CREDENTIALS: &str = "credentials";
const REDIRECT: &str = "redirect_uri";

/// Errors that are about the code alone. Whoever says so has accepted the client, or says nothing
/// about it.
const OF_THE_CODE: &[&str] = &["invalid_grant", "bad_verification_code"];
const OF_THE_CLIENT: &[&str] =
    &["invalid_client", "unauthorized_client", "incorrect_client_credentials"];
/// What an upstream answers that has accepted the request, and nobody is there (OIDC Core §3.1.2.6).
const OF_THE_PERSON: &[&str] =
    &["login_required", "interaction_required", "consent_required", "account_selection_required"];
const OF_THE_REQUEST: &[&str] =
    &["invalid_scope", "unauthorized_client", "unsupported_response_type"];

/// Redeems a made-up code: whose fault is it, the code's or ours?
pub(super) async fn credentials(
    up: &Upstream,
    party: &RelyingParty,
    random: &dyn Random,
    now: Timestamp,
) -> Finding {
    let made_up = |prefix: &str| format!("{prefix}{}", base64url(&random::bytes::<32>(random)));
    let (code, verifier) = (made_up("doctor-"), made_up(""));
    let returned = Returned { code: &code, verifier: &verifier, nonce: "", user: None };
    match up.redeem(party, returned, None, random, now).await {
        Ok(_) => {
            let fix = "tell whoever makes it: it gives tokens to anybody";
            Finding::fail(CREDENTIALS, "it has given tokens for a code that was made up", fix)
        }
        Err(fault) => refused(&up.settings, &fault),
    }
}

fn refused(settings: &UpstreamSettings, fault: &UpstreamFault) -> Finding {
    let word = fault.detail.split([':', ' ']).next().unwrap_or_default();
    if fault.reason == "upstream_token_refused" && OF_THE_CODE.contains(&word) {
        let what = format!("it refuses a made-up code ({word}), and not the client");
        return Finding::pass(CREDENTIALS, what);
    }
    if fault.reason == "upstream_token_refused" && OF_THE_CLIENT.contains(&word) {
        let what = format!("it refuses the client: {}", fault.detail);
        let auth = settings.client_auth;
        let fix = format!(
            "compare client_id and secret; or it wants another client_auth than \"{auth}\""
        );
        return Finding::fail(CREDENTIALS, what, fix);
    }
    if fault.kind == FaultKind::Unavailable || fault.reason == "client_key_unfit" {
        return unfit(CREDENTIALS, fault);
    }
    let what = format!("nobody can say: to a made-up code it answers {}", fault.detail);
    Finding::warn(CREDENTIALS, what, "sign in once to be sure")
}

/// Goes to the sign-in page with `prompt=none` and without any cookie: where does that lead?
pub(super) async fn redirect_uri(up: &Upstream, random: &dyn Random, now: Timestamp) -> Finding {
    let state = base64url(&random::bytes::<24>(random));
    let begin =
        Begin { state: &state, prompt: Some("none"), max_age: None, login_hint: None, level: None };
    let answer = match up.begin(begin, random, now).await {
        Ok(sent) => up.http.visit(&sent.url, up.settings.timeout.to_std()).await,
        Err(fault) => Err(fault),
    };
    match answer {
        Ok(answer) => led(up.redirect_uri(), &answer),
        Err(fault) => unfit(REDIRECT, &fault),
    }
}

/// Where the dry request has led.
fn led(own: &str, answer: &Answer) -> Finding {
    let fix = format!("compare the redirect address that is registered there with {own}");
    let unclear = |what: String| Finding::warn(REDIRECT, what, fix.clone());
    let location = answer.headers.get(LOCATION).and_then(|value| value.to_str().ok());
    match answer.status {
        300..=399 => match location.and_then(|to| Url::parse(to).ok()) {
            Some(url) if is_at(&url, own) => came_back(&url),
            Some(url) => {
                let to = format!("{}{}", url.host_str().unwrap_or_default(), url.path());
                unclear(format!("nobody can say: a request leads to a page of its own, {to}"))
            }
            None => unclear("nobody can say: a request leads to a page of its own".to_owned()),
        },
        // A form that the browser posts to us (OAuth 2.0 Form Post Response Mode).
        200 if posts_to(&answer.body, own) => {
            Finding::pass(REDIRECT, "it is registered: an answer is posted to it")
        }
        200..=299 => unclear("nobody can say: it shows a page to a dry request".to_owned()),
        status => {
            let what = format!(
                "it refuses a dry request with an error page (status {status}): the address or the \
                 client id is not known there"
            );
            Finding::fail(REDIRECT, what, format!("register {own} there"))
        }
    }
}

/// The answer is ours to read: so the address is registered. It may still be a refusal.
fn came_back(url: &Url) -> Finding {
    let param = |name: &str| {
        let found = url.query_pairs().find(|(own, _)| own == name);
        found.map(|(_, value)| crate::federation::mapping::plain(&value))
    };
    let error = param("error").unwrap_or_default();
    let description = param("error_description").map(|text| format!(": {text:.200}"));
    let said = format!("{error:.60}{}", description.unwrap_or_default());
    if error.is_empty() || OF_THE_PERSON.contains(&error.as_str()) {
        return Finding::pass(REDIRECT, "it is registered: a dry request comes back to it");
    }
    if OF_THE_REQUEST.contains(&error.as_str()) {
        let what = format!("it is registered, but requests are refused: {said}");
        return Finding::fail(REDIRECT, what, "mend scopes, or the client's settings there");
    }
    let what = format!("it is registered; a dry request comes back with {said}");
    Finding::warn(REDIRECT, what, "nothing, if people get in")
}

fn is_at(url: &Url, own: &str) -> bool {
    let mut bare = url.clone();
    bare.set_query(None);
    bare.set_fragment(None);
    bare.as_str() == own
}

/// Whether a page names the address, as it stands in an attribute.
fn posts_to(page: &[u8], own: &str) -> bool {
    let escaped = own.replace(':', "&#x3A;").replace('/', "&#x2F;");
    let page = String::from_utf8_lossy(page);
    [own, &escaped].iter().any(|form| page.to_lowercase().contains(&form.to_lowercase()))
}

//! An upstream without ID tokens: plain OAuth 2.0, where an address of its own says who a token
//! belongs to. Only what is set up as such is asked in this way (UP-13).
//!
//! The token came straight from the token endpoint, in exchange for a code under our PKCE verifier,
//! so nobody can have slipped in a token that was made for another app.

use serde_json::{Map, Value};
use url::Url;

use super::{Asserted, Begin, KeptTokens, Returned, Upstream};
use crate::{
    config::UpstreamSettings,
    federation::{
        exchange::{self, RelyingParty},
        fault::UpstreamFault,
        http::MAX_BODY,
        id_token::is_subject,
        mapping, strict_json,
    },
    foundation::{clock::Timestamp, random::Random},
    protocol::acr::Level,
};

/// How many entries a page of a list has, and how many pages are read.
const PAGE: usize = 100;
const MAX_PAGES: usize = 10;

/// How many requests a refresh takes at most: tokens, the profile, and lists.
pub(super) fn most_requests(settings: &UpstreamSettings) -> usize {
    let lists = [&settings.orgs_endpoint, &settings.emails_endpoint, &settings.teams_endpoint];
    2 + lists.into_iter().flatten().count() * MAX_PAGES
}

/// What is known about an OAuth 2.0 server.
pub(super) struct Server {
    party: RelyingParty,
}

/// The account key's issuer: what was configured, without the slash that addresses end with.
fn issuer(settings: &UpstreamSettings) -> &str {
    settings.issuer.as_str().trim_end_matches('/')
}

/// RFC 9207 §2.4: who names an issuer has to name the right one.
pub(super) fn check_issuer_of_answer(
    up: &Upstream,
    iss: Option<&str>,
) -> Result<(), UpstreamFault> {
    let own = issuer(&up.settings);
    match iss.filter(|iss| iss.trim_end_matches('/') != own) {
        None => Ok(()),
        Some(iss) => {
            let detail = format!("iss is {iss:?} instead of {own:?}");
            Err(UpstreamFault::unacceptable("upstream_mix_up", detail))
        }
    }
}

impl Server {
    pub(super) fn new(settings: &UpstreamSettings, redirect_uri: &str) -> anyhow::Result<Self> {
        let address = |url: &Option<Url>| url.as_ref().map(Url::to_string).unwrap_or_default();
        let authorization = address(&settings.authorization_endpoint);
        let token = address(&settings.token_endpoint);
        let endpoints = (authorization.as_str(), token.as_str());
        Ok(Self { party: exchange::relying_party(settings, endpoints, redirect_uri)? })
    }

    pub(super) fn begin(&self, up: &Upstream, begin: Begin<'_>, verifier: &str) -> String {
        // Prompts and ages are words of OpenID Connect.
        let own = [("prompt", up.settings.prompt.clone())];
        up.authorization_url(&self.party, (begin, verifier), own)
    }

    /// Redeems the code, asks who it is, maps.
    pub(super) async fn complete(
        &self,
        up: &Upstream,
        returned: Returned<'_>,
        random: &dyn Random,
        now: Timestamp,
    ) -> Result<Asserted, UpstreamFault> {
        let settings = &up.settings;
        let tokens = up.redeem(&self.party, returned, None, random, now).await?;
        let (subject, claims) = ask(up, &tokens.access_token).await?;
        let kept = KeptTokens::new(issuer(settings), &subject, returned.nonce, tokens, now);
        let kept = kept.with_witness(true);
        Ok(assert(up, claims, kept))
    }

    pub(super) const fn party(&self) -> &RelyingParty {
        &self.party
    }
}

/// Who a token belongs to, and all that is told about them.
pub(super) async fn ask(
    up: &Upstream,
    token: &str,
) -> Result<(String, Map<String, Value>), UpstreamFault> {
    let asked = Asked { up, token };
    let mut claims = asked.person().await?;
    let subject = subject(&up.settings, &claims)?;
    asked.check_organisations().await?;
    asked.add_email(&mut claims).await?;
    asked.add_teams(&mut claims).await?;
    Ok((subject, claims))
}

pub(super) fn assert(up: &Upstream, claims: Map<String, Value>, tokens: KeptTokens) -> Asserted {
    Asserted {
        issuer: tokens.issuer.clone(),
        subject: tokens.subject.clone(),
        person: mapping::map(&up.settings, &claims).person,
        claims,
        auth_time: None,
        session_id: None,
        amr: Vec::new(),
        level: Level::SingleFactor,
        acr: None,
        tokens,
    }
}

/// The claim that names the person for ever: a text, or a whole number.
fn subject(
    settings: &UpstreamSettings,
    claims: &Map<String, Value>,
) -> Result<String, UpstreamFault> {
    let name = &settings.subject_claim;
    let subject = match claims.get(name) {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Number(number)) if number.is_u64() => number.to_string(),
        _ => String::new(),
    };
    if is_subject(&subject) {
        return Ok(subject);
    }
    let detail = format!("{name} is missing, too long or not plain ASCII");
    Err(UpstreamFault::unacceptable("upstream_userinfo_malformed", detail))
}

/// Questions about the person to whom a token belongs.
struct Asked<'a> {
    up: &'a Upstream,
    token: &'a str,
}

impl Asked<'_> {
    async fn get(&self, address: &str) -> Result<Vec<u8>, UpstreamFault> {
        let patience = self.up.settings.timeout.to_std();
        let answer = self.up.http.get(address, Some(self.token), patience, MAX_BODY).await?;
        if answer.status == 200 {
            return Ok(answer.body);
        }
        let detail = format!("{address} answered with status {}", answer.status);
        if answer.status == 401 {
            return Err(UpstreamFault::unacceptable("upstream_userinfo_denied", detail));
        }
        Err(UpstreamFault::unavailable("upstream_userinfo_failed", detail))
    }

    async fn person(&self) -> Result<Map<String, Value>, UpstreamFault> {
        let address = self.up.settings.userinfo_endpoint.as_ref().map_or("", Url::as_str);
        strict_json::object(&self.get(address).await?)
            .ok_or_else(|| malformed(address, "it is not a JSON object"))
    }

    /// A whole list, page by page.
    async fn list(&self, endpoint: &Url) -> Result<Vec<Value>, UpstreamFault> {
        let mut all = Vec::new();
        for page in 1..=MAX_PAGES {
            let mut address = endpoint.clone();
            address
                .query_pairs_mut()
                .append_pair("per_page", &PAGE.to_string())
                .append_pair("page", &page.to_string());
            let body = self.get(address.as_str()).await?;
            let items = strict_json::list(&body)
                .ok_or_else(|| malformed(address.as_str(), "it is not a JSON list"))?;
            let is_last = items.len() < PAGE;
            all.extend(items);
            if is_last {
                break;
            }
        }
        Ok(all)
    }

    /// Whether the person is a member of one of the organisations that may come in.
    async fn check_organisations(&self) -> Result<(), UpstreamFault> {
        let settings = &self.up.settings;
        let Some(endpoint) =
            settings.orgs_endpoint.as_ref().filter(|_| !settings.allowed_orgs.is_empty())
        else {
            return Ok(());
        };
        let organisations = self.list(endpoint).await?;
        let mut logins = organisations.iter().filter_map(|org| org.get("login")?.as_str());
        let allowed = |login: &str| {
            settings.allowed_orgs.iter().any(|allowed| allowed.eq_ignore_ascii_case(login))
        };
        if logins.any(allowed) {
            return Ok(());
        }
        let detail = "the person is in none of allowed_orgs, or the app may not see that";
        Err(UpstreamFault::not_invited("upstream_organisation", detail))
    }

    /// The primary address and its flag. What the profile shows is what the person typed there.
    async fn add_email(&self, claims: &mut Map<String, Value>) -> Result<(), UpstreamFault> {
        let Some(endpoint) = &self.up.settings.emails_endpoint else {
            return Ok(());
        };
        let addresses = self.list(endpoint).await?;
        let is_true = |entry: &Value, name: &str| entry.get(name) == Some(&Value::Bool(true));
        let primary = addresses.iter().find(|entry| is_true(entry, "primary"));
        let email = primary.and_then(|entry| entry.get("email")).cloned();
        let verified = primary.is_some_and(|entry| is_true(entry, "verified"));
        claims.remove("email_verified");
        match email {
            Some(email) => {
                claims.insert("email".to_owned(), email);
                claims.insert("email_verified".to_owned(), Value::Bool(verified));
            }
            None => drop(claims.remove("email")),
        }
        Ok(())
    }

    /// The teams as the groups `ORG:TEAM`.
    async fn add_teams(&self, claims: &mut Map<String, Value>) -> Result<(), UpstreamFault> {
        let settings = &self.up.settings;
        let Some(endpoint) =
            settings.teams_endpoint.as_ref().filter(|_| settings.groups.iter().next().is_some())
        else {
            return Ok(());
        };
        let teams = self.list(endpoint).await?;
        let name = |team: &Value| {
            let organisation = team.get("organization")?.get("login")?.as_str()?;
            Some(Value::String(format!("{organisation}:{}", team.get("slug")?.as_str()?)))
        };
        claims.insert("groups".to_owned(), teams.iter().filter_map(name).collect());
        Ok(())
    }
}

fn malformed(address: &str, what: &str) -> UpstreamFault {
    UpstreamFault::unacceptable("upstream_userinfo_malformed", format!("{address}: {what}"))
}

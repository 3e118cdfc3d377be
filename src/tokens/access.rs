//! Access tokens: JWTs as RFC 9068 describes them.
//!
//! The `jti` of a token says what it came from, so that everything it depends on is found: it begins
//! with the id of a grant, or with a word and the id of a personal access token or of a service
//! account. A client's own token has a `jti` without such a part.

use std::sync::Arc;

use serde::Serialize;
use serde_json::{Map, Value};

use crate::{
    clients::Client,
    foundation::{
        clock::{Span, Timestamp},
        digest::base64url,
        ids::{ClientId, GrantId, PersonalAccessTokenId, UserId},
        random::{self, Random},
    },
    keys::{KeyError, SigningKeys, TokenType},
    protocol::{
        acr::Level,
        scope::{GROUPS, Scope},
    },
    store::{grants::Grant, users::Person},
};

/// Begins the `jti` of what came from a personal access token.
const FROM_PERSONAL: &str = "pat";
/// Begins the `jti` of what a service account was given.
const FROM_ACCOUNT: &str = "account";

/// A token that is good for whoever has it (RFC 6750).
const BEARER: &str = "Bearer";
/// A token that is good for whoever proves to hold its key (RFC 9449 §5).
const DPOP: &str = "DPoP";

/// A fresh access token.
#[derive(Debug)]
pub struct AccessToken {
    /// The token itself.
    pub token: String,
    /// How long it is good.
    pub expires_in: Span,
    /// How it is shown (RFC 6749 §7.1).
    pub token_type: &'static str,
}

#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    sub: &'a str,
    aud: &'a str,
    client_id: &'a str,
    iat: Timestamp,
    exp: Timestamp,
    jti: String,
    scope: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    auth_time: Option<Timestamp>,
    /// RFC 9068 §2.2.1, RFC 9470 §6: what a resource server asks for a step-up by.
    #[serde(skip_serializing_if = "Option::is_none")]
    acr: Option<Level>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sid: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    groups: Option<Vec<String>>,
    /// RFC 9068 §2.2.3.1.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    roles: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cnf: Option<Confirmation<'a>>,
}

/// What has to be held for a token to be worth anything (RFC 7800 §3.1); nothing, for a bearer token.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Confirmation<'a> {
    /// The thumbprint of a key (RFC 9449 §6.1).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jkt: Option<&'a str>,
    /// The SHA-256 of a certificate (RFC 8705 §3.1).
    #[serde(rename = "x5t#S256", skip_serializing_if = "Option::is_none")]
    pub certificate: Option<&'a str>,
}

/// What issuing needs of the house.
#[derive(Clone, Copy)]
pub struct Issuing<'a> {
    /// Our own `iss`.
    pub issuer: &'a str,
    /// Our keys.
    pub keys: &'a SigningKeys,
    /// Where chance comes from.
    pub random: &'a dyn Random,
    /// The present moment.
    pub now: Timestamp,
    /// What is issued must not live longer than this.
    pub until: Option<Timestamp>,
    /// What it is bound to.
    pub bound_to: Confirmation<'a>,
}

impl Issuing<'_> {
    /// How long a token lives that would like to live for `wanted`.
    pub(super) fn life(&self, wanted: Span) -> Span {
        self.until.map_or(wanted, |until| wanted.min(until.since(self.now)))
    }
}

impl std::fmt::Debug for Issuing<'_> {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "Issuing({})", self.issuer)
    }
}

/// Issues an access token to a client on behalf of a person.
pub fn issue_for_person(
    issuing: Issuing<'_>,
    client: &Client,
    grant: &Grant,
    person: &Person,
    scope: &Scope,
) -> Result<AccessToken, KeyError> {
    let claims = Claims {
        sub: person.user.id.as_str(),
        jti: format!("{}.{}", grant.id, chance(issuing.random)),
        auth_time: Some(grant.auth_time),
        acr: grant.acr,
        sid: Some(grant.session_id.as_str()),
        groups: scope.contains(GROUPS).then(|| person.groups()),
        roles: if scope.contains(GROUPS) { person.roles() } else { Vec::new() },
        ..common(issuing, client, scope)
    };
    sign(issuing, client, &claims)
}

/// Issues an access token to a client in exchange for a personal access token (RFC 8693). It says
/// nothing of a sign-in: nobody has proved who they are.
pub fn issue_in_exchange(
    issuing: Issuing<'_>,
    client: &Client,
    token: &PersonalAccessTokenId,
    person: &Person,
    scope: &Scope,
) -> Result<AccessToken, KeyError> {
    let claims = Claims {
        sub: person.user.id.as_str(),
        jti: format!("{FROM_PERSONAL}.{token}.{}", chance(issuing.random)),
        groups: scope.contains(GROUPS).then(|| person.groups()),
        roles: if scope.contains(GROUPS) { person.roles() } else { Vec::new() },
        ..common(issuing, client, scope)
    };
    sign(issuing, client, &claims)
}

/// Issues an access token to a client that is a service account (RFC 6749 §4.4).
pub fn issue_for_account(
    issuing: Issuing<'_>,
    client: &Client,
    account: &Person,
    scope: &Scope,
) -> Result<AccessToken, KeyError> {
    let id = &account.user.id;
    let claims = Claims {
        sub: id.as_str(),
        jti: format!("{FROM_ACCOUNT}.{id}.{}", chance(issuing.random)),
        groups: scope.contains(GROUPS).then(|| account.groups()),
        ..common(issuing, client, scope)
    };
    sign(issuing, client, &claims)
}

/// Issues an access token to a client for itself (RFC 6749 §4.4): its `sub` is its own id, which
/// can never be a person's (RFC 9068 §5).
pub fn issue_for_client(
    issuing: Issuing<'_>,
    client: &Client,
    scope: &Scope,
) -> Result<AccessToken, KeyError> {
    sign(issuing, client, &common(issuing, client, scope))
}

fn common<'a>(issuing: Issuing<'a>, client: &'a Client, scope: &Scope) -> Claims<'a> {
    Claims {
        iss: issuing.issuer,
        sub: client.id().as_str(),
        aud: client.audience(),
        client_id: client.id().as_str(),
        iat: issuing.now,
        exp: issuing.now.plus(issuing.life(client.access_token_lifetime)),
        jti: chance(issuing.random),
        scope: scope.to_string(),
        auth_time: None,
        acr: None,
        sid: None,
        groups: None,
        roles: Vec::new(),
        cnf: Some(issuing.bound_to).filter(|bound| *bound != Confirmation::default()),
    }
}

fn chance(random: &dyn Random) -> String {
    base64url(&random::bytes::<15>(random))
}

fn sign(
    issuing: Issuing<'_>,
    client: &Client,
    claims: &Claims<'_>,
) -> Result<AccessToken, KeyError> {
    let alg = client.settings.access_token_signing_alg;
    let token = issuing.keys.sign(alg, TokenType::Access, claims, issuing.now)?;
    let expires_in = issuing.life(client.access_token_lifetime);
    let token_type = if issuing.bound_to.jkt.is_some() { DPOP } else { BEARER };
    Ok(AccessToken { token, expires_in, token_type })
}

/// What an access token came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A client, for itself.
    Client,
    /// What a person granted when they signed in.
    Grant(GrantId),
    /// A personal access token.
    PersonalAccessToken(PersonalAccessTokenId),
    /// A service account.
    ServiceAccount(UserId),
}

/// An access token of ours whose signature and times are good. Whether it was revoked, only the
/// database knows.
#[derive(Debug, Clone)]
pub struct VerifiedAccessToken {
    claims: Arc<Map<String, Value>>,
}

impl VerifiedAccessToken {
    /// Checks what somebody presents as an access token.
    pub fn verify(keys: &SigningKeys, issuer: &str, token: &str, now: Timestamp) -> Option<Self> {
        let claims = keys.verify(token, TokenType::Access, now).ok()?;
        let token = Self { claims };
        let named = !token.jti().is_empty();
        let good = named && token.text("iss") == Some(issuer) && token.expires_at()? > now;
        good.then_some(token)
    }

    fn text(&self, name: &str) -> Option<&str> {
        self.claims.get(name).and_then(Value::as_str)
    }

    /// All claims.
    pub fn claims(&self) -> &Map<String, Value> {
        &self.claims
    }

    /// What it came from.
    pub fn origin(&self) -> Origin {
        let parts: Vec<&str> = self.jti().split('.').collect();
        match parts.as_slice() {
            [FROM_PERSONAL, id, _] => Origin::PersonalAccessToken(PersonalAccessTokenId::new(*id)),
            [FROM_ACCOUNT, id, _] => Origin::ServiceAccount(UserId::new(*id)),
            [grant, _, ..] => Origin::Grant(GrantId::new(*grant)),
            _ => Origin::Client,
        }
    }

    /// Its own name.
    pub fn jti(&self) -> &str {
        self.text("jti").unwrap_or_default()
    }

    /// The client that it was issued to.
    pub fn client_id(&self) -> ClientId {
        ClientId::new(self.text("client_id").unwrap_or_default())
    }

    /// Who it is for.
    pub fn audience(&self) -> &str {
        self.text("aud").unwrap_or_default()
    }

    /// How far it reaches.
    pub fn scope(&self) -> Scope {
        Scope::parse(self.text("scope").unwrap_or_default()).unwrap_or_default()
    }

    /// What it is bound to.
    pub fn confirmation(&self) -> Confirmation<'_> {
        let told = |name: &str| self.claims.get("cnf")?.get(name)?.as_str();
        Confirmation { jkt: told("jkt"), certificate: told("x5t#S256") }
    }

    /// Whether it is good for whoever has it.
    pub fn is_bearer(&self) -> bool {
        !self.claims.contains_key("cnf")
    }

    /// How it is shown.
    pub fn token_type(&self) -> &'static str {
        if self.confirmation().jkt.is_some() { DPOP } else { BEARER }
    }

    /// When it expires.
    pub fn expires_at(&self) -> Option<Timestamp> {
        self.claims.get("exp").and_then(Value::as_i64).map(Timestamp::from_unix)
    }
}

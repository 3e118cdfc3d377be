//! Personal access tokens where programs show them: at introspection, at the token endpoint, at
//! UserInfo.
//!
//! The database is asked at each use, and the owner's rights are looked up then: what was revoked is
//! dead everywhere at once (PT-10), and what its owner has lost the token has lost (PT-03). Where the
//! word of an upstream counts for a time only (`max_staleness`), no token outlives that time: it is
//! good again once the upstream has confirmed its owner anew.

use std::net::IpAddr;

use axum::http::HeaderMap;

use super::{address, client_request::ClientRequest};
use crate::{
    app::App,
    audit::{Event, printable},
    clients::Client,
    foundation::{
        clock::{Span, Timestamp},
        ids::{ClientId, UpstreamSlug, UserId},
        opaque::Opaque,
    },
    protocol::scope::{OFFLINE_ACCESS, Scope},
    store::{
        Connection, StoreError, StoreResult, audit_events, identities,
        personal_access_tokens::{self as rows, PersonalAccessToken, Use},
        users::{self, Person},
    },
    tokens::personal,
};

/// Use is noted at most this often, so that a busy token is not a write per request (PT-12).
const REST: Span = Span::from_minutes(1);
/// So many networks of a token are remembered.
const NETWORKS: usize = 32;

/// A personal access token that is good at this moment, and its owner.
#[derive(Debug)]
pub struct Good {
    /// The token.
    pub token: PersonalAccessToken,
    /// For whom it speaks.
    pub person: Person,
    word: Option<Word>,
}

/// What the upstream by which the owner had come has said of them.
#[derive(Debug)]
struct Word {
    confirmed_at: Timestamp,
    /// For how long that counts, for everybody.
    limit: Option<Span>,
}

/// Why a personal access token is worth nothing.
#[derive(Debug)]
pub struct Dead {
    /// In one word.
    pub reason: &'static str,
    /// Whose it was, if it was anybody's.
    pub user: Option<UserId>,
}

impl Good {
    /// When the word of the upstream ends on which it rests at an app; none if it counts for ever.
    pub fn word_ends_at(&self, client: &Client) -> Option<Timestamp> {
        let word = self.word.as_ref()?;
        let limit = word.limit.into_iter().chain(client.settings.max_staleness).min()?;
        Some(word.confirmed_at.plus(limit))
    }

    /// How far it reaches at an app: what its owner let it, what the app understands, and only if
    /// the app would let its owner in now.
    pub fn scope_at(&self, client: &Client, now: Timestamp) -> Result<Scope, Dead> {
        let dead = |reason| Dead { reason, user: Some(self.person.user.id.clone()) };
        if !client.acts_for_people() {
            return Err(dead("client_acts_for_nobody"));
        }
        let (upstream, level) = (self.token.upstream.as_ref(), self.token.acr);
        if let Some(reason) = client.turns_away(&self.person, upstream, level) {
            return Err(dead(reason));
        }
        if self.word_ends_at(client).is_some_and(|end| end <= now) {
            return Err(dead("lease_too_old"));
        }
        let own = Scope::from(self.token.scope.clone()).limited_to(&client.scope);
        let scope: Scope = own.iter().filter(|word| *word != OFFLINE_ACCESS).collect();
        // What is of no use at an app was not made for it.
        if scope.is_empty() { Err(dead("scope_of_other_apps")) } else { Ok(scope) }
    }

    /// How far it reaches at our own endpoints.
    pub fn scope_here(&self, app: &App) -> Scope {
        let (upstream, level) = (self.token.upstream.as_ref(), self.token.acr);
        let rights = app.clients.scope_of(&self.person, upstream, level);
        Scope::from(self.token.scope.clone()).limited_to(&rights)
    }
}

/// The token with this secret.
pub async fn find(app: &App, secret: &Opaque, now: Timestamp) -> StoreResult<Result<Good, Dead>> {
    let mut connection = app.connection().await?;
    match rows::find_by_digest(&mut connection, &secret.digest()).await? {
        Some(token) => examine(app, &mut connection, token, now).await,
        None => Ok(Err(Dead { reason: "token_unknown", user: None })),
    }
}

/// A token that was read, with everything it depends on.
pub(super) async fn examine(
    app: &App,
    connection: &mut Connection,
    token: PersonalAccessToken,
    now: Timestamp,
) -> StoreResult<Result<Good, Dead>> {
    let person = users::find_person(connection, &token.user_id).await?;
    let dead = |reason| Dead { reason, user: Some(token.user_id.clone()) };
    let Some(person) = person else {
        return Ok(Err(dead("user_unknown")));
    };
    let word = match &token.upstream {
        None => None,
        Some(slug) => match find_word(app, connection, (&token.user_id, slug)).await? {
            Some(word) => Some(word),
            None => return Ok(Err(dead("upstream_unknown"))),
        },
    };
    let ended = |word: &Word| word.limit.is_some_and(|limit| word.confirmed_at.plus(limit) <= now);
    let reason = if person.user.disabled_at.is_some() {
        Some("user_disabled")
    } else if word.as_ref().is_some_and(ended) {
        Some("lease_too_old")
    } else {
        personal::death(&token, &app.config.tokens, now)
    };
    Ok(match reason {
        Some(reason) => Err(dead(reason)),
        None => Ok(Good { token, person, word }),
    })
}

/// What an upstream has said of somebody; nothing if it is not there any more, or does not know them.
async fn find_word(
    app: &App,
    connection: &mut Connection,
    (user, slug): (&UserId, &UpstreamSlug),
) -> StoreResult<Option<Word>> {
    let Some(upstream) = app.upstreams.find(slug.as_str()) else {
        return Ok(None);
    };
    let identities = identities::list_of_user(connection, user).await?;
    let by_it = identities.iter().filter(|identity| identity.upstream == *slug);
    let limit = upstream.settings.max_staleness;
    let word = by_it.map(|identity| identity.confirmed_at).max();
    Ok(word.map(|confirmed_at| Word { confirmed_at, limit }))
}

/// To whom a token was shown, from where, and with what.
#[derive(Debug)]
pub struct Showing {
    client: Option<ClientId>,
    address: IpAddr,
    user_agent: String,
}

impl Showing {
    /// To ourselves, with a request from this address.
    pub fn to_us(address: IpAddr, headers: &HeaderMap) -> Self {
        Self { client: None, address, user_agent: address::user_agent(headers) }
    }

    /// To an app, which asks us about it. An API that says for whom it asks is believed: RFC 7662 §2.1
    /// leaves room for that.
    pub fn to_client(request: &ClientRequest) -> Self {
        let told = |name| request.params.get(name);
        let address = told("ip_address").and_then(|text| text.parse().ok());
        let user_agent = told("user_agent").map(|text| printable(text).chars().take(200).collect());
        Self {
            client: Some(request.client.id().clone()),
            address: address.unwrap_or(request.from),
            user_agent: user_agent.unwrap_or_else(|| address::user_agent(&request.headers)),
        }
    }
}

/// Notes that a token was used. What cannot be noted is no reason to refuse it.
pub async fn note_use(app: &App, token: &PersonalAccessToken, showing: Showing, now: Timestamp) {
    if let Err(error) = try_to_note(app, token, showing, now).await {
        tracing::warn!(%error, token = %token.id, "the use of a token could not be noted");
    }
}

async fn try_to_note(
    app: &App,
    token: &PersonalAccessToken,
    showing: Showing,
    now: Timestamp,
) -> StoreResult<()> {
    let network = address::network(showing.address);
    let mut networks = token.networks.to_vec();
    let is_new = !networks.contains(&network);
    let rested = token.last_used_at.is_none_or(|last| now.since(last) >= REST);
    if !is_new && !rested {
        return Ok(());
    }
    if is_new {
        networks.drain(..networks.len().saturating_sub(NETWORKS - 1));
        networks.push(network);
    }
    let address = showing.address.to_string();
    let mut event = Event::done("token_used_from_new_network").user(&token.user_id);
    if let Some(client) = &showing.client {
        event = event.client(client);
    }
    let event = event.address(address.clone()).detail("token", token.id.as_str());
    let event = event.detail("name", token.name.as_str()).row(now, app.random());
    let used = Use {
        last_used_at: now,
        last_client: showing.client,
        last_address: Some(address),
        last_user_agent: Some(showing.user_agent),
        networks: networks.iter().collect(),
    };
    let mut connection = app.connection().await?;
    connection
        .transaction(async |conn| {
            if rows::note_use(conn, token, &used, REST).await? && is_new {
                audit_events::insert(conn, &event).await?;
            }
            Ok::<_, StoreError>(())
        })
        .await
}

//! A client for itself (RFC 6749 §4.4), or for the service account that it is. A client that is
//! itself needs no store.

use super::{Exchange, Story, TokenResponse};
use crate::{
    foundation::names::username_key,
    protocol::{
        error::OAuthError,
        scope::{OFFLINE_ACCESS, OPENID, Scope},
    },
    store::{
        StoreError, StoreResult,
        users::{self, Person},
    },
    tokens::access,
    web::error::WireError,
};

/// Scopes that speak of a person who signs in, of whom there is none here.
const PERSONAL: [&str; 2] = [OPENID, OFFLINE_ACCESS];

/// A token for the client itself.
pub async fn issue(exchange: &Exchange<'_>) -> Result<TokenResponse, WireError> {
    let scope = scope(exchange)?;
    exchange.use_proof().await?;
    let (issuing, client) = (exchange.issuing(), exchange.client);
    let access = match &client.settings.service_account {
        None => access::issue_for_client(issuing, client, &scope)?,
        Some(name) => {
            let account = account(exchange, name).await?;
            access::issue_for_account(issuing, client, &account, &scope)?
        }
    };
    Ok(TokenResponse::of(access, &scope))
}

/// The service account that the client is. It is looked up each time: once it is shut, nothing is
/// issued any more (TK-14).
async fn account(exchange: &Exchange<'_>, name: &str) -> Result<Person, WireError> {
    let refuse = |reason, user| {
        let error = OAuthError::invalid_client("the client's service account cannot be used");
        exchange.refuse(error, reason, Story { trace: None, user })
    };
    let Some(account) = find(exchange, name).await? else {
        return Err(refuse("service_account_unknown", None));
    };
    let id = &account.user.id;
    if account.user.disabled_at.is_some() {
        return Err(refuse("user_disabled", Some(id)));
    }
    if !exchange.client.is_account(&account.user) {
        return Err(refuse("no_service_account", Some(id)));
    }
    Ok(account)
}

async fn find(exchange: &Exchange<'_>, name: &str) -> StoreResult<Option<Person>> {
    let mut connection = exchange.app.connection().await?;
    let user = users::find_by_username(&mut connection, &username_key(name)).await?;
    match user {
        Some(user) => users::find_person(&mut connection, &user.id).await.map_err(StoreError::from),
        None => Ok(None),
    }
}

/// What is asked and allowed; everything that is allowed when nothing is asked (RFC 6749 §3.3).
fn scope(exchange: &Exchange<'_>) -> Result<Scope, OAuthError> {
    let own: Scope = exchange.client.scope.iter().filter(|word| !PERSONAL.contains(word)).collect();
    let Some(text) = exchange.params.get("scope") else {
        return Ok(own);
    };
    let asked = Scope::parse(text)
        .ok_or_else(|| OAuthError::invalid_scope("scope is too long or cannot be read"))?;
    let granted = asked.limited_to(&own);
    if granted.is_empty() {
        return Err(OAuthError::invalid_scope("nothing of the scope can be granted"));
    }
    Ok(granted)
}

//! Access tokens where they are shown (RFC 6750, RFC 9449 §7): how they stand in the header, and whether
//! everything they depend on is good.

use axum::http::{HeaderMap, header};

use super::personal_access_token::{self, Good};
use crate::{
    app::App,
    clients::Client,
    foundation::clock::Timestamp,
    store::{
        Connection, StoreResult,
        grants::{self, Grant, TokenStanding},
        personal_access_tokens, revoked_access_tokens,
        users::{self, Person},
    },
    tokens::access::{Origin, VerifiedAccessToken},
};

/// What stands in the `Authorization` header.
#[derive(Debug, PartialEq, Eq)]
pub enum Presented<'h> {
    /// Nothing.
    Nothing,
    /// Something that is not one token.
    Malformed,
    /// A bearer token.
    Token(&'h str),
    /// A token that is bound to a key, whose proof is in a header of its own.
    Bound(&'h str),
}

/// Reads the header: the scheme in any case, one space, one token (IN-08).
pub fn read(headers: &HeaderMap) -> Presented<'_> {
    let mut lines = headers.get_all(header::AUTHORIZATION).iter();
    let (line, more) = (lines.next(), lines.next());
    let Some(line) = line else {
        return Presented::Nothing;
    };
    let line = line.to_str().ok().filter(|_| more.is_none());
    let Some((scheme, token)) = line.and_then(|line| line.split_once(' ')) else {
        return Presented::Malformed;
    };
    // The alphabet of RFC 6750 §2.1, RFC 9449 §7.1.
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(&byte);
    if token.is_empty() || !token.bytes().all(allowed) {
        return Presented::Malformed;
    }
    if scheme.eq_ignore_ascii_case("bearer") {
        Presented::Token(token)
    } else if scheme.eq_ignore_ascii_case("dpop") {
        Presented::Bound(token)
    } else {
        Presented::Malformed
    }
}

/// On whose behalf a good access token speaks.
#[derive(Debug)]
pub enum Bearer {
    /// A person's, who signed in.
    Person(Box<(Grant, Person)>),
    /// A person's, by a token that they gave to a program.
    Program(Box<Good>),
    /// A service account's.
    Account(Box<Person>),
    /// A client's own.
    Client,
}

impl Bearer {
    /// Whose groups count, if it is anybody's.
    pub fn person(&self) -> Option<&Person> {
        match self {
            Self::Person(standing) => Some(&standing.1),
            Self::Program(good) => Some(&good.person),
            Self::Account(person) => Some(person),
            Self::Client => None,
        }
    }
}

/// Whether the token is still good in every respect: its client, its family, its person, itself.
pub async fn find_standing(
    app: &App,
    token: &VerifiedAccessToken,
    now: Timestamp,
) -> StoreResult<Option<Bearer>> {
    let Some(client) = app.clients.find(token.client_id().as_str()) else {
        return Ok(None);
    };
    let mut connection = app.connection().await?;
    let grant_id = match token.origin() {
        Origin::Grant(grant_id) => grant_id,
        other => {
            if revoked_access_tokens::contains(&mut connection, token.jti()).await? {
                return Ok(None);
            }
            return without_sign_in(app, &mut connection, &client, other, now).await;
        }
    };
    let found = grants::find_standing(&mut connection, &grant_id, token.jti()).await?;
    let Some((grant, person, TokenStanding::Good)) = found else {
        return Ok(None);
    };
    let living = grant.revoked_at.is_none() && now < grant.expires_at;
    let welcome = client.turns_away(&person, grant.upstream.as_ref(), grant.acr).is_none();
    Ok((living && welcome).then(|| Bearer::Person(Box::new((grant, person)))))
}

/// The same for what nobody has signed in for.
async fn without_sign_in(
    app: &App,
    connection: &mut Connection,
    client: &Client,
    origin: Origin,
    now: Timestamp,
) -> StoreResult<Option<Bearer>> {
    match origin {
        Origin::PersonalAccessToken(id) => {
            let Some(token) = personal_access_tokens::find(connection, &id).await? else {
                return Ok(None);
            };
            let good = personal_access_token::examine(app, connection, token, now).await?;
            let good = good.ok().filter(|good| good.scope_at(client, now).is_ok());
            Ok(good.map(|good| Bearer::Program(Box::new(good))))
        }
        Origin::ServiceAccount(id) => {
            let account = users::find_person(connection, &id).await?;
            let account = account.filter(|account| client.is_account(&account.user));
            Ok(account.map(|account| Bearer::Account(Box::new(account))))
        }
        // The client that became a service account is no longer itself.
        Origin::Client => Ok(client.settings.service_account.is_none().then_some(Bearer::Client)),
        Origin::Grant(_) => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// IN-08.
    #[test]
    fn only_one_plain_bearer_token_is_read() {
        let seen = |lines: &[&str]| {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append(header::AUTHORIZATION, line.parse().unwrap());
            }
            match read(&headers) {
                Presented::Token(token) => token.to_owned(),
                other => format!("{other:?}"),
            }
        };
        assert_eq!(seen(&[]), "Nothing");
        assert_eq!(seen(&["Bearer abc"]), "abc");
        assert_eq!(seen(&["bEARER abc"]), "abc");
        assert_eq!(seen(&["dpop abc"]), "Bound(\"abc\")");
        for wrong in ["Bearer\tabc", "DPoP  abc", "Bearer abc,def", "Bearer ", "DPoP", "Basic abc"]
        {
            assert_eq!(seen(&[wrong]), "Malformed", "{wrong:?}");
        }
        assert_eq!(seen(&["Bearer abc", "Bearer abc"]), "Malformed");
    }
}

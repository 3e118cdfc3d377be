//! Bearer tokens (RFC 6750): where they may stand, and whether everything they depend on is good.

use axum::http::{HeaderMap, header};

use crate::{
    app::App,
    foundation::clock::Timestamp,
    store::{
        StoreResult,
        grants::{self, Grant, TokenStanding},
        revoked_access_tokens,
        users::Person,
    },
    tokens::access::VerifiedAccessToken,
};

/// What stands in the `Authorization` header.
#[derive(Debug, PartialEq, Eq)]
pub enum Presented<'h> {
    /// Nothing.
    Nothing,
    /// Something that is not one bearer token.
    Malformed,
    /// A bearer token.
    Token(&'h str),
}

/// Reads the header: the scheme in any case, one space, one token (IN-08).
pub fn read(headers: &HeaderMap) -> Presented<'_> {
    let mut lines = headers.get_all(header::AUTHORIZATION).iter();
    let (line, more) = (lines.next(), lines.next());
    let Some(line) = line else {
        return Presented::Nothing;
    };
    let token = line.to_str().ok().filter(|_| more.is_none()).and_then(|line| {
        let (scheme, token) = line.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then_some(token)
    });
    // The alphabet of RFC 6750 §2.1.
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(&byte);
    match token {
        Some(token) if !token.is_empty() && token.bytes().all(allowed) => Presented::Token(token),
        _ => Presented::Malformed,
    }
}

/// On whose behalf a good access token speaks.
#[derive(Debug)]
pub enum Bearer {
    /// A person's.
    Person(Box<(Grant, Person)>),
    /// A client's own.
    Client,
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
    let Some(grant_id) = token.grant_id() else {
        let revoked = revoked_access_tokens::contains(&mut connection, token.jti()).await?;
        return Ok((!revoked).then_some(Bearer::Client));
    };
    let found = grants::find_standing(&mut connection, &grant_id, token.jti()).await?;
    let Some((grant, person, TokenStanding::Good)) = found else {
        return Ok(None);
    };
    let living = grant.revoked_at.is_none() && now < grant.expires_at;
    let welcome = client.turns_away(&person, grant.upstream.as_ref(), grant.acr).is_none();
    Ok((living && welcome).then(|| Bearer::Person(Box::new((grant, person)))))
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
        for wrong in
            ["Bearer\tabc", "Bearer  abc", "Bearer abc,def", "Bearer ", "Bearer", "Basic abc"]
        {
            assert_eq!(seen(&[wrong]), "Malformed", "{wrong:?}");
        }
        assert_eq!(seen(&["Bearer abc", "Bearer abc"]), "Malformed");
    }
}

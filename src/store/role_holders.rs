//! Whether anybody holds a role, over accounts and identities.
//!
//! Those who hold it without a group are found by an index. For the others the lists of groups are
//! searched, which walks the table: it happens only when somebody who administers stops doing so.

use diesel::QueryResult;
use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use super::{
    Connection,
    groups::Meanings,
    schema::{identities, users},
    users::AccountKind,
};
use crate::foundation::{
    ids::{IdentityId, UserId},
    text_list::TextList,
};

diesel::define_sql_function! {
    /// Where a text stands in another, from 1; 0 if it does not (PostgreSQL).
    fn strpos(text: diesel::sql_types::Text, part: diesel::sql_types::Text) -> diesel::sql_types::Integer;
}
diesel::define_sql_function! {
    /// The same (SQLite).
    fn instr(text: diesel::sql_types::Text, part: diesel::sql_types::Text) -> diesel::sql_types::Integer;
}

/// A text in a list may stand in another text of the list by chance: so many are looked at.
const LOOKED_AT: i64 = 50;

/// Who does not count.
#[derive(Clone, Copy, Debug, Default)]
pub struct Except<'a> {
    /// This account.
    pub account: Option<&'a UserId>,
    /// What this identity says.
    pub identity: Option<&'a IdentityId>,
}

/// Whether an account that is open holds the role.
pub async fn any(
    conn: &mut Connection,
    role: &str,
    meanings: &Meanings,
    except: Except<'_>,
) -> QueryResult<bool> {
    if any_without_group(conn, role, except).await? {
        return Ok(true);
    }
    for group in meanings.giving(role) {
        let found = any_in_group(conn, &group, except).await?
            || any_by_upstream(conn, &group, except).await?;
        if found {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Accounts that are open, have a verified address, and may hold the role: in lists a text may stand in
/// another by chance, so whoever asks looks at each.
pub async fn reachable(
    conn: &mut Connection,
    role: &str,
    meanings: &Meanings,
) -> QueryResult<Vec<UserId>> {
    let mut found = Vec::new();
    for text in std::iter::once(role.to_owned()).chain(meanings.giving(role)) {
        found.extend(reachable_by(conn, &quoted(&text)).await?);
    }
    found.sort();
    found.dedup();
    Ok(found)
}

async fn reachable_by(conn: &mut Connection, quoted: &str) -> QueryResult<Vec<UserId>> {
    let open = users::disabled_at
        .is_null()
        .and(users::kind.eq(AccountKind::Person))
        .and(users::email_verified.eq(true));
    let all = users::table.left_join(identities::table).filter(open);
    on_backend!(
        conn,
        postgres | conn | {
            let held = strpos(users::roles, quoted).gt(0).or(strpos(users::groups, quoted).gt(0));
            let held = held.or(strpos(identities::groups.assume_not_null(), quoted).gt(0));
            all.filter(held).select(users::id).limit(LOOKED_AT).load(conn).await
        },
        sqlite | conn | {
            let held = instr(users::roles, quoted).gt(0).or(instr(users::groups, quoted).gt(0));
            let held = held.or(instr(identities::groups.assume_not_null(), quoted).gt(0));
            all.filter(held).select(users::id).limit(LOOKED_AT).load(conn).await
        }
    )
}

/// How a text stands in a list of texts.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn one_holds(lists: &[TextList], text: &str) -> bool {
    lists.iter().any(|list| list.to_vec().iter().any(|own| own == text))
}

/// An id that no account has, where none is meant.
fn excepted<'a>(account: Option<&'a UserId>, nobody: &'a UserId) -> &'a UserId {
    account.unwrap_or(nobody)
}

async fn any_without_group(
    conn: &mut Connection,
    role: &str,
    except: Except<'_>,
) -> QueryResult<bool> {
    let nobody = UserId::new("");
    let open = users::disabled_at
        .is_null()
        .and(users::kind.eq(AccountKind::Person))
        .and(users::roles.ne(TextList::default()))
        .and(users::id.ne(excepted(except.account, &nobody)));
    let lists: Vec<TextList> = on_backend!(
        conn,
        postgres | conn | {
            let holding = strpos(users::roles, quoted(role)).gt(0);
            let found = users::table.filter(open).filter(holding).limit(LOOKED_AT);
            found.select(users::roles).load(conn).await
        },
        sqlite | conn | {
            let holding = instr(users::roles, quoted(role)).gt(0);
            let found = users::table.filter(open).filter(holding).limit(LOOKED_AT);
            found.select(users::roles).load(conn).await
        }
    )?;
    Ok(one_holds(&lists, role))
}

async fn any_in_group(conn: &mut Connection, group: &str, except: Except<'_>) -> QueryResult<bool> {
    let nobody = UserId::new("");
    let open = users::disabled_at
        .is_null()
        .and(users::kind.eq(AccountKind::Person))
        .and(users::id.ne(excepted(except.account, &nobody)));
    let lists: Vec<TextList> = on_backend!(
        conn,
        postgres | conn | {
            let member = strpos(users::groups, quoted(group)).gt(0);
            let found = users::table.filter(open).filter(member).limit(LOOKED_AT);
            found.select(users::groups).load(conn).await
        },
        sqlite | conn | {
            let member = instr(users::groups, quoted(group)).gt(0);
            let found = users::table.filter(open).filter(member).limit(LOOKED_AT);
            found.select(users::groups).load(conn).await
        }
    )?;
    Ok(one_holds(&lists, group))
}

async fn any_by_upstream(
    conn: &mut Connection,
    group: &str,
    except: Except<'_>,
) -> QueryResult<bool> {
    let (nobody, nothing) = (UserId::new(""), IdentityId::new(""));
    let open = users::disabled_at
        .is_null()
        .and(users::kind.eq(AccountKind::Person))
        .and(users::id.ne(excepted(except.account, &nobody)))
        .and(identities::id.ne(except.identity.unwrap_or(&nothing)));
    let all = identities::table.inner_join(users::table);
    let lists: Vec<TextList> = on_backend!(
        conn,
        postgres | conn | {
            let member = strpos(identities::groups, quoted(group)).gt(0);
            let found = all.filter(open).filter(member).limit(LOOKED_AT);
            found.select(identities::groups).load(conn).await
        },
        sqlite | conn | {
            let member = instr(identities::groups, quoted(group)).gt(0);
            let found = all.filter(open).filter(member).limit(LOOKED_AT);
            found.select(identities::groups).load(conn).await
        }
    )?;
    Ok(one_holds(&lists, group))
}

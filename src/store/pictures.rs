//! Pictures that people have uploaded.

use diesel::QueryResult;
use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use super::{Connection, schema::pictures};
use crate::foundation::{clock::Timestamp, ids::UserId};

/// A row of `pictures`.
#[derive(Clone, Debug, Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = pictures, check_for_backend(diesel::pg::Pg, diesel::sqlite::Sqlite))]
pub struct Picture {
    /// Whose it is.
    pub user_id: UserId,
    /// Under which name it is served.
    pub name: String,
    /// The picture, a WebP of our own drawing.
    pub content: Vec<u8>,
    /// When it was uploaded.
    pub created_at: Timestamp,
}

/// Keeps a picture instead of the one that the person had.
pub async fn replace(conn: &mut Connection, picture: &Picture) -> QueryResult<usize> {
    on_backend!(conn, |conn| diesel::insert_into(pictures::table)
        .values(picture)
        .on_conflict(pictures::user_id)
        .do_update()
        .set(picture)
        .execute(conn)
        .await)
}

/// The picture of this name.
pub async fn find(conn: &mut Connection, name: &str) -> QueryResult<Option<Vec<u8>>> {
    on_backend!(conn, |conn| pictures::table
        .filter(pictures::name.eq(name))
        .select(pictures::content)
        .first(conn)
        .await
        .optional())
}

/// Takes the picture of a person away; `false` if there was none.
#[must_use = "false means that there was none"]
pub async fn delete(conn: &mut Connection, user: &UserId) -> QueryResult<bool> {
    on_backend!(conn, |conn| diesel::delete(pictures::table.find(user)).execute(conn).await)
        .map(|rows| rows == 1)
}

//! The servers that run on this database.

use diesel::QueryResult;
use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use super::{Connection, schema::instances};
use crate::foundation::{clock::Timestamp, ids::InstanceId};

/// A row of `instances`.
#[derive(Clone, Debug, Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = instances, check_for_backend(diesel::pg::Pg, diesel::sqlite::Sqlite))]
pub struct Instance {
    /// Its name, new at every start.
    pub id: InstanceId,
    /// The issuer in whose name it answers.
    pub issuer: String,
    /// Its version.
    pub version: String,
    /// Since when it runs.
    pub started_at: Timestamp,
    /// When it last said that it runs.
    pub seen_at: Timestamp,
}

/// Says that an instance runs.
pub async fn put(conn: &mut Connection, instance: &Instance) -> QueryResult<usize> {
    on_backend!(conn, |conn| diesel::insert_into(instances::table)
        .values(instance)
        .on_conflict(instances::id)
        .do_update()
        .set(instance)
        .execute(conn)
        .await)
}

/// Those that were seen after this moment.
pub async fn list_since(conn: &mut Connection, since: Timestamp) -> QueryResult<Vec<Instance>> {
    on_backend!(conn, |conn| instances::table
        .filter(instances::seen_at.gt(since))
        .order(instances::started_at)
        .select(Instance::as_select())
        .load(conn)
        .await)
}

/// Takes an instance away that has ended.
pub async fn delete(conn: &mut Connection, id: &InstanceId) -> QueryResult<usize> {
    on_backend!(conn, |conn| diesel::delete(instances::table.find(id)).execute(conn).await)
}

/// Takes those away that have not been seen since.
pub async fn purge(conn: &mut Connection, before: Timestamp) -> QueryResult<usize> {
    on_backend!(conn, |conn| diesel::delete(instances::table.filter(instances::seen_at.lt(before)))
        .execute(conn)
        .await)
}

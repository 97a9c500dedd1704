//! Migrations: upgrade the schema, one process at a time.
//!
//! Guarantees: all migrations run in one transaction under an advisory lock, so any number of
//! processes may start at once, and a failed migration leaves no trace. A current database is only
//! read. A schema newer than this version knows is refused, because this version could damage it.

use sqlx::{Connection, PgConnection};

use crate::error::StoreError;

/// In order; the version of a schema is how many of them it has.
const MIGRATIONS: &[&str] = &[
    include_str!("migrations/0001_weather.sql"),
    include_str!("migrations/0002_operations.sql"),
    include_str!("migrations/0003_users.sql"),
    include_str!("migrations/0004_air_quality.sql"),
    include_str!("migrations/0005_ended_jobs.sql"),
    include_str!("migrations/0006_identity.sql"),
    include_str!("migrations/0007_import_keys.sql"),
    include_str!("migrations/0008_job_errors.sql"),
];

sql! {
    VERSION_TABLE = "SELECT to_regclass('isobar_schema') IS NOT NULL";
    /// The number spells `isobar`; other users of the database are unlikely to take it.
    LOCK = "SELECT pg_advisory_xact_lock(115917131014514)";
    /// Waiting for the migration of another process may take long.
    NO_LIMIT = "SET LOCAL statement_timeout = 0";
    CREATE_VERSION_TABLE = "CREATE TABLE IF NOT EXISTS isobar_schema (version integer NOT NULL)";
    VERSION = "SELECT coalesce(max(version), 0) FROM isobar_schema";
    SET_VERSION = "INSERT INTO isobar_schema (version) VALUES ($1)";
}

pub(super) async fn migrate(
    connection: &mut PgConnection,
    location: &str,
    classify: impl Fn(sqlx::Error) -> StoreError,
) -> Result<(), StoreError> {
    let known = MIGRATIONS.len() as u32;
    let found = version(connection).await.map_err(&classify)?;
    if found < known {
        upgrade(connection).await.map_err(&classify)?;
    }
    let found = version(connection).await.map_err(&classify)?;
    if found > known {
        return Err(StoreError::NewerSchema { location: location.to_owned(), found, known });
    }
    Ok(())
}

async fn version(connection: &mut PgConnection) -> sqlx::Result<u32> {
    let exists: bool =
        sqlx::query_scalar(VERSION_TABLE.postgres()).fetch_one(&mut *connection).await?;
    if !exists {
        return Ok(0);
    }
    let version: i32 = sqlx::query_scalar(VERSION.postgres()).fetch_one(connection).await?;
    Ok(version as u32)
}

async fn upgrade(connection: &mut PgConnection) -> sqlx::Result<()> {
    let mut tx = connection.begin().await?;
    for statement in [&NO_LIMIT, &LOCK, &CREATE_VERSION_TABLE] {
        sqlx::query(statement.postgres()).execute(&mut *tx).await?;
    }
    // Read again: the process that held the lock before may have migrated.
    let found = version(&mut tx).await?;
    for (before, migration) in MIGRATIONS.iter().enumerate().skip(found as usize) {
        sqlx::raw_sql(*migration).execute(&mut *tx).await?;
        sqlx::query(SET_VERSION.postgres()).bind(before as i32 + 1).execute(&mut *tx).await?;
    }
    tx.commit().await
}

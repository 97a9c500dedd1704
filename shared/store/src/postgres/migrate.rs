//! Brings the schema up, one process at a time.
//!
//! All of it is one transaction under an advisory lock, so that any number of processes may start
//! at once and a migration that fails leaves nothing. A database that is up to date is only read.
//! A schema newer than this version knows is refused: running on it could undo what it stands for.

use sqlx::{Connection, PgConnection};

use crate::StoreError;

/// In order; the version of a schema is how many of them it has.
const MIGRATIONS: &[&str] = &[
    include_str!("migrations/0001_weather.sql"),
    include_str!("migrations/0002_operations.sql"),
    include_str!("migrations/0003_users.sql"),
];

sql! {
    VERSION_TABLE = "SELECT to_regclass('isobar_schema') IS NOT NULL";
    /// The number spells `isobar`; other users of the database will hardly take it.
    LOCK = "SELECT pg_advisory_xact_lock(115917131014514)";
    /// Waiting for another process' migration is no slow statement.
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
        bring_up(connection).await.map_err(&classify)?;
    }
    let found = version(connection).await.map_err(&classify)?;
    if found > known {
        return Err(StoreError::NewerSchema { location: location.to_owned(), found, known });
    }
    Ok(())
}

async fn version(connection: &mut PgConnection) -> sqlx::Result<u32> {
    let exists: bool = sqlx::query_scalar(VERSION_TABLE).fetch_one(&mut *connection).await?;
    if !exists {
        return Ok(0);
    }
    let version: i32 = sqlx::query_scalar(VERSION).fetch_one(connection).await?;
    Ok(version as u32)
}

async fn bring_up(connection: &mut PgConnection) -> sqlx::Result<()> {
    let mut tx = connection.begin().await?;
    for statement in [NO_LIMIT, LOCK, CREATE_VERSION_TABLE] {
        sqlx::query(statement).execute(&mut *tx).await?;
    }
    // Asked again: whoever held the lock before us may have done it.
    let found = version(&mut tx).await?;
    for (before, migration) in MIGRATIONS.iter().enumerate().skip(found as usize) {
        sqlx::raw_sql(*migration).execute(&mut *tx).await?;
        sqlx::query(SET_VERSION).bind(before as i32 + 1).execute(&mut *tx).await?;
    }
    tx.commit().await
}

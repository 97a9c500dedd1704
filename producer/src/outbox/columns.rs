//! Columns: how values are read from the rows of the outbox.
//!
//! Guarantees: an id or a JSON text that cannot be parsed is an error of its column.

use chrono::{DateTime, Utc};
use isobar_model::ids::JobId;
use rusqlite::Row;
use serde::de::DeserializeOwned;

/// A job's number in this outbox: small, because every batch and key contains it.
pub type JobKey = i64;

pub fn job_id(row: &Row<'_>, at: usize) -> rusqlite::Result<JobId> {
    let text: String = row.get(at)?;
    text.parse().map_err(|error| unreadable(at, error))
}

pub fn unsigned(row: &Row<'_>, at: usize) -> rusqlite::Result<u64> {
    row.get::<_, i64>(at).map(|number| number as u64)
}

pub fn json<T: DeserializeOwned>(row: &Row<'_>, at: usize) -> rusqlite::Result<T> {
    let text: String = row.get(at)?;
    serde_json::from_str(&text).map_err(|error| unreadable(at, error))
}

pub fn time(row: &Row<'_>, at: usize) -> rusqlite::Result<DateTime<Utc>> {
    Ok(DateTime::from_timestamp_millis(row.get(at)?).unwrap_or_default())
}

fn unreadable(at: usize, error: impl std::error::Error + Send + Sync + 'static) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(at, rusqlite::types::Type::Text, Box::new(error))
}

//! Rows: what is read from an answer, the same for both databases.
//!
//! `row! { Tick { schedule, tick, try_number: "try", … } }` makes a type readable: each field is
//! the column of its name, or of the text after the colon. The field's type decides how the column
//! is read and what is refused.
//!
//! Guarantees: a value that does not fit its type is an error, never a default.
//! Next: [`crate::value`] (the other direction).

use chrono::{DateTime, NaiveDate, Utc};
use sqlx::postgres::PgRow;
use uuid::Uuid;

use crate::sqlite::columns::{DateColumn, IdColumn, ListColumn, TimeColumn};
use isobar_model::ids::{CityId, JobId, TaskId, UserId};
use isobar_model::pipeline::PipelineName;
use isobar_model::schedule::TickOutcome;
use isobar_model::task::{JobKind, SealOutcome};

/// A row of either database.
pub trait Row {
    type Error;
    fn get<T: Column>(&self, column: &str) -> Result<T, Self::Error>;
}

impl Row for PgRow {
    type Error = sqlx::Error;

    fn get<T: Column>(&self, column: &str) -> sqlx::Result<T> {
        T::from_postgres(self, column)
    }
}

impl Row for rusqlite::Row<'_> {
    type Error = rusqlite::Error;

    fn get<T: Column>(&self, column: &str) -> rusqlite::Result<T> {
        T::from_sqlite(self, column)
    }
}

/// A type that is read from a row.
pub trait FromRow: Sized {
    fn from_row<R: Row>(row: &R) -> Result<Self, R::Error>;
}

/// A type that is read from one column.
pub trait Column: Sized {
    fn from_postgres(row: &PgRow, column: &str) -> sqlx::Result<Self>;
    fn from_sqlite(row: &rusqlite::Row<'_>, column: &str) -> rusqlite::Result<Self>;
}

macro_rules! row {
    (@column $field:ident) => { stringify!($field) };
    (@column $field:ident $column:literal) => { $column };
    ($type:ident { $($field:ident $(: $column:literal)?),+ $(,)? }) => {
        impl $crate::row::FromRow for $type {
            fn from_row<R: $crate::row::Row>(row: &R) -> ::std::result::Result<Self, R::Error> {
                Ok(Self { $($field: row.get(row!(@column $field $($column)?))?),+ })
            }
        }
    };
}

/// `Type: PostgreSQL's type | SQLite's type, conversion to Option<Type>`; `None` is refused.
macro_rules! column {
    ($($type:ty: $postgres:ty | $sqlite:ty, $convert:expr;)+) => {$(
        impl $crate::row::Column for Option<$type> {
            fn from_postgres(row: &sqlx::postgres::PgRow, column: &str) -> sqlx::Result<Self> {
                let convert: fn($postgres) -> Option<$type> = $convert;
                let stored: Option<$postgres> = sqlx::Row::try_get(row, column)?;
                let unreadable = || sqlx::Error::Decode($crate::row::unreadable(column));
                stored.map(|stored| convert(stored).ok_or_else(unreadable)).transpose()
            }

            fn from_sqlite(row: &rusqlite::Row<'_>, column: &str) -> rusqlite::Result<Self> {
                let convert: fn($postgres) -> Option<$type> = $convert;
                let stored: Option<$sqlite> = row.get(column)?;
                let unreadable = || $crate::row::sqlite_unreadable(row, column);
                stored.map(|stored| convert(stored.into()).ok_or_else(unreadable)).transpose()
            }
        }

        impl $crate::row::Column for $type {
            fn from_postgres(row: &sqlx::postgres::PgRow, column: &str) -> sqlx::Result<Self> {
                Option::<Self>::from_postgres(row, column)?
                    .ok_or_else(|| sqlx::Error::Decode($crate::row::unreadable(column)))
            }

            fn from_sqlite(row: &rusqlite::Row<'_>, column: &str) -> rusqlite::Result<Self> {
                Option::<Self>::from_sqlite(row, column)?
                    .ok_or_else(|| $crate::row::sqlite_unreadable(row, column))
            }
        }
    )+};
}

column! {
    i32: i32 | i32, Some;
    i64: i64 | i64, Some;
    f64: f64 | f64, Some;
    bool: bool | bool, Some;
    String: String | String, Some;
    Vec<u8>: Vec<u8> | Vec<u8>, Some;
    Vec<i64>: Vec<i64> | ListColumn, Some;
    DateTime<Utc>: DateTime<Utc> | TimeColumn, Some;
    NaiveDate: NaiveDate | DateColumn, Some;
    Uuid: Uuid | IdColumn, Some;
    u32: i32 | i32, |number| Some(number as u32);
    u64: i64 | i64, |number| Some(number as u64);
    CityId: i64 | i64, |id| Some(CityId(id));
    UserId: i64 | i64, |id| Some(UserId(id));
    JobId: Uuid | IdColumn, |id| Some(JobId(id));
    TaskId: Uuid | IdColumn, |id| Some(TaskId(id));
    PipelineName: String | String, |word| PipelineName::parse(&word);
    TickOutcome: String | String, |word| TickOutcome::parse(&word);
    JobKind: String | String, |word| JobKind::ALL.into_iter().find(|kind| kind.as_str() == word);
    SealOutcome: String | String,
        |word| SealOutcome::ALL.into_iter().find(|outcome| outcome.as_str() == word);
}

/// A column that holds what this version never wrote.
pub fn unreadable(column: &str) -> Box<dyn std::error::Error + Send + Sync> {
    format!("column {column:?} holds an unknown value").into()
}

pub fn sqlite_unreadable(row: &rusqlite::Row<'_>, column: &str) -> rusqlite::Error {
    match row.as_ref().column_index(column) {
        Ok(index) => rusqlite::Error::FromSqlConversionFailure(
            index,
            rusqlite::types::Type::Null,
            unreadable(column),
        ),
        Err(error) => error,
    }
}

/// Answers of one column: `SELECT … AS id`, `SELECT … AS count`.
macro_rules! single {
    ($($type:ty: $column:literal;)+) => {$(
        impl FromRow for $type {
            fn from_row<R: Row>(row: &R) -> Result<Self, R::Error> {
                row.get($column)
            }
        }
    )+};
}

single! {
    u64: "count";
    UserId: "id";
    TaskId: "task_id";
    JobId: "job_id";
    bool: "answer";
}

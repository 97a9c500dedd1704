//! Queries: how values are bound to a statement of PostgreSQL.
//!
//! A batch is one statement whatever its size: each column of its rows is one array (`unnest`).
//! Next: [`crate::sql`] and [`crate::value`].

use std::borrow::Cow;

use sqlx::postgres::PgArguments;
use sqlx::{PgConnection, Postgres};

use crate::sql::{Batch, Sql};
use crate::value::Value;

pub type Query = sqlx::query::Query<'static, Postgres, PgArguments>;

pub fn query(sql: &'static Sql, args: Vec<Value<'_>>) -> Query {
    args.into_iter().fold(sqlx::query(sql.postgres()), |query, value| match value {
        Value::Int(value) => query.bind(value),
        Value::Float(value) => query.bind(value),
        Value::Bool(value) => query.bind(value),
        Value::Text(value) => query.bind(value),
        Value::Bytes(value) => query.bind(value.as_deref()),
        Value::Time(value) => query.bind(value),
        Value::Date(value) => query.bind(value),
        Value::Id(value) => query.bind(value),
        Value::Ints(values) => query.bind(values),
        Value::Ids(values) => query.bind(values),
    })
}

/// `None` for a batch without rows.
pub fn batch(batch: &Batch<'_>) -> Option<Query> {
    let rows = &batch.rows;
    let mut query = sqlx::query(batch.sql.postgres());
    for (at, value) in rows.first()?.iter().enumerate() {
        /// The values of this column, all of one variant.
        macro_rules! column {
            ($variant:ident, $read:expr) => {{
                let values = rows.iter().map(|row| match &row[at] {
                    Value::$variant(value) => value.as_ref().map($read),
                    _ => None,
                });
                query.bind(values.collect::<Vec<_>>())
            }};
        }
        query = match value {
            Value::Int(_) | Value::Ints(_) => column!(Int, |value| *value),
            Value::Float(_) => column!(Float, |value| *value),
            Value::Bool(_) => column!(Bool, |value| *value),
            Value::Text(_) => column!(Text, Cow::as_ref),
            Value::Bytes(_) => column!(Bytes, Cow::as_ref),
            Value::Time(_) => column!(Time, |value| *value),
            Value::Date(_) => column!(Date, |value| *value),
            Value::Id(_) | Value::Ids(_) => column!(Id, |value| *value),
        };
    }
    Some(query)
}

/// Writes the rows of a batch; returns how many rows changed.
pub async fn write(tx: &mut PgConnection, rows: &Batch<'_>) -> sqlx::Result<u64> {
    match batch(rows) {
        Some(query) => query.execute(tx).await.map(|done| done.rows_affected()),
        None => Ok(0),
    }
}

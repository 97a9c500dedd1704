//! Queries: how values are bound to a statement of SQLite, one prepared statement for all rows.
//!
//! Guarantees: a batch with a NUL character in a text is refused as data that cannot be stored, as
//! PostgreSQL refuses it.

use rusqlite::{Connection, Error, Result, params_from_iter};

use crate::row::FromRow;
use crate::sql::{Batch, Sql};
use crate::value::Value;

pub fn all<T: FromRow>(db: &Connection, sql: &'static Sql, args: &[Value<'_>]) -> Result<Vec<T>> {
    let mut statement = db.prepare_cached(sql.sqlite())?;
    statement.query_map(params_from_iter(args), |row| T::from_row(row))?.collect()
}

pub fn one<T: FromRow>(
    db: &Connection,
    sql: &'static Sql,
    args: &[Value<'_>],
) -> Result<Option<T>> {
    let mut statement = db.prepare_cached(sql.sqlite())?;
    let mut rows = statement.query_map(params_from_iter(args), |row| T::from_row(row))?;
    rows.next().transpose()
}

/// How many rows the statement changed.
pub fn run(db: &Connection, sql: &'static Sql, args: &[Value<'_>]) -> Result<u64> {
    db.prepare_cached(sql.sqlite())?.execute(params_from_iter(args)).map(|rows| rows as u64)
}

/// Writes the rows of a batch; returns how many rows changed.
pub fn write(db: &Connection, batch: &Batch<'_>) -> Result<u64> {
    let mut changed = 0;
    for row in &batch.rows {
        changed += write_row(db, batch.sql, row)?;
    }
    Ok(changed)
}

pub fn write_row(db: &Connection, sql: &'static Sql, row: &[Value<'_>]) -> Result<u64> {
    let has_nul = |value: &Value<'_>| match value {
        Value::Text(Some(text)) => text.as_bytes().contains(&0),
        _ => false,
    };
    if row.iter().any(has_nul) {
        return Err(Error::ToSqlConversionFailure("a text holds a NUL character".into()));
    }
    run(db, sql, row)
}

/// What the statement finds for each row of a batch.
pub fn lookup<T: FromRow>(db: &Connection, batch: &Batch<'_>) -> Result<Vec<T>> {
    let mut found = Vec::new();
    for row in &batch.rows {
        found.extend(all::<T>(db, batch.sql, row)?);
    }
    Ok(found)
}

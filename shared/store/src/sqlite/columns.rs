//! How times and ids are written in SQLite, which has no types for them.
//!
//! Others may query the file: times are RFC 3339 in UTC with milliseconds, always of one length, so
//! that text order is time order; ids are canonical lower-case UUIDs. What does not read back is an
//! error of conversion, never a default.

use chrono::{DateTime, NaiveDate, SecondsFormat, Utc};
use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSql, ToSqlOutput, ValueRef};
use uuid::Uuid;

/// A time, to be bound or read.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Time(pub DateTime<Utc>);

/// An id, to be bound or read.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Id(pub Uuid);

/// A day, to be bound or read: `2028-05-31`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Day(pub NaiveDate);

/// A word of ours (a status, a kind), read by the function that knows them.
pub(super) fn word<T>(
    row: &rusqlite::Row<'_>,
    column: &str,
    named: impl Fn(&str) -> Option<T>,
) -> rusqlite::Result<T> {
    let index = row.as_ref().column_index(column)?;
    let value = row.get_ref(index)?;
    value.as_str().and_then(|name| named(name).ok_or(FromSqlError::InvalidType)).map_err(|error| {
        rusqlite::Error::FromSqlConversionFailure(index, value.data_type(), Box::new(error))
    })
}

impl ToSql for Time {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(self.0.to_rfc3339_opts(SecondsFormat::Millis, true).into())
    }
}

impl FromSql for Time {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        DateTime::parse_from_rfc3339(value.as_str()?)
            .map(|time| Self(time.to_utc()))
            .map_err(FromSqlError::other)
    }
}

impl ToSql for Day {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(self.0.to_string().into())
    }
}

impl FromSql for Day {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        value.as_str()?.parse().map(Self).map_err(FromSqlError::other)
    }
}

impl ToSql for Id {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(self.0.to_string().into())
    }
}

impl FromSql for Id {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        Uuid::try_parse(value.as_str()?).map(Self).map_err(FromSqlError::other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_of_one_length_and_sort_as_they_follow_each_other() {
        let times = ["2026-01-16T05:00:00Z", "2026-01-16T05:00:00.5Z", "2026-01-16T05:00:01Z"];
        let written: Vec<String> = times
            .iter()
            .map(|time| {
                let time = Time(time.parse().expect("a time"));
                match time.to_sql().expect("text") {
                    ToSqlOutput::Owned(rusqlite::types::Value::Text(text)) => text,
                    other => panic!("{other:?}"),
                }
            })
            .collect();
        assert_eq!(written[0], "2026-01-16T05:00:00.000Z");
        assert!(written.is_sorted());
        for (text, time) in written.iter().zip(times) {
            let read = Time::column_result(ValueRef::Text(text.as_bytes())).expect("reads");
            assert_eq!(read.0, time.parse::<DateTime<Utc>>().expect("a time"));
        }
    }
}

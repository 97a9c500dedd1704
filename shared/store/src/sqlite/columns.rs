//! Columns: how SQLite, which has no types for them, stores times, dates, ids and lists.
//!
//! Other programs may query the file: a time is RFC 3339 in UTC with milliseconds, always of one
//! length, so that text order is time order; an id is a lower-case UUID; a list is JSON.
//!
//! Guarantees: a text that does not parse is a conversion error, never a default.
//! Next: [`crate::value`] and [`crate::row`], which use these types.

use chrono::{DateTime, NaiveDate, SecondsFormat, Utc};
use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSql, ToSqlOutput, ValueRef};
use uuid::Uuid;

use crate::value::Value;

/// `2026-01-16T05:00:00.000Z`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TimeColumn(DateTime<Utc>);

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct IdColumn(Uuid);

/// `2028-05-31`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DateColumn(NaiveDate);

/// `[1,2]`.
#[derive(Clone, Debug, PartialEq)]
pub struct ListColumn(Vec<i64>);

/// `Column: value, how its text is read`.
macro_rules! text_columns {
    ($($column:ident: $value:ty, $parse:expr;)+) => {$(
        impl FromSql for $column {
            fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
                $parse(value.as_str()?).map(Self).map_err(FromSqlError::other)
            }
        }

        impl From<$column> for $value {
            fn from(column: $column) -> Self {
                column.0
            }
        }
    )+};
}

text_columns! {
    TimeColumn: DateTime<Utc>,
        |text| DateTime::parse_from_rfc3339(text).map(|time| time.to_utc());
    IdColumn: Uuid, Uuid::try_parse;
    DateColumn: NaiveDate, str::parse;
    ListColumn: Vec<i64>, serde_json::from_str;
}

impl ToSql for Value<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(match self {
            Self::Int(value) => value.to_sql()?,
            Self::Float(value) => value.to_sql()?,
            Self::Bool(value) => value.to_sql()?,
            Self::Text(value) => value.as_deref().map_or(ToSqlOutput::from(NULL), Into::into),
            Self::Bytes(value) => value.as_deref().map_or(ToSqlOutput::from(NULL), Into::into),
            Self::Time(value) => {
                text(value.map(|time| time.to_rfc3339_opts(SecondsFormat::Millis, true)))
            }
            Self::Date(value) => text(value.map(|date| date.to_string())),
            Self::Id(value) => text(value.map(|id| id.to_string())),
            Self::Ints(values) => text(serde_json::to_string(values).ok()),
            Self::Ids(values) => text(serde_json::to_string(values).ok()),
        })
    }
}

const NULL: rusqlite::types::Null = rusqlite::types::Null;

fn text(value: Option<String>) -> ToSqlOutput<'static> {
    value.map_or(ToSqlOutput::from(NULL), Into::into)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_one_length_and_sort_as_text() {
        let times = ["2026-01-16T05:00:00Z", "2026-01-16T05:00:00.5Z", "2026-01-16T05:00:01Z"];
        let times = times.map(|time| time.parse::<DateTime<Utc>>().expect("a time"));
        let written: Vec<String> = times
            .iter()
            .map(|time| match Value::Time(Some(*time)).to_sql().expect("text") {
                ToSqlOutput::Owned(rusqlite::types::Value::Text(text)) => text,
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(written[0], "2026-01-16T05:00:00.000Z");
        assert!(written.is_sorted());
        for (text, time) in written.iter().zip(times) {
            let read = TimeColumn::column_result(ValueRef::Text(text.as_bytes())).expect("reads");
            assert_eq!(read, TimeColumn(time));
        }
    }
}

//! A row of `entries` as it is stored. It is decoded after the transaction, not inside it.

use isobar_model::task::Fields;
use rusqlite::{Params, Row, Statement};

use super::broker::entry_id;
use crate::entry::Entry;
use crate::lane::Lane;

pub(super) struct EntryRow {
    lane: Lane,
    pub id: i64,
    fields: String,
    deliveries: u32,
    attempts: u32,
    crashes: u32,
}

impl EntryRow {
    /// Reads the columns `id, fields, deliveries, attempts, crashes`.
    pub fn from_row(row: &Row<'_>, lane: Lane) -> rusqlite::Result<Self> {
        Ok(Self {
            lane,
            id: row.get(0)?,
            fields: row.get(1)?,
            deliveries: row.get(2)?,
            attempts: row.get(3)?,
            crashes: row.get(4)?,
        })
    }

    /// Runs a statement that returns those columns.
    pub fn query(
        statement: &mut Statement<'_>,
        params: impl Params,
        lane: Lane,
    ) -> rusqlite::Result<Vec<Self>> {
        statement.query_map(params, |row| Self::from_row(row, lane))?.collect()
    }

    pub fn decode_all(rows: Vec<Self>) -> Vec<Entry> {
        rows.into_iter().map(Self::decode).collect()
    }

    fn decode(self) -> Entry {
        Entry {
            lane: self.lane,
            id: entry_id(self.id),
            fields: decode_fields(self.fields),
            deliveries: self.deliveries,
            attempts: self.attempts,
            crashes: self.crashes,
        }
    }
}

/// Text that does not parse was written by another client; it is passed on whole, for quarantine.
fn decode_fields(text: String) -> Fields {
    match serde_json::from_str::<Vec<String>>(&text) {
        Ok(items) => {
            let mut items = items.into_iter().map(String::into_bytes);
            let mut pairs = Vec::with_capacity(items.len() / 2);
            while let (Some(name), Some(value)) = (items.next(), items.next()) {
                pairs.push((name, value));
            }
            Fields(pairs)
        }
        Err(_) => Fields(vec![(b"raw".to_vec(), text.into_bytes())]),
    }
}

//! Users of the store that lack an address or a card, as a source.
//!
//! The lowest ids come first, so each run reads the users that have waited longest. The cursor is
//! the last id read. With `force` all users are read, whatever they have.

use isobar_model::pipeline::Enrichment;
use isobar_store::Store;
use isobar_telemetry::error_chain;

use super::cursor::IncompleteCursor;
use super::error::SourceError;
use super::row::{ParsedRow, RowSubject, SourceRow};

pub struct IncompleteUsers {
    store: Store,
    missing: Enrichment,
    all: bool,
    cursor: IncompleteCursor,
}

impl IncompleteUsers {
    pub fn new(store: Store, missing: Enrichment, all: bool, cursor: IncompleteCursor) -> Self {
        Self { store, missing, all, cursor }
    }

    pub fn cursor(&self) -> IncompleteCursor {
        self.cursor
    }

    /// Up to `limit` rows; none at the end.
    pub async fn read(&mut self, limit: usize) -> Result<Vec<SourceRow>, SourceError> {
        let missing = (!self.all).then_some(self.missing);
        let limit = u32::try_from(limit).unwrap_or(u32::MAX);
        let ids = self.store.user_ids(missing, self.cursor.after, limit).await;
        let ids = ids.map_err(|error| SourceError::Away {
            source_name: format!("the store at {}", self.store.location()),
            detail: error_chain(&error),
        })?;
        let mut rows = Vec::with_capacity(ids.len());
        for id in ids {
            self.cursor.after = Some(id);
            self.cursor.row += 1;
            let row = ParsedRow::Task(RowSubject::Incomplete(self.missing, id));
            rows.push(SourceRow { number: self.cursor.row, row });
        }
        Ok(rows)
    }
}

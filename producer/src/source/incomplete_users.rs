//! Users of the store who miss an address or a card, as a source.
//!
//! The lowest ids first, so that each run takes those who have waited longest. Its cursor is the last
//! id taken. With `force` all users are taken, whatever they have.

use isobar_model::ids::UserId;
use isobar_model::pipeline::Enrichment;
use isobar_store::Store;
use isobar_telemetry::chain;
use serde::{Deserialize, Serialize};

use super::row::{Row, Subject};
use super::{SourceError, SourceRow};

pub struct Lacking {
    store: Store,
    missing: Enrichment,
    everyone: bool,
    cursor: LackingCursor,
}

/// Where to go on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LackingCursor {
    after: Option<UserId>,
    row: u64,
}

impl Lacking {
    pub fn open(store: Store, missing: Enrichment, everyone: bool, cursor: LackingCursor) -> Self {
        Self { store, missing, everyone, cursor }
    }

    pub fn cursor(&self) -> LackingCursor {
        self.cursor
    }

    /// Up to `limit` rows; none at the end.
    pub async fn read(&mut self, limit: usize) -> Result<Vec<SourceRow>, SourceError> {
        let missing = (!self.everyone).then_some(self.missing);
        let limit = u32::try_from(limit).unwrap_or(u32::MAX);
        let ids = self.store.user_ids(missing, self.cursor.after, limit).await;
        let ids = ids.map_err(|error| SourceError::Away {
            source_name: format!("the store at {}", self.store.location()),
            detail: chain(&error),
        })?;
        let mut rows = Vec::with_capacity(ids.len());
        for id in ids {
            self.cursor.after = Some(id);
            self.cursor.row += 1;
            let row = Row::Task(Subject::Lacks(self.missing, id));
            rows.push(SourceRow { number: self.cursor.row, row });
        }
        Ok(rows)
    }
}

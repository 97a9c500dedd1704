//! Commit: what one transaction stores, and what it changed.
//!
//! Guarantees: results, ledger rows and job counters change together, or not at all (I3).
//! Next: `commit.rs` of each backend (the transaction), [`crate::account`] (the counters).

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, Utc};
use isobar_model::freshness::ValueTimes;
use isobar_model::ids::{CityId, JobId};
use isobar_model::task::{JobOpen, JobSeal};

use crate::city::{self, CityFailure};
use crate::dead_letter::DeadLetter;
use crate::error::Result;
use crate::ledger::{LedgerRow, RowStatus};
use crate::records::Records;
use crate::sql::{Batch, Sql};
use crate::store::Store;

/// When the values of a commit were observed, and the statement that reads that of the stored ones.
pub(crate) struct Observed {
    pub sql: &'static Sql,
    pub values: Vec<(CityId, DateTime<Utc>)>,
}

impl Observed {
    pub fn cities(&self) -> Vec<CityId> {
        self.values.iter().map(|(id, _)| *id).collect()
    }
}

/// The input of one transaction. A city, and a task of a job, occur at most once: the committer
/// has kept the newest.
#[derive(Clone, Debug, Default)]
pub struct Commit {
    pub records: Records,
    pub failed_cities: Vec<CityFailure>,
    pub ledger: Vec<LedgerRow>,
    pub dead: Vec<DeadLetter>,
    pub opens: Vec<JobOpen>,
    pub seals: Vec<JobSeal>,
}

/// What a commit changed; a repeat counts nothing.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CommitReport {
    pub succeeded: u64,
    pub failed: u64,
    pub skipped: u64,
    pub dead: u64,
    /// Values that were not stored, because a newer one was: their tasks are skipped.
    pub older: u64,
    /// Rows of jobs that had ended before: nothing is stored for them in the ledger.
    pub late: u64,
    /// Jobs that ended with this commit.
    pub finished_jobs: Vec<JobId>,
}

/// The reason in the ledger for a task whose value was not stored.
const OLDER: &str = "a newer value is stored";

impl Commit {
    pub(crate) fn failures(&self) -> Batch<'_> {
        Batch::sorted(&city::FAIL, &self.failed_cities, |row| row.city_id)
    }

    /// What to read of the store if `written` records are not all of them.
    pub(crate) fn unwritten(&self, written: u64) -> Option<Observed> {
        let observed = self.records.observed()?;
        (written < observed.values.len() as u64).then_some(observed)
    }

    /// The ledger's rows, where a task whose value is older than the stored one is skipped.
    pub(crate) fn ledger_beside(
        &self,
        observed: &Observed,
        stored: Vec<(CityId, ValueTimes)>,
    ) -> (Vec<LedgerRow>, u64) {
        let stored: HashMap<CityId, ValueTimes> = stored.into_iter().collect();
        let is_newer = |id: &CityId, at: DateTime<Utc>| {
            stored.get(id).is_some_and(|times: &ValueTimes| times.observed_at > at)
        };
        let older = observed.values.iter().filter(|(id, at)| is_newer(id, *at));
        let older: HashSet<CityId> = older.map(|(id, _)| *id).collect();
        let mut ledger = self.ledger.clone();
        for row in &mut ledger {
            let is_success = row.status == RowStatus::Success;
            if is_success && row.city_id.is_some_and(|id| older.contains(&id)) {
                row.status = RowStatus::Skipped;
                row.error_code = Some("older".to_owned());
                row.last_error = Some(OLDER.to_owned());
            }
        }
        (ledger, older.len() as u64)
    }
}

impl Store {
    /// Stores everything in one transaction (I3). The slices need no order: the backend sorts by
    /// key, so that two workers never wait for each other in a circle, and locks job rows last.
    pub async fn commit(&self, commit: &Commit) -> Result<CommitReport> {
        self.timed(async { dispatch!(self, backend => backend.commit(commit).await) }).await
    }
}

//! Commit: what one transaction stores, and what it changed.
//!
//! Guarantees: results, ledger rows and job counters change together, or not at all (I3).
//! Next: `commit.rs` of each backend (the transaction), [`crate::account`] (the counters).

use isobar_model::ids::JobId;
use isobar_model::task::{JobOpen, JobSeal};

use crate::city::{self, CityFailure};
use crate::dead_letter::DeadLetter;
use crate::error::Result;
use crate::ledger::LedgerRow;
use crate::records::Records;
use crate::sql::Batch;
use crate::store::Store;

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
    /// Rows of jobs that had ended before: nothing is stored for them in the ledger.
    pub late: u64,
    /// Jobs that ended with this commit.
    pub finished_jobs: Vec<JobId>,
}

impl Commit {
    /// The records, then the failed cities.
    pub(crate) fn results(&self) -> Vec<Batch<'_>> {
        let mut batches = self.records.batches();
        batches.push(Batch::sorted(&city::FAIL, &self.failed_cities, |row| row.city_id));
        batches
    }
}

impl Store {
    /// Stores everything in one transaction (I3). The slices need no order: the backend sorts by
    /// key, so that two workers never wait for each other in a circle, and locks job rows last.
    pub async fn commit(&self, commit: &Commit) -> Result<CommitReport> {
        self.timed(async { dispatch!(self, backend => backend.commit(commit).await) }).await
    }
}

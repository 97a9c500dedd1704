//! Batches whose rows the ledger already has, as `isobar verify --repair` finds them.
//!
//! Guarantees: of such a batch only open and seal are sent, under its own number and hash. So the
//! stream has a record of it that can be finished, and no worker fetches its cities again.
//! Does not: look at the ledger; the caller has done that, under the lock of the outbox.

use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::outbox::{JobKey, StoredBatch, is_reject};

#[derive(Debug, Default)]
pub struct InLedger {
    batches: HashSet<(JobKey, u64)>,
    /// Tasks that were not sent.
    kept_back: AtomicU64,
}

impl InLedger {
    pub fn add(&mut self, job: JobKey, seq: u64) {
        self.batches.insert((job, seq));
    }

    pub fn contains(&self, job: JobKey, seq: u64) -> bool {
        self.batches.contains(&(job, seq))
    }

    /// Tasks of these batches that were not sent.
    pub fn kept_back(&self) -> u64 {
        self.kept_back.load(Ordering::Relaxed)
    }

    pub(super) fn count(&self, batch: &StoredBatch) {
        self.kept_back.fetch_add(batch.n_tasks, Ordering::Relaxed);
    }

    /// The lines of the batch that are sent: tasks, then control messages.
    pub(super) fn lines<'a>(
        &self,
        job: JobKey,
        batch: &'a StoredBatch,
    ) -> (Vec<&'a str>, Vec<&'a str>) {
        let (tasks, control) = batch.lines();
        if !self.contains(job, batch.seq) {
            return (tasks, control);
        }
        (Vec::new(), control.into_iter().filter(|line| !is_reject(line)).collect())
    }
}

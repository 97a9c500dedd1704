//! Counter deltas: what ledger rows add to the counters of a job.
//!
//! A retry subtracts the old status of its row, so a delta may be negative.
//! Next: [`crate::account`], which adds it.

use crate::ledger::RowStatus;

/// Numbers of ledger rows by status.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct CounterDelta {
    pub succeeded: i64,
    pub failed: i64,
    pub skipped: i64,
    /// Part of `failed`.
    pub rejected: i64,
}

impl CounterDelta {
    pub fn add(&mut self, status: RowStatus, rejected: bool, rows: i64) {
        match status {
            RowStatus::Success => self.succeeded += rows,
            RowStatus::Failed => self.failed += rows,
            RowStatus::Skipped => self.skipped += rows,
        }
        if rejected {
            self.rejected += rows;
        }
    }
}

row! { CounterDelta {
    succeeded: "ledger_succeeded", failed: "ledger_failed", skipped: "ledger_skipped",
    rejected: "ledger_rejected",
} }

//! The progress of a run: counters that another task reads at any time.
//!
//! Next: the progress bar in `src/commands/produce.rs`.

use std::sync::atomic::{AtomicU64, Ordering};

/// Shared between the run and the progress bar.
#[derive(Debug, Default)]
pub struct RunProgress {
    pub rows: AtomicU64,
    pub tasks: AtomicU64,
    pub rejected: AtomicU64,
    pub duplicates: AtomicU64,
    pub published: AtomicU64,
    pub bytes_done: AtomicU64,
    /// 0 while unknown.
    pub bytes_total: AtomicU64,
    /// The maximum number of rows; 0 while unknown.
    pub rows_total: AtomicU64,
    /// 1 while the stream is full and the relay waits for the workers.
    pub waiting: AtomicU64,
}

/// The counters at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ProgressSnapshot {
    pub rows: u64,
    pub tasks: u64,
    pub rejected: u64,
    pub duplicates: u64,
    pub published: u64,
    pub bytes_done: u64,
    pub bytes_total: Option<u64>,
    pub rows_total: Option<u64>,
    pub waiting: bool,
}

impl RunProgress {
    pub fn snapshot(&self) -> ProgressSnapshot {
        let get = |number: &AtomicU64| number.load(Ordering::Relaxed);
        ProgressSnapshot {
            rows: get(&self.rows),
            tasks: get(&self.tasks),
            rejected: get(&self.rejected),
            duplicates: get(&self.duplicates),
            published: get(&self.published),
            bytes_done: get(&self.bytes_done),
            bytes_total: Some(get(&self.bytes_total)).filter(|total| *total > 0),
            rows_total: Some(get(&self.rows_total)).filter(|total| *total > 0),
            waiting: get(&self.waiting) > 0,
        }
    }
}

pub(crate) fn set(number: &AtomicU64, value: u64) {
    number.store(value, Ordering::Relaxed);
}

pub(crate) fn add(number: &AtomicU64, value: u64) {
    number.fetch_add(value, Ordering::Relaxed);
}

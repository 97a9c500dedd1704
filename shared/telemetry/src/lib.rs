//! What a process tells about itself: its counters, what a scrape sees, and an error as one line.
//!
//! [`metric`] (a metric as a constant) · [`recorder`] (the counters of this process) ·
//! [`exposition`] (gauges that are read at scrape time) · [`process`] (memory, files, start) ·
//! [`error_chain`].
//!
//! Does not: write logs (the binary's `logs.rs`).

pub mod error_chain;
pub mod exposition;
pub mod metric;
pub mod process;
pub mod recorder;

pub use error_chain::chain;
pub use recorder::{count, tidy};

/// The metrics of this crate.
pub const METRICS: &[&[metric::Metric]] = &[process::METRICS];

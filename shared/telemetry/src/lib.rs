//! Telemetry: the counters of a process, the gauges of a scrape, and errors as one line.
//!
//! Does not: write logs (see the binary's `logs.rs`).
//! Next: [`metric`] (a metric as a constant), [`recorder`] (the counters of this process),
//! [`exposition`] (gauges that are read at scrape time), [`process`] (memory, files, start time),
//! [`error_chain`].

pub mod error_chain;
pub mod exposition;
pub mod metric;
pub mod process;
pub mod recorder;

pub use error_chain::error_chain;
pub use process::host_name;
pub use recorder::{install_recorder, run_upkeep};

/// The metrics of this crate.
pub const METRICS: &[&[metric::Metric]] = &[process::METRICS];

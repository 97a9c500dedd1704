//! The producer: source → outbox → relay.
//!
//! [`extract`] reads a [`source`], fills batches of tasks and freezes them in the [`outbox`] together
//! with the cursor of the source (I1, I2). The [`relay`] appends each frozen batch to the stream once.
//! [`run`] is one cron run of both; the [`scheduler`] starts runs at their ticks. [`imports`] does the
//! same for uploads, retries and replays inside the API.
//!
//! Guarantees: a producer keeps nothing in memory that a kill could lose. It needs the store only as a
//! source, and for ticks.

mod batch;
mod cancel;
pub mod dry_run;
mod extract;
mod failure;
pub mod imports;
mod job_error;
pub mod last_run;
pub mod outbox;
mod pauses;
pub mod progress;
mod rejects;
pub mod relay;
mod report;
pub mod run;
pub mod scheduler;
mod slot;
pub mod source;
pub mod spool;

pub use cancel::{Cancelled, cancel};
pub use failure::{Failure, Remedy};
pub use imports::{AcceptedJob, ImportError, Imports, IncomingUpload, NewImport, PublishedBy};
pub use report::RunReport;
// For the API, which has no other use of the crate.
pub use isobar_sqlite::disk;

/// The metrics of this crate.
pub const METRICS: &[&[isobar_telemetry::metric::Metric]] = &[relay::METRICS, scheduler::METRICS];

//! The producer: [`source`] → [`outbox`] → [`relay`].
//!
//! [`extract`] fills batches of tasks from a source and freezes them in the outbox together with
//! the source's cursor (I1, I2); the [`relay`] appends each frozen batch to the stream once.
//! [`run`] is one cron run of both and leaves word of it ([`last_run`]), [`imports`] the same for
//! uploads inside the API, and publishes again what failed ([`republish`]), for which
//! alone it asks the store. A producer keeps nothing in memory that a kill could
//! lose.

mod backoff;
pub mod batch;
mod cancel;
pub mod dry_run;
pub mod extract;
mod failure;
pub mod imports;
pub mod last_run;
pub mod outbox;
pub mod progress;
mod rejects;
pub mod relay;
mod republish;
pub mod run;
pub mod scheduler;
pub mod slot;
pub mod source;
pub mod spool;

pub use backoff::Backoff;
pub use cancel::{Cancelled, cancel};
pub use failure::{Failure, Remedy};
pub use imports::{
    Accepted, Arriving, ImportError, Imports, Letters, NewImport, Replay, Retry, WorkedOff,
};

/// The metrics of this crate.
pub const METRICS: &[&[isobar_telemetry::metric::Metric]] = &[relay::METRICS, scheduler::METRICS];

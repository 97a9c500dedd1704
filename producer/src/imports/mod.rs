//! Imports: uploads, syncs, retries and replays, inside the process of the API.
//!
//! Guarantees: an accepted upload is safe before its caller hears so: its file is spooled and its
//! job is in the outbox of imports. That outbox is a file of its own, so cron runs and the API never
//! wait for each other. Several processes may accept uploads into one data dir; the one that holds
//! the lock of the outbox works on all of them.
//! Next: [`uploads`], [`worker`] (the loop), [`republish`], [`spool`](crate::spool).

mod accepted;
mod error;
mod handle;
mod republish;
mod syncs;
mod uploads;
mod worker;

pub use accepted::AcceptedJob;
pub use error::ImportError;
pub use handle::Imports;
pub use republish::{PublishedBy, ReplayCounts, ReplayRequest, RetryRequest};
pub use uploads::{IncomingUpload, NewImport};

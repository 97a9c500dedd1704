//! The outbox: a SQLite file that holds every job until its last batch is confirmed, and the batches
//! for some time after that.
//!
//! Guarantees: a batch, the cursor behind it and the keys it adds commit in one transaction that
//! survives a power cut (I1, `synchronous=FULL`). A batch never changes (I2).
//! Does not: open a source, read a row or know the stream. It stores specs and cursors as values
//! (see [`extract`](crate::extract) and [`relay`](crate::relay)).
//! Next: [`file`], [`jobs`], [`batches`].

mod batch_ids;
mod batches;
mod bloom_filter;
mod columns;
mod file;
mod jobs;
mod kept;
mod lock;
mod seen_keys;
mod sent_marks;
mod summary;

pub(crate) use batch_ids::is_reject;
pub use batch_ids::{BatchIds, BatchTask};
pub use batches::{FrozenBatch, StoredBatch};
pub use columns::JobKey;
pub use file::{OpenError, Outbox};
pub use jobs::{NewOutboxJob, OpenJob, OutboxJob, OutboxJobState};
pub use kept::KeptJob;
pub use lock::{LockError, OutboxLock};
pub use seen_keys::SeenKeys;
pub use sent_marks::SentMark;
pub use summary::{JobSummary, OutboxDepth};

//! The relay: appends frozen batches from the outbox to the stream.
//!
//! Guarantees: each batch is appended once (the watermark of the stream decides, I1). A batch is
//! sent as the bytes that were frozen (I2). Whatever the stream answers, nothing is dropped here.
//! Next: [`step`] (one append), [`confirm`] (which batches are finished or lost), [`drive`] (how
//! long to wait after each answer), [`in_ledger`] (rows that need no second fetch), [`lanes`] (which job is next), [`slots`] (jobs that two hosts have).

mod confirm;
mod drive;
mod in_ledger;
mod lanes;
mod slots;
mod step;

pub use drive::{RelayEnd, RetryLimits, drive};
pub use in_ledger::InLedger;
pub use step::{METRICS, Relay, RelayError, RelayStep, Target};

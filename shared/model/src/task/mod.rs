//! Tasks: one unit of work, and how it travels through the stream.
//!
//! A task is a flat list of named text fields, so any Redis client can write or read one. Fields
//! that are not a task become an [`DecodeError`] with a reason, and the entry becomes a dead letter
//! with its raw bytes.
//! Next: `header.rs` (fields of every task), `city.rs` and `user.rs` (the two task types), and
//! `control.rs` with `job.rs` (opens, rejects and seals, which travel beside the tasks).

mod city;
mod control;
mod fields;
mod header;
mod job;
mod user;

pub use city::CityTask;
pub use control::{ControlMessage, Reject, SourceRecord};
pub use fields::{DecodeError, Fields, MAX_FIELD_BYTES};
pub use header::TaskHeader;
pub use job::{JobError, JobKind, JobOpen, JobSeal, SealOutcome};
pub use user::{UserTask, UserWork};

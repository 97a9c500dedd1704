//! `/bulk`: imports, jobs and their results.
//!
//! [`import`] takes a file and answers with a job; [`source_file`] opens a file on this machine.
//! [`jobs`] lists jobs, [`results`] their rows, [`export`] the rows as CSV, [`events`] every change.
//! [`pause`], [`cancel`] and [`retry`] are for operators.
//!
//! Guarantees: all numbers come from the ledger, so they survive a restart of any process.

pub mod cancel;
pub mod events;
mod export;
pub mod import;
pub mod jobs;
pub mod pause;
pub mod results;
pub mod retry;
mod source_file;
pub mod summary;

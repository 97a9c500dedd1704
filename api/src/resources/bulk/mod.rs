//! `/bulk`: files in, jobs and their results out.
//!
//! [`import`] takes a file and answers with a job · [`source_file`] finds a file on this machine ·
//! [`jobs`] tells how jobs stand · [`results`] what became of each row. The numbers come from the
//! ledger's accounts, so they are the same after a restart of any process.

pub mod cancel;
pub mod events;
mod export;
pub mod import;
pub mod jobs;
pub mod pace;
pub mod pauses;
pub mod results;
pub mod retry;
mod source_file;
pub mod summary;

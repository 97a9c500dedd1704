//! Sources: where the rows of a job come from.
//!
//! A source is a city or user service, a CSV file, the built-in list, or the store. Each gives its
//! rows in order and can say after any row where another process continues ([`SourceCursor`]).
//!
//! Guarantees: a cursor commits together with the batch that its rows became (I1). A source that
//! ends half-way is an error, never a short list.
//! Does not: know the outbox; of its file, the circuit breaker uses one table (see [`failure_log`]).
//! Next: [`reader`], then [`extract`](crate::extract), which fills batches.

mod breaker;
mod breakers;
mod city_page;
mod columns;
pub mod csv;
mod cursor;
mod error;
mod failure_log;
pub mod formula;
mod gazetteer;
mod header;
mod incomplete_users;
mod job_spec;
mod numbers;
mod page;
mod paged_api;
mod reader;
mod record_fields;
mod records;
mod refusal;
mod republication;
mod republished_task;
mod row;
pub mod shape;
pub mod shown;
mod text_reader;
mod user_page;

pub use breakers::{OpenSource, open_sources, reset_sources};
pub use cursor::{CsvCursor, SourceCursor};
pub use error::SourceError;
pub use job_spec::{JobSpec, RepublishRequest, SourceSpec};
pub use reader::{Source, SourceContext};
pub use refusal::{Refusal, RefusalKind};
pub use republication::replayable;
pub use row::{ParsedRow, RowError, RowSubject, SourceCity, SourceRow};

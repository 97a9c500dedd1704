//! The store: results, ledger, counters and searches, in PostgreSQL or a SQLite file.
//!
//! Guarantees: [`Store`] promises the same over both databases; one conformance suite
//! (`tests/it/store.rs`) tests both. [`Store::commit`] changes results, ledger rows and job
//! counters in one transaction (I3). A snapshot never goes back in observation time (I4). Counters
//! move only with a new ledger row (I5), so a repeat changes nothing.
//! Does not: retry, or know the stream. The README lists the tables.
//! Next: [`store`] (the calls), [`commit`], then a file a noun: types, statements, methods.

#[macro_use]
mod macros;

#[macro_use]
mod value;
#[macro_use]
mod sql;
#[macro_use]
mod row;

mod account;
mod air_quality;
mod city;
mod commit;
mod counter_delta;
mod dead_letter;
mod error;
mod failed_input;
mod imbalance;
mod import_key;
mod job;
mod ledger;
mod nul;
mod operations;
pub mod postgres;
mod prune;
mod records;
mod search;
pub mod sqlite;
mod statements;
mod store;
mod ticks;
mod totals;
mod users;
mod weather;

pub use air_quality::AirQualityRow;
pub use city::{CityFailure, CityRow, MapPoint};
pub use commit::{Commit, CommitReport};
pub use dead_letter::{DeadLetter, DeadLetterFilter, DeadLetterGroup};
pub use error::StoreError;
pub use failed_input::FailedInput;
pub use imbalance::Imbalance;
pub use import_key::ImportKey;
pub use job::{JobRow, JobStatus, NewJob};
pub use ledger::{LedgerCursor, LedgerRow, RowStatus};
pub use operations::{CancelOutcome, NewOperation, Operation, OperatorAction};
pub use records::Records;
pub use search::SearchEntry;
pub use store::Store;
pub use ticks::{Tick, TickClaim, TickResult};
pub use totals::{FailureGroup, PipelineTotals, TableCounts};
pub use users::{CardRow, Enriched, SourcedUser, UserFilter, UserRecords, UserRow};
pub use weather::{SnapshotRow, WeatherSnapshot};

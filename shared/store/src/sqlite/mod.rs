//! The store in a SQLite file, for any number of processes on one host.
//!
//! [`connection`] (single calls) · [`query`] (prepared loops) · [`columns`] (times, ids, lists) ·
//! [`commit`] with [`ledger`] (the transaction) · [`cancel`] · [`ticks`] · [`prune`] · [`error`].
//!
//! Guarantees: a commit is on the disk before it returns, because its entries are acknowledged
//! after it. Commits are batched, so that is one flush for many tasks.
//! Next: [`isobar_sqlite`], the one way to a SQLite file.

mod cancel;
pub(crate) mod columns;
mod commit;
pub(crate) mod connection;
mod error;
mod ledger;
mod prune;
pub(crate) mod query;
mod ticks;

pub use connection::SqliteStore;

/// Every statement that this backend runs on a migrated file.
pub fn statements() -> Vec<&'static str> {
    let own = [connection::STATEMENTS, ledger::STATEMENTS, prune::STATEMENTS, ticks::STATEMENTS];
    let own = own.into_iter().flatten().copied();
    crate::statements::shared().chain(own).map(crate::sql::Sql::sqlite).collect()
}

//! The store in PostgreSQL, for any number of hosts.
//!
//! [`connection`] (pool, time limits, single calls) · [`query`] (how values are bound) · [`commit`]
//! with [`ledger`] (the transaction) · [`cancel`] · [`ticks`] · [`prune`] · [`error`] · [`migrate`].
//! Statements name the columns of their answer, never `*`: PostgreSQL refuses a prepared statement
//! whose answer a newer version's migration has widened. `migrations/` has the tables.
//!
//! Does not: retry, or decide about a job; [`crate::account`] decides for both databases.

mod cancel;
mod commit;
pub(crate) mod connection;
mod error;
mod ledger;
mod migrate;
mod prune;
pub(crate) mod query;
mod ticks;

pub use connection::PostgresStore;

/// Every statement that this backend runs on a migrated database.
pub fn statements() -> Vec<&'static str> {
    let own = [
        commit::STATEMENTS,
        connection::STATEMENTS,
        ledger::STATEMENTS,
        migrate::STATEMENTS,
        prune::STATEMENTS,
        ticks::STATEMENTS,
    ];
    let own = own.into_iter().flatten().copied();
    crate::statements::shared().chain(own).map(crate::sql::Sql::postgres).collect()
}

//! Statements: the list of those that both backends run, for the test that prepares them.

use crate::sql::Sql;

pub(crate) fn shared() -> impl Iterator<Item = &'static Sql> {
    let files = [
        crate::account::STATEMENTS,
        crate::air_quality::STATEMENTS,
        crate::city::STATEMENTS,
        crate::dead_letter::STATEMENTS,
        crate::failed_input::STATEMENTS,
        crate::imbalance::STATEMENTS,
        crate::import_key::STATEMENTS,
        crate::job::STATEMENTS,
        crate::ledger::STATEMENTS,
        crate::operations::STATEMENTS,
        crate::prune::STATEMENTS,
        crate::search::STATEMENTS,
        crate::store::STATEMENTS,
        crate::ticks::STATEMENTS,
        crate::totals::STATEMENTS,
        crate::users::STATEMENTS,
        crate::weather::STATEMENTS,
    ];
    files.into_iter().flatten().copied()
}

//! The transaction of a commit: results, ledger rows and job counters together, or none (I3).

use std::borrow::Cow;

use chrono::{DateTime, Utc};
use rusqlite::Transaction;

use super::connection::SqliteStore;
use super::ledger;
use super::query::{all, write};
use crate::account::{self, Account, CommitTally};
use crate::commit::{Commit, CommitReport};
use crate::dead_letter;
use crate::error::Result;
use crate::imbalance;
use crate::sql::Batch;
use isobar_model::ids::JobId;

impl SqliteStore {
    pub(crate) async fn commit(&self, commit: &Commit) -> Result<CommitReport> {
        let commit = commit.clone();
        self.transaction(move |tx| {
            let mut tally = CommitTally::from_commit(&commit);
            let mut written = 0;
            for batch in commit.records.batches() {
                written += write(tx, &batch)?;
            }
            write(tx, &commit.failures())?;
            let mut ledger = Cow::Borrowed(&commit.ledger);
            if let Some(unwritten) = commit.unwritten(written) {
                let stored = all(tx, unwritten.sql, &args![unwritten.cities().as_slice()])?;
                let (rows, older) = commit.ledger_beside(&unwritten, stored);
                ledger = Cow::Owned(rows);
                tally.report.older = older;
            }
            ledger::insert_ledger_rows(tx, &ledger, &mut tally)?;
            // After the ledger, which knows the tasks that have ended before.
            tally.report.dead = write(tx, &dead_letter::batch(&commit.dead))?;
            apply_job_changes(tx, &mut tally, Utc::now())?;
            Ok(tally.report)
        })
        .await
    }

    pub(crate) async fn recount(&self, jobs: &[JobId]) -> Result<()> {
        let jobs = jobs.to_vec();
        self.transaction(move |tx| {
            let accounts: Vec<Account> = all(tx, &account::LOCK, &args![jobs.as_slice()])?;
            let counted = all(tx, &imbalance::OF_JOBS, &args![jobs.as_slice()])?;
            let recounted = imbalance::recount(&accounts, &counted);
            write(tx, &Batch::new(&account::UPDATE, &recounted)).map(drop)
        })
        .await
    }
}

fn apply_job_changes(
    tx: &Transaction<'_>,
    tally: &mut CommitTally,
    now: DateTime<Utc>,
) -> rusqlite::Result<()> {
    let jobs = tally.changed_jobs();
    if jobs.is_empty() {
        return Ok(());
    }
    let mut before: Vec<Account> = all(tx, &account::LOCK, &args![jobs.as_slice()])?;
    if before.len() < jobs.len() {
        let unknown: Vec<_> = jobs.iter().map(|id| Account::unknown(*id, now)).collect();
        write(tx, &Batch::new(&account::ADD, &unknown))?;
        before = all(tx, &account::LOCK, &args![jobs.as_slice()])?;
    }
    if before.len() < jobs.len() {
        return Err(rusqlite::Error::QueryReturnedNoRows);
    }
    let changed = tally.change_jobs(&before, now);
    write(tx, &Batch::new(&account::UPDATE, &changed)).map(drop)
}

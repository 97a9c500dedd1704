//! The transaction of a commit: results, ledger rows and job counters together, or none (I3).
//!
//! In the common case six round trips for any number of rows: begin, snapshots, ledger, jobs read
//! and locked, jobs written, commit.
//!
//! Guarantees: every commit takes its locks in this order, each kind by key, so that two workers
//! never wait for each other in a circle. Job rows, which all workers share, are locked last.

use std::borrow::Cow;

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::connection::PostgresStore;
use super::ledger;
use super::query::{query, write};
use crate::account::{self, Account, CommitTally};
use crate::commit::{Commit, CommitReport};
use crate::dead_letter;
use crate::error::Result;
use crate::imbalance;
use crate::row::FromRow;
use crate::sql::Batch;
use isobar_model::ids::{CityId, JobId};

sql! {
    /// Two statements write cities; where both have rows, this takes the locks in one order.
    LOCK_CITIES = r"
SELECT id FROM cities WHERE id = ANY($1::bigint[]) ORDER BY id FOR NO KEY UPDATE
";
}

impl PostgresStore {
    pub(crate) async fn commit(&self, commit: &Commit) -> Result<CommitReport> {
        self.transact(commit).await.map_err(|error| self.failed(error))
    }

    async fn transact(&self, commit: &Commit) -> sqlx::Result<CommitReport> {
        loop {
            if let Some(report) = self.try_once(commit).await? {
                return Ok(report);
            }
        }
    }

    /// `None` if a job ended in the meantime: the next attempt sees that.
    async fn try_once(&self, commit: &Commit) -> sqlx::Result<Option<CommitReport>> {
        let mut tally = CommitTally::from_commit(commit);
        let mut tx = self.begin().await?;
        lock_cities(&mut tx, commit).await?;
        let mut written = 0;
        for batch in commit.records.batches() {
            written += write(&mut tx, &batch).await?;
        }
        write(&mut tx, &commit.failures()).await?;
        let mut ledger = Cow::Borrowed(&commit.ledger);
        if let Some(unwritten) = commit.unwritten(written) {
            let rows = query(unwritten.sql, args![unwritten.cities().as_slice()])
                .fetch_all(&mut *tx)
                .await?;
            let stored = rows.iter().map(FromRow::from_row).collect::<sqlx::Result<Vec<_>>>()?;
            let (rows, older) = commit.ledger_beside(&unwritten, stored);
            ledger = Cow::Owned(rows);
            tally.report.older = older;
        }
        ledger::insert_ledger_rows(&mut tx, &ledger, &mut tally).await?;
        // After the ledger, which knows the tasks that have ended before.
        tally.report.dead = write(&mut tx, &dead_letter::batch(&commit.dead)).await?;
        if !apply_job_changes(&mut tx, &mut tally, Utc::now()).await? {
            tx.rollback().await?;
            return Ok(None);
        }
        tx.commit().await?;
        Ok(Some(tally.report))
    }

    pub(crate) async fn recount(&self, jobs: &[JobId]) -> Result<()> {
        self.try_recount(jobs).await.map_err(|error| self.failed(error))
    }

    async fn try_recount(&self, jobs: &[JobId]) -> sqlx::Result<()> {
        let mut tx = self.begin().await?;
        // Workers wait from here on, so the counts below are those of the locked accounts.
        let accounts = lock(&mut tx, jobs).await?;
        let rows = query(&imbalance::OF_JOBS, args![jobs]).fetch_all(&mut *tx).await?;
        let counted = rows.iter().map(FromRow::from_row).collect::<sqlx::Result<Vec<_>>>()?;
        let recounted = imbalance::recount(&accounts, &counted);
        write(&mut tx, &Batch::new(&account::UPDATE, &recounted)).await?;
        tx.commit().await
    }
}

async fn lock_cities(tx: &mut PgConnection, commit: &Commit) -> sqlx::Result<()> {
    let mut cities = commit.records.cities();
    if cities.is_empty() || commit.failed_cities.is_empty() {
        return Ok(());
    }
    cities.extend(commit.failed_cities.iter().map(|row| row.city_id));
    query(&LOCK_CITIES, args![cities.as_slice() as &[CityId]]).execute(tx).await.map(drop)
}

/// False, and nothing is written, if a job ended in the meantime.
async fn apply_job_changes(
    tx: &mut PgConnection,
    tally: &mut CommitTally,
    now: DateTime<Utc>,
) -> sqlx::Result<bool> {
    let jobs = tally.changed_jobs();
    if jobs.is_empty() {
        return Ok(true);
    }
    let mut before = lock(tx, &jobs).await?;
    if before.len() < jobs.len() {
        let unknown: Vec<_> = jobs.iter().map(|id| Account::unknown(*id, now)).collect();
        write(tx, &Batch::new(&account::ADD, &unknown)).await?;
        before = lock(tx, &jobs).await?;
    }
    if before.len() < jobs.len() {
        return Err(sqlx::Error::RowNotFound);
    }
    if tally.has_raced(&before) {
        return Ok(false);
    }
    let changed = tally.change_jobs(&before, now);
    write(tx, &Batch::new(&account::UPDATE, &changed)).await?;
    Ok(true)
}

async fn lock(tx: &mut PgConnection, jobs: &[JobId]) -> sqlx::Result<Vec<Account>> {
    let rows = query(&account::LOCK, args![jobs]).fetch_all(tx).await?;
    rows.iter().map(Account::from_row).collect()
}

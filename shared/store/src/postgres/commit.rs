//! One commit is one transaction: results, ledger rows and job counters together, or none (I3).
//!
//! In the common case six round trips for any number of rows: begin, snapshots, ledger, jobs read
//! and locked, jobs written, commit. Locks are taken in this order by everyone, each kind by key,
//! so that two workers never wait for each other in a circle; job rows, which all workers share,
//! are locked last and for the shortest time.

use chrono::Utc;

use super::{PostgresStore, dead_letters, jobs, ledger, snapshots, users};
use crate::account::Tally;
use crate::{Commit, CommitReport, Records, Result};

impl PostgresStore {
    pub async fn commit(&self, commit: &Commit) -> Result<CommitReport> {
        self.transact(commit).await.map_err(|error| self.failed(error))
    }

    async fn transact(&self, commit: &Commit) -> sqlx::Result<CommitReport> {
        let mut tally = Tally::of(commit);
        let mut tx = self.pool.begin().await?;
        let snapshots = match &commit.records {
            Records::Weather(snapshots) => snapshots.as_slice(),
            Records::People(people) => {
                users::write(&mut tx, people).await?;
                &[]
            }
        };
        snapshots::write(&mut tx, snapshots, &commit.failed_cities).await?;
        ledger::enter(&mut tx, &commit.ledger, &mut tally).await?;
        // After the ledger, which knows what has ended before.
        tally.report.dead = dead_letters::bury(&mut tx, &commit.dead).await?;
        jobs::settle(&mut tx, &mut tally, Utc::now()).await?;
        tx.commit().await?;
        Ok(tally.report)
    }
}

//! One commit is one transaction: results, ledger rows and job counters together, or none (I3).

use chrono::Utc;

use super::{SqliteStore, dead_letters, jobs, ledger, snapshots, users};
use crate::account::Tally;
use crate::nul::refuse_nul;
use crate::{Commit, CommitReport, Records, Result};

impl SqliteStore {
    pub async fn commit(&self, commit: &Commit) -> Result<CommitReport> {
        // SQLite would take it; the promise is the same for both databases.
        refuse_nul(commit)?;
        let commit = commit.clone();
        self.write(move |tx| {
            let mut tally = Tally::of(&commit);
            let snapshots = match &commit.records {
                Records::Weather(snapshots) => snapshots.as_slice(),
                Records::People(people) => {
                    users::write(tx, people)?;
                    &[]
                }
            };
            snapshots::write(tx, snapshots, &commit.failed_cities)?;
            ledger::enter(tx, &commit.ledger, &mut tally)?;
            // After the ledger, which knows what has ended before.
            tally.report.dead = dead_letters::bury(tx, &commit.dead)?;
            jobs::settle(tx, &mut tally, Utc::now())?;
            Ok(tally.report)
        })
        .await
    }
}

//! Commit: what one transaction stores, and what it changed.
//!
//! Guarantees: results, ledger rows and job counters change together, or not at all (I3).
//! Next: `commit.rs` of each backend (the transaction), [`crate::account`] (the counters).

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, Utc};
use isobar_model::freshness::ValueTimes;
use isobar_model::ids::{CityId, JobId};
use isobar_model::task::{JobOpen, JobSeal};

use crate::city::{self, CityFailure};
use crate::dead_letter::DeadLetter;
use crate::error::Result;
use crate::ledger::{LedgerRow, RowStatus};
use crate::records::Records;
use crate::sql::{Batch, Sql};
use crate::store::Store;

/// When the values of a commit were observed, and the statement that reads that of the stored ones.
pub(crate) struct Observed {
    pub sql: &'static Sql,
    pub values: Vec<(CityId, DateTime<Utc>)>,
}

impl Observed {
    pub fn cities(&self) -> Vec<CityId> {
        self.values.iter().map(|(id, _)| *id).collect()
    }
}

/// The input of one transaction. A city, and a task of a job, occur at most once: the committer
/// has kept the newest.
#[derive(Clone, Debug, Default)]
pub struct Commit {
    pub records: Records,
    pub failed_cities: Vec<CityFailure>,
    pub ledger: Vec<LedgerRow>,
    pub dead: Vec<DeadLetter>,
    pub opens: Vec<JobOpen>,
    pub seals: Vec<JobSeal>,
}

/// What a commit changed; a repeat counts nothing.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CommitReport {
    pub succeeded: u64,
    pub failed: u64,
    pub skipped: u64,
    pub dead: u64,
    /// Values that were not stored, because a newer one was: their tasks are skipped.
    pub older: u64,
    /// Rows of jobs that had ended before: nothing is stored for them in the ledger.
    pub late: u64,
    /// Jobs that ended with this commit.
    pub finished_jobs: Vec<JobId>,
}

/// The reason in the ledger for a task whose value was not stored.
const OLDER: &str = "a newer value is stored";

impl Commit {
    pub(crate) fn failures(&self) -> Batch<'_> {
        Batch::sorted(&city::FAIL, &self.failed_cities, |row| row.city_id)
    }

    /// What to read of the store if `written` records are not all of them.
    pub(crate) fn unwritten(&self, written: u64) -> Option<Observed> {
        let observed = self.records.observed()?;
        (written < observed.values.len() as u64).then_some(observed)
    }

    /// The ledger's rows, where a task whose value is older than the stored one is skipped.
    pub(crate) fn ledger_beside(
        &self,
        observed: &Observed,
        stored: Vec<(CityId, ValueTimes)>,
    ) -> (Vec<LedgerRow>, u64) {
        let stored: HashMap<CityId, ValueTimes> = stored.into_iter().collect();
        let is_newer = |id: &CityId, at: DateTime<Utc>| {
            stored.get(id).is_some_and(|times: &ValueTimes| times.observed_at > at)
        };
        let older = observed.values.iter().filter(|(id, at)| is_newer(id, *at));
        let older: HashSet<CityId> = older.map(|(id, _)| *id).collect();
        let mut ledger = self.ledger.clone();
        for row in &mut ledger {
            let is_success = row.status == RowStatus::Success;
            if is_success && row.city_id.is_some_and(|id| older.contains(&id)) {
                row.status = RowStatus::Skipped;
                row.error_code = Some("older".to_owned());
                row.last_error = Some(OLDER.to_owned());
            }
        }
        (ledger, older.len() as u64)
    }
}

impl Store {
    /// Stores everything in one transaction (I3). The slices need no order: the backend sorts by
    /// key, so that two workers never wait for each other in a circle, and locks job rows last.
    pub async fn commit(&self, commit: &Commit) -> Result<CommitReport> {
        self.timed(async { dispatch!(self, backend => backend.commit(commit).await) }).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::account::{Account, CommitTally};
    use crate::air_quality::AirQualityRow;
    use crate::users::UserRecords;
    use crate::weather;

    const CITY: CityId = CityId(7);

    fn at(second: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000 + second, 0).expect("a time")
    }

    fn job() -> JobId {
        JobId::derive("test", "slot")
    }

    fn value(city_id: CityId) -> AirQualityRow {
        AirQualityRow {
            city_id,
            pm10: None,
            pm2_5: None,
            carbon_monoxide: None,
            nitrogen_dioxide: None,
            ozone: None,
            european_aqi: None,
            us_aqi: None,
            observed_at: at(0),
            fresh_until: at(0),
            synced_at: at(0),
        }
    }

    fn row(city_id: Option<CityId>, status: RowStatus) -> LedgerRow {
        LedgerRow {
            job_id: job(),
            task_id: job().task("7"),
            try_number: 1,
            row: None,
            batch: None,
            entry: None,
            city_id,
            city: None,
            status,
            error_code: None,
            last_error: None,
            attempts: 0,
            input: None,
            finished_at: at(0),
            rejected: false,
            last_refreshed_at: None,
        }
    }

    #[test]
    fn unwritten_values_are_compared_with_the_store() {
        let cities = [CityId(7), CityId(8)];
        let records = Records::AirQuality(cities.map(value).to_vec());
        let commit = Commit { records, ..Commit::default() };
        for (written, read) in [(0, true), (1, true), (2, false), (3, false)] {
            let found = commit.unwritten(written).map(|observed| observed.cities());
            assert_eq!(found, read.then(|| cities.to_vec()), "{written} of 2 written");
        }
        // User records have no time of observation.
        let records = Records::UserRecords(UserRecords::default());
        assert!(Commit { records, ..Commit::default() }.unwritten(0).is_none());
    }

    #[test]
    fn an_older_value_is_skipped_in_the_ledger() {
        let observed = || Observed { sql: &weather::FRESHNESS, values: vec![(CITY, at(0))] };
        let stored_at = |second| {
            let times =
                ValueTimes { observed_at: at(second), fresh_until: at(99), synced_at: at(99) };
            vec![(CITY, times)]
        };
        for (stored, is_older) in
            [(vec![], false), (stored_at(-1), false), (stored_at(0), false), (stored_at(1), true)]
        {
            let ledger = vec![row(Some(CITY), RowStatus::Success)];
            let commit = Commit { ledger: ledger.clone(), ..Commit::default() };
            let (beside, older) = commit.ledger_beside(&observed(), stored.clone());
            assert_eq!(older, u64::from(is_older), "{stored:?}");
            let skipped = LedgerRow {
                status: RowStatus::Skipped,
                error_code: Some("older".to_owned()),
                last_error: Some(OLDER.to_owned()),
                ..row(Some(CITY), RowStatus::Success)
            };
            assert_eq!(beside, if is_older { vec![skipped] } else { ledger }, "{stored:?}");
        }
        // Beside an older value, the rows that did not bring it stay as they are.
        let others = vec![
            row(Some(CITY), RowStatus::Failed),
            row(Some(CityId(8)), RowStatus::Success),
            row(None, RowStatus::Success),
        ];
        let commit = Commit { ledger: others.clone(), ..Commit::default() };
        assert_eq!(commit.ledger_beside(&observed(), stored_at(1)), (others, 1));
    }

    #[test]
    fn the_earliest_finished_task_starts_its_job() {
        let ended = |second| LedgerRow { finished_at: at(second), ..row(None, RowStatus::Success) };
        let commit = Commit { ledger: vec![ended(5), ended(3), ended(4)], ..Commit::default() };
        let mut tally = CommitTally::from_commit(&commit);
        tally.count_inserted(job(), RowStatus::Success, false, 3);
        let after = tally.change_jobs(&[Account::unknown(job(), at(1))], at(9)).remove(0);
        assert_eq!(after.started_at, Some(at(3)));
    }
}

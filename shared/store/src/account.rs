//! A job's account: what a commit does to the counters and the state of its jobs, decided here
//! for both databases.
//!
//! [`Tally`] gathers what the ledger let in (I5: counters move only with a ledger row, so a repeat
//! gathers nothing); [`Account::after`] says what that makes of a job. Opens, tasks, rejects and the
//! seal may come in any order and any number of times: the first open and the first seal count.
//! Once the job is sealed, `total = succeeded + failed + skipped + open`.
//!
//! Pure: no SQL, no clock. The backends read a row, ask, and write the answer.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use super::ledger::{Commit, CommitReport, JobRow, JobStatus, RowStatus, bounded};
use isobar_model::ids::JobId;
use isobar_model::pipeline::PipelineName;
use isobar_model::task::{JobKind, JobOpen, JobSeal, SealOutcome};

/// The state of a job as its row holds it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Account {
    pub id: JobId,
    /// Whether kind, source and creation time are the job's own; until its open comes they are not.
    pub known: bool,
    pub kind: JobKind,
    pub pipeline: PipelineName,
    pub source: String,
    pub created_at: DateTime<Utc>,
    pub status: JobStatus,
    /// How the source ended, once that is known.
    pub sealed: Option<SealOutcome>,
    pub total: Option<i64>,
    pub succeeded: i64,
    pub failed: i64,
    pub skipped: i64,
    pub rejected: i64,
    pub duplicates: i64,
    pub started_at: Option<DateTime<Utc>>,
    pub finished_at: Option<DateTime<Utc>>,
}

impl Account {
    /// A job of which nothing is known but that it exists.
    pub fn unknown(id: JobId, created_at: DateTime<Utc>) -> Self {
        Self {
            id,
            known: false,
            kind: JobKind::Produce,
            pipeline: PipelineName::Weather,
            source: String::new(),
            created_at,
            status: JobStatus::Queued,
            sealed: None,
            total: None,
            succeeded: 0,
            failed: 0,
            skipped: 0,
            rejected: 0,
            duplicates: 0,
            started_at: None,
            finished_at: None,
        }
    }

    pub fn processed(&self) -> i64 {
        self.succeeded + self.failed + self.skipped
    }

    /// The account once `change` is entered.
    pub fn after(&self, change: &Change, now: DateTime<Utc>) -> Self {
        let mut next = self.clone();
        if let (false, Some(open)) = (self.known, &change.open) {
            next.known = true;
            next.kind = open.job_kind;
            next.pipeline = open.pipeline;
            next.source.clone_from(&open.source);
            next.created_at = open.created_at;
        }
        next.succeeded += change.moves.succeeded;
        next.failed += change.moves.failed;
        next.skipped += change.moves.skipped;
        next.rejected += change.moves.rejected;
        if let (None, Some(seal)) = (self.sealed, &change.seal) {
            next.sealed = Some(seal.outcome);
            next.total = Some(bounded(seal.rows));
            next.duplicates = bounded(seal.duplicates);
            next.skipped += next.duplicates;
        }
        // Every end is final: a retry moves the counters of a finished job, not its state. But a job
        // that was given up before anything came (`fail_job`) and was resumed after all goes on.
        let given_up = self.status == JobStatus::Failed && self.sealed.is_none();
        if given_up || !self.status.is_final() {
            next.advance(change.first_finished, now);
        }
        next
    }

    fn advance(&mut self, first_finished: Option<DateTime<Utc>>, now: DateTime<Utc>) {
        let moved = self.processed() > 0;
        if moved && self.started_at.is_none() {
            self.started_at = Some(first_finished.unwrap_or(now));
        }
        match self.sealed {
            Some(outcome) if self.total.is_some_and(|total| self.processed() >= total) => {
                self.status = match outcome {
                    SealOutcome::Failed => JobStatus::Failed,
                    SealOutcome::Complete if self.status != JobStatus::Cancelling => {
                        JobStatus::Done
                    }
                    SealOutcome::Complete | SealOutcome::Cancelled => JobStatus::Cancelled,
                };
                self.finished_at = Some(self.started_at.map_or(now, |started| started.max(now)));
            }
            _ if moved && matches!(self.status, JobStatus::Queued | JobStatus::Failed) => {
                self.status = JobStatus::Running;
                self.finished_at = None;
            }
            _ => {}
        }
    }

    pub fn into_row(self) -> JobRow {
        let processed = self.processed() as u64;
        JobRow {
            id: self.id,
            kind: self.kind,
            pipeline: self.pipeline,
            source: self.source,
            status: self.status,
            total: self.total.map(|total| total as u64),
            processed,
            succeeded: self.succeeded as u64,
            failed: self.failed as u64,
            skipped: self.skipped as u64,
            rejected: self.rejected as u64,
            duplicates: self.duplicates as u64,
            created_at: self.created_at,
            started_at: self.started_at,
            finished_at: self.finished_at,
        }
    }

    /// What of this account the ledger contradicts; `counted` is what the ledger holds.
    pub fn contradiction(&self, processed: i64, counted: Moves) -> Option<String> {
        let mut wrong = Vec::new();
        let mut compare = |name: &str, account: i64, ledger: i64, what: &str| {
            if account != ledger {
                wrong.push(format!("{name} is {account}, {what} {ledger}"));
            }
        };
        compare("succeeded", self.succeeded, counted.succeeded, "the ledger has");
        compare("failed", self.failed, counted.failed, "the ledger has");
        let skipped = counted.skipped + self.duplicates;
        compare("skipped", self.skipped, skipped, "ledger and duplicates make");
        compare("rejected", self.rejected, counted.rejected, "the ledger has");
        compare("processed", processed, self.processed(), "its parts make");
        if let Some(total) = self.total
            && (self.status.is_final() || processed > total)
        {
            compare("processed", processed, total, "total is");
        }
        (!wrong.is_empty()).then(|| wrong.join("; "))
    }
}

/// What ledger rows add to the counters of a job; a retry takes away what the row said before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Moves {
    pub succeeded: i64,
    pub failed: i64,
    pub skipped: i64,
    /// Part of `failed`.
    pub rejected: i64,
}

impl Moves {
    pub fn add(&mut self, status: RowStatus, rejected: bool, rows: i64) {
        match status {
            RowStatus::Success => self.succeeded += rows,
            RowStatus::Failed => self.failed += rows,
            RowStatus::Skipped => self.skipped += rows,
        }
        if rejected {
            self.rejected += rows;
        }
    }
}

/// What one transaction does to one job.
#[derive(Clone, Debug, Default)]
pub(super) struct Change {
    pub open: Option<JobOpen>,
    pub seal: Option<JobSeal>,
    pub moves: Moves,
    /// The earliest of the job's tasks in this commit: when the job started, if it is the first.
    pub first_finished: Option<DateTime<Utc>>,
}

impl Change {
    fn is_empty(&self) -> bool {
        self.open.is_none() && self.seal.is_none() && self.moves == Moves::default()
    }
}

/// What one transaction has done so far: the report, and the changes its jobs still await.
#[derive(Debug, Default)]
pub(super) struct Tally {
    changes: BTreeMap<JobId, Change>,
    pub report: CommitReport,
}

impl Tally {
    pub fn of(commit: &Commit) -> Self {
        let mut changes = BTreeMap::<JobId, Change>::new();
        for open in &commit.opens {
            let change = changes.entry(open.job_id).or_default();
            change.open.get_or_insert_with(|| open.clone());
        }
        for seal in &commit.seals {
            let change = changes.entry(seal.job_id).or_default();
            change.seal.get_or_insert_with(|| seal.clone());
        }
        for row in &commit.ledger {
            let first = &mut changes.entry(row.job_id).or_default().first_finished;
            *first = Some(first.map_or(row.finished_at, |at| at.min(row.finished_at)));
        }
        Self { changes, report: CommitReport::default() }
    }

    /// `rows` rows were new to the ledger.
    pub fn entered(&mut self, job: JobId, status: RowStatus, rejected: bool, rows: i64) {
        let change = self.changes.entry(job).or_default();
        change.moves.add(status, rejected, rows);
        self.count(status, rows);
    }

    /// A row took the place of one of a lower try.
    pub fn replaced(&mut self, job: JobId, old: (RowStatus, bool), new: (RowStatus, bool)) {
        let change = self.changes.entry(job).or_default();
        change.moves.add(old.0, old.1, -1);
        change.moves.add(new.0, new.1, 1);
        self.count(new.0, 1);
    }

    /// The jobs that this commit changes, in the order in which every commit touches them.
    pub fn take_changes(&mut self) -> Vec<(JobId, Change)> {
        std::mem::take(&mut self.changes)
            .into_iter()
            .filter(|(_, change)| !change.is_empty())
            .collect()
    }

    pub fn settled(&mut self, before: &Account, after: &Account) {
        if after.status.is_final() && !before.status.is_final() {
            self.report.finished_jobs.push(after.id);
        }
    }

    fn count(&mut self, status: RowStatus, rows: i64) {
        let rows = rows as u64;
        match status {
            RowStatus::Success => self.report.succeeded += rows,
            RowStatus::Failed => self.report.failed += rows,
            RowStatus::Skipped => self.report.skipped += rows,
        }
    }
}

/// The outcome of a seal, as the store has it.
pub(super) fn outcome_named(name: &str) -> Option<SealOutcome> {
    SealOutcome::ALL.into_iter().find(|outcome| outcome.as_str() == name)
}

pub(super) fn kind_named(name: &str) -> Option<JobKind> {
    [JobKind::Sync, JobKind::Import, JobKind::Produce]
        .into_iter()
        .find(|kind| kind.as_str() == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000 + second, 0).expect("a time")
    }

    fn job() -> JobId {
        JobId::derive("test", "slot")
    }

    fn rows(succeeded: i64, failed: i64, skipped: i64) -> Change {
        Change {
            moves: Moves { succeeded, failed, skipped, rejected: 0 },
            first_finished: Some(at(2)),
            ..Change::default()
        }
    }

    fn seal(rows: u64, duplicates: u64, outcome: SealOutcome) -> Change {
        Change {
            seal: Some(JobSeal { job_id: job(), rows, rejected: 0, duplicates, outcome }),
            ..Change::default()
        }
    }

    fn open() -> Change {
        Change {
            open: Some(JobOpen {
                job_id: job(),
                pipeline: PipelineName::Weather,
                job_kind: JobKind::Import,
                source: "cities.csv".into(),
                slot: "slot".into(),
                created_at: at(0),
            }),
            ..Change::default()
        }
    }

    /// The ends of every order of `changes`.
    fn in_every_order(changes: &[Change]) -> Vec<Account> {
        if changes.is_empty() {
            return vec![Account::unknown(job(), at(1))];
        }
        let mut ends = Vec::new();
        for last in 0..changes.len() {
            let mut rest = changes.to_vec();
            let change = rest.remove(last);
            for before in in_every_order(&rest) {
                ends.push(before.after(&change, at(9)));
            }
        }
        ends
    }

    #[test]
    fn a_job_ends_the_same_in_whatever_order_its_messages_come() {
        let changes = [open(), rows(2, 1, 0), rows(1, 0, 3), seal(10, 3, SealOutcome::Complete)];
        for end in in_every_order(&changes) {
            assert_eq!(end.status, JobStatus::Done);
            assert_eq!((end.succeeded, end.failed, end.skipped), (3, 1, 6));
            assert_eq!((end.total, end.duplicates), (Some(10), 3));
            assert_eq!((end.kind, end.created_at), (JobKind::Import, at(0)));
            assert_eq!(end.finished_at, Some(at(9)));
        }
        for end in in_every_order(&changes[..3]) {
            assert_eq!((end.status, end.total), (JobStatus::Running, None));
            assert_eq!(end.started_at, Some(at(2)));
        }
    }

    #[test]
    fn a_second_seal_and_a_second_open_change_nothing() {
        let end = Account::unknown(job(), at(1))
            .after(&open(), at(9))
            .after(&seal(2, 1, SealOutcome::Complete), at(9));
        let mut other = open();
        if let Some(open) = &mut other.open {
            open.source = "other".into();
        }
        assert_eq!(end.after(&other, at(10)), end);
        assert_eq!(end.after(&seal(7, 3, SealOutcome::Failed), at(10)), end);
    }

    #[test]
    fn a_job_of_nothing_but_duplicates_is_done_with_its_seal() {
        for rows in [0, 4] {
            let change = seal(rows, rows, SealOutcome::Complete);
            let end = Account::unknown(job(), at(1)).after(&change, at(9));
            assert_eq!(end.status, JobStatus::Done);
        }
    }

    #[test]
    fn the_end_is_named_after_how_the_source_ended() {
        let running = Account::unknown(job(), at(1)).after(&rows(1, 0, 0), at(2));
        for (outcome, open, end) in [
            (SealOutcome::Failed, JobStatus::Running, JobStatus::Failed),
            (SealOutcome::Cancelled, JobStatus::Running, JobStatus::Cancelled),
        ] {
            let sealed = running.after(&seal(2, 0, outcome), at(3));
            assert_eq!(sealed.status, open, "tasks are still out");
            assert_eq!(sealed.after(&rows(0, 1, 0), at(4)).status, end);
        }
        let cancelling = Account { status: JobStatus::Cancelling, ..running };
        let end = cancelling.after(&seal(1, 0, SealOutcome::Complete), at(3));
        assert_eq!(end.status, JobStatus::Cancelled);
    }

    #[test]
    fn a_retry_moves_the_counters_of_a_finished_job_and_not_its_state() {
        let done = Account::unknown(job(), at(1))
            .after(&rows(1, 1, 0), at(2))
            .after(&seal(2, 0, SealOutcome::Complete), at(3));
        let retried = done.after(&rows(1, -1, 0), at(9));
        assert_eq!((retried.succeeded, retried.failed), (2, 0));
        assert_eq!((retried.status, retried.finished_at), (JobStatus::Done, Some(at(3))));
    }

    #[test]
    fn a_job_that_was_given_up_and_resumed_goes_on() {
        let given_up = Account {
            status: JobStatus::Failed,
            finished_at: Some(at(2)),
            ..Account::unknown(job(), at(1))
        };
        assert_eq!(given_up.after(&open(), at(3)).status, JobStatus::Failed);
        let resumed = given_up.after(&rows(1, 0, 0), at(3));
        assert_eq!((resumed.status, resumed.finished_at), (JobStatus::Running, None));
    }

    #[test]
    fn a_contradiction_names_both_numbers() {
        let account = Account { succeeded: 3, ..Account::unknown(job(), at(1)) };
        let mut counted = Moves::default();
        counted.add(RowStatus::Success, false, 3);
        assert_eq!(account.contradiction(3, counted), None);
        counted.add(RowStatus::Failed, true, 1);
        assert_eq!(
            account.contradiction(3, counted).as_deref(),
            Some("failed is 0, the ledger has 1; rejected is 0, the ledger has 1")
        );
    }
}

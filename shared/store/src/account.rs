//! Accounts: what a commit does to the counters and the state of its jobs, for both databases.
//!
//! [`CommitTally`] collects what the ledger accepted; [`Account::after`] computes the new state of a
//! job. Opens, tasks, rejects and the seal may come in any order and any number of times: the first
//! open and the first seal count.
//!
//! Guarantees: counters move only with a ledger row, so a repeat moves none (I5). After the seal,
//! `total = succeeded + failed + skipped + open`. Pure: a backend reads a row, asks, writes it.
//! Next: `jobs.rs` of each backend.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use crate::commit::{Commit, CommitReport};
use crate::counter_delta::CounterDelta;
use crate::job::JobStatus;
use crate::ledger::RowStatus;
use crate::nul::strip_nul;
use crate::value::clamp_i64;
use isobar_model::ids::JobId;
use isobar_model::pipeline::PipelineName;
use isobar_model::task::{JobKind, JobOpen, JobSeal, SealOutcome};

/// The state of a job as its row holds it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Account {
    pub id: JobId,
    /// Whether kind, source and creation time are the job's own; before its open they are not.
    pub known: bool,
    pub kind: JobKind,
    pub pipeline: PipelineName,
    pub source: String,
    pub created_at: DateTime<Utc>,
    pub status: JobStatus,
    /// How the source ended; `None` before the seal.
    pub sealed: Option<SealOutcome>,
    pub total: Option<i64>,
    pub succeeded: i64,
    pub failed: i64,
    pub skipped: i64,
    pub rejected: i64,
    pub duplicates: i64,
    /// Rows that came after the job had ended; part of no other counter.
    pub late: i64,
    /// Why the source failed, if it did.
    pub error_code: Option<String>,
    pub error_detail: Option<String>,
    pub started_at: Option<DateTime<Utc>>,
    pub finished_at: Option<DateTime<Utc>>,
}

impl Account {
    /// A job before its first message.
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
            late: 0,
            error_code: None,
            error_detail: None,
            started_at: None,
            finished_at: None,
        }
    }

    pub fn processed(&self) -> i64 {
        self.succeeded + self.failed + self.skipped
    }

    /// Whether it takes in no further row. A job that `fail_job` ended before any message came does:
    /// its source may be resumed after all.
    pub fn has_ended(&self) -> bool {
        self.status.is_final() && self.sealed.is_some()
    }

    /// The account after `change`.
    pub fn after(&self, change: &JobChange, now: DateTime<Utc>) -> Self {
        let mut next = self.clone();
        if let (false, Some(open)) = (self.known, &change.open) {
            next.known = true;
            next.kind = open.job_kind;
            next.pipeline = open.pipeline;
            next.source.clone_from(&open.source);
            next.created_at = open.created_at;
        }
        next.succeeded += change.delta.succeeded;
        next.failed += change.delta.failed;
        next.skipped += change.delta.skipped;
        next.rejected += change.delta.rejected;
        next.late += change.late;
        if let (None, Some(seal)) = (self.sealed, &change.seal) {
            next.sealed = Some(seal.outcome);
            next.total = Some(clamp_i64(seal.rows));
            next.duplicates = clamp_i64(seal.duplicates);
            next.skipped += next.duplicates;
            if let Some(error) = &seal.error {
                next.error_code = Some(error.code.clone());
                next.error_detail = Some(strip_nul(&error.detail).into_owned());
            }
        }
        // A final state stays: a retry moves the counters of an ended job, not its state.
        if !self.has_ended() {
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

    /// This account with the counters of its ledger, which holds `counted`.
    pub fn recounted(&self, counted: CounterDelta, now: DateTime<Utc>) -> Self {
        let mut next = self.clone();
        next.succeeded = counted.succeeded;
        next.failed = counted.failed;
        next.skipped = counted.skipped + self.duplicates;
        next.rejected = counted.rejected;
        if !next.has_ended() {
            next.advance(None, now);
        }
        next
    }

    /// How this account differs from the ledger, which holds `counted`; `None` if it does not.
    pub fn mismatch(&self, processed: i64, counted: CounterDelta) -> Option<String> {
        let mut differences = Vec::new();
        let mut compare = |name: &str, account: i64, ledger: i64, other: &str| {
            if account != ledger {
                differences.push(format!("{name} is {account}, {other} {ledger}"));
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
        (!differences.is_empty()).then(|| differences.join("; "))
    }
}

/// What one transaction changes in one job.
#[derive(Clone, Debug, Default)]
pub(crate) struct JobChange {
    pub open: Option<JobOpen>,
    pub seal: Option<JobSeal>,
    pub delta: CounterDelta,
    /// Rows that are new to the ledger, and rows that came too late for it.
    pub inserted: i64,
    pub late: i64,
    /// The earliest end of a task in this commit: the job's start, if it has none.
    pub first_finished: Option<DateTime<Utc>>,
}

impl JobChange {
    fn is_empty(&self) -> bool {
        self.open.is_none()
            && self.seal.is_none()
            && self.delta == CounterDelta::default()
            && self.late == 0
    }
}

/// The report of one transaction so far, and the changes that its jobs still need.
#[derive(Debug, Default)]
pub(crate) struct CommitTally {
    changes: BTreeMap<JobId, JobChange>,
    pub report: CommitReport,
}

impl CommitTally {
    pub fn from_commit(commit: &Commit) -> Self {
        let mut changes = BTreeMap::<JobId, JobChange>::new();
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

    /// Counts rows that were new to the ledger.
    pub fn count_inserted(&mut self, job: JobId, status: RowStatus, rejected: bool, rows: i64) {
        let change = self.changes.entry(job).or_default();
        change.delta.add(status, rejected, rows);
        change.inserted += rows;
        self.count(status, rows);
    }

    /// Counts a row that came after its job had ended.
    pub fn count_late(&mut self, job: JobId) {
        self.changes.entry(job).or_default().late += 1;
        self.report.late += 1;
    }

    /// Whether a job ended in another transaction after this one had inserted rows for it.
    pub fn has_raced(&self, before: &[Account]) -> bool {
        let inserted = |id: &JobId| self.changes.get(id).is_some_and(|change| change.inserted > 0);
        before.iter().any(|account| account.has_ended() && inserted(&account.id))
    }

    /// Counts a row that replaced a lower try.
    pub fn count_replaced(&mut self, job: JobId, old: (RowStatus, bool), new: (RowStatus, bool)) {
        let change = self.changes.entry(job).or_default();
        change.delta.add(old.0, old.1, -1);
        change.delta.add(new.0, new.1, 1);
        self.count(new.0, 1);
    }

    /// The jobs that this commit changes, in the order that every commit keeps.
    pub fn changed_jobs(&self) -> Vec<JobId> {
        let changes = self.changes.iter().filter(|(_, change)| !change.is_empty());
        changes.map(|(id, _)| *id).collect()
    }

    /// The accounts that differ after this commit; `before` has those of all changed jobs.
    pub fn change_jobs(&mut self, before: &[Account], now: DateTime<Utc>) -> Vec<Account> {
        let mut changed = Vec::new();
        for before in before {
            let Some(change) = self.changes.get(&before.id) else { continue };
            let after = before.after(change, now);
            if after.status.is_final() && !before.status.is_final() {
                self.report.finished_jobs.push(after.id);
            }
            if after != *before {
                changed.push(after);
            }
        }
        changed
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

sql! {
    /// PostgreSQL locks the rows; in SQLite the transaction has the write lock.
    LOCK = r"
SELECT job_id, known, kind, pipeline, source, created_at, status, sealed, total, processed,
    succeeded, failed, skipped, rejected, duplicates, late_rows, error_code, error_detail,
    started_at, finished_at
FROM jobs WHERE job_id = ANY($1::uuid[]) ORDER BY job_id FOR UPDATE
" => "SELECT * FROM jobs WHERE job_id = ANY($1::uuid[]) ORDER BY job_id";
    ADD(Account) = r"
INSERT INTO jobs (job_id, kind, source, status, created_at, known)
SELECT job_id, kind, source, status, created_at, known FROM given WHERE true
ON CONFLICT (job_id) DO NOTHING
";
    UPDATE(Account) = r"
UPDATE jobs SET known = given.known, kind = given.kind, source = given.source,
    created_at = given.created_at, status = given.status, sealed = given.sealed,
    total = given.total, processed = given.processed, succeeded = given.succeeded,
    failed = given.failed, skipped = given.skipped, rejected = given.rejected,
    duplicates = given.duplicates, started_at = given.started_at,
    finished_at = given.finished_at, pipeline = given.pipeline, late_rows = given.late_rows,
    error_code = given.error_code, error_detail = given.error_detail
FROM given WHERE jobs.job_id = given.job_id
";
}

given! { Account as account {
    job_id: uuid = account.id,
    known: boolean = account.known,
    kind: text = account.kind.as_str(),
    pipeline: text = account.pipeline.as_str(),
    source: text = &account.source,
    created_at: timestamptz = account.created_at,
    status: text = account.status.as_str(),
    sealed: text = account.sealed.map(SealOutcome::as_str),
    total: bigint = account.total,
    processed: bigint = account.processed(),
    succeeded: bigint = account.succeeded,
    failed: bigint = account.failed,
    skipped: bigint = account.skipped,
    rejected: bigint = account.rejected,
    duplicates: bigint = account.duplicates,
    late_rows: bigint = account.late,
    error_code: text = &account.error_code,
    error_detail: text = &account.error_detail,
    started_at: timestamptz = account.started_at,
    finished_at: timestamptz = account.finished_at,
} }

row! { Account {
    id: "job_id", known, kind, pipeline, source, created_at, status, sealed, total, succeeded,
    failed, skipped, rejected, duplicates, late: "late_rows", error_code, error_detail, started_at, finished_at,
} }

#[cfg(test)]
#[path = "account_tests.rs"]
mod tests;

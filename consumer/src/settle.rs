//! What becomes of an entry: decided here, in pure functions, carried out elsewhere.
//!
//! Every entry ends in one [`Item`] that is committed and then acknowledged, or is given back.
//! Two budgets bound it: attempts (failures that may pass) and deliveries (crashes). A suspect
//! is isolated before it is condemned: from its third delivery on an entry runs alone, and only
//! those solo deliveries count, so the neighbours of a task that kills its worker succeed.

use std::time::Duration;

use chrono::{DateTime, Utc};
use isobar_broker::{Entry, EntryId, Lane};
use isobar_model::ids::{CityId, TaskId};
use isobar_model::pipeline::PipelineName;
use isobar_model::task::{JobOpen, JobSeal, Reject, TaskHead};
use isobar_store::{CityFailure, DeadLetter, LedgerRow, RowStatus};

/// From this delivery on an entry runs alone.
pub const SUSPECT_FROM: u32 = 3;

/// What is left of an entry once its task is decoded: enough to settle it.
#[derive(Clone, Debug)]
pub struct Held<T> {
    pub entry: Entry,
    pub task: T,
}

/// One settled entry on its way into the store, to be acknowledged after the commit.
#[derive(Debug)]
pub struct Item<R> {
    pub lane: Lane,
    pub id: EntryId,
    pub result: Outcome<R>,
    pub ledger: Option<LedgerRow>,
    pub city: Option<CityFailure>,
    pub dead: Option<DeadLetter>,
}

#[derive(Debug)]
pub enum Outcome<R> {
    Succeeded(R),
    Failed,
    Skipped,
    Opened(JobOpen),
    Sealed(JobSeal),
    Rejected,
}

/// What the ledger says a task was about.
#[derive(Clone, Debug, Default)]
pub struct Subject {
    pub city_id: Option<CityId>,
    pub city: Option<String>,
}

/// In which life of which stream an entry was, so that a repeat of its commit is recognised.
#[derive(Clone, Copy, Debug)]
pub struct Life<'a> {
    pub pipeline: PipelineName,
    pub epoch: &'a str,
}

/// Why a task is given up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GivenUp {
    pub code: String,
    pub reason: String,
}

/// Whether an entry has used up its deliveries and is not run again.
pub fn is_condemned(deliveries: u32, max_deliveries: u32) -> bool {
    // The deliveries before this one that ran alone.
    let solo = deliveries.saturating_sub(SUSPECT_FROM);
    solo >= max_deliveries
}

pub fn is_suspect(deliveries: u32) -> bool {
    deliveries >= SUSPECT_FROM
}

/// Whether a failure that may pass is tried once more; `attempts` are those before this one.
pub fn has_attempts_left(attempts: u32, max_attempts: u32) -> bool {
    attempts + 1 < max_attempts
}

/// How long a given-back entry waits, never longer than a claim could see.
pub fn bounded(delay: Duration, claim_idle: Duration) -> Duration {
    delay.min(claim_idle)
}

/// The ledger row of a finished task; an entry without a job has none.
pub fn ledger_row(
    head: &TaskHead,
    subject: Subject,
    entry: &Entry,
    status: RowStatus,
    why: Option<&GivenUp>,
    now: DateTime<Utc>,
) -> Option<LedgerRow> {
    Some(LedgerRow {
        job_id: head.job_id?,
        task_id: head.task_id,
        try_number: head.try_number,
        row: head.row,
        batch: head.batch,
        entry: Some(entry.id.to_string()),
        city_id: subject.city_id,
        city: subject.city,
        status,
        error_code: why.map(|why| why.code.clone()),
        last_error: why.map(|why| why.reason.clone()),
        attempts: entry.attempts,
        input: (status == RowStatus::Failed).then(|| entry.fields.to_json().to_string()),
        finished_at: now,
        rejected: false,
        last_refreshed_at: None,
    })
}

/// The ledger row of a source row that became no task.
pub fn reject_row(reject: &Reject, entry: EntryId, now: DateTime<Utc>) -> LedgerRow {
    LedgerRow {
        job_id: reject.job_id,
        task_id: reject.task_id,
        try_number: 1,
        row: Some(reject.row),
        batch: None,
        entry: Some(entry.to_string()),
        city_id: None,
        city: reject.city.clone(),
        status: RowStatus::Failed,
        error_code: Some(reject.code.clone()),
        last_error: Some(reject.reason.clone()),
        attempts: 0,
        input: None,
        finished_at: now,
        rejected: true,
        last_refreshed_at: None,
    }
}

/// A task given up.
pub fn dead_letter(
    entry: &Entry,
    head: Option<&TaskHead>,
    city_id: Option<CityId>,
    why: &GivenUp,
    life: Life<'_>,
    now: DateTime<Utc>,
) -> DeadLetter {
    let lane = match entry.lane {
        Lane::Tasks => "tasks",
        Lane::Control => "control",
    };
    DeadLetter {
        id: 0,
        pipeline: life.pipeline,
        task_id: head.map(|head| head.task_id).or_else(|| readable_task_id(entry)),
        job_id: head.and_then(|head| head.job_id),
        city_id,
        code: why.code.clone(),
        reason: why.reason.clone(),
        payload: payload(entry),
        deliveries: entry.deliveries,
        attempts: entry.attempts,
        first_seen: appended_at(entry.id).unwrap_or(now),
        last_seen: now,
        source: format!("{}/{lane}/{}", life.epoch, entry.id),
    }
}

fn readable_task_id(entry: &Entry) -> Option<TaskId> {
    str::from_utf8(entry.fields.get("task_id")?).ok()?.trim().parse().ok()
}

/// The entry as JSON where it is text, otherwise its bytes as they came, one `name=value` a line.
fn payload(entry: &Entry) -> Vec<u8> {
    let is_text = entry
        .fields
        .0
        .iter()
        .all(|(name, value)| str::from_utf8(name).is_ok() && str::from_utf8(value).is_ok());
    if is_text {
        return entry.fields.to_json().to_string().into_bytes();
    }
    let mut raw = Vec::new();
    for (name, value) in &entry.fields.0 {
        raw.extend_from_slice(name);
        raw.push(b'=');
        raw.extend_from_slice(value);
        raw.push(b'\n');
    }
    raw
}

/// Redis' entry ids start with the millisecond of the append; the embedded broker's do not.
fn appended_at(id: EntryId) -> Option<DateTime<Utc>> {
    const YEAR_2020_MS: u64 = 1_577_836_800_000;
    (id.ms > YEAR_2020_MS).then(|| DateTime::from_timestamp_millis(id.ms as i64))?
}

#[cfg(test)]
mod tests {
    use super::*;
    use isobar_model::task::Fields;

    fn entry(fields: &[(&[u8], &[u8])]) -> Entry {
        Entry {
            lane: Lane::Tasks,
            id: EntryId { ms: 7, seq: 1 },
            fields: Fields(fields.iter().map(|(k, v)| (k.to_vec(), v.to_vec())).collect()),
            deliveries: 1,
            attempts: 2,
        }
    }

    #[test]
    fn only_deliveries_that_ran_alone_condemn() {
        // Two in company, then five alone; the eighth is not run.
        let run: Vec<u32> = (1..=10).filter(|n| !is_condemned(*n, 5)).collect();
        assert_eq!(run, [1, 2, 3, 4, 5, 6, 7]);
        assert!(!is_suspect(2) && is_suspect(3));
    }

    #[test]
    fn the_last_attempt_is_the_last() {
        let run: Vec<u32> = (0..10).filter(|attempts| has_attempts_left(*attempts, 8)).collect();
        assert_eq!(run.len(), 7, "seven are tried once more, the eighth attempt is final");
    }

    #[test]
    fn a_dead_letter_keeps_what_came_byte_for_byte() {
        let why = GivenUp { code: "undecodable".into(), reason: "task_id is no UTF-8".into() };
        let life = Life { pipeline: PipelineName::Users, epoch: "e" };
        let letter =
            dead_letter(&entry(&[(b"task_id", b"\xff")]), None, None, &why, life, Utc::now());
        assert_eq!(letter.payload, b"task_id=\xff\n");
        assert_eq!(letter.source, "e/tasks/7-1");
        assert_eq!(letter.task_id, None);
    }

    #[test]
    fn an_entry_without_a_job_has_no_ledger_row() {
        let head = TaskHead {
            task_id: TaskId(uuid::Uuid::nil()),
            job_id: None,
            row: None,
            batch: None,
            try_number: 1,
            force: false,
        };
        let row = ledger_row(
            &head,
            Subject::default(),
            &entry(&[]),
            RowStatus::Success,
            None,
            Utc::now(),
        );
        assert_eq!(row, None);
    }
}

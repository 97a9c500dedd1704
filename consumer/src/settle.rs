//! Settle: how an entry ends, decided in pure functions.
//!
//! Every entry ends in one [`SettledEntry`], which is committed and then acknowledged, or is given
//! back. Two budgets bound it: attempts (failures that may pass) and crashes (see
//! [`crate::suspect`]).
//! Next: [`crate::committer`], which stores settled entries.

use std::time::Duration;

use chrono::{DateTime, Utc};
use isobar_broker::{Entry, EntryId, Lane};
use isobar_model::ids::TaskId;
use isobar_model::pipeline::PipelineName;
use isobar_model::task::{
    ControlMessage, DecodeError, JobOpen, JobSeal, Reject, SourceRecord, TaskHeader,
};
use isobar_store::{CityFailure, DeadLetter, LedgerRow, RowStatus};

use crate::pipeline::{Pipeline, TaskSubject};

/// The code of a row that the store refused.
const REFUSED: &str = "store_refused";

/// An entry whose task is decoded.
#[derive(Clone, Debug)]
pub struct DecodedEntry<T> {
    pub entry: Entry,
    pub task: T,
}

/// An entry that has ended, on its way into the store. It is acknowledged after the commit.
#[derive(Debug)]
pub struct SettledEntry<R> {
    pub lane: Lane,
    pub id: EntryId,
    pub outcome: EntryOutcome<R>,
    pub ledger: Option<LedgerRow>,
    pub city: Option<CityFailure>,
    pub dead: Option<DeadLetter>,
}

#[derive(Debug)]
pub enum EntryOutcome<R> {
    Succeeded(R),
    Failed,
    Skipped,
    Opened(JobOpen),
    Sealed(JobSeal),
    Rejected,
}

/// The stream and its epoch, so that a repeated commit of one entry is recognised.
#[derive(Clone, Copy, Debug)]
pub struct StreamEpoch<'a> {
    pub pipeline: PipelineName,
    pub epoch: &'a str,
}

/// Why a task has failed or was skipped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailureReason {
    pub code: String,
    pub reason: String,
}

impl FailureReason {
    pub fn new(code: &str, reason: impl Into<String>) -> Self {
        Self { code: code.to_owned(), reason: reason.into() }
    }
}

impl From<DecodeError> for FailureReason {
    fn from(error: DecodeError) -> Self {
        Self::new(error.code, error.reason)
    }
}

impl<R> SettledEntry<R> {
    fn new(lane: Lane, id: EntryId, outcome: EntryOutcome<R>) -> Self {
        Self { lane, id, outcome, ledger: None, city: None, dead: None }
    }

    fn of_task<P: Pipeline<Record = R>>(
        decoded: &DecodedEntry<P::Task>,
        outcome: EntryOutcome<R>,
        status: RowStatus,
        why: Option<&FailureReason>,
    ) -> Self {
        let DecodedEntry { entry, task } = decoded;
        let ledger = ledger_row(P::head(task), P::subject(task), entry, status, why, Utc::now());
        Self { ledger, ..Self::new(entry.lane, entry.id, outcome) }
    }

    pub fn succeeded<P>(decoded: &DecodedEntry<P::Task>, record: R) -> Self
    where
        P: Pipeline<Record = R>,
    {
        let outcome = EntryOutcome::Succeeded(record);
        Self::of_task::<P>(decoded, outcome, RowStatus::Success, None)
    }

    /// A task that needed no request.
    pub fn skipped<P>(decoded: &DecodedEntry<P::Task>, why: &FailureReason) -> Self
    where
        P: Pipeline<Record = R>,
    {
        Self::of_task::<P>(decoded, EntryOutcome::Skipped, RowStatus::Skipped, Some(why))
    }

    /// A task that has failed for good: a ledger row if it has a job, the state of its city, and
    /// always a dead letter.
    pub fn failed<P>(
        pipeline: &P,
        decoded: &DecodedEntry<P::Task>,
        why: &FailureReason,
        epoch: &str,
    ) -> Self
    where
        P: Pipeline<Record = R>,
    {
        let DecodedEntry { entry, task } = decoded;
        let head = Some(P::head(task));
        let stream = StreamEpoch { pipeline: P::NAME, epoch };
        let dead = dead_letter(entry, head, &P::subject(task), why, stream, Utc::now());
        Self {
            city: pipeline.failure(task, &why.reason),
            dead: Some(dead),
            ..Self::of_task::<P>(decoded, EntryOutcome::Failed, RowStatus::Failed, Some(why))
        }
    }

    /// An entry that cannot be worked on: it is not a task or a control message, or it ends each
    /// process that reads it. If the header of a task can be read its job still accounts for it.
    pub fn quarantined(entry: &Entry, why: &FailureReason, stream: StreamEpoch<'_>) -> Self {
        let head = match entry.lane {
            Lane::Tasks => TaskHeader::from_fields(&entry.fields).ok(),
            Lane::Control => None,
        };
        let (now, subject) = (Utc::now(), TaskSubject::default());
        let dead = dead_letter(entry, head.as_ref(), &subject, why, stream, now);
        let ledger = head
            .as_ref()
            .and_then(|head| ledger_row(head, subject, entry, RowStatus::Failed, Some(why), now));
        Self { ledger, dead: Some(dead), ..Self::new(entry.lane, entry.id, EntryOutcome::Failed) }
    }

    /// A source row that became no task.
    fn rejected(entry: &Entry, reject: &Reject) -> Self {
        Self {
            ledger: Some(reject_row(reject, entry.id, Utc::now())),
            ..Self::new(entry.lane, entry.id, EntryOutcome::Rejected)
        }
    }

    /// A control message.
    pub fn control(entry: &Entry, message: ControlMessage) -> Self {
        let outcome = match message {
            ControlMessage::Open(open) => EntryOutcome::Opened(open),
            ControlMessage::Seal(seal) => EntryOutcome::Sealed(seal),
            ControlMessage::Reject(reject) => return Self::rejected(entry, &reject),
        };
        Self::new(entry.lane, entry.id, outcome)
    }

    /// What remains of an entry whose rows the store refuses, in text that it can store.
    pub fn refused(self, pipeline: PipelineName, error: &str) -> Self {
        let reason = error.replace('\0', "");
        let now = Utc::now();
        let row = self.ledger.as_ref();
        let dead = self.dead.as_ref();
        let dead = DeadLetter {
            id: 0,
            pipeline,
            task_id: row.map(|row| row.task_id).or(dead.and_then(|dead| dead.task_id)),
            job_id: row.map(|row| row.job_id),
            city_id: row.and_then(|row| row.city_id),
            code: REFUSED.to_owned(),
            reason: reason.clone(),
            payload: row.and_then(|row| row.input.clone()).unwrap_or_default().into_bytes(),
            deliveries: dead.map_or(1, |dead| dead.deliveries),
            attempts: row.map_or(0, |row| row.attempts),
            first_seen: now,
            last_seen: now,
            source: format!("refused/{pipeline}/{:?}/{}", self.lane, self.id),
        };
        let ledger = self.ledger.map(|row| LedgerRow {
            status: RowStatus::Failed,
            city: None,
            error_code: Some(REFUSED.to_owned()),
            last_error: Some(reason),
            input: None,
            ..row
        });
        let bare = Self::new(self.lane, self.id, EntryOutcome::Failed);
        Self { ledger, dead: Some(dead), ..bare }
    }

    /// Whether it is what [`refused`](Self::refused) left.
    pub fn is_refused(&self) -> bool {
        self.dead.as_ref().is_some_and(|dead| dead.code == REFUSED)
    }
}

/// Whether a failure that may pass is tried again; `attempts` are those before this one.
pub fn has_attempts_left(attempts: u32, max_attempts: u32) -> bool {
    attempts + 1 < max_attempts
}

/// The delay of an entry that is given back: never longer than claims look back.
pub fn cap_delay(delay: Duration, claim_idle: Duration) -> Duration {
    delay.min(claim_idle)
}

/// The ledger row of a finished task; `None` for an entry without a job.
fn ledger_row(
    head: &TaskHeader,
    subject: TaskSubject,
    entry: &Entry,
    status: RowStatus,
    why: Option<&FailureReason>,
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
        city: subject.text,
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

fn reject_row(reject: &Reject, entry: EntryId, now: DateTime<Utc>) -> LedgerRow {
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
        input: reject.record.as_deref().map(rejected_input),
        finished_at: now,
        rejected: true,
        last_refreshed_at: None,
    }
}

/// The fields of a rejected row as JSON, under the names that a task has, for the export of failed
/// rows. It is not a task: a retry leaves it out.
fn rejected_input(record: &SourceRecord) -> String {
    let names = ["city_id", "city", "country_code", "latitude_deg", "longitude_deg"];
    let known = names.into_iter().filter_map(|name| Some((name, record.field(name)?.to_owned())));
    let surplus = (!record.surplus().is_empty())
        .then(|| serde_json::to_string(record.surplus()).expect("text is JSON"));
    let others = [
        ("line", record.line.map(|line| line.to_string())),
        ("value", record.value.clone()),
        ("surplus", surplus),
    ];
    let others = others.into_iter().filter_map(|(name, value)| Some((name, value?)));
    let fields: std::collections::BTreeMap<_, _> = known.chain(others).collect();
    serde_json::to_string(&fields).expect("text is JSON")
}

fn dead_letter(
    entry: &Entry,
    head: Option<&TaskHeader>,
    subject: &TaskSubject,
    why: &FailureReason,
    stream: StreamEpoch<'_>,
    now: DateTime<Utc>,
) -> DeadLetter {
    let lane = match entry.lane {
        Lane::Tasks => "tasks",
        Lane::Control => "control",
    };
    DeadLetter {
        id: 0,
        pipeline: stream.pipeline,
        task_id: head.map(|head| head.task_id).or_else(|| readable_task_id(entry)),
        job_id: head.and_then(|head| head.job_id),
        city_id: subject.city_id,
        code: why.code.clone(),
        reason: why.reason.clone(),
        payload: payload(entry),
        deliveries: entry.deliveries,
        attempts: entry.attempts,
        first_seen: appended_at(entry.id).unwrap_or(now),
        last_seen: now,
        source: format!("{}/{lane}/{}", stream.epoch, entry.id),
    }
}

fn readable_task_id(entry: &Entry) -> Option<TaskId> {
    str::from_utf8(entry.fields.get("task_id")?).ok()?.trim().parse().ok()
}

/// The entry as JSON if it is text, otherwise its bytes as received, one `name=value` per line.
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

/// The time of the append: Redis' entry ids start with it, the embedded broker's do not.
fn appended_at(id: EntryId) -> Option<DateTime<Utc>> {
    const YEAR_2020_MS: u64 = 1_577_836_800_000;
    (id.ms > YEAR_2020_MS).then(|| DateTime::from_timestamp_millis(id.ms as i64))?
}

#[cfg(test)]
#[path = "settle_tests.rs"]
mod tests;

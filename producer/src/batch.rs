//! A batch: a draft that is filled and then frozen (I2). Pure.
//!
//! Tasks and control messages become lines of JSON once, here; the outbox, the relay and the append
//! pass on the same bytes. The hash chains each batch to the one before it. So the stream can
//! distinguish a repeat from other content under the same number, and the same list from another.

use chrono::{DateTime, Utc};
use isobar_model::ids::{JobId, TaskId};
use isobar_model::pipeline::Enrichment;
use isobar_model::task::{
    CityTask, ControlMessage, JobSeal, Reject, TaskHeader, UserTask, UserWork,
};
use sha2::{Digest, Sha256};

use crate::outbox::{FrozenBatch, JobKey};
use crate::source::shown::escaped;
use crate::source::{RowError, RowSubject, SourceCity, SourceCursor};

/// The open and the seal of a job.
const BESIDE_REJECTS: u64 = 2;

/// Rows that are read and not yet frozen.
#[derive(Debug, Default)]
pub struct BatchDraft {
    tasks: Lines,
    open: Lines,
    control: Lines,
    seal: SealLines,
    ids: Vec<TaskId>,
    rows: u64,
    rejected: u64,
    duplicates: u64,
}

/// The seal as it is sent, and as it is hashed.
#[derive(Debug, Default)]
struct SealLines {
    sent: Lines,
    hashed: Lines,
}

#[derive(Debug, Default)]
struct Lines {
    text: String,
    count: u64,
}

/// The position of a batch in the chain of its job.
#[derive(Debug)]
pub struct ChainPosition {
    pub job: JobKey,
    pub seq: u64,
    pub previous_hash: String,
}

/// A draft is full at this many tasks, or when its rejects leave room only for open and seal.
/// So neither lane of an append is longer than the size.
#[derive(Clone, Copy, Debug)]
pub struct BatchSize(pub usize);

impl BatchDraft {
    /// How many more rows fit, whether they become tasks or rejects.
    pub fn room(&self, size: BatchSize) -> usize {
        let tasks = size.0 as u64;
        let rejects = tasks.saturating_sub(BESIDE_REJECTS).max(1);
        (tasks - self.tasks.count).min(rejects - self.rejected) as usize
    }

    pub fn is_full(&self, size: BatchSize) -> bool {
        self.room(size) == 0
    }

    pub fn rows(&self) -> u64 {
        self.rows
    }

    pub fn has_tasks(&self) -> bool {
        self.tasks.count > 0
    }

    /// The number of rejected rows and of duplicates.
    pub fn reject_counts(&self) -> (u64, u64) {
        (self.rejected, self.duplicates)
    }

    pub fn task(&mut self, task: &Task) {
        self.rows += 1;
        self.ids.push(task.id);
        self.tasks.push(pairs(&task.wire));
    }

    /// Adds a task of another job, as its fields. It counts as no row and has no seen key.
    pub fn push<'a>(&mut self, fields: impl Iterator<Item = (&'a str, &'a str)>) {
        self.tasks.push(fields);
    }

    pub fn duplicate(&mut self) {
        self.rows += 1;
        self.duplicates += 1;
    }

    pub fn reject(&mut self, reject: Reject) {
        self.rows += 1;
        self.rejected += 1;
        self.control(&ControlMessage::Reject(reject));
    }

    /// The open of the job. The hash leaves it out: two hosts that read the same list have the same
    /// batches, whenever they began.
    pub fn open(&mut self, message: &ControlMessage) {
        self.open.push(pairs(&message.to_wire()));
    }

    pub fn control(&mut self, message: &ControlMessage) {
        self.control.push(pairs(&message.to_wire()));
    }

    /// The seal of the job. The hash leaves out the reason of a failure, which may name a path of this
    /// host: the same list has the same hash everywhere.
    pub fn seal(&mut self, seal: JobSeal) {
        let hashed = ControlMessage::Seal(JobSeal { error: None, ..seal.clone() });
        self.seal.hashed.push(pairs(&hashed.to_wire()));
        self.seal.sent.push(pairs(&ControlMessage::Seal(seal).to_wire()));
    }

    /// Takes the content as one batch that never changes again, and leaves an empty draft.
    pub fn freeze(
        &mut self,
        position: ChainPosition,
        cursor: Option<SourceCursor>,
        sealed: Option<(&'static str, Option<String>)>,
    ) -> FrozenBatch {
        let draft = std::mem::take(self);
        let mut hash = Sha256::new();
        hash.update(&position.previous_hash);
        hash.update(&draft.tasks.text);
        hash.update(&draft.control.text);
        hash.update(&draft.seal.hashed.text);
        let payload =
            [draft.tasks.text, draft.open.text, draft.control.text, draft.seal.sent.text].concat();
        FrozenBatch {
            job: position.job,
            seq: position.seq,
            hash: format!("{:x}", hash.finalize()),
            previous_hash: position.previous_hash,
            payload,
            n_tasks: draft.tasks.count,
            n_control: draft.open.count + draft.control.count + draft.seal.sent.count,
            ids: draft.ids,
            cursor: cursor
                .map(|cursor| serde_json::to_string(&cursor).expect("a cursor is plain data")),
            rows: draft.rows,
            rejected: draft.rejected,
            duplicates: draft.duplicates,
            sealed,
        }
    }
}

impl Lines {
    /// One flat array in which names and values alternate.
    fn push<'a>(&mut self, wire: impl Iterator<Item = (&'a str, &'a str)>) {
        let mut separator = '[';
        for (name, value) in wire {
            for text in [name, value] {
                self.text.push(separator);
                self.text.push_str(&serde_json::to_string(text).expect("text is JSON"));
                separator = ',';
            }
        }
        self.text.push_str("]\n");
        self.count += 1;
    }
}

fn pairs<'a>(wire: &'a [(&'static str, String)]) -> impl Iterator<Item = (&'a str, &'a str)> {
    wire.iter().map(|(name, value)| (*name, value.as_str()))
}

/// A task as it will be in the stream.
#[derive(Debug)]
pub struct Task {
    id: TaskId,
    wire: Vec<(&'static str, String)>,
}

/// The task that a row becomes. `created_at` is that of the job.
pub fn task(head: TaskHeader, subject: RowSubject, created_at: DateTime<Utc>) -> Task {
    let id = head.task_id;
    let work = match subject {
        RowSubject::City(city) => return Task { id, wire: city_task(head, city).to_wire() },
        // The same time on every host that produces this job.
        RowSubject::User(user) => UserWork::User { user, seen_at: created_at },
        RowSubject::Incomplete(Enrichment::Address, user) => UserWork::Address(user),
        RowSubject::Incomplete(Enrichment::Card, user) => UserWork::Card(user),
    };
    Task { id, wire: UserTask { head, work }.to_wire() }
}

fn city_task(head: TaskHeader, city: SourceCity) -> CityTask {
    CityTask {
        city_id: city.stored_id(),
        head,
        city: city.name,
        country_code: city.country_code,
        coordinates: city.coordinates,
        traceparent: None,
    }
}

pub fn reject(job_id: JobId, row: u64, error: RowError) -> Reject {
    Reject {
        job_id,
        task_id: job_id.reject(row),
        row,
        code: error.code.to_owned(),
        // Names may hold control characters, which no store and no terminal must get.
        reason: escaped(&error.reason),
        city: error.city.map(|city| escaped(&city)),
        record: error.record,
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;
    use isobar_model::pipeline::PipelineName;
    use isobar_model::task::{Fields, JobError, JobKind, JobOpen, JobSeal, SealOutcome};

    use super::*;

    fn city(name: &str) -> SourceCity {
        SourceCity { name: Some(name.to_owned()), ..SourceCity::default() }
    }

    fn position(seq: u64, previous_hash: &str) -> ChainPosition {
        ChainPosition { job: 1, seq, previous_hash: previous_hash.to_owned() }
    }

    fn open(created_at: DateTime<Utc>) -> ControlMessage {
        ControlMessage::Open(JobOpen {
            job_id: JobId::derive("test", "slot"),
            job_kind: JobKind::Produce,
            pipeline: PipelineName::Weather,
            source: "cities.csv".to_owned(),
            slot: "slot".to_owned(),
            created_at,
        })
    }

    fn seal(rows: u64, outcome: SealOutcome, error: Option<JobError>) -> JobSeal {
        let job_id = JobId::derive("test", "slot");
        JobSeal { job_id, rows, rejected: 0, duplicates: 0, outcome, error }
    }

    fn draft(names: &[&str]) -> BatchDraft {
        let job_id = JobId::derive("test", "slot");
        let mut draft = BatchDraft::default();
        for (row, name) in (1..).zip(names) {
            let city = city(name);
            let head = TaskHeader {
                task_id: job_id.task(&city.key()),
                job_id: Some(job_id),
                row: Some(row),
                batch: Some(1),
                try_number: 1,
                force: false,
            };
            draft.task(&task(head, RowSubject::City(city), DateTime::UNIX_EPOCH));
        }
        draft
    }

    #[test]
    fn equal_rows_freeze_to_equal_bytes() {
        let one = draft(&["A", "B"]).freeze(position(1, ""), None, None);
        let two = draft(&["A", "B"]).freeze(position(1, ""), None, None);
        assert_eq!((&one.hash, &one.payload), (&two.hash, &two.payload));
        let later = draft(&["A", "B"]).freeze(position(2, &one.hash), None, None);
        assert_ne!(later.hash, one.hash);
        assert_eq!(later.previous_hash, one.hash);
    }

    #[test]
    fn the_reason_of_a_failure_does_not_change_the_hash() {
        let sealed = |error: Option<JobError>| {
            let mut draft = draft(&["A"]);
            draft.seal(seal(1, SealOutcome::Failed, error));
            draft.freeze(position(1, ""), None, None)
        };
        let (one, other) = (sealed(None), sealed(Some(JobError::new("file_missing", "/a/b.csv"))));
        assert_eq!((one.hash, one.n_control), (other.hash, 1));
        assert!(other.payload.contains("/a/b.csv"), "{}", other.payload);
    }

    #[test]
    fn a_line_decodes_to_its_task() {
        let name = "Zürich \"\n\\ line";
        let frozen = draft(&[name]).freeze(position(1, ""), None, None);
        assert_eq!(frozen.payload.lines().count(), 1);
        let flat: Vec<String> = serde_json::from_str(&frozen.payload).expect("JSON");
        let fields = Fields(
            flat.chunks(2).map(|pair| (pair[0].clone().into(), pair[1].clone().into())).collect(),
        );
        let task = CityTask::from_fields(&fields).expect("decodes");
        assert_eq!(task.city.as_deref(), Some(name));
        assert_eq!(task.head.row, Some(1));
    }

    #[test]
    fn rejects_fill_a_batch_and_duplicates_do_not() {
        let size = BatchSize(4);
        let job_id = JobId::derive("test", "slot");
        let mut batch = draft(&["A"]);
        batch.duplicate();
        assert_eq!((batch.room(size), batch.rows()), (2, 2));
        for row in [3, 4] {
            batch.reject(reject(job_id, row, RowError::new("blank_name", "blank")));
        }
        assert!(batch.is_full(size));
        let frozen = batch.freeze(position(1, ""), None, None);
        assert_eq!((frozen.n_tasks, frozen.n_control), (1, 2));
        assert_eq!((frozen.rows, frozen.rejected, frozen.duplicates), (4, 2, 1));
        assert_eq!(batch.rows(), 0, "the draft is empty again");
    }

    #[test]
    fn tasks_fill_a_batch() {
        let size = BatchSize(4);
        for (names, room) in
            [(&["A", "B"][..], 2), (&["A", "B", "C"], 1), (&["A", "B", "C", "D"], 0)]
        {
            let batch = draft(names);
            assert_eq!((batch.room(size), batch.is_full(size)), (room, room == 0), "{names:?}");
        }
    }

    #[test]
    fn a_draft_counts_rows_without_tasks_apart() {
        let mut batch = BatchDraft::default();
        for row in [1, 2] {
            let error = RowError::new("blank_name", "blank");
            batch.reject(reject(JobId::derive("test", "slot"), row, error));
        }
        for _ in 0..3 {
            batch.duplicate();
        }
        assert_eq!(batch.reject_counts(), (2, 3));
        assert!(!batch.has_tasks());
        assert!(draft(&["A"]).has_tasks());
    }

    #[test]
    fn a_republished_task_counts_as_no_row() {
        let mut batch = BatchDraft::default();
        batch.push([("task_id", "7"), ("try", "2")].into_iter());
        let frozen = batch.freeze(position(1, ""), None, None);
        assert_eq!(frozen.payload, "[\"task_id\",\"7\",\"try\",\"2\"]\n");
        assert_eq!((frozen.n_tasks, frozen.rows, frozen.ids), (1, 0, vec![]));
    }

    #[test]
    fn the_hash_leaves_out_only_the_open() {
        let freeze = |second, rows| {
            let mut batch = draft(&["A"]);
            batch.seal(seal(rows, SealOutcome::Complete, None));
            batch.open(&open(DateTime::UNIX_EPOCH + TimeDelta::seconds(second)));
            batch.freeze(position(1, ""), None, None)
        };
        let first = freeze(0, 1);
        let lines: Vec<&str> = first.payload.lines().collect();
        assert_eq!((lines.len(), first.n_tasks, first.n_control), (3, 1, 2));
        assert!(lines[1].contains("\"open\"") && lines[2].contains("\"seal\""), "{lines:?}");
        let later = freeze(5, 1);
        assert_ne!(later.payload, first.payload);
        assert_eq!(later.hash, first.hash);
        assert_ne!(freeze(0, 2).hash, first.hash);
    }
}

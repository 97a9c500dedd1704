//! A batch while it fills, and how it freezes (I2).
//!
//! Tasks and control messages become lines of JSON here, once; from then on the outbox, the relay
//! and the append pass the same bytes along. The hash chains each batch to the one before it, so
//! that the stream can tell a repeat from something else under the same number. Pure.

use chrono::{DateTime, Utc};
use isobar_model::ids::{JobId, TaskId};
use isobar_model::pipeline::Enrichment;
use isobar_model::task::{Control, Errand, PersonTask, Reject, TaskHead, WeatherTask};
use sha2::{Digest, Sha256};

use crate::outbox::{Frozen, JobKey};
use crate::republish::Again;
use crate::source::{City, Cursor, Subject, Unusable};

/// A job's open and its seal.
const BESIDE_REJECTS: u64 = 2;

/// Rows taken and not yet frozen.
#[derive(Debug, Default)]
pub struct Draft {
    tasks: Lines,
    control: Lines,
    ids: Vec<TaskId>,
    rows: u64,
    rejected: u64,
    duplicates: u64,
}

#[derive(Debug, Default)]
struct Lines {
    text: String,
    count: u64,
}

/// Where in its job's chain a batch stands.
#[derive(Debug)]
pub struct Place {
    pub job: JobKey,
    pub seq: u64,
    pub previous_hash: String,
}

/// A draft is full at this many tasks, or when its rejects leave room for open and seal only: so
/// neither lane of an append is ever longer than the size.
#[derive(Clone, Copy, Debug)]
pub struct Size(pub usize);

impl Draft {
    /// How many more rows may be taken without passing the size, whatever they turn out to be.
    pub fn room(&self, size: Size) -> usize {
        let tasks = size.0 as u64;
        let rejects = tasks.saturating_sub(BESIDE_REJECTS).max(1);
        (tasks - self.tasks.count).min(rejects - self.rejected) as usize
    }

    pub fn is_full(&self, size: Size) -> bool {
        self.room(size) == 0
    }

    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Rejected rows and duplicates among them.
    pub fn unusable(&self) -> (u64, u64) {
        (self.rejected, self.duplicates)
    }

    pub fn task(&mut self, task: &Task) {
        self.rows += 1;
        self.ids.push(task.id);
        self.tasks.push(pairs(&task.wire));
    }

    /// A task of another job. No row of a source stands behind it, and no key is seen.
    pub fn again(&mut self, task: &Again) {
        self.tasks.push(task.fields.iter().map(|(name, value)| (name.as_str(), value.as_str())));
    }

    pub fn duplicate(&mut self) {
        self.rows += 1;
        self.duplicates += 1;
    }

    pub fn reject(&mut self, reject: Reject) {
        self.rows += 1;
        self.rejected += 1;
        self.control(&Control::Reject(reject));
    }

    pub fn control(&mut self, message: &Control) {
        self.control.push(pairs(&message.to_wire()));
    }

    /// Takes what is there as one batch that never changes again, and leaves an empty draft.
    pub fn freeze(
        &mut self,
        place: Place,
        cursor: Option<Cursor>,
        sealed: Option<(&'static str, Option<String>)>,
    ) -> Frozen {
        let draft = std::mem::take(self);
        let mut payload = draft.tasks.text;
        payload.push_str(&draft.control.text);
        let mut hash = Sha256::new();
        hash.update(&place.previous_hash);
        hash.update(&payload);
        Frozen {
            job: place.job,
            seq: place.seq,
            hash: format!("{:x}", hash.finalize()),
            previous_hash: place.previous_hash,
            payload,
            n_tasks: draft.tasks.count,
            n_control: draft.control.count,
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
    /// One flat array of names and values in turn.
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

/// The task that a row becomes in a job which was made at `created_at`.
pub fn task(head: TaskHead, subject: Subject, created_at: DateTime<Utc>) -> Task {
    let id = head.task_id;
    let errand = match subject {
        Subject::City(city) => return Task { id, wire: of_city(head, city).to_wire() },
        // The same on every host that makes this job.
        Subject::User(user) => Errand::User { user, seen_at: created_at },
        Subject::Lacks(Enrichment::Address, user) => Errand::Address(user),
        Subject::Lacks(Enrichment::Card, user) => Errand::Card(user),
    };
    Task { id, wire: PersonTask { head, errand }.to_wire() }
}

fn of_city(head: TaskHead, city: City) -> WeatherTask {
    WeatherTask {
        city_id: city.stored_id(),
        head,
        city: city.name,
        country_code: city.country_code,
        coordinates: city.coordinates,
        traceparent: None,
    }
}

pub fn reject(job_id: JobId, row: u64, unusable: Unusable) -> Reject {
    Reject {
        job_id,
        task_id: job_id.reject(row),
        row,
        code: unusable.code.to_owned(),
        reason: unusable.reason,
        city: unusable.city,
    }
}

#[cfg(test)]
mod tests {
    use isobar_model::task::Fields;

    use super::*;

    fn city(name: &str) -> City {
        City { name: Some(name.to_owned()), ..City::default() }
    }

    fn place(seq: u64, previous_hash: &str) -> Place {
        Place { job: 1, seq, previous_hash: previous_hash.to_owned() }
    }

    fn draft(names: &[&str]) -> Draft {
        let job_id = JobId::derive("test", "slot");
        let mut draft = Draft::default();
        for (row, name) in (1..).zip(names) {
            let city = city(name);
            let head = TaskHead {
                task_id: job_id.task(&city.key()),
                job_id: Some(job_id),
                row: Some(row),
                batch: Some(1),
                try_number: 1,
                force: false,
            };
            draft.task(&task(head, Subject::City(city), DateTime::UNIX_EPOCH));
        }
        draft
    }

    #[test]
    fn the_same_rows_freeze_to_the_same_bytes_and_the_chain_tells_them_apart() {
        let one = draft(&["A", "B"]).freeze(place(1, ""), None, None);
        let two = draft(&["A", "B"]).freeze(place(1, ""), None, None);
        assert_eq!((&one.hash, &one.payload), (&two.hash, &two.payload));
        let later = draft(&["A", "B"]).freeze(place(2, &one.hash), None, None);
        assert_ne!(later.hash, one.hash);
        assert_eq!(later.previous_hash, one.hash);
    }

    #[test]
    fn a_line_reads_back_as_the_task_it_was() {
        let name = "Zürich \"\n\\ line";
        let frozen = draft(&[name]).freeze(place(1, ""), None, None);
        assert_eq!(frozen.payload.lines().count(), 1);
        let flat: Vec<String> = serde_json::from_str(&frozen.payload).expect("JSON");
        let fields = Fields(
            flat.chunks(2).map(|pair| (pair[0].clone().into(), pair[1].clone().into())).collect(),
        );
        let task = WeatherTask::from_fields(&fields).expect("decodes");
        assert_eq!(task.city.as_deref(), Some(name));
        assert_eq!(task.head.row, Some(1));
    }

    #[test]
    fn rejects_fill_a_batch_as_tasks_do_and_duplicates_do_not() {
        let size = Size(4);
        let job_id = JobId::derive("test", "slot");
        let mut batch = draft(&["A"]);
        batch.duplicate();
        assert_eq!((batch.room(size), batch.rows()), (2, 2));
        for row in [3, 4] {
            batch.reject(reject(job_id, row, Unusable::new("blank_name", "blank")));
        }
        assert!(batch.is_full(size));
        let frozen = batch.freeze(place(1, ""), None, None);
        assert_eq!((frozen.n_tasks, frozen.n_control), (1, 2));
        assert_eq!((frozen.rows, frozen.rejected, frozen.duplicates), (4, 2, 1));
        assert_eq!(batch.rows(), 0, "the draft is empty again");
    }
}

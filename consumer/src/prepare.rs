//! From entries as they were delivered to batches to fetch.
//!
//! What needs no request is settled on the way: entries that are no tasks (quarantined one by
//! one, with their bytes), those that have crashed too many workers, those of a cancelled job,
//! cities whose snapshot is still current, and control messages.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use chrono::Utc;
use isobar_broker::{Entry, EntryId, Lane, Switches};
use isobar_model::ids::JobId;
use isobar_model::task::{Control, TaskHead};
use isobar_store::{JobStatus, RowStatus, Store, StoreError};

use crate::pipeline::{Company, Pipeline};
use crate::settle::{
    self, GivenUp, Held, Item, Life, Outcome, Subject, dead_letter, ledger_row, reject_row,
};

/// How long a job's state may be out of date here: a cancel takes that long to be seen.
const STATUS_AGE: Duration = Duration::from_secs(2);
/// States remembered at the most; more means that they are old.
const STATUSES: usize = 10_000;

/// One delivery, sorted.
pub struct Prepared<P: Pipeline> {
    pub items: Vec<Item<P::Record>>,
    pub batches: Vec<Vec<Held<P::Task>>>,
    /// Control messages of a kind that only a newer version knows.
    pub unknown: Vec<EntryId>,
    /// Tasks of paused jobs.
    pub parked: Vec<EntryId>,
}

/// The states of jobs, asked for once in a while.
#[derive(Debug, Default)]
pub struct JobStates {
    known: Mutex<HashMap<JobId, (Option<JobStatus>, Instant)>>,
}

/// What else decides.
#[derive(Clone, Copy)]
pub struct Rules<'a> {
    /// The budget of solo deliveries.
    pub max_deliveries: u32,
    /// This life of the stream.
    pub epoch: &'a str,
    pub switches: &'a Switches,
}

/// Sorts `entries`.
pub async fn prepare<P: Pipeline>(
    pipeline: &P,
    store: &Store,
    states: &JobStates,
    entries: Vec<Entry>,
    rules: Rules<'_>,
) -> Result<Prepared<P>, StoreError> {
    let Rules { max_deliveries, epoch, switches } = rules;
    let life = Life { pipeline: P::NAME, epoch };
    let mut prepared = Prepared {
        items: Vec::new(),
        batches: Vec::new(),
        unknown: Vec::new(),
        parked: Vec::new(),
    };
    let mut tasks = Vec::with_capacity(entries.len());
    for entry in entries {
        match entry.lane {
            Lane::Control => control(&entry, life, &mut prepared),
            Lane::Tasks => match pipeline.decode(&entry.fields) {
                Ok(task) => tasks.push(Held { entry, task }),
                Err(error) => {
                    let why = GivenUp { code: error.code.to_owned(), reason: error.reason };
                    prepared.items.push(undecodable(&entry, &why, life));
                }
            },
        }
    }
    let jobs: Vec<JobId> = tasks.iter().filter_map(|held| P::head(&held.task).job_id).collect();
    let states = states.of(store, jobs).await?;
    let current = {
        let borrowed: Vec<&P::Task> = tasks.iter().map(|held| &held.task).collect();
        pipeline.current(&borrowed).await?
    };
    // Tasks that may share a request.
    let mut open: HashMap<Company, Vec<Held<P::Task>>> = HashMap::new();
    for (held, is_current) in tasks.into_iter().zip(current) {
        let job = P::head(&held.task).job_id;
        let state = job.and_then(|job| states.get(&job).copied().flatten());
        if matches!(state, Some(JobStatus::Cancelling | JobStatus::Cancelled)) {
            prepared.items.push(skipped::<P>(&held, "cancelled", "the job was cancelled"));
        } else if job.is_some_and(|job| switches.job(job).is_some()) {
            prepared.parked.push(held.entry.id);
        } else if settle::is_condemned(held.entry.deliveries, max_deliveries) {
            let why = GivenUp {
                code: "crash_loop".to_owned(),
                reason: format!(
                    "its worker ended {} times while it ran, {max_deliveries} of them alone",
                    held.entry.deliveries - 1
                ),
            };
            prepared.items.push(failed(pipeline, &held, &why, epoch));
        } else if is_current {
            prepared.items.push(skipped::<P>(&held, "fresh", P::CURRENT));
        } else {
            let company = pipeline.company(&held.task);
            let batch = open.entry(company).or_default();
            batch.push(held);
            if batch.len() >= company.limit {
                prepared.batches.push(std::mem::take(batch));
            }
        }
    }
    prepared.batches.extend(open.into_values().filter(|batch| !batch.is_empty()));
    Ok(prepared)
}

/// A task given up: a ledger row if it has a job, the city's state, and always a dead letter.
pub fn failed<P: Pipeline>(
    pipeline: &P,
    held: &Held<P::Task>,
    why: &GivenUp,
    epoch: &str,
) -> Item<P::Record> {
    let now = Utc::now();
    let head = P::head(&held.task);
    let (city_id, city) = P::subject(&held.task);
    let subject = Subject { city_id, city };
    let life = Life { pipeline: P::NAME, epoch };
    Item {
        lane: held.entry.lane,
        id: held.entry.id,
        result: Outcome::Failed,
        ledger: ledger_row(head, subject, &held.entry, RowStatus::Failed, Some(why), now),
        city: pipeline.failure(&held.task, &why.reason),
        dead: Some(dead_letter(&held.entry, Some(head), city_id, why, life, now)),
    }
}

/// A task that needed no request.
fn skipped<P: Pipeline>(held: &Held<P::Task>, code: &str, reason: &str) -> Item<P::Record> {
    let why = GivenUp { code: code.to_owned(), reason: reason.to_owned() };
    let (city_id, city) = P::subject(&held.task);
    let subject = Subject { city_id, city };
    let head = P::head(&held.task);
    Item {
        lane: held.entry.lane,
        id: held.entry.id,
        result: Outcome::Skipped,
        ledger: ledger_row(head, subject, &held.entry, RowStatus::Skipped, Some(&why), Utc::now()),
        city: None,
        dead: None,
    }
}

fn undecodable<R>(entry: &Entry, why: &GivenUp, life: Life<'_>) -> Item<R> {
    // A task whose head can be read is accounted for in its job, whatever the rest is.
    let head = match entry.lane {
        Lane::Tasks => TaskHead::from_fields(&entry.fields).ok(),
        Lane::Control => None,
    };
    let now = Utc::now();
    Item {
        lane: entry.lane,
        id: entry.id,
        result: Outcome::Failed,
        ledger: head.as_ref().and_then(|head| {
            ledger_row(head, Subject::default(), entry, RowStatus::Failed, Some(why), now)
        }),
        city: None,
        dead: Some(dead_letter(entry, head.as_ref(), None, why, life, now)),
    }
}

fn control<P: Pipeline>(entry: &Entry, life: Life<'_>, prepared: &mut Prepared<P>) {
    let result = match Control::from_fields(&entry.fields) {
        Ok(Some(Control::Open(open))) => Outcome::Opened(open),
        Ok(Some(Control::Seal(seal))) => Outcome::Sealed(seal),
        Ok(Some(Control::Reject(reject))) => {
            prepared.items.push(Item {
                lane: entry.lane,
                id: entry.id,
                result: Outcome::Rejected,
                ledger: Some(reject_row(&reject, entry.id, Utc::now())),
                city: None,
                dead: None,
            });
            return;
        }
        Ok(None) => {
            prepared.unknown.push(entry.id);
            return;
        }
        Err(error) => {
            let why = GivenUp { code: error.code.to_owned(), reason: error.reason };
            prepared.items.push(undecodable(entry, &why, life));
            return;
        }
    };
    prepared.items.push(Item {
        lane: entry.lane,
        id: entry.id,
        result,
        ledger: None,
        city: None,
        dead: None,
    });
}

impl JobStates {
    async fn of(
        &self,
        store: &Store,
        mut jobs: Vec<JobId>,
    ) -> Result<HashMap<JobId, Option<JobStatus>>, StoreError> {
        jobs.sort_unstable();
        jobs.dedup();
        let now = Instant::now();
        let mut states = HashMap::with_capacity(jobs.len());
        {
            let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            jobs.retain(|job| match known.get(job) {
                Some((state, at)) if now.duration_since(*at) < STATUS_AGE => {
                    states.insert(*job, *state);
                    false
                }
                _ => true,
            });
        }
        if jobs.is_empty() {
            return Ok(states);
        }
        let asked = store.job_statuses(&jobs).await?;
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() > STATUSES {
            known.clear();
        }
        for job in jobs {
            let state = asked.get(&job).copied();
            known.insert(job, (state, now));
            states.insert(job, state);
        }
        Ok(states)
    }
}

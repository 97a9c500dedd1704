//! Prepare: sorts delivered entries into batches to fetch.
//!
//! Entries that need no request are settled here: control messages, undecodable entries (with
//! their bytes), tasks of cancelled jobs, tasks that are current, entries that crashed too often.
//! Next: [`crate::fetch`], which runs the batches.

use std::collections::HashMap;

use isobar_broker::{Entry, EntryId, Flags, Lane};
use isobar_model::ids::JobId;
use isobar_model::task::ControlMessage;
use isobar_store::{JobStatus, Store, StoreError};

use crate::job_status::JobStatusCache;
use crate::pipeline::{BatchKey, Pipeline};
use crate::settle::{DecodedEntry, FailureReason, SettledEntry, StreamEpoch};

/// One delivery, sorted.
pub struct Prepared<P: Pipeline> {
    pub settled: Vec<SettledEntry<P::Record>>,
    pub batches: Vec<Vec<DecodedEntry<P::Task>>>,
    /// ControlMessage messages of a kind that only a newer version knows.
    pub unknown: Vec<EntryId>,
    /// Tasks of paused jobs.
    pub parked: Vec<EntryId>,
}

/// The limits and states that decide.
#[derive(Clone, Copy)]
pub struct PrepareRules<'a> {
    /// Why these entries do not run; `None` where they do.
    pub condemned: Option<&'a FailureReason>,
    /// The current epoch of the stream.
    pub epoch: &'a str,
    pub flags: &'a Flags,
}

/// Sorts `entries`.
pub async fn prepare<P: Pipeline>(
    pipeline: &P,
    store: &Store,
    statuses: &JobStatusCache,
    entries: Vec<Entry>,
    rules: PrepareRules<'_>,
) -> Result<Prepared<P>, StoreError> {
    let PrepareRules { condemned, epoch, flags } = rules;
    let stream = StreamEpoch { pipeline: P::NAME, epoch };
    let mut prepared = Prepared {
        settled: Vec::new(),
        batches: Vec::new(),
        unknown: Vec::new(),
        parked: Vec::new(),
    };
    let mut tasks = Vec::with_capacity(entries.len());
    for entry in entries {
        if let Some(why) = condemned.filter(|_| entry.lane == Lane::Control) {
            prepared.settled.push(SettledEntry::quarantined(&entry, why, stream));
            continue;
        }
        let decoded = match entry.lane {
            Lane::Control => {
                ControlMessage::from_fields(&entry.fields).map(|message| match message {
                    Some(message) => prepared.settled.push(SettledEntry::control(&entry, message)),
                    None => prepared.unknown.push(entry.id),
                })
            }
            Lane::Tasks => match pipeline.decode(&entry.fields) {
                Ok(task) => {
                    tasks.push(DecodedEntry { entry, task });
                    continue;
                }
                Err(error) => Err(error),
            },
        };
        if let Err(error) = decoded {
            prepared.settled.push(SettledEntry::quarantined(&entry, &error.into(), stream));
        }
    }
    pipeline.identify(tasks.iter_mut().map(|task| &mut task.task).collect()).await?;
    let jobs: Vec<JobId> = tasks.iter().filter_map(|task| P::head(&task.task).job_id).collect();
    let statuses = statuses.of(store, jobs).await?;
    let current = {
        let borrowed: Vec<&P::Task> = tasks.iter().map(|task| &task.task).collect();
        pipeline.already_current(&borrowed).await?
    };
    // Tasks that may share a request.
    let mut open: HashMap<BatchKey, Vec<DecodedEntry<P::Task>>> = HashMap::new();
    for (task, is_current) in tasks.into_iter().zip(current) {
        let job = P::head(&task.task).job_id;
        let status = job.and_then(|job| statuses.get(&job).copied().flatten());
        if matches!(status, Some(JobStatus::Cancelling | JobStatus::Cancelled)) {
            let why = FailureReason::new("cancelled", "the job was cancelled");
            prepared.settled.push(SettledEntry::skipped::<P>(&task, &why));
        } else if job.is_some_and(|job| flags.job(job).is_some()) {
            prepared.parked.push(task.entry.id);
        } else if let Some(why) = condemned {
            prepared.settled.push(SettledEntry::failed(pipeline, &task, why, epoch));
        } else if is_current {
            let why = FailureReason::new("fresh", P::SKIP_REASON);
            prepared.settled.push(SettledEntry::skipped::<P>(&task, &why));
        } else {
            let key = pipeline.batch_key(&task.task);
            let batch = open.entry(key).or_default();
            batch.push(task);
            if batch.len() >= key.limit {
                prepared.batches.push(std::mem::take(batch));
            }
        }
    }
    prepared.batches.extend(open.into_values().filter(|batch| !batch.is_empty()));
    Ok(prepared)
}

//! Pipeline: the trait, and the values that pass between a pipeline and its worker.
//!
//! Next: [`super::weather`], the shortest one.

use std::future::Future;

use chrono::{DateTime, Utc};
use isobar_broker::{Flags, Topic};
use isobar_model::ids::CityId;
use isobar_model::pipeline::PipelineName;
use isobar_model::task::{DecodeError, Fields, TaskHeader};
use isobar_store::{CityFailure, Records, StoreError};
use isobar_upstream::{Answer, WaitReason};

/// The outcome of one task of an answered request.
#[derive(Clone, Debug, PartialEq)]
pub enum TaskOutcome<R> {
    Record(R),
    /// The task can never succeed as it is.
    Failed {
        code: &'static str,
        reason: String,
    },
    /// The task may succeed later; counts an attempt.
    Retry {
        code: &'static str,
        reason: String,
    },
    /// The task was not tried; counts no attempt (I7).
    Deferred {
        until: DateTime<Utc>,
        reason: String,
    },
}

/// Tasks with equal keys may share a request, up to the limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct BatchKey {
    pub kind: &'static str,
    pub limit: usize,
}

/// What a task is about, for the ledger.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TaskSubject {
    pub text: Option<String>,
    pub city_id: Option<CityId>,
}

/// What is fetched, and how it is stored.
pub trait Pipeline: Clone + Send + Sync + 'static {
    /// A decoded entry.
    type Task: Clone + Send + Sync + 'static;
    /// The result of a success.
    type Record: Clone + Send + Sync + 'static;

    const NAME: PipelineName;

    /// The reason in the ledger for a task that was skipped because its result is current.
    const SKIP_REASON: &'static str;

    fn topic(&self) -> &Topic;

    fn decode(&self, fields: &Fields) -> Result<Self::Task, DecodeError>;

    fn head(task: &Self::Task) -> &TaskHeader;

    fn subject(task: &Self::Task) -> TaskSubject;

    fn batch_key(&self, task: &Self::Task) -> BatchKey;

    /// Corrects what the tasks are about by what is stored, before anything else uses it.
    fn identify<'a>(
        &'a self,
        _tasks: Vec<&'a mut Self::Task>,
    ) -> impl Future<Output = Result<(), StoreError>> + Send + 'a {
        std::future::ready(Ok(()))
    }

    /// For each task, whether the stored result is still current, so that no request is needed.
    fn already_current(
        &self,
        tasks: &[&Self::Task],
    ) -> impl Future<Output = Result<Vec<bool>, StoreError>> + Send;

    /// One request for all of `tasks`; outcomes in their order.
    fn fetch(
        &self,
        tasks: &[&Self::Task],
    ) -> impl Future<Output = Answer<Vec<TaskOutcome<Self::Record>>>> + Send;

    /// The records of one commit, each natural key once: the newest wins.
    fn records(&self, records: Vec<Self::Record>) -> Records;

    /// The state of a city that could not be fetched, for pipelines that store one.
    fn failure(&self, _task: &Self::Task, _error: &str) -> Option<CityFailure> {
        None
    }

    /// Closes the upstream's breakers that operators have reset since the last call.
    fn apply_flags(&self, flags: &Flags);

    /// Until when reading is useless, and why; `None` if it is useful now.
    fn closed_until(&self) -> impl Future<Output = Option<(DateTime<Utc>, WaitReason)>> + Send;

    /// The state of the upstream, for the heartbeat.
    fn upstream_state(&self) -> impl Future<Output = serde_json::Value> + Send;
}

//! What a pipeline is: the one thing that differs between weather and people.
//!
//! Reading, leases, budgets, bisection, commits, accounts and dead letters are written once and
//! know nothing of what is fetched. A further pipeline is a task type, a file here, and its
//! records in the store.

pub mod users;
pub mod weather;

use std::future::Future;

use chrono::{DateTime, Utc};
use isobar_broker::{Switches, Topic};
use isobar_model::ids::CityId;
use isobar_model::pipeline::PipelineName;
use isobar_model::task::{Fields, TaskHead, Undecodable};
use isobar_store::{CityFailure, Records, StoreError};
use isobar_upstream::{Answer, Waiting};

/// What became of one task of a request that was answered.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict<R> {
    Record(R),
    /// It will never succeed as it is.
    Failed {
        code: &'static str,
        reason: String,
    },
    /// It may succeed later; counts an attempt.
    Retry {
        code: &'static str,
        reason: String,
    },
    /// It was not tried, and nobody is to blame (I7).
    Later {
        until: DateTime<Utc>,
        reason: String,
    },
}

/// Tasks of one kind may share a request, up to a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Company {
    pub kind: &'static str,
    pub limit: usize,
}

/// What is fetched, and how it is stored.
pub trait Pipeline: Clone + Send + Sync + 'static {
    /// One decoded entry.
    type Task: Clone + Send + Sync + 'static;
    /// What a success brings.
    type Record: Clone + Send + Sync + 'static;

    const NAME: PipelineName;

    /// Why a task whose result is stored already is skipped.
    const CURRENT: &'static str;

    fn topic(&self) -> &Topic;

    fn decode(&self, fields: &Fields) -> Result<Self::Task, Undecodable>;

    fn head(task: &Self::Task) -> &TaskHead;

    /// What the ledger says the task was about.
    fn subject(task: &Self::Task) -> (Option<CityId>, Option<String>);

    /// Which tasks may share a request with this one.
    fn company(&self, task: &Self::Task) -> Company;

    /// For each task, whether what is stored is still current and no request is needed.
    fn current(
        &self,
        tasks: &[&Self::Task],
    ) -> impl Future<Output = Result<Vec<bool>, StoreError>> + Send;

    /// One request for all of `tasks`; verdicts in their order.
    fn fetch(
        &self,
        tasks: &[&Self::Task],
    ) -> impl Future<Output = Answer<Vec<Verdict<Self::Record>>>> + Send;

    /// The records of one commit, each natural key once: the newest wins.
    fn records(&self, records: Vec<Self::Record>) -> Records;

    /// The state of what could not be fetched, if the store keeps one.
    fn failure(&self, task: &Self::Task, error: &str) -> Option<CityFailure>;

    /// Does what operators want of the upstream: closes breakers that they had reset.
    fn obey(&self, switches: &Switches);

    /// Until when reading makes no sense, if it does not now.
    fn shut_until(&self) -> impl Future<Output = Option<(DateTime<Utc>, Waiting)>> + Send;

    /// What the heartbeat says of the upstream.
    fn upstream_state(&self) -> impl Future<Output = serde_json::Value> + Send;
}

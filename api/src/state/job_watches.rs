//! Job watches: the jobs that clients listen to, each with the channel of its latest state.
//!
//! Guarantees: a job has at most one entry, so one task polls it for all of its listeners.
//! Next: `resources/bulk/events.rs` (the task that polls, and the event stream).

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use isobar_admin::job_view::JobView;
use isobar_model::ids::JobId;
use tokio::sync::watch;

#[derive(Default)]
pub struct JobWatches(Mutex<HashMap<JobId, watch::Sender<Arc<JobEventState>>>>);

/// A job's state as an event carries it.
#[derive(Debug, PartialEq)]
pub struct JobEventState {
    /// Equal for equal states, so that a client can say which one it has.
    pub id: String,
    pub json: String,
    pub ended: bool,
}

impl JobWatches {
    pub fn lock(&self) -> MutexGuard<'_, HashMap<JobId, watch::Sender<Arc<JobEventState>>>> {
        // After a panic elsewhere the map is still whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl From<&JobView> for JobEventState {
    fn from(job: &JobView) -> Self {
        let paused = if job.paused_reason.is_some() { ".paused" } else { "" };
        Self {
            id: format!("{}.{}.{}{paused}", job.processed, job.failed, job.status.as_str()),
            json: serde_json::to_string(job).expect("a job is plain data"),
            ended: job.status.is_final(),
        }
    }
}

//! Job status: a cache of the jobs' states, so that a delivery needs no query of its own.
//!
//! Guarantees: a cancel takes effect within [`MAX_AGE`].

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use isobar_model::ids::JobId;
use isobar_store::{JobStatus, Store, StoreError};

/// How old a cached state may be: a cancel takes effect after this time at the latest.
const MAX_AGE: Duration = Duration::from_secs(2);
/// The most cached states. Beyond that most are old, and all are dropped.
const MAX_JOBS: usize = 10_000;

#[derive(Debug, Default)]
pub struct JobStatusCache {
    known: Mutex<HashMap<JobId, (Option<JobStatus>, Instant)>>,
}

impl JobStatusCache {
    /// The states of `jobs`; `None` for a job that the store does not know.
    pub async fn of(
        &self,
        store: &Store,
        mut jobs: Vec<JobId>,
    ) -> Result<HashMap<JobId, Option<JobStatus>>, StoreError> {
        jobs.sort_unstable();
        jobs.dedup();
        let now = Instant::now();
        let mut statuses = HashMap::with_capacity(jobs.len());
        {
            let known = self.known();
            jobs.retain(|job| match known.get(job) {
                Some((status, at)) if now.duration_since(*at) < MAX_AGE => {
                    statuses.insert(*job, *status);
                    false
                }
                _ => true,
            });
        }
        if jobs.is_empty() {
            return Ok(statuses);
        }
        let stored = store.job_statuses(&jobs).await?;
        let mut known = self.known();
        if known.len() > MAX_JOBS {
            known.clear();
        }
        for job in jobs {
            let status = stored.get(&job).copied();
            known.insert(job, (status, now));
            statuses.insert(job, status);
        }
        Ok(statuses)
    }

    fn known(&self) -> MutexGuard<'_, HashMap<JobId, (Option<JobStatus>, Instant)>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

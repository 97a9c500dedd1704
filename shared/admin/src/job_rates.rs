//! Job rates: how many rows a second each job has finished lately.
//!
//! The average since a job began means little after a pause of an hour. So the samples of the last
//! [`WINDOW`] are kept in memory, and two samples make a rate.
//!
//! Guarantees: at most [`MAX_JOBS`] jobs are kept. Nothing depends on this memory: after a restart
//! callers use the average until there are two samples.
//! Next: [`crate::job_view`] (which rate a job shows).

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use isobar_model::ids::JobId;

/// How far back a rate looks.
const WINDOW: Duration = Duration::from_secs(30);
/// Two samples closer together than this make no rate.
const MIN_INTERVAL: Duration = Duration::from_secs(1);
/// Samples closer together than this are one.
const MERGE_WITHIN: Duration = Duration::from_millis(500);
/// Far more jobs than run at a time.
const MAX_JOBS: usize = 1_000;

#[derive(Debug, Default)]
pub struct JobRates(Mutex<HashMap<JobId, RateSamples>>);

/// When a job was sampled, and how many rows were processed then.
#[derive(Debug, Default)]
struct RateSamples(VecDeque<(Instant, u64)>);

impl JobRates {
    /// Adds a sample. Returns rows a second, or `None` while there are too few samples.
    pub fn sample(&self, job: JobId, processed: u64, now: Instant) -> Option<f64> {
        // After a panic elsewhere the map is still whole.
        let mut jobs = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if jobs.len() >= MAX_JOBS && !jobs.contains_key(&job) {
            jobs.retain(|_, samples| samples.last().is_some_and(|(at, _)| now - at < WINDOW));
            if jobs.len() >= MAX_JOBS {
                return None;
            }
        }
        jobs.entry(job).or_default().add(processed, now)
    }
}

impl RateSamples {
    fn last(&self) -> Option<(Instant, u64)> {
        self.0.back().copied()
    }

    fn add(&mut self, processed: u64, now: Instant) -> Option<f64> {
        // The newest sample before the window stays: the rate reaches back to it.
        while self.0.len() > 1 && now - self.0[1].0 > WINDOW {
            self.0.pop_front();
        }
        if self.last().is_some_and(|(at, _)| now - at > WINDOW) {
            self.0.clear();
        }
        if self.last().is_none_or(|(at, _)| now - at >= MERGE_WITHIN) {
            self.0.push_back((now, processed));
        }
        let (since, before) = *self.0.front()?;
        let took = now - since;
        (took >= MIN_INTERVAL).then(|| processed.saturating_sub(before) as f64 / took.as_secs_f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_recent_samples_make_a_rate() {
        let (rates, job) = (JobRates::default(), JobId::derive("a", "b"));
        let start = Instant::now();
        let sample = |seconds: u64, processed| {
            rates.sample(job, processed, start + Duration::from_secs(seconds))
        };
        assert_eq!(sample(0, 100), None);
        assert_eq!(sample(0, 100), None);
        assert_eq!(sample(2, 300), Some(100.0));
        assert_eq!(sample(10, 300), Some(20.0), "nothing was processed since");
        assert_eq!(sample(3_600, 300), None, "the samples before are an hour old");
        assert_eq!(sample(3_601, 310), Some(10.0));
        assert_eq!(rates.sample(JobId::derive("c", "d"), 5, start), None, "another job");
    }

    #[test]
    fn the_number_of_jobs_is_bounded() {
        let rates = JobRates::default();
        let now = Instant::now();
        for n in 0..2 * MAX_JOBS {
            rates.sample(JobId::derive("a", &n.to_string()), 0, now);
        }
        assert_eq!(rates.0.lock().expect("a map").len(), MAX_JOBS);
        rates.sample(JobId::derive("b", "0"), 0, now + 2 * WINDOW);
        assert_eq!(rates.0.lock().expect("a map").len(), 1);
    }
}

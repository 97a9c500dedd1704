//! How fast jobs are at the moment.
//!
//! The average since a job began says little once it was paused for an hour. So what was seen of a
//! job in the last [`WINDOW`] is remembered, and two looks at it are a rate. Who looks once gets the
//! average. Nothing depends on this memory: it is small, and gone with the process.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use isobar_model::ids::JobId;

/// How far back a rate looks.
const WINDOW: Duration = Duration::from_secs(30);
/// Two looks closer together than this say nothing.
const LEAST: Duration = Duration::from_secs(1);
/// Looks closer together than this are one.
const APART: Duration = Duration::from_millis(500);
/// Jobs that are remembered; far more than run at a time.
const JOBS: usize = 1_000;

#[derive(Debug, Default)]
pub struct Paces(Mutex<HashMap<JobId, Looks>>);

/// When a job was looked at, and how many rows were processed then.
#[derive(Debug, Default)]
struct Looks(VecDeque<(Instant, u64)>);

impl Paces {
    /// Notes what is processed by now; rows a second lately, if that can be said.
    pub fn look(&self, job: JobId, processed: u64, now: Instant) -> Option<f64> {
        // What a panic elsewhere left is a map all the same.
        let mut jobs = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if jobs.len() >= JOBS && !jobs.contains_key(&job) {
            jobs.retain(|_, looks| looks.last().is_some_and(|(at, _)| now - at < WINDOW));
            if jobs.len() >= JOBS {
                return None;
            }
        }
        jobs.entry(job).or_default().look(processed, now)
    }
}

impl Looks {
    fn last(&self) -> Option<(Instant, u64)> {
        self.0.back().copied()
    }

    fn look(&mut self, processed: u64, now: Instant) -> Option<f64> {
        // The first look before the window stays: the rate reaches back to it.
        while self.0.len() > 1 && now - self.0[1].0 > WINDOW {
            self.0.pop_front();
        }
        if self.last().is_some_and(|(at, _)| now - at > WINDOW) {
            self.0.clear();
        }
        if self.last().is_none_or(|(at, _)| now - at >= APART) {
            self.0.push_back((now, processed));
        }
        let (since, before) = *self.0.front()?;
        let took = now - since;
        (took >= LEAST).then(|| processed.saturating_sub(before) as f64 / took.as_secs_f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_looks_are_a_rate_and_what_was_long_ago_does_not_count() {
        let (paces, job) = (Paces::default(), JobId::derive("a", "b"));
        let start = Instant::now();
        let look = |seconds: u64, processed| {
            paces.look(job, processed, start + Duration::from_secs(seconds))
        };
        assert_eq!(look(0, 100), None);
        assert_eq!(look(0, 100), None);
        assert_eq!(look(2, 300), Some(100.0));
        assert_eq!(look(10, 300), Some(20.0), "it stands still since");
        assert_eq!(look(3_600, 300), None, "nobody looked for an hour");
        assert_eq!(look(3_601, 310), Some(10.0));
        assert_eq!(paces.look(JobId::derive("c", "d"), 5, start), None, "jobs apart");
    }

    #[test]
    fn no_more_jobs_are_remembered_than_there_is_room_for() {
        let paces = Paces::default();
        let now = Instant::now();
        for n in 0..2 * JOBS {
            paces.look(JobId::derive("a", &n.to_string()), 0, now);
        }
        assert_eq!(paces.0.lock().expect("a map").len(), JOBS);
        paces.look(JobId::derive("b", "0"), 0, now + 2 * WINDOW);
        assert_eq!(paces.0.lock().expect("a map").len(), 1);
    }
}

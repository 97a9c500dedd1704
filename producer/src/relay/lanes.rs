//! Lanes: how far each job is sent, and which job is next. Pure.
//!
//! Guarantees: jobs take turns, so a small import does not wait behind a large one. A paused job
//! loses its turn and nothing else. A job that another outbox publishes has no turn.

use std::collections::BTreeMap;

use isobar_broker::Publisher;
use isobar_model::ids::JobId;

use crate::outbox::{JobKey, OpenJob};

/// One job on its way into the stream.
#[derive(Clone, Debug)]
pub struct JobLane {
    pub job_id: JobId,
    pub last_seq: u64,
    /// The lowest batch that is not confirmed.
    pub floor: u64,
    pub next: u64,
    /// The highest batch that this process tried to append: a duplicate up to here is its own.
    pub tried: u64,
    /// The highest batch that was counted as published; batches sent again are not counted again.
    pub counted: u64,
    /// The floor below which a watermark was already dropped; 0 if none was.
    pub forgotten_below: u64,
    /// Its batches are not sent.
    pub paused: bool,
    /// The rows of the whole list, once it is extracted.
    pub total: Option<u64>,
    /// Whether no other outbox can have this job.
    pub is_republication: bool,
    /// Whether a batch of it was ever in the stream.
    pub was_published: bool,
    /// The other outbox that publishes this job.
    pub taken: Option<Publisher>,
}

impl JobLane {
    pub fn new(job: &OpenJob) -> Self {
        Self {
            job_id: job.job_id,
            last_seq: job.last_seq,
            floor: job.confirmed_seq + 1,
            next: job.first_unsent.max(job.confirmed_seq + 1),
            tried: 0,
            counted: 0,
            forgotten_below: 0,
            paused: false,
            total: job.sealed.then_some(job.rows),
            is_republication: job.is_republication,
            was_published: job.was_published,
            taken: None,
        }
    }

    pub fn has_more(&self) -> bool {
        self.next <= self.last_seq
    }

    fn may_send(&self) -> bool {
        self.has_more() && !self.paused && self.taken.is_none()
    }
}

/// The next job after `last` that has a batch to send, and the number of that batch.
pub fn next_job(lanes: &BTreeMap<JobKey, JobLane>, last: JobKey) -> Option<(JobKey, u64)> {
    next_other_job(lanes, last).or_else(|| {
        let own = lanes.get(&last)?;
        own.may_send().then_some((last, own.next))
    })
}

/// The same, `last` itself excluded.
pub fn next_other_job(lanes: &BTreeMap<JobKey, JobLane>, last: JobKey) -> Option<(JobKey, u64)> {
    lanes
        .range(last + 1..)
        .chain(lanes.range(..last))
        .find(|(_, lane)| lane.may_send())
        .map(|(key, lane)| (*key, lane.next))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lanes(lengths: &[(JobKey, u64)]) -> BTreeMap<JobKey, JobLane> {
        let lane = |last_seq| JobLane {
            job_id: JobId::derive("test", "slot"),
            last_seq,
            floor: 1,
            next: 1,
            tried: 0,
            counted: 0,
            forgotten_below: 0,
            paused: false,
            total: None,
            is_republication: false,
            was_published: false,
            taken: None,
        };
        lengths.iter().map(|(key, last_seq)| (*key, lane(*last_seq))).collect()
    }

    #[test]
    fn jobs_take_turns_until_all_are_sent() {
        let mut lanes = lanes(&[(1, 4), (2, 1), (5, 2)]);
        let (mut last, mut order) = (0, Vec::new());
        while let Some((key, seq)) = next_job(&lanes, last) {
            order.push((key, seq));
            lanes.get_mut(&key).expect("there").next += 1;
            last = key;
        }
        assert_eq!(order, [(1, 1), (2, 1), (5, 1), (1, 2), (5, 2), (1, 3), (1, 4)]);
    }

    #[test]
    fn a_paused_job_loses_only_its_turn() {
        let mut lanes = lanes(&[(1, 2), (2, 2)]);
        lanes.get_mut(&1).expect("there").paused = true;
        assert_eq!(next_job(&lanes, 2), Some((2, 1)));
        lanes.get_mut(&2).expect("there").next = 3;
        assert_eq!(next_job(&lanes, 2), None);
        lanes.get_mut(&1).expect("there").paused = false;
        assert_eq!(next_job(&lanes, 2), Some((1, 1)));
    }
}

//! The ticks of schedules: who fires one, until when it is theirs, and what came of it.
//!
//! A tick is a row, and its key decides: [`Store::claim_tick`] lets in one of any number of
//! claimers. While it runs its owner renews a lease; a tick whose lease has ended may be claimed
//! again, one that is finished never. A schedule has one unfinished tick at the most (a unique index
//! sees to it), so that no two runs of it ever overlap, and what a dead owner left comes first.
//!
//! Leases are kept by the clock of the database, so hosts need not agree about the time; the other
//! times are those of the schedulers, to be compared with ticks. What is due is not decided here
//! ([`crate::schedule`]).

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;

use super::{Result, Store, either};
use crate::ids::JobId;
use crate::schedule::Known;

/// One tick of one schedule.
#[derive(Clone, Debug, PartialEq)]
pub struct Tick {
    pub schedule: String,
    pub tick: DateTime<Utc>,
    /// The scheduler that has it or had it last.
    pub owner: String,
    pub started_at: DateTime<Utc>,
    pub done_at: Option<DateTime<Utc>>,
    pub outcome: Option<TickOutcome>,
    pub detail: Option<String>,
    pub job_id: Option<JobId>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TickOutcome {
    /// Everything of it is in the stream.
    Done,
    /// Something was away; what is safe is safe, and a later tick goes on with it.
    TryAgain,
    /// It will not get better by itself.
    Failed,
    /// Not run: the run before it was still going.
    SkippedOverlap,
    /// Not run: nobody was there in time.
    Missed,
}

impl TickOutcome {
    pub const ALL: [Self; 5] =
        [Self::Done, Self::TryAgain, Self::Failed, Self::SkippedOverlap, Self::Missed];
    pub const NAMES: [&'static str; 5] =
        ["done", "try_again", "failed", "skipped_overlap", "missed"];

    pub fn as_str(self) -> &'static str {
        Self::NAMES[self as usize]
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|outcome| outcome.as_str() == text)
    }
}

/// What somebody who wants to fire a tick brings.
#[derive(Clone, Debug)]
pub struct TickClaim {
    pub schedule: String,
    pub tick: DateTime<Utc>,
    pub owner: String,
    pub job_id: Option<JobId>,
    pub started_at: DateTime<Utc>,
    pub lease: Duration,
}

/// How a tick ended, or that it never began.
#[derive(Clone, Debug)]
pub struct TickEnding {
    pub at: DateTime<Utc>,
    pub outcome: TickOutcome,
    pub detail: String,
}

impl Tick {
    /// What a finished tick says about those after it.
    pub fn known(&self) -> Known {
        let busy_until = match self.outcome {
            // It was noted long after it was due, and kept nobody busy.
            Some(TickOutcome::Missed) | None => self.tick,
            Some(_) => self.done_at.unwrap_or(self.tick),
        };
        Known { tick: self.tick, busy_until }
    }
}

impl Store {
    /// Makes the tick the claimer's: a new one, or an unfinished one whose lease has ended. False if
    /// it is finished, if another has it, or if another tick of the schedule is unfinished.
    pub async fn claim_tick(&self, claim: &TickClaim) -> Result<bool> {
        either!(self, backend => backend.claim_tick(claim).await)
    }

    /// From now on the claimer has it for another lease; a lease of nothing lets it go. False if it
    /// has been taken over or finished.
    pub async fn renew_tick(&self, claim: &TickClaim, lease: Duration) -> Result<bool> {
        either!(self, backend => backend.renew_tick(claim, lease).await)
    }

    /// False if it has been taken over or finished.
    pub async fn finish_tick(&self, claim: &TickClaim, ending: &TickEnding) -> Result<bool> {
        either!(self, backend => backend.finish_tick(claim, ending).await)
    }

    /// Notes a tick that is not run; one that is known already is left as it is, and that is false.
    pub async fn note_tick(&self, claim: &TickClaim, ending: &TickEnding) -> Result<bool> {
        either!(self, backend => backend.note_tick(claim, ending).await)
    }

    /// The one tick of the schedule that is not finished, if there is one.
    pub async fn unfinished_tick(&self, schedule: &str) -> Result<Option<Tick>> {
        either!(self, backend => backend.unfinished_tick(schedule).await)
    }

    /// The newest tick at or before `time`: one from a clock that was ahead is not in the way.
    pub async fn last_tick(&self, schedule: &str, time: DateTime<Utc>) -> Result<Option<Tick>> {
        let before = time + TimeDelta::milliseconds(1);
        Ok(self.ticks(schedule, Some(before), 1).await?.pop())
    }

    /// Newest first, before `before` if given.
    pub async fn ticks(
        &self,
        schedule: &str,
        before: Option<DateTime<Utc>>,
        limit: u32,
    ) -> Result<Vec<Tick>> {
        // The last day that is written with four digits, so that text sorts as time does.
        let end = || DateTime::from_timestamp(253_402_300_799, 0).expect("a day of the year 9999");
        either!(self, backend => backend.ticks(schedule, before.unwrap_or_else(end), limit).await)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_outcome_has_its_own_name() {
        for outcome in TickOutcome::ALL {
            assert_eq!(TickOutcome::parse(outcome.as_str()), Some(outcome));
        }
        let name = serde_json::to_value(TickOutcome::SkippedOverlap).expect("plain data");
        assert_eq!(name, TickOutcome::SkippedOverlap.as_str());
        assert_eq!(TickOutcome::Missed.as_str(), "missed");
        assert_eq!(TickOutcome::parse("lost"), None);
    }
}

//! The ticks of schedules: who fires one, until when it is theirs, and what came of it.
//!
//! A tick is a row, and its key decides: [`Store::claim_tick`] lets in one of any number of
//! claimers. While it runs its owner renews a lease; a tick whose lease has ended may be claimed
//! again, one that is finished never. A schedule has one unfinished tick at the most (a unique index
//! sees to it), so that no two runs of it ever overlap, and what a dead owner left comes first.
//!
//! Leases are kept by the clock of the database, so hosts need not agree about the time; the other
//! times are those of the schedulers, to be compared with ticks. What is due is not decided here
//! ([`isobar_model::schedule`]).

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use super::{Result, Store, either};
use isobar_model::ids::JobId;
use isobar_model::schedule::{Known, TickOutcome};

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

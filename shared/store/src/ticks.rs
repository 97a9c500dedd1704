//! Ticks: which scheduler runs a tick of a schedule, until when, and with which outcome.
//!
//! Guarantees: of any number of claimers one gets a tick. Its owner renews a lease while it runs; a
//! tick whose lease has ended may be claimed again, a finished tick never. A unique index allows
//! one unfinished tick a schedule, so its runs never overlap.
//!
//! Leases follow the clock of the database, so hosts need not agree about the time. The other times
//! are those of the schedulers.
//! Next: [`isobar_model::schedule`], which decides what is due.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use crate::error::Result;
use crate::nul::strip_nul;
use crate::sql::Sql;
use crate::store::Store;
use isobar_model::ids::JobId;
use isobar_model::schedule::{LastTick, TickOutcome};

/// One tick of one schedule.
#[derive(Clone, Debug, PartialEq)]
pub struct Tick {
    pub schedule: String,
    pub tick: DateTime<Utc>,
    /// The scheduler that has it, or had it last.
    pub owner: String,
    pub started_at: DateTime<Utc>,
    pub done_at: Option<DateTime<Utc>>,
    pub outcome: Option<TickOutcome>,
    pub detail: Option<String>,
    pub job_id: Option<JobId>,
}

/// A scheduler's claim on a tick.
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
pub struct TickResult {
    pub at: DateTime<Utc>,
    pub outcome: TickOutcome,
    pub detail: String,
}

impl Tick {
    /// This tick as the base for the next one.
    pub fn last_tick(&self) -> LastTick {
        let busy_until = match self.outcome {
            // It was recorded long after it was due, and no run was busy with it.
            Some(TickOutcome::Missed) | None => self.tick,
            Some(_) => self.done_at.unwrap_or(self.tick),
        };
        LastTick { tick: self.tick, busy_until }
    }
}

sql! {
    RENEW = r"
UPDATE schedule_ticks SET lease_until = clock_timestamp() + make_interval(secs => $4)
WHERE schedule = $1 AND tick = $2 AND owner = $3 AND done_at IS NULL
" => r"
UPDATE schedule_ticks SET lease_until = strftime('%Y-%m-%dT%H:%M:%fZ', 'now', $4 || ' seconds')
WHERE schedule = $1 AND tick = $2 AND owner = $3 AND done_at IS NULL
";
    FINISH = r"
UPDATE schedule_ticks SET done_at = $4, outcome = $5, detail = $6
WHERE schedule = $1 AND tick = $2 AND owner = $3 AND done_at IS NULL
";
    SKIP = r"
INSERT INTO schedule_ticks (schedule, tick, owner, started_at, lease_until, done_at, outcome, detail)
VALUES ($1, $2, $3, $4, $4, $4, $5, $6)
ON CONFLICT DO NOTHING
";
    UNFINISHED = r"
SELECT schedule, tick, owner, started_at, done_at, outcome, detail, job_id
FROM schedule_ticks WHERE schedule = $1 AND done_at IS NULL
";
    PAGE = r"
SELECT schedule, tick, owner, started_at, done_at, outcome, detail, job_id
FROM schedule_ticks WHERE schedule = $1 AND tick < $2 ORDER BY tick DESC LIMIT $3
";
}

row! { Tick { schedule, tick, owner, started_at, done_at, outcome, detail, job_id } }

/// The scheduler limits these calls by the lease, so they have no limit of their own.
impl Store {
    /// Claims a tick: a new one, or an unfinished one whose lease has ended. False if it is
    /// finished, if another scheduler owns it, or if another tick of the schedule is unfinished.
    pub async fn claim_tick(&self, claim: &TickClaim) -> Result<bool> {
        dispatch!(self, backend => backend.claim_tick(claim).await)
    }

    /// Extends the claimer's lease from now; a lease of zero releases the tick. False if another
    /// scheduler has taken it over, or if it is finished.
    pub async fn renew_tick(&self, claim: &TickClaim, lease: Duration) -> Result<bool> {
        let args = args![&claim.schedule, claim.tick, &claim.owner, lease.as_secs_f64()];
        dispatch!(self, backend => backend.run(&RENEW, args).await.map(|rows| rows > 0))
    }

    /// False if another scheduler has taken it over, or if it is finished.
    pub async fn finish_tick(&self, claim: &TickClaim, ending: &TickResult) -> Result<bool> {
        self.end_tick(&FINISH, claim, ending).await
    }

    /// Records a tick that does not run. False if the tick is known; it does not change then.
    pub async fn record_skipped_tick(
        &self,
        claim: &TickClaim,
        ending: &TickResult,
    ) -> Result<bool> {
        self.end_tick(&SKIP, claim, ending).await
    }

    async fn end_tick(
        &self,
        sql: &'static Sql,
        claim: &TickClaim,
        ending: &TickResult,
    ) -> Result<bool> {
        let (outcome, detail) = (ending.outcome.as_str(), strip_nul(&ending.detail));
        let args = args![&claim.schedule, claim.tick, &claim.owner, ending.at, outcome, detail];
        dispatch!(self, backend => backend.run(sql, args).await.map(|rows| rows > 0))
    }

    /// The unfinished tick of the schedule, if there is one.
    pub async fn unfinished_tick(&self, schedule: &str) -> Result<Option<Tick>> {
        dispatch!(self, backend => backend.one(&UNFINISHED, args![schedule]).await)
    }

    /// The newest tick at or before `time`. A later one, from a clock that was ahead, is ignored.
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
        // The last second with a year of four digits, so that text sorts as time does.
        let end = || DateTime::from_timestamp(253_402_300_799, 0).expect("a day of the year 9999");
        let args = args![schedule, before.unwrap_or_else(end), limit];
        dispatch!(self, backend => backend.all(&PAGE, args).await)
    }
}

//! Ticks of schedules. The lease is this host's, looked at when the write has its turn.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use rusqlite::{OptionalExtension, Row, params};

use super::SqliteStore;
use super::columns::{Id, Time, word};
use crate::nul::without_nul;
use crate::{Result, Tick, TickClaim, TickEnding};
use isobar_model::ids::JobId;
use isobar_model::schedule::TickOutcome;

sql! {
    TAKE_OVER = r"
UPDATE schedule_ticks SET owner = ?3, job_id = ?4, lease_until = ?6
WHERE schedule = ?1 AND tick = ?2 AND done_at IS NULL AND lease_until <= ?5
";
    /// What stands in one of the indexes already stays.
    ADD = r"
INSERT INTO schedule_ticks (schedule, tick, owner, job_id, started_at, lease_until)
VALUES (?1, ?2, ?3, ?4, ?5, ?6)
ON CONFLICT DO NOTHING
";
    RENEW = r"
UPDATE schedule_ticks SET lease_until = ?4
WHERE schedule = ?1 AND tick = ?2 AND owner = ?3 AND done_at IS NULL
";
    FINISH = r"
UPDATE schedule_ticks SET done_at = ?4, outcome = ?5, detail = ?6
WHERE schedule = ?1 AND tick = ?2 AND owner = ?3 AND done_at IS NULL
";
    NOTE = r"
INSERT INTO schedule_ticks (schedule, tick, owner, started_at, lease_until, done_at, outcome, detail)
VALUES (?1, ?2, ?3, ?4, ?4, ?4, ?5, ?6)
ON CONFLICT DO NOTHING
";
    UNFINISHED = "SELECT * FROM schedule_ticks WHERE schedule = ?1 AND done_at IS NULL";
    PAGE = r"
SELECT * FROM schedule_ticks WHERE schedule = ?1 AND tick < ?2 ORDER BY tick DESC LIMIT ?3
";
}

impl SqliteStore {
    pub async fn claim_tick(&self, claim: &TickClaim) -> Result<bool> {
        let claim = claim.clone();
        self.write(move |tx| {
            let (tick, owner) = (Time(claim.tick), &claim.owner);
            let job = claim.job_id.map(|id| Id(id.0));
            let (now, until) = lease(claim.lease);
            let taken = tx.prepare_cached(TAKE_OVER)?.execute(params![
                claim.schedule,
                tick,
                owner,
                job,
                now,
                until
            ])?;
            if taken > 0 {
                return Ok(true);
            }
            let started_at = Time(claim.started_at);
            let added = tx.prepare_cached(ADD)?.execute(params![
                claim.schedule,
                tick,
                owner,
                job,
                started_at,
                until
            ])?;
            Ok(added > 0)
        })
        .await
    }

    pub async fn renew_tick(&self, claim: &TickClaim, longer: Duration) -> Result<bool> {
        let claim = claim.clone();
        self.write(move |tx| {
            let (_, until) = lease(longer);
            let renewed = tx.prepare_cached(RENEW)?.execute(params![
                claim.schedule,
                Time(claim.tick),
                claim.owner,
                until
            ])?;
            Ok(renewed > 0)
        })
        .await
    }

    pub async fn finish_tick(&self, claim: &TickClaim, ending: &TickEnding) -> Result<bool> {
        self.end_tick(FINISH, claim, ending).await
    }

    pub async fn note_tick(&self, claim: &TickClaim, ending: &TickEnding) -> Result<bool> {
        self.end_tick(NOTE, claim, ending).await
    }

    async fn end_tick(
        &self,
        sql: &'static str,
        claim: &TickClaim,
        ending: &TickEnding,
    ) -> Result<bool> {
        let (claim, ending) = (claim.clone(), ending.clone());
        self.write(move |tx| {
            let ended = tx.prepare_cached(sql)?.execute(params![
                claim.schedule,
                Time(claim.tick),
                claim.owner,
                Time(ending.at),
                ending.outcome.as_str(),
                without_nul(&ending.detail)
            ])?;
            Ok(ended > 0)
        })
        .await
    }

    pub async fn unfinished_tick(&self, schedule: &str) -> Result<Option<Tick>> {
        let schedule = schedule.to_owned();
        self.read(move |db| db.prepare_cached(UNFINISHED)?.query_row([schedule], tick).optional())
            .await
    }

    pub async fn ticks(
        &self,
        schedule: &str,
        before: DateTime<Utc>,
        limit: u32,
    ) -> Result<Vec<Tick>> {
        let schedule = schedule.to_owned();
        self.read(move |db| {
            db.prepare_cached(PAGE)?
                .query_map(params![schedule, Time(before), limit], tick)?
                .collect()
        })
        .await
    }
}

/// This moment, and the end of a lease that begins with it.
fn lease(length: Duration) -> (Time, Time) {
    let now = Utc::now();
    let until = TimeDelta::from_std(length).ok().and_then(|length| now.checked_add_signed(length));
    (Time(now), Time(until.unwrap_or(now)))
}

fn tick(row: &Row<'_>) -> rusqlite::Result<Tick> {
    let time = |name: &str| row.get::<_, Option<Time>>(name).map(|time| time.map(|time| time.0));
    let has_outcome = row.get::<_, Option<String>>("outcome")?.is_some();
    Ok(Tick {
        schedule: row.get("schedule")?,
        tick: row.get::<_, Time>("tick")?.0,
        owner: row.get("owner")?,
        started_at: row.get::<_, Time>("started_at")?.0,
        done_at: time("done_at")?,
        outcome: if has_outcome { Some(word(row, "outcome", TickOutcome::parse)?) } else { None },
        detail: row.get("detail")?,
        job_id: row.get::<_, Option<Id>>("job_id")?.map(|id| JobId(id.0)),
    })
}

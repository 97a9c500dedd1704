//! `--dry-run`: what a run would do, found out by doing it into an outbox that is thrown away.
//!
//! The source is read as a run reads it, so the counts are the real ones; nothing is written but a
//! temporary file, nothing is sent, no job comes to be. What it will cost of the upstream's quota
//! is arithmetic: one unit per task, window by window.

use std::sync::Arc;
use std::time::Duration;

use chrono::Utc;
use isobar_shared::broker::QuotaLimits;
use isobar_shared::config::Settings;
use isobar_shared::ids::JobId;
use isobar_shared::store::Store;
use isobar_shared::task::JobKind;
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use crate::extract::{Context, Extraction, Step};
use crate::failure::{Failure, Remedy};
use crate::outbox::{NewJob, Outbox};
use crate::progress::Progress;
use crate::source::{JobSpec, SourceError};

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Plan {
    pub source: String,
    pub rows: u64,
    pub tasks: u64,
    pub rejected: u64,
    pub duplicates: u64,
    pub batches: u64,
    /// Units of the upstream's quota.
    pub quota_cost: u64,
    /// How long the quota alone makes it take; none without a quota.
    pub eta_seconds: Option<u64>,
}

pub async fn plan(
    spec: JobSpec,
    settings: &Settings,
    store: Option<&Store>,
    progress: &Arc<Progress>,
    shutdown: &CancellationToken,
) -> Result<Plan, Failure> {
    let failed =
        |error: std::io::Error| Failure::new(Remedy::GiveUp, format!("no temporary file: {error}"));
    let folder = tempfile::tempdir().map_err(failed)?;
    let outbox = Outbox::open(&folder.path().join("plan.db"))?;
    let source = spec.label();
    let new = NewJob {
        job_id: JobId::derive(&spec.identity(), "plan"),
        slot: "plan".to_owned(),
        kind: JobKind::Produce,
        spec,
        created_at: Utc::now(),
    };
    let (job, _) = outbox.open_job(new).await?;
    let context = Context { settings, outbox: &outbox, store, progress, shutdown, rejects: None };
    let mut extraction = Extraction::open(job, context).await?;
    loop {
        if shutdown.is_cancelled() {
            return Err(SourceError::Stopped.into());
        }
        match extraction.step().await? {
            // Nobody will read it: the file need not grow with the source.
            Step::Froze => outbox.prune(extraction.job().key, extraction.job().last_seq).await?,
            Step::Sealed => break,
            Step::SealedAsFailed => {
                let why = extraction.job().error.clone().unwrap_or_default();
                return Err(Failure::new(Remedy::GiveUp, why));
            }
        }
    }
    let job = extraction.job();
    let limits = settings.quota_limits();
    Ok(Plan {
        source,
        rows: job.rows,
        tasks: job.tasks,
        rejected: job.rejected,
        duplicates: job.duplicates,
        batches: job.last_seq,
        quota_cost: job.tasks,
        eta_seconds: (!limits.is_none()).then(|| eta(&limits, job.tasks).as_secs()),
    })
}

/// How long fixed windows make so many units take, from the start of a window on.
fn eta(limits: &QuotaLimits, cost: u64) -> Duration {
    const DAY_S: u64 = 86_400;
    const HOUR_S: u64 = 3_600;
    const MINUTE_S: u64 = 60;
    // What is left after whole windows goes through the next smaller one.
    // A tenth of each window is kept for interactive requests.
    let whole = |limit: Option<u64>, cost: u64| match limit.map(|limit| (limit - limit / 10).max(1))
    {
        Some(limit) if cost > limit => ((cost - 1) / limit, (cost - 1) % limit + 1),
        _ => (0, cost),
    };
    let (days, cost) = whole(limits.day, cost);
    let (hours, cost) = whole(limits.hour, cost);
    let (minutes, _) = whole(limits.minute, cost);
    Duration::from_secs(days * DAY_S + hours * HOUR_S + minutes * MINUTE_S)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_free_tier_takes_days_for_all_cities_and_a_minute_for_a_thousand() {
        let free = QuotaLimits { minute: Some(600), hour: Some(5_000), day: Some(10_000) };
        assert_eq!(eta(&free, 540).as_secs(), 0, "nine tenths of 600");
        assert_eq!(eta(&free, 1_000).as_secs(), 60);
        assert_eq!(eta(&free, 6_000).as_secs(), 3_600 + 2 * 60);
        assert_eq!(eta(&free, 34_006).as_secs(), 3 * 86_400 + 3_600 + 4 * 60);
    }
}

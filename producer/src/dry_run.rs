//! The dry run: extracts into a temporary outbox, to show what a run would do.
//!
//! Guarantees: the source is read as in a run, so the counts are exact. Only a temporary file and the
//! requested reject file are written; nothing is sent and no job is created. The cost in quota is calculated: one unit for
//! each task, window by window.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use chrono::Utc;
use isobar_model::ids::JobId;
use isobar_model::quota::QuotaUsage;
use isobar_model::quota_forecast::{Cost, exhausted_at};
use isobar_model::task::{JobKind, Reject};
use isobar_settings::Settings;
use isobar_store::Store;
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use crate::extract::{Context, ExtractStep, Extraction};
use crate::failure::{Failure, Remedy};
use crate::outbox::{NewOutboxJob, Outbox};
use crate::progress::RunProgress;
use crate::rejects::RejectFile;
use crate::source::{JobSpec, SourceError};

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct DryRun {
    pub source: String,
    pub rows: u64,
    pub tasks: u64,
    pub rejected: u64,
    pub duplicates: u64,
    pub batches: u64,
    /// Units of the quota of the upstream.
    pub quota_cost: u64,
    /// The duration that the quota alone requires; `None` without a quota.
    pub eta_seconds: Option<u64>,
    /// Some of the rejected rows, the first ones.
    pub first_rejects: Vec<RejectedRow>,
}

/// A rejected row and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RejectedRow {
    pub row: u64,
    pub code: String,
    pub reason: String,
    pub city: Option<String>,
}

impl From<&Reject> for RejectedRow {
    fn from(reject: &Reject) -> Self {
        Self {
            row: reject.row,
            code: reject.code.clone(),
            reason: reject.reason.clone(),
            city: reject.city.clone(),
        }
    }
}

impl std::fmt::Display for RejectedRow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { row, code, reason, city } = self;
        match city {
            Some(city) => write!(f, "row {row} ({city}): {code}, {reason}"),
            None => write!(f, "row {row}: {code}, {reason}"),
        }
    }
}

pub async fn dry_run(
    spec: JobSpec,
    settings: &Settings,
    store: Option<&Store>,
    progress: &Arc<RunProgress>,
    shutdown: &CancellationToken,
    rejects: Option<&Path>,
) -> Result<DryRun, Failure> {
    let failed = |error: std::io::Error| {
        Failure::new(Remedy::GiveUp, format!("cannot create a temporary file: {error}"))
    };
    let folder = tempfile::tempdir().map_err(failed)?;
    let outbox = Outbox::open(&folder.path().join("plan.db"))?;
    let source = spec.label();
    let new = NewOutboxJob {
        job_id: JobId::derive(&spec.identity(), "plan"),
        slot: "plan".to_owned(),
        kind: JobKind::Produce,
        spec,
        created_at: Utc::now(),
    };
    let (job, _) = outbox.open_job(new).await?;
    let rejects = match rejects {
        Some(path) => Some(RejectFile::create(path, &job.spec).await?),
        None => None,
    };
    let context = Context { settings, outbox: &outbox, store, progress, shutdown, rejects };
    let mut extraction = Extraction::open(job, context).await?;
    loop {
        if shutdown.is_cancelled() {
            return Err(SourceError::Stopped.into());
        }
        match extraction.step().await? {
            // The batches are not needed: the file does not grow with the source.
            ExtractStep::Froze => {
                outbox.confirm(extraction.job().key, extraction.job().last_seq).await?;
                outbox.delete_expired(Duration::ZERO).await?;
            }
            ExtractStep::Sealed => break,
            ExtractStep::SealedAsFailed => {
                let why = extraction.job().error.clone().unwrap_or_default();
                let reasons = extraction.first_rejects().iter();
                let reasons = reasons.map(|reject| format!("\n{}", RejectedRow::from(reject)));
                let message = format!("{why}{}", reasons.collect::<String>());
                return Err(Failure::new(Remedy::GiveUp, message));
            }
        }
    }
    let job = extraction.job();
    let limits = settings.quota_limits();
    let cost = Cost { units: job.tasks, per_request: settings.locations_per_request() as u64 };
    let now = Utc::now().timestamp_millis();
    // As if no quota was used yet: a dry run does not ask the broker.
    let used_up_at = exhausted_at(&limits, &QuotaUsage::default(), cost, now);
    Ok(DryRun {
        source,
        rows: job.rows,
        tasks: job.tasks,
        rejected: job.rejected,
        duplicates: job.duplicates,
        batches: job.last_seq,
        quota_cost: job.tasks,
        eta_seconds: used_up_at
            .filter(|_| !limits.is_unlimited())
            .map(|at| (at - now).cast_unsigned().div_ceil(1_000)),
        first_rejects: extraction.first_rejects().iter().map(RejectedRow::from).collect(),
    })
}

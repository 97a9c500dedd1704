//! Drain: when a drain ends: the stream is empty, or the rest falls due later than it waits.
//!
//! The stream is empty when its length is zero: an acknowledgement removes its entry, so the
//! length also counts the entries that other workers hold.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use isobar_broker::{BrokerError, Depth};

use crate::context::{Context, WorkerError};
use crate::events;
use crate::gate::PauseReason;
use crate::pipeline::Pipeline;
use crate::run_summary::StopReason;

/// The status of a drain.
pub enum DrainStatus {
    Over(Option<StopReason>),
    /// Entries to read, and the time until the next pending entry falls due.
    Running {
        undelivered: u64,
        due: Option<Duration>,
    },
}

impl DrainStatus {
    const UNKNOWN: Self = Self::Running { undelivered: 0, due: None };
}

/// The last time at which the stream changed.
pub struct DrainProgress {
    at: Instant,
    /// Unfinished entries and attempts: a change of either is progress.
    last: Option<(u64, u64)>,
}

impl DrainProgress {
    pub fn new() -> Self {
        Self { at: Instant::now(), last: None }
    }

    /// Whether nothing has changed for longer than the drain waits.
    pub fn is_over(&self, max_wait: Duration) -> bool {
        self.at.elapsed() > max_wait
    }

    fn record(&mut self, unfinished: u64, attempts: u64) {
        if self.last.replace((unfinished, attempts)) != Some((unfinished, attempts)) {
            self.at = Instant::now();
        }
    }
}

/// After an empty read.
pub async fn after_an_empty_read<P: Pipeline>(
    ctx: &Context<P>,
    progress: &mut DrainProgress,
    max_wait: Duration,
) -> Result<DrainStatus, WorkerError> {
    let Some(depth) = depth(ctx).await? else { return Ok(DrainStatus::UNKNOWN) };
    let unfinished = depth.tasks + depth.control;
    progress.record(unfinished, ctx.tally.attempts.load(Ordering::Relaxed));
    if !ctx.leases.is_empty() {
        // Longer than in-flight entries may take: the store or the upstream blocks them.
        if progress.is_over(max_wait + ctx.settings.claim_idle.0) {
            let left = "in-flight entries did not finish".to_owned();
            return Ok(DrainStatus::Over(Some(StopReason::Later(left))));
        }
        return Ok(DrainStatus::Running { undelivered: depth.undelivered, due: None });
    }
    if unfinished == 0 {
        return Ok(DrainStatus::Over(None));
    }
    if progress.is_over(max_wait) {
        let left = format!("{unfinished} entries did not fall due within {max_wait:?}");
        return Ok(DrainStatus::Over(Some(StopReason::Later(left))));
    }
    Ok(DrainStatus::Running {
        undelivered: depth.undelivered,
        due: depth.next_due_ms.map(Duration::from_millis),
    })
}

/// While the gate is closed until `reopens`.
pub async fn while_closed<P: Pipeline>(
    ctx: &Context<P>,
    reopens: DateTime<Utc>,
    reason: &PauseReason,
    max_wait: Duration,
) -> Result<DrainStatus, WorkerError> {
    let Some(depth) = depth(ctx).await? else { return Ok(DrainStatus::UNKNOWN) };
    if !ctx.leases.is_empty() {
        return Ok(DrainStatus::UNKNOWN);
    }
    if depth.is_empty() {
        return Ok(DrainStatus::Over(None));
    }
    Ok(match reason {
        PauseReason::Config(_) => DrainStatus::Over(Some(StopReason::Config(reason.describe()))),
        // The end of a pause is unknown.
        PauseReason::Paused(_) => DrainStatus::Over(Some(StopReason::Later(reason.describe()))),
        PauseReason::WaitReason(_)
            if (reopens - Utc::now()).to_std().unwrap_or_default() > max_wait =>
        {
            let why = format!("{} until {}", reason.describe(), reopens.to_rfc3339());
            DrainStatus::Over(Some(StopReason::Later(why)))
        }
        PauseReason::WaitReason(_) => DrainStatus::UNKNOWN,
    })
}

async fn depth<P: Pipeline>(ctx: &Context<P>) -> Result<Option<Depth>, WorkerError> {
    let claim_idle = ctx.settings.claim_idle.0;
    match ctx.broker.depth(ctx.pipeline.topic(), claim_idle).await {
        Ok(depth) => Ok(Some(depth)),
        // The next read heals it.
        Err(BrokerError::Missing { .. }) => Ok(None),
        Err(error) if error.is_transient() => {
            events::broker_error("drain", &error);
            Ok(None)
        }
        Err(error) => Err(WorkerError::Broker(error)),
    }
}

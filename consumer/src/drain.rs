//! When a drain ends: the stream is empty and nothing is pending for anyone, or what is left
//! falls due later than the drain was to wait.
//!
//! Emptiness is the stream's length, since an acknowledgement removes the entry: it counts what
//! other workers hold too.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use isobar_broker::{BrokerError, Depth};

use crate::context::{Context, WorkerError};
use crate::ending::Left;
use crate::events;
use crate::gate::Reason;
use crate::pipeline::Pipeline;

/// What a look at the stream says.
pub enum Drain {
    Over(Option<Left>),
    /// Not yet: so much is there to read, and so long until the next pending entry falls due.
    Goes {
        undelivered: u64,
        due: Option<Duration>,
    },
}

impl Drain {
    const UNKNOWN: Self = Self::Goes { undelivered: 0, due: None };
}

/// When something last happened, as a drain sees it.
pub struct Progress {
    at: Instant,
    /// Unfinished entries, and attempts made: something happened when either changes.
    seen: Option<(u64, u64)>,
}

impl Progress {
    pub fn new() -> Self {
        Self { at: Instant::now(), seen: None }
    }

    /// Whether nothing has happened for longer than the drain was to wait.
    pub fn is_over(&self, max_wait: Duration) -> bool {
        self.at.elapsed() > max_wait
    }

    fn seen(&mut self, unfinished: u64, attempts: u64) {
        if self.seen.replace((unfinished, attempts)) != Some((unfinished, attempts)) {
            self.at = Instant::now();
        }
    }
}

/// After an empty read.
pub async fn after_an_empty_read<P: Pipeline>(
    ctx: &Context<P>,
    progress: &mut Progress,
    max_wait: Duration,
) -> Result<Drain, WorkerError> {
    let Some(depth) = depth(ctx).await? else { return Ok(Drain::UNKNOWN) };
    let unfinished = depth.tasks + depth.control;
    progress.seen(unfinished, ctx.tally.attempts.load(Ordering::Relaxed));
    if !ctx.leases.is_empty() {
        // Longer than anything in hand may take: the store or the upstream does not let it end.
        if progress.is_over(max_wait + ctx.settings.claim_idle.0) {
            let left = "what is in hand does not come to an end".to_owned();
            return Ok(Drain::Over(Some(Left::Later(left))));
        }
        return Ok(Drain::Goes { undelivered: depth.undelivered, due: None });
    }
    if unfinished == 0 {
        return Ok(Drain::Over(None));
    }
    if progress.is_over(max_wait) {
        let left = format!("{unfinished} entries did not fall due within {max_wait:?}");
        return Ok(Drain::Over(Some(Left::Later(left))));
    }
    Ok(Drain::Goes {
        undelivered: depth.undelivered,
        due: depth.next_due_ms.map(Duration::from_millis),
    })
}

/// While the gate is shut until `reopens`.
pub async fn while_shut<P: Pipeline>(
    ctx: &Context<P>,
    reopens: DateTime<Utc>,
    reason: &Reason,
    max_wait: Duration,
) -> Result<Drain, WorkerError> {
    let Some(depth) = depth(ctx).await? else { return Ok(Drain::UNKNOWN) };
    if !ctx.leases.is_empty() {
        return Ok(Drain::UNKNOWN);
    }
    if depth.is_empty() {
        return Ok(Drain::Over(None));
    }
    Ok(match reason {
        Reason::Config(_) => Drain::Over(Some(Left::Config(reason.describe()))),
        // Nobody knows for how long.
        Reason::Paused(_) => Drain::Over(Some(Left::Later(reason.describe()))),
        Reason::Waiting(_) if (reopens - Utc::now()).to_std().unwrap_or_default() > max_wait => {
            let why = format!("{} until {}", reason.describe(), reopens.to_rfc3339());
            Drain::Over(Some(Left::Later(why)))
        }
        Reason::Waiting(_) => Drain::UNKNOWN,
    })
}

async fn depth<P: Pipeline>(ctx: &Context<P>) -> Result<Option<Depth>, WorkerError> {
    let claim_idle = ctx.settings.claim_idle.0;
    match ctx.broker.depth(ctx.pipeline.topic(), claim_idle).await {
        Ok(depth) => Ok(Some(depth)),
        // The next read heals it.
        Err(BrokerError::Missing { .. }) => Ok(None),
        Err(error) if error.is_transient() => {
            events::broker_trouble("drain", &error);
            Ok(None)
        }
        Err(error) => Err(WorkerError::Broker(error)),
    }
}

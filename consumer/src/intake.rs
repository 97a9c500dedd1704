//! Intake: reads and claims entries, within the worker's capacity, and starts their processing.
//!
//! Guarantees: a read is never cancelled, since its reply with entries would be lost; it lasts one
//! second at most, and the loop checks for a shutdown between reads. After a failed read the worker
//! first picks up entries that a lost reply has delivered. Suspects are claimed one at a time, and
//! each has its trial beside the other work. While the gate is closed nothing is read or claimed.
//! Next: [`crate::delivery`].

use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use isobar_broker::{BrokerError, ClaimLimits, Entry, EntryId, Lane, ScanCursor};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::context::{Context, WorkerError};
use crate::delivery::{SettledSender, dispatch};
use crate::drain::{DrainProgress, DrainStatus, after_an_empty_read, while_closed};
use crate::events;
use crate::fetch::ALIKE_FROM;
use crate::gate::{PauseReason, paused_until};
use crate::pipeline::Pipeline;
use crate::retry_delay::loop_delay;
use crate::run_summary::{RunUntil, StopReason};
use crate::suspect::{ALONE_FROM, SUSPECT_FROM, is_suspect, is_tried_alone};
use crate::trial;

/// The longest wait of a read for its first entry; bounds the delay of a shutdown.
const READ_WAIT: Duration = Duration::from_secs(1);
/// The same in a drain, where an empty stream is the end, and beside a trial.
const SHORT_READ_WAIT: Duration = Duration::from_millis(50);
/// How often the loop checks a condition that it waits for.
const POLL_INTERVAL: Duration = Duration::from_millis(200);
/// Scans for due entries per claim idle.
const CLAIMS_PER_IDLE: u32 = 12;

/// The cursors of the scans for due entries, and the time of the next scan.
struct Claims {
    positions: [ScanCursor; 2],
    next: Instant,
    every: Duration,
    /// Whether a suspect is tried now; only then there is none to claim.
    is_trying: bool,
}

/// What the intake has started.
#[derive(Default)]
struct Started {
    chunks: JoinSet<Result<(), WorkerError>>,
    trials: JoinSet<Result<(), WorkerError>>,
}

impl Started {
    /// Removes what has ended. An error ends the worker.
    fn reap(&mut self) -> Result<(), WorkerError> {
        for tasks in [&mut self.chunks, &mut self.trials] {
            while let Some(ended) = tasks.try_join_next() {
                ended.map_err(WorkerError::Panic)??;
            }
        }
        Ok(())
    }

    async fn finish(mut self) -> Result<(), WorkerError> {
        for tasks in [&mut self.chunks, &mut self.trials] {
            while let Some(ended) = tasks.join_next().await {
                ended.map_err(WorkerError::Panic)??;
            }
        }
        Ok(())
    }
}

/// Reads until it is stopped or the stream is drained, then settles the entries in flight.
pub async fn run<P: Pipeline>(
    ctx: Arc<Context<P>>,
    until: RunUntil,
    settled: SettledSender<P>,
) -> Result<Option<StopReason>, WorkerError> {
    let stop = ctx.stop.clone();
    let mut started = Started::default();
    let end = read_until_stopped(&ctx, until, &settled, &stop, &mut started).await;
    // Requests in flight end by their own timeouts; batches that have not started are given back.
    stop.cancel();
    started.finish().await?;
    end
}

async fn read_until_stopped<P: Pipeline>(
    ctx: &Arc<Context<P>>,
    until: RunUntil,
    settled: &SettledSender<P>,
    stop: &CancellationToken,
    started: &mut Started,
) -> Result<Option<StopReason>, WorkerError> {
    let mut claims = Claims {
        positions: [ScanCursor::default(); 2],
        next: Instant::now(),
        every: ctx.settings.claim_idle.0 / CLAIMS_PER_IDLE,
        is_trying: false,
    };
    let mut failures = 0;
    let mut is_whole = false;
    let mut progress = DrainProgress::new();
    while !stop.is_cancelled() {
        started.reap()?;
        if claims.is_trying && started.trials.is_empty() {
            // The next suspect may be due.
            claims.next = Instant::now();
        }
        claims.is_trying = !started.trials.is_empty();
        if let Some((reopens, reason)) = closed_until(ctx).await {
            if let RunUntil::Drained { max_wait } = until
                && let DrainStatus::Over(left) =
                    while_closed(ctx, reopens, &reason, max_wait).await?
            {
                return Ok(left);
            }
            wait_until(reopens, stop).await;
            continue;
        }
        let free = capacity_left(ctx);
        if free == 0 {
            ctx.leases.until_released(POLL_INTERVAL).await;
            continue;
        }
        let wait = match until {
            // The end of a trial is noticed between two reads.
            _ if claims.is_trying => SHORT_READ_WAIT,
            RunUntil::Stopped => READ_WAIT,
            RunUntil::Drained { .. } => SHORT_READ_WAIT,
        };
        match step(ctx, &mut claims, &mut is_whole, free, wait).await {
            Ok(entries) if !entries.is_empty() => {
                failures = 0;
                isobar_failpoint::hit("consumer.read.after");
                let (suspects, others): (Vec<_>, Vec<_>) =
                    entries.into_iter().partition(|entry| is_suspect(entry.deliveries));
                if !others.is_empty() {
                    dispatch(ctx, others, settled, &mut started.chunks);
                }
                if !suspects.is_empty() {
                    started.trials.spawn(trial::run(Arc::clone(ctx), suspects, settled.clone()));
                }
            }
            Ok(_) => {
                failures = 0;
                if let RunUntil::Drained { max_wait } = until {
                    match after_an_empty_read(ctx, &mut progress, max_wait).await? {
                        DrainStatus::Over(left) => return Ok(left),
                        DrainStatus::Running { undelivered, due } => {
                            if let Some(due) = due {
                                claims.next = claims.next.min(Instant::now() + due);
                            }
                            if undelivered == 0 {
                                // Other workers hold the rest, or it falls due later.
                                ctx.leases.until_released(SHORT_READ_WAIT).await;
                            }
                        }
                    }
                }
            }
            Err(error @ (BrokerError::Refused { .. } | BrokerError::Unexpected { .. })) => {
                return Err(WorkerError::Broker(error));
            }
            Err(error) => {
                is_whole = false;
                events::broker_error("read", &error);
                if let RunUntil::Drained { max_wait } = until
                    && ctx.leases.is_empty()
                    && progress.is_over(max_wait)
                {
                    return Ok(Some(StopReason::Later(error.to_string())));
                }
                let _ = tokio::time::timeout(loop_delay(failures), stop.cancelled()).await;
                failures += 1;
            }
        }
    }
    Ok(match until {
        RunUntil::Stopped => None,
        RunUntil::Drained { .. } => {
            Some(StopReason::Later("stopped before the stream was empty".to_owned()))
        }
    })
}

/// One step: entries of a lost reply, due entries, or new ones.
async fn step<P: Pipeline>(
    ctx: &Context<P>,
    claims: &mut Claims,
    is_whole: &mut bool,
    free: usize,
    wait: Duration,
) -> Result<Vec<Entry>, BrokerError> {
    let topic = ctx.pipeline.topic();
    let began = Instant::now();
    if !*is_whole {
        // At the start and after every error: heal the stream, and pick up entries that it has
        // delivered in a lost reply.
        ctx.heal().await?;
        let mut missed = Vec::new();
        for lane in Lane::BOTH {
            let mut after = EntryId::ZERO;
            loop {
                let page = ctx.broker.entries_of(topic, &ctx.name, lane, after, free).await?;
                let Some(last) = page.last() else { break };
                after = last.id;
                missed.extend(page.into_iter().filter(|entry| !ctx.leases.holds(lane, entry.id)));
            }
        }
        *is_whole = true;
        if !missed.is_empty() {
            hold(ctx, &missed, began);
            return Ok(missed);
        }
    }
    if began >= claims.next {
        claims.next = began + claims.every;
        let mut due = Vec::new();
        for (lane, position) in Lane::BOTH.into_iter().zip(&mut claims.positions) {
            loop {
                let limits = ClaimLimits {
                    claim_idle: ctx.settings.claim_idle.0,
                    count: free.saturating_sub(due.len()),
                    // Beside a trial no suspect is taken, else one of those that are tried alone.
                    suspects: usize::from(!claims.is_trying && !due.iter().any(is_tried_alone)),
                    suspect_from: if claims.is_trying { SUSPECT_FROM } else { ALONE_FROM },
                };
                isobar_failpoint::hit("consumer.claim.before");
                let claimed = ctx.broker.claim(topic, &ctx.name, lane, position, limits).await?;
                isobar_failpoint::hit("consumer.claim.after");
                due.extend(claimed);
                if due.len() >= free {
                    // There may be more: continue as soon as there is capacity.
                    claims.next = began;
                    break;
                }
                if *position == ScanCursor::default() {
                    break;
                }
            }
        }
        if !due.is_empty() {
            hold(ctx, &due, began);
            return Ok(due);
        }
    }
    let wait = wait.min(claims.next.saturating_duration_since(Instant::now()));
    let began = Instant::now();
    isobar_failpoint::hit("consumer.read.before");
    let entries = match ctx.broker.read(topic, &ctx.name, free, wait).await {
        Ok(entries) => entries,
        Err(error) => {
            *is_whole = false;
            return Err(error);
        }
    };
    hold(ctx, &entries, began);
    Ok(entries)
}

fn hold<P: Pipeline>(ctx: &Context<P>, entries: &[Entry], since: Instant) {
    for entry in entries {
        ctx.leases.hold(entry.lane, entry.id, since);
    }
}

/// How many entries may be read now: 0 until a read of useful size fits.
fn capacity_left<P: Pipeline>(ctx: &Context<P>) -> usize {
    let held = ctx.leases.len();
    if ctx.gate.is_probing() {
        // Enough to recognise a configuration that refuses all alike.
        return if held == 0 { 2 * ALIKE_FROM } else { 0 };
    }
    let free = ctx.capacity.saturating_sub(held);
    if free * 4 >= ctx.capacity { free } else { 0 }
}

/// Until when nothing may be read, and why: an operator, the gate, or the upstream.
async fn closed_until<P: Pipeline>(ctx: &Context<P>) -> Option<(DateTime<Utc>, PauseReason)> {
    let now = Utc::now();
    let closed = paused_until(&ctx.flags(), now).or_else(|| ctx.gate.closed_until());
    if closed.is_some() {
        return closed;
    }
    let (until, why) = ctx.pipeline.closed_until().await?;
    Some((until, PauseReason::WaitReason(why)))
}

async fn wait_until(until: DateTime<Utc>, stop: &CancellationToken) {
    let left = (until - Utc::now()).to_std().unwrap_or_default();
    let _ = tokio::time::timeout(left.min(POLL_INTERVAL), stop.cancelled()).await;
}

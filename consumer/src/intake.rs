//! Reads and claims entries, never more than there is room for, and sees each one settled.
//!
//! A read is never cancelled half-way (its reply would be lost with entries in it), so the loop
//! looks at the shutdown between reads, and a read waits a second at the most. After a failed
//! read the worker first picks up what may have been delivered into the lost reply. Suspects are
//! claimed one at a time and run when everything else is settled, so that if one ends the
//! process, it ends nobody else's work. While the gate is shut nothing is read or claimed.

use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use isobar_broker::{
    BrokerError, ClaimLimits, Entry, EntryId, Lane, Position, SWITCHES_EVERY, Switches,
};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::context::{Context, WorkerError};
use crate::delivery::{Settled, dispatch};
use crate::drain::{Drain, Progress, after_an_empty_read, while_shut};
use crate::ending::{Left, Until};
use crate::events;
use crate::fetch::ALIKE_FROM;
use crate::gate::Reason;
use crate::pipeline::Pipeline;
use crate::retry_delay::loop_delay;
use crate::settle::{SUSPECT_FROM, is_suspect};

/// The longest wait of a read for its first entry: bounds how late a shutdown is seen.
const READ_WAIT: Duration = Duration::from_secs(1);
/// The same while draining, where an empty stream is the end.
const DRAIN_WAIT: Duration = Duration::from_millis(50);
/// How often the loop looks at what it waits for.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// Looks for due entries per claim idle.
const CLAIMS_PER_IDLE: u32 = 12;

/// Where the scans for due entries are, and when the next one starts.
struct Claims {
    positions: [Position; 2],
    next: Instant,
    every: Duration,
}

/// Reads until it is told to stop, or until the stream is drained; then settles what is in hand.
pub async fn run<P: Pipeline>(
    ctx: Arc<Context<P>>,
    until: Until,
    settled: Settled<P>,
) -> Result<Option<Left>, WorkerError> {
    let stop = ctx.stop.clone();
    let mut chunks = JoinSet::new();
    let end = read_on(&ctx, until, &settled, &stop, &mut chunks).await;
    // Fetches in flight end by their own timeouts; what had not started gives itself back.
    stop.cancel();
    while let Some(chunk) = chunks.join_next().await {
        chunk.map_err(WorkerError::Panic)??;
    }
    end
}

async fn read_on<P: Pipeline>(
    ctx: &Arc<Context<P>>,
    until: Until,
    settled: &Settled<P>,
    stop: &CancellationToken,
    chunks: &mut JoinSet<Result<(), WorkerError>>,
) -> Result<Option<Left>, WorkerError> {
    let mut claims = Claims {
        positions: [Position::default(); 2],
        next: Instant::now(),
        every: ctx.settings.claim_idle.0 / CLAIMS_PER_IDLE,
    };
    let mut failures = 0;
    let mut is_whole = false;
    let mut progress = Progress::new();
    while !stop.is_cancelled() {
        while let Some(chunk) = chunks.try_join_next() {
            chunk.map_err(WorkerError::Panic)??;
        }
        if let Some((reopens, reason)) = shut(ctx).await {
            if let Until::Drained { max_wait } = until
                && let Drain::Over(left) = while_shut(ctx, reopens, &reason, max_wait).await?
            {
                return Ok(left);
            }
            wait_until(reopens, stop).await;
            continue;
        }
        let free = room(ctx);
        if free == 0 {
            ctx.leases.until_released(LOOK_EVERY).await;
            continue;
        }
        let wait = match until {
            Until::Stopped => READ_WAIT,
            Until::Drained { .. } => DRAIN_WAIT,
        };
        match step(ctx, &mut claims, &mut is_whole, free, wait).await {
            Ok(entries) if !entries.is_empty() => {
                failures = 0;
                isobar_failpoint::hit("consumer.read.after");
                if entries.iter().any(|entry| is_suspect(entry.deliveries)) {
                    run_alone(ctx, entries, settled, stop, chunks).await?;
                    claims.next = Instant::now();
                } else {
                    dispatch(ctx, entries, settled, stop, chunks);
                }
            }
            Ok(_) => {
                failures = 0;
                if let Until::Drained { max_wait } = until {
                    match after_an_empty_read(ctx, &mut progress, max_wait).await? {
                        Drain::Over(left) => return Ok(left),
                        Drain::Goes { undelivered, due } => {
                            if let Some(due) = due {
                                claims.next = claims.next.min(Instant::now() + due);
                            }
                            if undelivered == 0 {
                                // Others hold the rest, or it falls due later.
                                ctx.leases.until_released(DRAIN_WAIT).await;
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
                events::broker_trouble("read", &error);
                if let Until::Drained { max_wait } = until
                    && ctx.leases.is_empty()
                    && progress.is_over(max_wait)
                {
                    return Ok(Some(Left::Later(error.to_string())));
                }
                let _ = tokio::time::timeout(loop_delay(failures), stop.cancelled()).await;
                failures += 1;
            }
        }
    }
    Ok(match until {
        Until::Stopped => None,
        Until::Drained { .. } => {
            Some(Left::Later("it was stopped before the stream was empty".to_owned()))
        }
    })
}

/// One look at the stream: what a lost reply delivered, what fell due, or what is new.
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
        // At the start and after every trouble: is the stream there, and does it think that we
        // hold what we never got?
        ctx.heal().await?;
        let mut missed = Vec::new();
        for lane in Lane::BOTH {
            let mut after = EntryId::ZERO;
            loop {
                let page = ctx.broker.owned(topic, &ctx.name, lane, after, free).await?;
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
                    suspects: usize::from(
                        !due.iter().any(|entry: &Entry| is_suspect(entry.deliveries)),
                    ),
                    suspect_from: SUSPECT_FROM,
                };
                isobar_failpoint::hit("consumer.claim.before");
                let claimed = ctx.broker.claim(topic, &ctx.name, lane, position, limits).await?;
                isobar_failpoint::hit("consumer.claim.after");
                due.extend(claimed);
                if due.len() >= free {
                    // There may be more: go on as soon as there is room.
                    claims.next = began;
                    break;
                }
                if *position == Position::default() {
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

/// How many entries may be read now; none until it is worth a request of full size.
fn room<P: Pipeline>(ctx: &Context<P>) -> usize {
    let held = ctx.leases.len();
    if ctx.gate.is_probing() {
        // Enough to tell a mended configuration from one that refuses everything alike.
        return if held == 0 { 2 * ALIKE_FROM } else { 0 };
    }
    let free = ctx.capacity.saturating_sub(held);
    if free * 4 >= ctx.capacity { free } else { 0 }
}

/// Whether operators have paused reading; until when nobody knows, so until the next look.
pub fn paused(switches: &Switches, now: DateTime<Utc>) -> Option<(DateTime<Utc>, Reason)> {
    let thrown = switches.reading()?;
    Some((now + SWITCHES_EVERY, Reason::Paused(thrown.to_string())))
}

async fn shut<P: Pipeline>(ctx: &Context<P>) -> Option<(DateTime<Utc>, Reason)> {
    if let Some(paused) = paused(&ctx.switches(), Utc::now()) {
        return Some(paused);
    }
    if let Some(shut) = ctx.gate.shut(Utc::now()) {
        return Some(shut);
    }
    let (until, why) = ctx.pipeline.shut_until().await?;
    Some((until, Reason::Waiting(why)))
}

async fn wait_until(until: DateTime<Utc>, stop: &CancellationToken) {
    let left = (until - Utc::now()).to_std().unwrap_or_default();
    let _ = tokio::time::timeout(left.min(LOOK_EVERY), stop.cancelled()).await;
}

/// Lets everything else settle, then runs a suspect by itself.
async fn run_alone<P: Pipeline>(
    ctx: &Arc<Context<P>>,
    entries: Vec<Entry>,
    settled: &Settled<P>,
    stop: &CancellationToken,
    chunks: &mut JoinSet<Result<(), WorkerError>>,
) -> Result<(), WorkerError> {
    let (suspects, others): (Vec<_>, Vec<_>) =
        entries.into_iter().partition(|entry| is_suspect(entry.deliveries));
    if !others.is_empty() {
        dispatch(ctx, others, settled, stop, chunks);
    }
    let mut waiting = suspects.len();
    for suspect in suspects {
        settle_all(ctx, waiting, stop, chunks).await?;
        dispatch(ctx, vec![suspect], settled, stop, chunks);
        waiting -= 1;
        settle_all(ctx, waiting, stop, chunks).await?;
    }
    Ok(())
}

/// Waits until no more than `remaining` entries are held.
async fn settle_all<P: Pipeline>(
    ctx: &Context<P>,
    remaining: usize,
    stop: &CancellationToken,
    chunks: &mut JoinSet<Result<(), WorkerError>>,
) -> Result<(), WorkerError> {
    while let Some(chunk) = chunks.join_next().await {
        chunk.map_err(WorkerError::Panic)??;
    }
    while ctx.leases.len() > remaining && !stop.is_cancelled() {
        ctx.leases.until_released(LOOK_EVERY).await;
    }
    Ok(())
}

//! Upkeep: lease renewal, heartbeats, flags, and the sweep of what dead workers left.
//!
//! Renewal has its own task and connection, so that slow work cannot cost a lease. The sweep
//! removes silent consumer names that own nothing, makes entries without an owner due again, and
//! deletes rows past their retention. Flags of operators are read once a second.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use chrono::Utc;
use isobar_broker::{BrokerError, FLAGS_REFRESH, Lane, RemoveOutcome, ScanCursor};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::context::Context;
use crate::events;
use crate::gate::paused_until;
use crate::pipeline::Pipeline;

/// How often a worker reports its state, and how long the report is kept.
const HEARTBEAT_EVERY: Duration = Duration::from_secs(5);
const HEARTBEAT_TTL: Duration = Duration::from_secs(20);
/// How often the stream is swept.
const SWEEP_EVERY: Duration = Duration::from_secs(30);
/// A consumer's name is removed after this many claim idles of silence.
const SILENT_CLAIM_IDLES: u32 = 10;
/// Sweeps between two deletions of old rows: about an hour.
const SWEEPS_PER_PRUNE: u32 = 120;

/// Renews the leases of held entries until `stop`.
pub async fn renew<P: Pipeline>(ctx: Arc<Context<P>>, stop: CancellationToken) {
    let every = ctx.settings.lease_renewal_interval();
    while stop.run_until_cancelled(tokio::time::sleep(every)).await.is_some() {
        for lane in Lane::BOTH {
            let ids = ctx.leases.ids(lane);
            if ids.is_empty() {
                continue;
            }
            let began = Instant::now();
            isobar_failpoint::hit("consumer.renew.before");
            match ctx.broker.renew(ctx.pipeline.topic(), &ctx.name, lane, &ids).await {
                Ok(lost) => {
                    isobar_failpoint::hit("consumer.renew.after");
                    // The broker also reports entries that were acknowledged since.
                    let lost: Vec<_> =
                        lost.into_iter().filter(|id| ctx.leases.holds(lane, *id)).collect();
                    ctx.leases.renewed(lane, &ids, &lost, began);
                    if !lost.is_empty() {
                        events::leases_lost(lost.len());
                    }
                }
                // Leases continue; results are dropped once a lease ends.
                Err(error) => events::broker_error("renew", &error),
            }
        }
    }
}

/// Reports the state of the worker until `stop`.
pub async fn heartbeat<P: Pipeline>(ctx: Arc<Context<P>>, stop: CancellationToken) {
    let name = format!("worker:{}", ctx.name);
    let mut missed = false;
    loop {
        let now = Utc::now();
        let closed = ctx.gate.closed_until().or_else(|| paused_until(&ctx.flags(), now));
        let upstream = ctx.pipeline.upstream_state().await;
        let count = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
        let state = json!({
            "role": "worker",
            "pipeline": P::NAME,
            "at": now,
            "held": ctx.leases.len(),
            "entries": count(&ctx.tally.entries),
            "succeeded": count(&ctx.tally.succeeded),
            "failed": count(&ctx.tally.failed),
            "skipped": count(&ctx.tally.skipped),
            "dead": count(&ctx.tally.dead),
            "paused_until": closed.as_ref().map(|(until, _)| until),
            "paused_reason": closed.as_ref().map(|(_, reason)| reason.describe()),
            "upstream": upstream,
        });
        events::holding(P::NAME, ctx.leases.len());
        events::paused(P::NAME, closed.as_ref().map(|(_, reason)| reason));
        match ctx.broker.heartbeat(&name, &state, HEARTBEAT_TTL).await {
            Ok(()) => missed = false,
            Err(error) if !missed => {
                missed = true;
                events::broker_error("heartbeat", &error);
            }
            Err(_) => {}
        }
        if stop.run_until_cancelled(tokio::time::sleep(HEARTBEAT_EVERY)).await.is_none() {
            return;
        }
    }
}

/// Reads the flags of operators until `stop`.
pub async fn refresh_flags_loop<P: Pipeline>(ctx: Arc<Context<P>>, stop: CancellationToken) {
    let mut missed = false;
    while stop.run_until_cancelled(tokio::time::sleep(FLAGS_REFRESH)).await.is_some() {
        match ctx.refresh_flags().await {
            Ok(()) => missed = false,
            Err(error) if !missed => {
                missed = true;
                events::broker_error("switches", &error);
            }
            Err(_) => {}
        }
    }
}

/// Sweeps until `stop`.
pub async fn sweep<P: Pipeline>(ctx: Arc<Context<P>>, stop: CancellationToken) {
    let mut positions = [ScanCursor::default(); 2];
    for round in 0_u32.. {
        for (lane, position) in Lane::BOTH.into_iter().zip(&mut positions) {
            let topic = ctx.pipeline.topic();
            isobar_failpoint::hit("consumer.adopt.before");
            let found =
                ctx.broker.adopt_orphans(topic, lane, position, ctx.settings.claim_idle.0).await;
            isobar_failpoint::hit("consumer.adopt.after");
            match found {
                // The intake creates a stream that is missing.
                Ok(0) | Err(BrokerError::Missing { .. }) => {}
                Ok(count) => events::adopted(count),
                Err(error) => events::broker_error("sweep", &error),
            }
        }
        remove_silent_names(&ctx).await;
        if round.is_multiple_of(SWEEPS_PER_PRUNE) {
            let (jobs, searches) = (ctx.settings.job_retention.0, ctx.settings.history_retention.0);
            let pruning = ctx.store.prune(Utc::now(), jobs, searches);
            if let Some(Err(error)) = stop.run_until_cancelled(pruning).await {
                events::store_error("prune", &error);
            }
        }
        if stop.run_until_cancelled(tokio::time::sleep(SWEEP_EVERY)).await.is_none() {
            return;
        }
    }
}

async fn remove_silent_names<P: Pipeline>(ctx: &Context<P>) {
    let topic = ctx.pipeline.topic();
    let silence = ctx.settings.claim_idle.0 * SILENT_CLAIM_IDLES;
    let consumers = match ctx.broker.consumers(topic).await {
        Ok(consumers) => consumers,
        Err(error) => return events::broker_error("sweep", &error),
    };
    for consumer in consumers {
        let silent = u128::from(consumer.idle_ms) > silence.as_millis();
        if consumer.pending == 0 && silent && consumer.name != ctx.name {
            match ctx.broker.remove_consumer(topic, &consumer.name, silence).await {
                Ok(RemoveOutcome::Removed) => {
                    tracing::debug!(worker = consumer.name, "removed a silent name");
                }
                Ok(_) => {}
                Err(error) => events::broker_error("sweep", &error),
            }
        }
    }
}

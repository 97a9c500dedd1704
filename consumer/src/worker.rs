//! Worker: starts the tasks of a worker, owns them, and ends them.
//!
//! Intake, fetches, committer, acknowledgements, renewal, heartbeat and sweep are tasks of one
//! [`Worker::run`], which awaits all of them.
//!
//! Guarantees: if one task ends early the run ends with its error, so that no process looks alive
//! while its loop is dead. A shutdown finishes in-flight entries or gives them back, commits and
//! acknowledges fetched results, then removes the worker's name.

use std::sync::{Arc, Mutex};

use isobar_broker::Broker;
use isobar_settings::Settings;
use isobar_store::Store;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::context::{Context, WorkerError};
use crate::delivery::SettledSender;
use crate::events::{self, WorkerCounters};
use crate::gate::ReadGate;
use crate::job_status::JobStatusCache;
use crate::leases::Leases;
use crate::pipeline::Pipeline;
use crate::run_summary::{RunSummary, RunUntil, StopReason};
use crate::trial::{TrialCommand, TrialEntries};
use crate::{committer, intake, trial, upkeep};

/// The most entries that a worker holds, as a multiple of the capacity of its fetch slots: fetched
/// entries wait for their commit, and the slots must not wait with them. Few are better: entries
/// that one worker holds are unavailable to others, and all are suspect if the process dies.
const HELD_PER_SLOT: usize = 6;
const HELD: std::ops::RangeInclusive<usize> = 64..=5_000;
/// Lists of results that may wait for the committer, and commits that may wait for their ack.
const SETTLED_QUEUE: usize = 64;
const ACK_QUEUE: usize = 8;

/// One worker of a pipeline.
pub struct Worker<P: Pipeline> {
    ctx: Context<P>,
}

impl<P: Pipeline> Worker<P> {
    /// `name` is a stem, which gets a unique end; `store_name` is the identity of the store.
    pub fn new(
        pipeline: P,
        broker: Broker,
        store: Store,
        store_name: String,
        settings: Arc<Settings>,
        name: &str,
        shutdown: &CancellationToken,
    ) -> Self {
        let slots = settings.concurrency();
        let capacity = HELD_PER_SLOT * slots * settings.locations_per_request();
        let ctx = Context {
            pipeline,
            broker,
            store,
            name: format!("{name}-{}", Uuid::new_v4()),
            trial: TrialCommand::default(),
            store_name,
            leases: Leases::new(settings.commit_window()),
            gate: ReadGate::default(),
            tally: Arc::default(),
            statuses: JobStatusCache::default(),
            slots: Semaphore::new(slots),
            capacity: capacity.clamp(*HELD.start(), *HELD.end()),
            stop: shutdown.child_token(),
            epoch: Mutex::default(),
            flags: Mutex::default(),
            settings,
        };
        Self { ctx }
    }

    /// Says how it tries suspects.
    #[must_use]
    pub fn with_trials(mut self, command: TrialCommand) -> Self {
        self.ctx.trial = command;
        self
    }

    /// The counters of this worker; may be kept while it runs.
    pub fn tally(&self) -> Arc<WorkerCounters> {
        Arc::clone(&self.ctx.tally)
    }

    /// Runs until it is stopped or, with [`RunUntil::Drained`], until the stream is empty.
    pub async fn run(self, until: RunUntil) -> Result<RunSummary, WorkerError> {
        let ctx = Arc::new(self.ctx);
        events::started(&ctx.name, P::NAME.as_str(), ctx.capacity, ctx.settings.concurrency());
        // Before the first read, so that a pause survives a restart.
        if let Err(error) = ctx.refresh_flags().await {
            events::broker_error("switches", &error);
        }
        let background_stop = CancellationToken::new();
        let mut background = JoinSet::new();
        background.spawn(upkeep::renew(Arc::clone(&ctx), background_stop.clone()));
        background.spawn(upkeep::heartbeat(Arc::clone(&ctx), background_stop.clone()));
        background.spawn(upkeep::sweep(Arc::clone(&ctx), background_stop.clone()));
        background.spawn(upkeep::refresh_flags_loop(Arc::clone(&ctx), background_stop.clone()));
        let reading = |settled| intake::run(Arc::clone(&ctx), until, settled);
        let result = work(&ctx, reading, background, &background_stop).await;
        ctx.deregister().await;
        events::ended(&ctx.name, &ctx.tally);
        result.map(|left| ctx.summary(left))
    }

    /// In the child of a worker: works on the one entry, under the name of that worker. `begun` is
    /// called when the entry is found.
    pub async fn try_entries(
        mut self,
        entries: TrialEntries,
        begun: fn(),
    ) -> Result<(), WorkerError> {
        self.ctx.name = entries.worker;
        let ctx = Arc::new(self.ctx);
        // Whether its job is paused.
        if let Err(error) = ctx.refresh_flags().await {
            events::broker_error("switches", &error);
        }
        let background_stop = CancellationToken::new();
        let mut background = JoinSet::new();
        background.spawn(upkeep::renew(Arc::clone(&ctx), background_stop.clone()));
        let reading = |settled| {
            let ctx = Arc::clone(&ctx);
            async move {
                trial::try_alone(&ctx, entries.lane, &entries.ids, begun, settled)
                    .await
                    .map(|()| None)
            }
        };
        work(&ctx, reading, background, &background_stop).await.map(drop)
    }
}

/// Runs `reading`, the committer and the acknowledgements to their end, beside the background tasks.
async fn work<P: Pipeline, F>(
    ctx: &Arc<Context<P>>,
    reading: impl FnOnce(SettledSender<P>) -> F,
    mut background: JoinSet<()>,
    background_stop: &CancellationToken,
) -> Result<Option<StopReason>, WorkerError>
where
    F: Future<Output = Result<Option<StopReason>, WorkerError>> + Send,
{
    let (settled, to_commit) = mpsc::channel(SETTLED_QUEUE);
    let (acks, to_ack) = mpsc::channel(ACK_QUEUE);
    let mut committers = JoinSet::new();
    committers.spawn(committer::run(Arc::clone(ctx), to_commit, acks));
    committers.spawn(committer::acknowledge(Arc::clone(ctx), to_ack));

    // If the committer fails `stop` is cancelled: the intake ends and drops its end of the
    // channel.
    let reading = reading(settled);
    tokio::pin!(reading);
    let mut first_error = None;
    let mut left = None;
    let mut is_reading = true;
    while is_reading || !committers.is_empty() {
        tokio::select! {
            end = &mut reading, if is_reading => {
                is_reading = false;
                match end {
                    Ok(rest) => left = rest,
                    Err(error) => drop(first_error.get_or_insert(error)),
                }
            }
            Some(end) = committers.join_next(), if !committers.is_empty() => {
                let end = end.unwrap_or_else(|panic| Err(WorkerError::Panic(panic)));
                if let Err(error) = end {
                    ctx.stop.cancel();
                    first_error.get_or_insert(error);
                }
            }
            // A worker that renews no leases must not look alive.
            Some(Err(panic)) = background.join_next(), if !background.is_empty() => {
                ctx.stop.cancel();
                first_error.get_or_insert(WorkerError::Panic(panic));
            }
        }
    }
    background_stop.cancel();
    while let Some(end) = background.join_next().await {
        if let Err(panic) = end {
            first_error.get_or_insert(WorkerError::Panic(panic));
        }
    }
    ctx.return_held(first_error.as_ref().is_some_and(WorkerError::is_defect)).await;
    first_error.map_or(Ok(left), Err)
}

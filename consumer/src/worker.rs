//! A worker: its parts, who owns their tasks, and how it ends.
//!
//! Intake, fetches, committer, acknowledgements, renewal, heartbeat and sweep are tasks of one
//! [`Worker::run`], which awaits every one of them; if one ends early the run ends with its
//! error, so that a process never looks alive while its loop is dead. An orderly end finishes or
//! gives back what is in hand, commits and acknowledges what was fetched, then removes its name.

use std::sync::{Arc, Mutex};

use isobar_broker::Broker;
use isobar_settings::Settings;
use isobar_store::Store;
use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::context::{Context, WorkerError};
use crate::ending::{Ending, Until};
use crate::events::{self, Tally};
use crate::gate::Gate;
use crate::leases::Leases;
use crate::pipeline::Pipeline;
use crate::prepare::JobStates;
use crate::{committer, intake, upkeep};

/// Entries held at once, as a multiple of what the fetch slots hold: what is fetched waits for
/// its commit, and the slots must not wait with it. Where requests are small it is little: what one
/// worker holds the others cannot have, and all of it is suspect if the process dies.
const HELD_PER_SLOT: usize = 6;
const HELD: std::ops::RangeInclusive<usize> = 64..=5_000;
/// Chunks of results that may wait for the committer, and commits that may wait for their ack.
const SETTLED_QUEUE: usize = 64;
const ACK_QUEUE: usize = 8;

/// One worker of a pipeline.
pub struct Worker<P: Pipeline> {
    ctx: Arc<Context<P>>,
}

impl<P: Pipeline> Worker<P> {
    /// `name` is a stem; without one it is the host's.
    pub fn new(
        pipeline: P,
        broker: Broker,
        store: Store,
        settings: Arc<Settings>,
        name: &str,
        shutdown: &CancellationToken,
    ) -> Self {
        let slots = settings.concurrency();
        let room = HELD_PER_SLOT * slots * settings.locations_per_request();
        let ctx = Context {
            pipeline,
            broker,
            store,
            name: format!("{name}-{}", Uuid::new_v4()),
            leases: Leases::new(settings.usable_lease()),
            gate: Gate::default(),
            tally: Arc::default(),
            states: JobStates::default(),
            slots: Semaphore::new(slots),
            capacity: room.clamp(*HELD.start(), *HELD.end()),
            stop: shutdown.child_token(),
            epoch: Mutex::default(),
            switches: Mutex::default(),
            settings,
        };
        Self { ctx: Arc::new(ctx) }
    }

    /// What it has done so far; may be kept while it runs.
    pub fn tally(&self) -> Arc<Tally> {
        Arc::clone(&self.ctx.tally)
    }

    /// Works until it is stopped, or until the stream is empty if that is asked for.
    pub async fn run(self, until: Until) -> Result<Ending, WorkerError> {
        let ctx = self.ctx;
        events::started(&ctx.name, P::NAME.as_str(), ctx.capacity, ctx.settings.concurrency());
        // Before anything is read: what was paused stays paused over a restart.
        if let Err(error) = ctx.look_at_switches().await {
            events::broker_trouble("switches", &error);
        }
        let beside = CancellationToken::new();
        let (settled, to_commit) = mpsc::channel(SETTLED_QUEUE);
        let (acks, to_ack) = mpsc::channel(ACK_QUEUE);
        let mut parts = tokio::task::JoinSet::new();
        parts.spawn(committer::run(Arc::clone(&ctx), to_commit, acks));
        parts.spawn(committer::acknowledge(Arc::clone(&ctx), to_ack));
        let mut company = tokio::task::JoinSet::new();
        company.spawn(upkeep::renew(Arc::clone(&ctx), beside.clone()));
        company.spawn(upkeep::heartbeat(Arc::clone(&ctx), beside.clone()));
        company.spawn(upkeep::sweep(Arc::clone(&ctx), beside.clone()));
        company.spawn(upkeep::watch(Arc::clone(&ctx), beside.clone()));

        // If the committer fails nothing more is to be read: the intake is told, ends, and drops
        // its end of the channel.
        let reading = intake::run(Arc::clone(&ctx), until, settled);
        tokio::pin!(reading);
        let mut first_error = None;
        let mut left = None;
        let mut is_reading = true;
        while is_reading || !parts.is_empty() {
            tokio::select! {
                end = &mut reading, if is_reading => {
                    is_reading = false;
                    match end {
                        Ok(rest) => left = rest,
                        Err(error) => drop(first_error.get_or_insert(error)),
                    }
                }
                Some(end) = parts.join_next(), if !parts.is_empty() => {
                    let end = end.unwrap_or_else(|panic| Err(WorkerError::Panic(panic)));
                    if let Err(error) = end {
                        ctx.stop.cancel();
                        first_error.get_or_insert(error);
                    }
                }
                // A worker that renews nothing any more must not look alive.
                Some(Err(panic)) = company.join_next(), if !company.is_empty() => {
                    ctx.stop.cancel();
                    first_error.get_or_insert(WorkerError::Panic(panic));
                }
            }
        }
        beside.cancel();
        while let Some(end) = company.join_next().await {
            if let Err(panic) = end {
                first_error.get_or_insert(WorkerError::Panic(panic));
            }
        }
        ctx.leave(first_error.as_ref().is_some_and(WorkerError::is_defect)).await;
        events::ended(&ctx.name, &ctx.tally);
        match first_error {
            Some(error) => Err(error),
            None => Ok(ctx.ending(left)),
        }
    }
}

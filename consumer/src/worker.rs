//! A worker: its parts, who owns their tasks, and how it ends.
//!
//! Intake, fetches, committer, acknowledgements, renewal, heartbeat and sweep are tasks of one
//! [`Worker::run`], which awaits every one of them; if one ends early the run ends with its
//! error, so that a process never looks alive while its loop is dead. An orderly end finishes or
//! gives back what is in hand, commits and acknowledges what was fetched, then removes its name.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use isobar_shared::broker::{Broker, BrokerError, GiveBack, Lane};
use isobar_shared::config::Settings;
use isobar_shared::store::{Store, StoreError};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinError;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::events::{self, Tally};
use crate::gate::Gate;
use crate::leases::Leases;
use crate::pipeline::Pipeline;
use crate::prepare::JobStates;
use crate::settle::{Held, bounded};
use crate::{committer, intake, upkeep};

/// Entries held at once, as a multiple of what the fetch slots hold: what is fetched waits for
/// its commit, and the slots must not wait with it.
const HELD_PER_SLOT: usize = 6;
const HELD: std::ops::RangeInclusive<usize> = 512..=5_000;
/// Chunks of results that may wait for the committer, and commits that may wait for their ack.
const SETTLED_QUEUE: usize = 64;
const ACK_QUEUE: usize = 8;

/// When a run ends.
#[derive(Clone, Copy, Debug)]
pub enum Until {
    Stopped,
    /// Or once the stream is empty and nothing is pending for anyone; what is left for later than
    /// this is left.
    Drained {
        max_wait: Duration,
    },
}

/// How a run ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ending {
    pub entries: u64,
    pub succeeded: u64,
    pub failed: u64,
    pub skipped: u64,
    pub dead: u64,
    /// Why a drain ended before the stream was empty.
    pub left: Option<Left>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Left {
    /// It falls due later than the drain was to wait.
    Later(String),
    /// Only a person can mend the configuration.
    Config(String),
}

/// What ends a worker before it was asked to end.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    #[error("the worker cannot use its broker")]
    Broker(#[source] BrokerError),
    #[error("the worker cannot use its store")]
    Store(#[source] StoreError),
    #[error("a part of the worker ended in a panic")]
    Panic(#[source] JoinError),
}

/// What the parts share.
pub struct Context<P: Pipeline> {
    pub pipeline: P,
    pub broker: Broker,
    pub store: Store,
    pub settings: Arc<Settings>,
    /// Unique for each start, so that two lives of a worker are never mistaken for one.
    pub name: String,
    pub leases: Leases,
    pub gate: Gate,
    pub tally: Arc<Tally>,
    pub states: JobStates,
    /// Requests in flight.
    pub slots: Semaphore,
    /// Entries that may be held at once.
    pub capacity: usize,
    pub shutdown: CancellationToken,
    epoch: Mutex<String>,
}

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
        shutdown: CancellationToken,
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
            shutdown,
            epoch: Mutex::default(),
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
        events::started(&ctx.name, P::NAME, ctx.capacity, ctx.settings.concurrency());
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

        // If the committer fails nothing more is to be read: the intake is told, ends, and drops
        // its end of the channel.
        let failed = ctx.shutdown.child_token();
        let reading = intake::run(Arc::clone(&ctx), until, settled, failed.clone());
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
                        failed.cancel();
                        first_error.get_or_insert(error);
                    }
                }
            }
        }
        beside.cancel();
        while let Some(end) = company.join_next().await {
            if let Err(panic) = end {
                first_error.get_or_insert(WorkerError::Panic(panic));
            }
        }
        ctx.leave().await;
        events::ended(&ctx.name, &ctx.tally);
        match first_error {
            Some(error) => Err(error),
            None => Ok(ctx.ending(left)),
        }
    }
}

impl<P: Pipeline> Context<P> {
    pub fn epoch(&self) -> String {
        self.epoch.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Makes sure that stream and group are there, and learns in which life of it we are.
    pub async fn heal(&self) -> Result<(), BrokerError> {
        let healed = self.broker.heal(self.pipeline.topic()).await?;
        if healed.recreated {
            events::healed(&healed.epoch, self.epoch().is_empty());
        }
        *self.epoch.lock().unwrap_or_else(PoisonError::into_inner) = healed.epoch;
        Ok(())
    }

    /// Gives entries back to fall due after `delay`. If the broker does not take them they stay
    /// leased and fall due when the lease ends: later, never lost.
    pub async fn give_back(
        &self,
        entries: &[Held<P::Task>],
        delay: impl Fn(&Held<P::Task>) -> Duration,
        attempt: bool,
        reason: &str,
    ) {
        let claim_idle = self.settings.claim_idle.0;
        let ids = entries.iter().map(|held| GiveBack {
            id: held.entry.id,
            delay: bounded(delay(held), claim_idle),
            attempt,
        });
        self.return_ids(Lane::Tasks, &ids.collect::<Vec<_>>()).await;
        events::given_back(&self.tally, entries.len(), reason, attempt);
    }

    pub async fn return_ids(&self, lane: Lane, entries: &[GiveBack]) {
        if entries.is_empty() {
            return;
        }
        let topic = self.pipeline.topic();
        let claim_idle = self.settings.claim_idle.0;
        isobar_shared::crash::point("consumer.give_back.before");
        let given = self.broker.give_back(topic, &self.name, lane, entries, claim_idle).await;
        isobar_shared::crash::point("consumer.give_back.after");
        if let Err(error) = given {
            events::broker_trouble("give back", &error);
        }
        let ids: Vec<_> = entries.iter().map(|entry| entry.id).collect();
        self.leases.release(lane, &ids);
    }

    /// Gives back what is still held (an error left it behind) and removes the worker's name.
    async fn leave(&self) {
        for lane in Lane::BOTH {
            let entries: Vec<GiveBack> = self
                .leases
                .ids(lane)
                .into_iter()
                .map(|id| GiveBack { id, delay: Duration::ZERO, attempt: false })
                .collect();
            self.return_ids(lane, &entries).await;
        }
        let topic = self.pipeline.topic();
        if let Err(error) = self.broker.remove_consumer(topic, &self.name, Duration::ZERO).await {
            events::broker_trouble("leave", &error);
        }
    }

    fn ending(&self, left: Option<Left>) -> Ending {
        Ending {
            entries: self.tally.entries.load(Ordering::Relaxed),
            succeeded: self.tally.succeeded.load(Ordering::Relaxed),
            failed: self.tally.failed.load(Ordering::Relaxed),
            skipped: self.tally.skipped.load(Ordering::Relaxed),
            dead: self.tally.dead.load(Ordering::Relaxed),
            left,
        }
    }
}

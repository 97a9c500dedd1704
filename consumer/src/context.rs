//! What the parts of a worker share, and what all of them may do to an entry: give it back.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use isobar_broker::{Broker, BrokerError, EntryId, GiveBack, Lane, Switches};
use isobar_model::ids::JobId;
use isobar_settings::Settings;
use isobar_store::{Store, StoreError};
use isobar_telemetry::chain;
use tokio::sync::Semaphore;
use tokio::task::JoinError;
use tokio_util::sync::CancellationToken;

use crate::ending::{Ending, Left};
use crate::events::{self, Tally};
use crate::gate::Gate;
use crate::leases::Leases;
use crate::pipeline::Pipeline;
use crate::prepare::JobStates;
use crate::settle::{Held, bounded};

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

impl WorkerError {
    /// Whether something that we hold may have brought this about.
    pub fn is_defect(&self) -> bool {
        match self {
            Self::Broker(_) => false,
            Self::Store(error) => {
                matches!(error, StoreError::Data { .. } | StoreError::Unexpected { .. })
            }
            Self::Panic(_) => true,
        }
    }
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
    /// Cancelled when the run is to end: by its caller, by a failure, or once it is drained.
    pub stop: CancellationToken,
    /// In which life of the stream we are; empty until it was looked at.
    pub epoch: Mutex<String>,
    /// What operators have switched, as of the last look.
    pub switches: Mutex<Arc<Switches>>,
}

impl<P: Pipeline> Context<P> {
    pub fn epoch(&self) -> String {
        self.epoch.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub fn switches(&self) -> Arc<Switches> {
        Arc::clone(&self.switches.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Looks at what operators have switched. A broker that is away leaves it as it was.
    pub async fn look_at_switches(&self) -> Result<(), BrokerError> {
        let switches = self.broker.switches(self.pipeline.topic()).await?;
        self.pipeline.obey(&switches);
        if switches.has_resets_since(&self.switches()) {
            self.gate.breaker_was_reset();
        }
        *self.switches.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(switches);
        Ok(())
    }

    /// A job that has ended needs no switch any more.
    pub async fn forget_switches(&self, ended: &[JobId]) {
        let switches = self.switches();
        for (job, switch, _) in switches.of_jobs().filter(|(job, ..)| ended.contains(job)) {
            let let_go = self.broker.let_go(self.pipeline.topic(), switch).await;
            if let Err(error) = let_go {
                // It stays thrown for a job that will not come again.
                tracing::debug!(%job, error = chain(&error), "could not let go of a switch");
            }
        }
    }

    /// Makes sure that stream and group are there, and learns in which life of it we are.
    pub async fn heal(&self) -> Result<(), BrokerError> {
        isobar_failpoint::hit("consumer.heal.before");
        let healed = self.broker.heal(self.pipeline.topic()).await?;
        isobar_failpoint::hit("consumer.heal.after");
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

    /// Sets entries of paused jobs aside. If the broker does not take them they fall due when the
    /// lease ends, and are set aside then.
    pub async fn park(&self, ids: &[EntryId]) {
        if ids.is_empty() {
            return;
        }
        let parked = self.broker.park(self.pipeline.topic(), &self.name, ids).await;
        if let Err(error) = parked {
            events::broker_trouble("park", &error);
        }
        self.leases.release(Lane::Tasks, ids);
        events::parked(ids.len());
    }

    pub async fn return_ids(&self, lane: Lane, entries: &[GiveBack]) {
        if entries.is_empty() {
            return;
        }
        let topic = self.pipeline.topic();
        let claim_idle = self.settings.claim_idle.0;
        isobar_failpoint::hit("consumer.give_back.before");
        let given = self.broker.give_back(topic, &self.name, lane, entries, claim_idle).await;
        isobar_failpoint::hit("consumer.give_back.after");
        if let Err(error) = given {
            events::broker_trouble("give back", &error);
        }
        let ids: Vec<_> = entries.iter().map(|entry| entry.id).collect();
        self.leases.release(lane, &ids);
    }

    /// Gives back what is still held (an error left it behind) and removes the worker's name.
    /// After a defect nothing is given back: what caused it falls due with its delivery counted,
    /// so that a task which brings its worker down is found out as one that kills it is.
    pub async fn leave(&self, after_defect: bool) {
        for lane in Lane::BOTH.into_iter().filter(|_| !after_defect) {
            let entries: Vec<GiveBack> = self
                .leases
                .ids(lane)
                .into_iter()
                .map(|id| GiveBack { id, delay: Duration::ZERO, attempt: false })
                .collect();
            self.return_ids(lane, &entries).await;
        }
        let topic = self.pipeline.topic();
        isobar_failpoint::hit("consumer.leave.before");
        if let Err(error) = self.broker.remove_consumer(topic, &self.name, Duration::ZERO).await {
            events::broker_trouble("leave", &error);
        }
        isobar_failpoint::hit("consumer.leave.after");
    }

    pub fn ending(&self, left: Option<Left>) -> Ending {
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

//! Context: what the tasks of a worker share, and how an entry is given back.
//!
//! Guarantees: an entry that the broker does not take back stays leased and falls due later.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use isobar_broker::{Broker, BrokerError, Budget, EntryId, Flags, GiveBack, Lane};
use isobar_model::ids::JobId;
use isobar_settings::Settings;
use isobar_store::{Store, StoreError};
use isobar_telemetry::error_chain;
use tokio::sync::Semaphore;
use tokio::task::JoinError;
use tokio_util::sync::CancellationToken;

use crate::events::{self, WorkerCounters};
use crate::gate::ReadGate;
use crate::job_status::JobStatusCache;
use crate::leases::Leases;
use crate::pipeline::Pipeline;
use crate::run_summary::{RunSummary, StopReason};
use crate::settle::{DecodedEntry, cap_delay};
use crate::trial::TrialCommand;

/// An error that ends a worker.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    #[error("the worker cannot use its broker")]
    Broker(#[source] BrokerError),
    #[error("the worker cannot use its store")]
    Store(#[source] StoreError),
    #[error("cannot open the key of cards")]
    CardKey(#[source] std::io::Error),
    #[error("a task of the worker panicked")]
    Panic(#[source] JoinError),
}

impl WorkerError {
    /// Whether an entry that this worker holds may be the cause.
    pub fn is_defect(&self) -> bool {
        match self {
            Self::Broker(_) | Self::CardKey(_) => false,
            Self::Store(error) => {
                matches!(error, StoreError::Data { .. } | StoreError::Unexpected { .. })
            }
            Self::Panic(_) => true,
        }
    }
}

/// What the tasks of a worker share.
pub struct Context<P: Pipeline> {
    pub pipeline: P,
    pub broker: Broker,
    pub store: Store,
    pub settings: Arc<Settings>,
    /// Unique for each start of a process; a trial has the name of its worker.
    pub name: String,
    pub trial: TrialCommand,
    /// Which store this is; see [`Store::identity`].
    pub store_name: String,
    pub leases: Leases,
    pub gate: ReadGate,
    pub tally: Arc<WorkerCounters>,
    pub statuses: JobStatusCache,
    /// Requests in flight.
    pub slots: Semaphore,
    /// Entries that may be held at once.
    pub capacity: usize,
    /// Cancelled when the run should end: by its caller, by a failure, or after a drain.
    pub stop: CancellationToken,
    /// The epoch of the stream; empty until the first heal.
    pub epoch: Mutex<String>,
    /// The flags of operators at the last refresh.
    pub flags: Mutex<Arc<Flags>>,
}

impl<P: Pipeline> Context<P> {
    pub fn epoch(&self) -> String {
        self.epoch.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub fn flags(&self) -> Arc<Flags> {
        Arc::clone(&self.flags.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Reads the flags of operators. An error leaves them unchanged.
    pub async fn refresh_flags(&self) -> Result<(), BrokerError> {
        let flags = self.broker.flags(self.pipeline.topic()).await?;
        self.pipeline.apply_flags(&flags);
        if flags.has_resets_since(&self.flags()) {
            self.gate.breaker_was_reset();
        }
        *self.flags.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(flags);
        Ok(())
    }

    /// Clears the flags of jobs that have ended.
    pub async fn clear_ended_flags(&self, ended: &[JobId]) {
        let flags = self.flags();
        for (job, flag, _) in flags.of_jobs().filter(|(job, ..)| ended.contains(job)) {
            let cleared = self.broker.clear_flag(self.pipeline.topic(), flag).await;
            if let Err(error) = cleared {
                // The flag remains set for a job that does not run again.
                tracing::debug!(%job, error = error_chain(&error), "could not clear a flag");
            }
        }
    }

    /// Creates the stream and its group if they are missing, and reads the epoch.
    pub async fn heal(&self) -> Result<(), BrokerError> {
        isobar_failpoint::hit("consumer.heal.before");
        let healed = self.broker.heal(self.pipeline.topic()).await?;
        isobar_failpoint::hit("consumer.heal.after");
        self.broker.claim_store(self.pipeline.topic(), &self.store_name).await?;
        if healed.recreated {
            events::healed(&healed.epoch, self.epoch().is_empty());
        }
        *self.epoch.lock().unwrap_or_else(PoisonError::into_inner) = healed.epoch;
        Ok(())
    }

    /// Gives entries back, to fall due after `delay`. If the broker does not take them they stay
    /// leased and fall due when the lease ends.
    pub async fn give_back(
        &self,
        entries: &[DecodedEntry<P::Task>],
        delay: impl Fn(&DecodedEntry<P::Task>) -> Duration,
        attempt: bool,
        reason: &str,
    ) {
        let claim_idle = self.settings.claim_idle.0;
        let ids = entries.iter().map(|decoded| GiveBack {
            id: decoded.entry.id,
            delay: cap_delay(delay(decoded), claim_idle),
            counted: attempt.then_some(Budget::Attempt),
        });
        self.return_ids(Lane::Tasks, &ids.collect::<Vec<_>>()).await;
        events::given_back(&self.tally, entries.len(), reason, attempt);
    }

    /// Parks entries of paused jobs. If the broker does not take them they fall due when the lease
    /// ends, and are parked then.
    pub async fn park(&self, ids: &[EntryId]) {
        if ids.is_empty() {
            return;
        }
        let parked = self.broker.park(self.pipeline.topic(), &self.name, ids).await;
        if let Err(error) = parked {
            events::broker_error("park", &error);
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
            events::broker_error("give back", &error);
        }
        let ids: Vec<_> = entries.iter().map(|entry| entry.id).collect();
        self.leases.release(lane, &ids);
    }

    /// Gives back the entries that an error left held. After a defect it gives nothing back: the
    /// entries fall due with their delivery counted, so that a task which ends its worker is
    /// isolated like one that kills it.
    pub async fn return_held(&self, after_defect: bool) {
        for lane in Lane::BOTH.into_iter().filter(|_| !after_defect) {
            let entries: Vec<GiveBack> = self
                .leases
                .ids(lane)
                .into_iter()
                .map(|id| GiveBack { id, delay: Duration::ZERO, counted: None })
                .collect();
            self.return_ids(lane, &entries).await;
        }
    }

    /// Removes the worker's name.
    pub async fn deregister(&self) {
        let topic = self.pipeline.topic();
        isobar_failpoint::hit("consumer.leave.before");
        if let Err(error) = self.broker.remove_consumer(topic, &self.name, Duration::ZERO).await {
            events::broker_error("leave", &error);
        }
        isobar_failpoint::hit("consumer.leave.after");
    }

    pub fn summary(&self, left: Option<StopReason>) -> RunSummary {
        RunSummary {
            entries: self.tally.entries.load(Ordering::Relaxed),
            succeeded: self.tally.succeeded.load(Ordering::Relaxed),
            failed: self.tally.failed.load(Ordering::Relaxed),
            skipped: self.tally.skipped.load(Ordering::Relaxed),
            dead: self.tally.dead.load(Ordering::Relaxed),
            left,
        }
    }
}

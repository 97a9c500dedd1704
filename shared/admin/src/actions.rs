//! Operator actions: pause, resume, cancel and reset, alike for terminal, HTTP and page.
//!
//! Guarantees: an action is written to the audit log before it takes effect, so every change has an
//! author. Repeating an action changes nothing; the answer names who was first.
//!
//! Does not: check who may act (the caller does).

use isobar_broker::{Broker, BrokerError, Flag, SetBy, Topic};
use isobar_model::ids::JobId;
use isobar_model::pipeline::PipelineName;
use isobar_settings::Settings;
use isobar_store::{CancelOutcome, NewOperation, OperatorAction, Store, StoreError};

/// What an operator acts on, and who the operator is.
#[derive(Clone, Copy, Debug)]
pub struct OperatorActions<'a> {
    pub broker: &'a Broker,
    pub store: &'a Store,
    pub settings: &'a Settings,
    /// `api <address>` or `cli <user>@<host>`.
    pub actor: &'a str,
}

#[derive(Debug, thiserror::Error)]
pub enum ActionError {
    #[error("not changed: the audit log could not be written")]
    Store(#[from] StoreError),
    #[error("recorded but not applied; run it again")]
    Broker(#[from] BrokerError),
}

impl OperatorActions<'_> {
    /// Sets the flag. Returns who has set it first, which may be an earlier operator.
    pub async fn set(&self, switch: &Flag) -> Result<SetBy, ActionError> {
        self.record(action(switch, true), switch).await?;
        let now = SetBy::now(self.actor);
        let mut set_by = None;
        for topic in self.topics(switch).await? {
            let by = self.broker.set_flag(&topic, switch, &now).await?;
            set_by.get_or_insert(by);
        }
        Ok(set_by.unwrap_or(now))
    }

    /// Clears the flag. False if it was not set.
    pub async fn clear(&self, switch: &Flag) -> Result<bool, ActionError> {
        self.record(action(switch, false), switch).await?;
        let mut was_set = false;
        for topic in self.topics(switch).await? {
            was_set |= self.broker.clear_flag(&topic, switch).await?;
        }
        Ok(was_set)
    }

    /// Requests the end of a job. Workers read it from the job's status; the process that extracts the
    /// job reads the flag. After a crash between the two, the job is cancelled when it has been
    /// extracted completely.
    pub async fn cancel(&self, job: JobId) -> Result<CancelOutcome, ActionError> {
        let operation = NewOperation::now(self.actor, OperatorAction::JobCancel).about(&job);
        isobar_failpoint::hit("cancel.request.before");
        let answer = self.store.request_cancel(job, &operation).await?;
        isobar_failpoint::hit("cancel.request.after");
        if answer == CancelOutcome::Cancelling {
            let now = SetBy::now(self.actor);
            let switch = Flag::JobCancelled(job);
            for topic in self.topics(&switch).await? {
                self.broker.set_flag(&topic, &switch, &now).await?;
            }
            isobar_failpoint::hit("cancel.switch.after");
        }
        Ok(answer)
    }

    /// The streams whose workers and relays must read the flag: all, or that of the job.
    async fn topics(&self, switch: &Flag) -> Result<Vec<Topic>, StoreError> {
        Ok(match switch {
            Flag::WorkersPaused | Flag::BreakerReset(_) => {
                PipelineName::streams().map(|pipeline| Topic::of(pipeline, self.settings)).collect()
            }
            Flag::JobPaused(id) | Flag::JobCancelled(id) => {
                let job = self.store.job(*id).await?;
                let pipeline = job.map(|job| job.pipeline).unwrap_or_default();
                vec![Topic::of(pipeline, self.settings)]
            }
        })
    }

    async fn record(&self, action: OperatorAction, switch: &Flag) -> Result<(), StoreError> {
        let operation = NewOperation::now(self.actor, action);
        let operation = match switch {
            Flag::WorkersPaused => operation,
            Flag::JobPaused(job) | Flag::JobCancelled(job) => operation.about(job),
            Flag::BreakerReset(host) => operation.about(host),
        };
        self.store.record_operation(&operation).await
    }
}

fn action(switch: &Flag, set: bool) -> OperatorAction {
    match (switch, set) {
        (Flag::WorkersPaused, true) => OperatorAction::StreamPause,
        (Flag::WorkersPaused, false) => OperatorAction::StreamResume,
        (Flag::JobPaused(_), true) => OperatorAction::JobPause,
        (Flag::JobPaused(_), false) => OperatorAction::JobResume,
        (Flag::JobCancelled(_), _) => OperatorAction::JobCancel,
        (Flag::BreakerReset(_), _) => OperatorAction::BreakerReset,
    }
}

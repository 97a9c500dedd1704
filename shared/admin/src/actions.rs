//! Operator actions: pause, resume, cancel and reset, alike for terminal, HTTP and page.
//!
//! Guarantees: an action is written to the audit log before it takes effect, so every change has an
//! author. Repeating an action changes nothing; the answer names who was first.
//!
//! Does not: check who may act (the caller does).

use isobar_broker::{Broker, BrokerError, Switch, Thrown, Topic};
use isobar_model::ids::JobId;
use isobar_model::pipeline::PipelineName;
use isobar_settings::Settings;
use isobar_store::{Action, CancelAnswer, NewOperation, Store, StoreError};

/// What an operator acts on, and who the operator is.
#[derive(Clone, Copy, Debug)]
pub struct Desk<'a> {
    pub broker: &'a Broker,
    pub store: &'a Store,
    pub settings: &'a Settings,
    /// `api <address>` or `cli <user>@<host>`.
    pub actor: &'a str,
}

#[derive(Debug, thiserror::Error)]
pub enum OperateError {
    #[error("not changed: the audit log could not be written")]
    Store(#[from] StoreError),
    #[error("recorded but not applied; run it again")]
    Broker(#[from] BrokerError),
}

impl Desk<'_> {
    /// Sets the flag. Returns who has set it first, which may be an earlier operator.
    pub async fn throw(&self, switch: &Switch) -> Result<Thrown, OperateError> {
        self.record(action(switch, true), switch).await?;
        let now = Thrown::now(self.actor);
        let mut set_by = None;
        for topic in self.topics(switch).await? {
            let by = self.broker.throw(&topic, switch, &now).await?;
            set_by.get_or_insert(by);
        }
        Ok(set_by.unwrap_or(now))
    }

    /// Clears the flag. False if it was not set.
    pub async fn let_go(&self, switch: &Switch) -> Result<bool, OperateError> {
        self.record(action(switch, false), switch).await?;
        let mut was_set = false;
        for topic in self.topics(switch).await? {
            was_set |= self.broker.let_go(&topic, switch).await?;
        }
        Ok(was_set)
    }

    /// Requests the end of a job. Workers read it from the job's status; the process that extracts the
    /// job reads the flag. After a crash between the two, the job is cancelled when it has been
    /// extracted completely.
    pub async fn cancel(&self, job: JobId) -> Result<CancelAnswer, OperateError> {
        let operation = NewOperation::now(self.actor, Action::JobCancel).on(&job);
        isobar_failpoint::hit("cancel.request.before");
        let answer = self.store.request_cancel(job, &operation).await?;
        isobar_failpoint::hit("cancel.request.after");
        if answer == CancelAnswer::Cancelling {
            let now = Thrown::now(self.actor);
            let switch = Switch::Cancelled(job);
            for topic in self.topics(&switch).await? {
                self.broker.throw(&topic, &switch, &now).await?;
            }
            isobar_failpoint::hit("cancel.switch.after");
        }
        Ok(answer)
    }

    /// The streams whose workers and relays must read the flag: all, or that of the job.
    async fn topics(&self, switch: &Switch) -> Result<Vec<Topic>, StoreError> {
        Ok(match switch {
            Switch::Reading | Switch::Breaker(_) => {
                PipelineName::streams().map(|pipeline| Topic::of(pipeline, self.settings)).collect()
            }
            Switch::Job(id) | Switch::Cancelled(id) => {
                let job = self.store.job(*id).await?;
                let pipeline = job.map(|job| job.pipeline).unwrap_or_default();
                vec![Topic::of(pipeline, self.settings)]
            }
        })
    }

    async fn record(&self, action: Action, switch: &Switch) -> Result<(), StoreError> {
        let operation = NewOperation::now(self.actor, action);
        let operation = match switch {
            Switch::Reading => operation,
            Switch::Job(job) | Switch::Cancelled(job) => operation.on(job),
            Switch::Breaker(host) => operation.on(host),
        };
        self.store.record_operation(&operation).await
    }
}

fn action(switch: &Switch, set: bool) -> Action {
    match (switch, set) {
        (Switch::Reading, true) => Action::StreamPause,
        (Switch::Reading, false) => Action::StreamResume,
        (Switch::Job(_), true) => Action::JobPause,
        (Switch::Job(_), false) => Action::JobResume,
        (Switch::Cancelled(_), _) => Action::JobCancel,
        (Switch::Breaker(_), _) => Action::BreakerReset,
    }
}

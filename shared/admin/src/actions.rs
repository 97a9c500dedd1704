//! What operators may switch, done the same way from a terminal, over HTTP and on the page.
//!
//! A deed is recorded in the store first and then done in the broker, so that nothing happens of
//! which nobody can say who did it. Doing a thing twice changes nothing, and says who did it first.
//!
//! Deliberately absent: who may do it, which is the caller's to know.

use isobar_broker::{Broker, BrokerError, Switch, Thrown, Topic};
use isobar_model::ids::JobId;
use isobar_model::pipeline::PipelineName;
use isobar_settings::Settings;
use isobar_store::{Action, CancelAnswer, NewOperation, Store, StoreError};

/// Where operators act.
#[derive(Clone, Copy, Debug)]
pub struct Desk<'a> {
    pub broker: &'a Broker,
    pub store: &'a Store,
    pub settings: &'a Settings,
    /// Who acts: `api <address>` or `cli <user>@<host>`.
    pub actor: &'a str,
}

#[derive(Debug, thiserror::Error)]
pub enum OperateError {
    #[error("nothing was changed: it could not be recorded")]
    Store(#[from] StoreError),
    #[error("it was recorded, but not done; do it again")]
    Broker(#[from] BrokerError),
}

impl Desk<'_> {
    /// Throws the switch; the answer says who has thrown it, which may have been somebody before.
    pub async fn throw(&self, switch: &Switch) -> Result<Thrown, OperateError> {
        self.record(action(switch, true), switch).await?;
        let now = Thrown::now(self.actor);
        let mut thrown = None;
        for topic in self.topics(switch).await? {
            let by = self.broker.throw(&topic, switch, &now).await?;
            thrown.get_or_insert(by);
        }
        Ok(thrown.unwrap_or(now))
    }

    /// Lets go of the switch; false where it was not thrown.
    pub async fn let_go(&self, switch: &Switch) -> Result<bool, OperateError> {
        self.record(action(switch, false), switch).await?;
        let mut was_thrown = false;
        for topic in self.topics(switch).await? {
            was_thrown |= self.broker.let_go(&topic, switch).await?;
        }
        Ok(was_thrown)
    }

    /// Asks for the job's end. Workers see it in the job's state; whoever extracts it sees the
    /// switch. Killed in between, the job is cancelled when it has been extracted to its end.
    pub async fn cancel(&self, job: JobId) -> Result<CancelAnswer, OperateError> {
        let operation = NewOperation::now(self.actor, Action::JobCancel).on(&job);
        isobar_failpoint::hit("cancel.request.before");
        let answer = self.store.request_cancel(job, &operation).await?;
        isobar_failpoint::hit("cancel.request.after");
        if answer == CancelAnswer::Cancelling {
            let thrown = Thrown::now(self.actor);
            let switch = Switch::Cancelled(job);
            for topic in self.topics(&switch).await? {
                self.broker.throw(&topic, &switch, &thrown).await?;
            }
            isobar_failpoint::hit("cancel.switch.after");
        }
        Ok(answer)
    }

    /// Whose workers and relays hear of it: all, or those of the job's stream.
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

fn action(switch: &Switch, thrown: bool) -> Action {
    match (switch, thrown) {
        (Switch::Reading, true) => Action::StreamPause,
        (Switch::Reading, false) => Action::StreamResume,
        (Switch::Job(_), true) => Action::JobPause,
        (Switch::Job(_), false) => Action::JobResume,
        (Switch::Cancelled(_), _) => Action::JobCancel,
        (Switch::Breaker(_), _) => Action::BreakerReset,
    }
}

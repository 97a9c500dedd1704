//! Users: the tasks of users, addresses and cards.
//!
//! A user comes with its task. One request to a provider serves all tasks of a batch.
//!
//! Guarantees: a provider that fails, limits or rejects us defers its own tasks only. They wait in
//! the stream while users are stored, so reading never stops for a provider.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use isobar_broker::{Switches, Topic};
use isobar_model::ids::UserId;
use isobar_model::pipeline::{Enrichment, PipelineName};
use isobar_model::task::{Errand, Fields, PersonTask, TaskHead, Undecodable};
use isobar_model::user::{Address, Card, Flaw};
use isobar_settings::Settings;
use isobar_store::{Found, People, Records, SeenUser, Store, StoreError};
use isobar_upstream::{Answer, MAX_BATCH, Providers, Waiting};

use super::definition::{BatchKey, Pipeline, TaskOutcome, TaskSubject};
use super::newest::newest;

/// The most users of one batch, and so of one step towards the store.
const USERS_PER_BATCH: usize = 500;
/// The delay of a task whose provider is misconfigured.
const MISCONFIGURED_PAUSE: TimeDelta = TimeDelta::minutes(1);

#[derive(Clone, Debug)]
pub struct PeoplePipeline {
    topic: Topic,
    providers: Providers,
    store: Store,
}

/// The result of a task.
#[derive(Clone, Debug, PartialEq)]
pub enum UserRecord {
    User(SeenUser),
    Address(Found<Address>),
    Card(Found<Card>),
}

impl PeoplePipeline {
    pub fn new(settings: &Arc<Settings>, providers: Providers, store: Store) -> Self {
        Self { topic: Topic::of(PipelineName::Users, settings), providers, store }
    }
}

impl Pipeline for PeoplePipeline {
    type Task = PersonTask;
    type Record = UserRecord;

    const NAME: PipelineName = PipelineName::Users;
    const SKIP_REASON: &'static str = "the user has one already";

    fn topic(&self) -> &Topic {
        &self.topic
    }

    fn decode(&self, fields: &Fields) -> Result<PersonTask, Undecodable> {
        PersonTask::from_fields(fields)
    }

    fn head(task: &PersonTask) -> &TaskHead {
        &task.head
    }

    fn subject(task: &PersonTask) -> TaskSubject {
        TaskSubject { text: Some(task.errand.key()), city_id: None }
    }

    fn batch_key(&self, task: &PersonTask) -> BatchKey {
        let limit = match &task.errand {
            Errand::User { .. } => USERS_PER_BATCH,
            Errand::Address(_) | Errand::Card(_) => MAX_BATCH,
        };
        BatchKey { kind: task.errand.kind(), limit }
    }

    async fn already_current(&self, tasks: &[&PersonTask]) -> Result<Vec<bool>, StoreError> {
        let mut current = vec![false; tasks.len()];
        for what in [Enrichment::Address, Enrichment::Card] {
            let lacking: Vec<UserId> =
                tasks.iter().filter_map(|task| lacking_user(task, what)).collect();
            if lacking.is_empty() {
                continue;
            }
            let have = self.store.users_with(what, &lacking).await?;
            for (is_current, task) in current.iter_mut().zip(tasks) {
                *is_current |= lacking_user(task, what).is_some_and(|user| have.contains(&user));
            }
        }
        Ok(current)
    }

    async fn fetch(&self, tasks: &[&PersonTask]) -> Answer<Vec<TaskOutcome<UserRecord>>> {
        let users: Vec<UserId> = tasks.iter().filter_map(|task| user_id(&task.errand)).collect();
        Answer::Ok(match tasks.first().map(|task| &task.errand) {
            None => Vec::new(),
            Some(Errand::User { .. }) => tasks.iter().map(|task| from_task(task)).collect(),
            Some(Errand::Address(_)) => {
                outcomes(&users, self.providers.addresses(&users).await, UserRecord::Address)
            }
            Some(Errand::Card(_)) => {
                outcomes(&users, self.providers.cards(&users).await, UserRecord::Card)
            }
        })
    }

    fn records(&self, records: Vec<UserRecord>) -> Records {
        let (mut users, mut addresses, mut cards) = (Vec::new(), Vec::new(), Vec::new());
        for record in records {
            match record {
                UserRecord::User(user) => users.push(user),
                UserRecord::Address(address) => addresses.push(address),
                UserRecord::Card(card) => cards.push(card),
            }
        }
        Records::People(People {
            users: newest(users, |user| user.user.external_id, |user| user.seen_at),
            addresses: newest(addresses, |address| address.user_id, |address| address.found_at),
            cards: newest(cards, |card| card.user_id, |card| card.found_at),
        })
    }

    fn apply_flags(&self, flags: &Switches) {
        self.providers.apply_flags(flags);
    }

    async fn closed_until(&self) -> Option<(DateTime<Utc>, Waiting)> {
        None
    }

    async fn upstream_state(&self) -> serde_json::Value {
        let states = self.providers.states().await.into_iter();
        states
            .map(|(name, state)| (name.to_owned(), serde_json::json!(state)))
            .collect::<serde_json::Map<_, _>>()
            .into()
    }
}

/// The stored user that a task enriches.
fn user_id(errand: &Errand) -> Option<UserId> {
    match errand {
        Errand::User { .. } => None,
        Errand::Address(user) | Errand::Card(user) => Some(*user),
    }
}

/// The user that the task enriches with `what`, unless the task forces a request.
fn lacking_user(task: &PersonTask, what: Enrichment) -> Option<UserId> {
    let ((Errand::Address(user), Enrichment::Address) | (Errand::Card(user), Enrichment::Card)) =
        (&task.errand, what)
    else {
        return None;
    };
    (!task.head.force).then_some(*user)
}

fn from_task(task: &PersonTask) -> TaskOutcome<UserRecord> {
    match &task.errand {
        Errand::User { user, seen_at } => TaskOutcome::Record(UserRecord::User(SeenUser {
            user: (**user).clone(),
            seen_at: *seen_at,
        })),
        // Tasks of a batch are of one kind.
        Errand::Address(_) | Errand::Card(_) => TaskOutcome::Retry {
            code: "bad_response",
            reason: "the task was in a batch of users".to_owned(),
        },
    }
}

/// The outcome for each of `users` of a provider's answer.
fn outcomes<T>(
    users: &[UserId],
    answer: Answer<Vec<Result<T, Flaw>>>,
    record: impl Fn(Found<T>) -> UserRecord,
) -> Vec<TaskOutcome<UserRecord>> {
    let all = |outcome: TaskOutcome<UserRecord>| vec![outcome; users.len()];
    let found_at = Utc::now();
    match answer {
        Answer::Ok(records) => {
            let mut records = records.into_iter();
            let outcome = |user_id: &UserId| match records.next() {
                Some(Ok(what)) => {
                    TaskOutcome::Record(record(Found { user_id: *user_id, what, found_at }))
                }
                Some(Err(Flaw { code, reason })) => TaskOutcome::Failed { code, reason },
                None => TaskOutcome::Retry {
                    code: "bad_response",
                    reason: "the provider answered for fewer users than were requested".to_owned(),
                },
            };
            users.iter().map(outcome).collect()
        }
        Answer::Retry { code, reason } => all(TaskOutcome::Retry { code, reason }),
        Answer::Wait { until, why } => {
            let reason = format!("the provider has to wait: {}", why.as_str());
            all(TaskOutcome::Deferred { until, reason })
        }
        Answer::Config { reason } | Answer::Split { reason } | Answer::Location { reason, .. } => {
            all(TaskOutcome::Deferred { until: found_at + MISCONFIGURED_PAUSE, reason })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(city: &str) -> Address {
        Address {
            street_number: None,
            street_name: "Main".into(),
            city: city.into(),
            state: None,
            country: None,
            postal_code: None,
        }
    }

    #[test]
    fn a_short_answer_serves_the_first_users() {
        let flaw = Flaw::new("bad_address", "the address has no city");
        let answer = Answer::Ok(vec![Ok(address("Ely")), Err(flaw)]);
        let found = outcomes(&[UserId(1), UserId(2), UserId(3)], answer, UserRecord::Address);
        assert!(
            matches!(&found[0], TaskOutcome::Record(UserRecord::Address(found)) if found.user_id.0 == 1)
        );
        assert!(matches!(found[1], TaskOutcome::Failed { code: "bad_address", .. }));
        assert!(matches!(found[2], TaskOutcome::Retry { .. }));
    }

    #[test]
    fn a_waiting_provider_uses_up_no_attempt() {
        let until = Utc::now() + TimeDelta::minutes(5);
        for answer in [
            Answer::Wait { until, why: Waiting::Breaker },
            Answer::Config { reason: "status 403".into() },
        ] {
            let found = outcomes(&[UserId(1)], answer, UserRecord::Address);
            assert!(matches!(found[..], [TaskOutcome::Deferred { .. }]), "{found:?}");
        }
    }
}

//! Users: the tasks of users, addresses and cards.
//!
//! A user comes with its task. One request to a provider serves all tasks of a batch.
//!
//! Guarantees: a provider that fails, limits or rejects us defers its own tasks only. They wait in
//! the stream while users are stored, so reading never stops for a provider.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use isobar_broker::{Flags, Topic};
use isobar_model::ids::UserId;
use isobar_model::pipeline::{Enrichment, PipelineName};
use isobar_model::task::{DecodeError, Fields, TaskHeader, UserTask, UserWork};
use isobar_model::user::{Address, Card, InvalidRecord};
use isobar_settings::Settings;
use isobar_store::{Enriched, Records, SourcedUser, Store, StoreError, UserRecords};
use isobar_upstream::{Answer, EnrichmentClient, MAX_BATCH, WaitReason};

use super::definition::{BatchKey, Pipeline, TaskOutcome, TaskSubject};
use super::newest::newest;

/// The most users of one batch, and so of one step towards the store.
const USERS_PER_BATCH: usize = 500;
/// The delay of a task whose provider is misconfigured.
const MISCONFIGURED_PAUSE: TimeDelta = TimeDelta::minutes(1);

#[derive(Clone, Debug)]
pub struct UserPipeline {
    topic: Topic,
    providers: EnrichmentClient,
    store: Store,
}

/// The result of a task.
#[derive(Clone, Debug, PartialEq)]
pub enum UserRecord {
    User(SourcedUser),
    Address(Enriched<Address>),
    Card(Enriched<Card>),
}

impl UserPipeline {
    pub fn new(settings: &Arc<Settings>, providers: EnrichmentClient, store: Store) -> Self {
        Self { topic: Topic::of(PipelineName::Users, settings), providers, store }
    }
}

impl Pipeline for UserPipeline {
    type Task = UserTask;
    type Record = UserRecord;

    const NAME: PipelineName = PipelineName::Users;
    const SKIP_REASON: &'static str = "the user has one already";

    fn topic(&self) -> &Topic {
        &self.topic
    }

    fn decode(&self, fields: &Fields) -> Result<UserTask, DecodeError> {
        UserTask::from_fields(fields)
    }

    fn head(task: &UserTask) -> &TaskHeader {
        &task.head
    }

    fn subject(task: &UserTask) -> TaskSubject {
        TaskSubject { text: Some(task.work.key()), city_id: None }
    }

    fn batch_key(&self, task: &UserTask) -> BatchKey {
        let limit = match &task.work {
            UserWork::User { .. } => USERS_PER_BATCH,
            UserWork::Address(_) | UserWork::Card(_) => MAX_BATCH,
        };
        BatchKey { kind: task.work.kind(), limit }
    }

    async fn already_current(&self, tasks: &[&UserTask]) -> Result<Vec<bool>, StoreError> {
        let mut current = vec![false; tasks.len()];
        for what in [Enrichment::Address, Enrichment::Card] {
            let lacking: Vec<UserId> =
                tasks.iter().filter_map(|task| lacking_user(task, what)).collect();
            if lacking.is_empty() {
                continue;
            }
            let have = self.store.users_having(what, &lacking).await?;
            for (is_current, task) in current.iter_mut().zip(tasks) {
                *is_current |= lacking_user(task, what).is_some_and(|user| have.contains(&user));
            }
        }
        Ok(current)
    }

    async fn fetch(&self, tasks: &[&UserTask]) -> Answer<Vec<TaskOutcome<UserRecord>>> {
        let users: Vec<UserId> = tasks.iter().filter_map(|task| user_id(&task.work)).collect();
        Answer::Ok(match tasks.first().map(|task| &task.work) {
            None => Vec::new(),
            Some(UserWork::User { .. }) => tasks.iter().map(|task| from_task(task)).collect(),
            Some(UserWork::Address(_)) => {
                outcomes(&users, self.providers.addresses(&users).await, UserRecord::Address)
            }
            Some(UserWork::Card(_)) => {
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
        Records::UserRecords(UserRecords {
            users: newest(users, |user| user.user.external_id, |user| user.seen_at),
            addresses: newest(addresses, |address| address.user_id, |address| address.enriched_at),
            cards: newest(cards, |card| card.user_id, |card| card.enriched_at),
        })
    }

    fn apply_flags(&self, flags: &Flags) {
        self.providers.apply_flags(flags);
    }

    async fn closed_until(&self) -> Option<(DateTime<Utc>, WaitReason)> {
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
fn user_id(errand: &UserWork) -> Option<UserId> {
    match errand {
        UserWork::User { .. } => None,
        UserWork::Address(user) | UserWork::Card(user) => Some(*user),
    }
}

/// The user that the task enriches with `what`, unless the task forces a request.
fn lacking_user(task: &UserTask, what: Enrichment) -> Option<UserId> {
    let ((UserWork::Address(user), Enrichment::Address) | (UserWork::Card(user), Enrichment::Card)) =
        (&task.work, what)
    else {
        return None;
    };
    (!task.head.force).then_some(*user)
}

fn from_task(task: &UserTask) -> TaskOutcome<UserRecord> {
    match &task.work {
        UserWork::User { user, seen_at } => TaskOutcome::Record(UserRecord::User(SourcedUser {
            user: (**user).clone(),
            seen_at: *seen_at,
        })),
        // Tasks of a batch are of one kind.
        UserWork::Address(_) | UserWork::Card(_) => TaskOutcome::Retry {
            code: "bad_response",
            reason: "the task was in a batch of users".to_owned(),
        },
    }
}

/// The outcome for each of `users` of a provider's answer.
fn outcomes<T>(
    users: &[UserId],
    answer: Answer<Vec<Result<T, InvalidRecord>>>,
    record: impl Fn(Enriched<T>) -> UserRecord,
) -> Vec<TaskOutcome<UserRecord>> {
    let all = |outcome: TaskOutcome<UserRecord>| vec![outcome; users.len()];
    let found_at = Utc::now();
    match answer {
        Answer::Ok(records) => {
            let mut records = records.into_iter();
            let outcome = |user_id: &UserId| match records.next() {
                Some(Ok(what)) => TaskOutcome::Record(record(Enriched {
                    user_id: *user_id,
                    value: what,
                    enriched_at: found_at,
                })),
                Some(Err(InvalidRecord { code, reason })) => TaskOutcome::Failed { code, reason },
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
        Answer::Misconfigured { reason }
        | Answer::TooLarge { reason }
        | Answer::BadLocation { reason, .. } => {
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
        let flaw = InvalidRecord::new("bad_address", "the address has no city");
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
            Answer::Wait { until, why: WaitReason::Breaker },
            Answer::Misconfigured { reason: "status 403".into() },
        ] {
            let found = outcomes(&[UserId(1)], answer, UserRecord::Address);
            assert!(matches!(found[..], [TaskOutcome::Deferred { .. }]), "{found:?}");
        }
    }
}

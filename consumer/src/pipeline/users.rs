//! People: users who come with their task, addresses and cards that are asked for.
//!
//! One request finds something for all tasks of a batch. A provider that is away, limits us or is
//! asked wrongly holds up its own tasks and nobody else's: they wait in the stream, and users go on
//! being stored. So reading never stops for a provider, and no answer blames the stream as a whole.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use isobar_broker::{Switches, Topic};
use isobar_model::ids::{CityId, UserId};
use isobar_model::pipeline::{Enrichment, PipelineName};
use isobar_model::task::{Errand, Fields, PersonTask, TaskHead, Undecodable};
use isobar_model::user::{Address, Card, Flaw};
use isobar_settings::Settings;
use isobar_store::{CityFailure, Found, People, Records, SeenUser, Store, StoreError};
use isobar_upstream::{Answer, LARGEST_REQUEST, Providers, Waiting};
use serde_json::json;

use super::{Company, Pipeline, Verdict};

/// Users that go into the store together.
const USERS: usize = 500;
/// When a provider is asked again that only a person can mend.
const MISCONFIGURED_PAUSE: TimeDelta = TimeDelta::minutes(1);

#[derive(Clone, Debug)]
pub struct PeoplePipeline {
    topic: Topic,
    providers: Providers,
    store: Store,
}

/// What a finished task brings.
#[derive(Clone, Debug, PartialEq)]
pub enum Person {
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
    type Record = Person;

    const NAME: PipelineName = PipelineName::Users;
    const CURRENT: &'static str = "the user has one already";

    fn topic(&self) -> &Topic {
        &self.topic
    }

    fn decode(&self, fields: &Fields) -> Result<PersonTask, Undecodable> {
        PersonTask::from_fields(fields)
    }

    fn head(task: &PersonTask) -> &TaskHead {
        &task.head
    }

    fn subject(task: &PersonTask) -> (Option<CityId>, Option<String>) {
        (None, Some(task.errand.key()))
    }

    fn company(&self, task: &PersonTask) -> Company {
        let limit = match &task.errand {
            Errand::User { .. } => USERS,
            Errand::Address(_) | Errand::Card(_) => LARGEST_REQUEST,
        };
        Company { kind: task.errand.kind(), limit }
    }

    async fn current(&self, tasks: &[&PersonTask]) -> Result<Vec<bool>, StoreError> {
        let mut current = vec![false; tasks.len()];
        for what in [Enrichment::Address, Enrichment::Card] {
            let asked: Vec<UserId> = tasks.iter().filter_map(|task| misses(task, what)).collect();
            if asked.is_empty() {
                continue;
            }
            let have = self.store.users_with(what, &asked).await?;
            for (is_current, task) in current.iter_mut().zip(tasks) {
                *is_current |= misses(task, what).is_some_and(|user| have.contains(&user));
            }
        }
        Ok(current)
    }

    async fn fetch(&self, tasks: &[&PersonTask]) -> Answer<Vec<Verdict<Person>>> {
        let users: Vec<UserId> = tasks.iter().filter_map(|task| user(&task.errand)).collect();
        Answer::Ok(match tasks.first().map(|task| &task.errand) {
            None => Vec::new(),
            Some(Errand::User { .. }) => tasks.iter().map(|task| brought(task)).collect(),
            Some(Errand::Address(_)) => {
                verdicts(&users, self.providers.addresses(&users).await, Person::Address)
            }
            Some(Errand::Card(_)) => {
                verdicts(&users, self.providers.cards(&users).await, Person::Card)
            }
        })
    }

    fn records(&self, records: Vec<Person>) -> Records {
        let (mut users, mut addresses, mut cards) =
            (HashMap::new(), HashMap::new(), HashMap::new());
        for record in records {
            match record {
                Person::User(seen) => {
                    keep_newest(&mut users, seen.user.external_id, seen, |seen| seen.seen_at);
                }
                Person::Address(found) => {
                    keep_newest(&mut addresses, found.user_id, found, |found| found.found_at);
                }
                Person::Card(found) => {
                    keep_newest(&mut cards, found.user_id, found, |found| found.found_at);
                }
            }
        }
        Records::People(People {
            users: users.into_values().collect(),
            addresses: addresses.into_values().collect(),
            cards: cards.into_values().collect(),
        })
    }

    fn failure(&self, _: &PersonTask, _: &str) -> Option<CityFailure> {
        None
    }

    fn obey(&self, switches: &Switches) {
        self.providers.obey(switches);
    }

    async fn shut_until(&self) -> Option<(DateTime<Utc>, Waiting)> {
        None
    }

    async fn upstream_state(&self) -> serde_json::Value {
        let [addresses, cards] = self.providers.states().await;
        json!({ "addresses": addresses, "cards": cards })
    }
}

/// The user of the store whom a task is for.
fn user(errand: &Errand) -> Option<UserId> {
    match errand {
        Errand::User { .. } => None,
        Errand::Address(user) | Errand::Card(user) => Some(*user),
    }
}

/// Who may have that already, so that nobody need be asked.
fn misses(task: &PersonTask, what: Enrichment) -> Option<UserId> {
    let ((Errand::Address(user), Enrichment::Address) | (Errand::Card(user), Enrichment::Card)) =
        (&task.errand, what)
    else {
        return None;
    };
    (!task.head.force).then_some(*user)
}

fn brought(task: &PersonTask) -> Verdict<Person> {
    match &task.errand {
        Errand::User { user, seen_at } => {
            Verdict::Record(Person::User(SeenUser { user: (**user).clone(), seen_at: *seen_at }))
        }
        // Tasks of a batch are of one kind.
        Errand::Address(_) | Errand::Card(_) => {
            Verdict::Retry { code: "bad_response", reason: "it was not asked for".to_owned() }
        }
    }
}

/// What a provider's answer means for each of the users it was asked for.
fn verdicts<T>(
    users: &[UserId],
    answer: Answer<Vec<Result<T, Flaw>>>,
    person: impl Fn(Found<T>) -> Person,
) -> Vec<Verdict<Person>> {
    let all = |verdict: Verdict<Person>| vec![verdict; users.len()];
    let found_at = Utc::now();
    match answer {
        Answer::Ok(records) => {
            let mut records = records.into_iter();
            let verdict = |user_id: &UserId| match records.next() {
                Some(Ok(what)) => {
                    Verdict::Record(person(Found { user_id: *user_id, what, found_at }))
                }
                Some(Err(Flaw { code, reason })) => Verdict::Failed { code, reason },
                None => Verdict::Retry {
                    code: "bad_response",
                    reason: "the provider gave fewer than it was asked for".to_owned(),
                },
            };
            users.iter().map(verdict).collect()
        }
        Answer::Retry { code, reason } => all(Verdict::Retry { code, reason }),
        Answer::Wait { until, why } => {
            let reason = format!("the provider has to wait: {}", why.as_str());
            all(Verdict::Later { until, reason })
        }
        Answer::Config { reason } | Answer::Split { reason } | Answer::Location { reason, .. } => {
            all(Verdict::Later { until: found_at + MISCONFIGURED_PAUSE, reason })
        }
    }
}

fn keep_newest<K: Eq + Hash, T>(
    kept: &mut HashMap<K, T>,
    key: K,
    record: T,
    time: impl Fn(&T) -> DateTime<Utc>,
) {
    if kept.get(&key).is_none_or(|known| time(&record) >= time(known)) {
        kept.insert(key, record);
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
    fn a_short_answer_serves_the_first_and_a_flaw_fails_its_own_user() {
        let flaw = Flaw::new("bad_address", "the address has no city");
        let answer = Answer::Ok(vec![Ok(address("Ely")), Err(flaw)]);
        let found = verdicts(&[UserId(1), UserId(2), UserId(3)], answer, Person::Address);
        assert!(
            matches!(&found[0], Verdict::Record(Person::Address(found)) if found.user_id.0 == 1)
        );
        assert!(matches!(found[1], Verdict::Failed { code: "bad_address", .. }));
        assert!(matches!(found[2], Verdict::Retry { .. }));
    }

    #[test]
    fn a_provider_that_waits_or_refuses_uses_up_no_attempt() {
        let until = Utc::now() + TimeDelta::minutes(5);
        for answer in [
            Answer::Wait { until, why: Waiting::Breaker },
            Answer::Config { reason: "status 403".into() },
        ] {
            let found = verdicts(&[UserId(1)], answer, Person::Address);
            assert!(matches!(found[..], [Verdict::Later { .. }]), "{found:?}");
        }
    }

    #[test]
    fn of_two_finds_for_one_user_the_newer_stays() {
        let mut kept = HashMap::new();
        let now = Utc::now();
        for (city, found_at) in [("new", now), ("old", now - TimeDelta::minutes(1))] {
            let found = Found { user_id: UserId(1), what: address(city), found_at };
            keep_newest(&mut kept, found.user_id, found, |found| found.found_at);
        }
        assert_eq!(kept[&UserId(1)].what.city, "new");
    }
}

//! Cities: what pipelines over cities share, whatever they fetch for a city.
//!
//! A task without coordinates is resolved first ([`CityFinder`]); a task with coordinates takes
//! from the built-in list what its source does not name. Answers are matched to tasks by position.
//!
//! Guarantees: a geocoder that waits or is misconfigured defers its own task only. A store that
//! does not respond defers the batch. Neither counts an attempt (I7).
//! Next: [`super::weather`], the first user.

use std::collections::HashMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use chrono::{TimeDelta, Utc};
use futures::stream::{FuturesUnordered, StreamExt};
use isobar_model::city::{City, Coordinates, derived_city_id, fold_name};
use isobar_model::freshness::{FreshFor, ValueTimes, is_current};
use isobar_model::gazetteer;
use isobar_model::ids::CityId;
use isobar_model::task::CityTask;
use isobar_settings::Settings;
use isobar_store::{Store, StoreError};
use isobar_upstream::cities::{CityFinder, DatedAhead, is_near};
use isobar_upstream::{Answer, Priority, WaitReason, WeatherClient};

use super::definition::{BatchKey, TaskOutcome, TaskSubject};
use super::identity::{CityNumbers, Owner, distance_km};
use crate::fetch::ALIKE_FROM;

/// Tasks without coordinates that share a batch: each may need a request to the geocoder, and the
/// batch must end within a lease.
const UNRESOLVED_PER_BATCH: usize = 8;
/// The delay of a task while the geocoder is misconfigured, or the store does not respond.
const GEOCODER_PAUSE: TimeDelta = TimeDelta::minutes(1);
const STORE_PAUSE: TimeDelta = TimeDelta::seconds(1);

/// The shared part of a pipeline over cities. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Cities {
    finder: CityFinder,
    numbers: CityNumbers,
    settings: Arc<Settings>,
}

/// What the ledger says of a city task.
pub fn subject(task: &CityTask) -> TaskSubject {
    let listed = || task.city_id.and_then(|id| gazetteer::builtin().by_id(id));
    TaskSubject {
        text: task.city.clone().or_else(|| listed().map(|city| city.name.clone())),
        city_id: task.city_id,
    }
}

impl Cities {
    pub fn new(settings: Arc<Settings>, upstream: WeatherClient, store: Store) -> Self {
        let numbers = CityNumbers::new(store.clone());
        Self { finder: CityFinder::new(upstream, store), numbers, settings }
    }

    /// Gives each task whose number is another city's a number of its own.
    pub async fn separate(&self, tasks: Vec<&mut CityTask>) -> Result<(), StoreError> {
        self.numbers.separate(tasks).await
    }

    pub fn batch_key(&self, task: &CityTask) -> BatchKey {
        let limit = self.settings.locations_per_request();
        match task.coordinates {
            Some(_) => BatchKey { kind: "placed", limit },
            None => BatchKey { kind: "named", limit: limit.min(UNRESOLVED_PER_BATCH) },
        }
    }

    /// For each task, whether its city is still current; `stored` reads the freshness of cities.
    pub async fn already_current<F>(
        &self,
        tasks: &[&CityTask],
        stored: impl FnOnce(Vec<CityId>) -> F,
    ) -> Result<Vec<bool>, StoreError>
    where
        F: Future<Output = Result<HashMap<CityId, ValueTimes>, StoreError>>,
    {
        let policy = self.settings.fresh_for;
        let ids: Vec<CityId> = tasks.iter().filter_map(|task| skippable(task)).collect();
        if ids.is_empty() || policy == FreshFor::Fixed(Duration::ZERO) {
            return Ok(vec![false; tasks.len()]);
        }
        let known = stored(ids).await?;
        let now = Utc::now();
        let current =
            |id: CityId| known.get(&id).is_some_and(|times| is_current(policy, *times, now));
        let unplaced: Vec<CityId> = tasks
            .iter()
            .filter(|task| task.coordinates.is_none())
            .filter_map(|t| t.city_id)
            .collect();
        let owners = self.numbers.stored(&unplaced).await?;
        // Without coordinates, a city of another name may be another city: it is resolved first.
        let is_other_name = |task: &CityTask| {
            let owner = task.city_id.filter(|_| task.coordinates.is_none());
            let owner = owner.and_then(|id| owners.get(&id));
            owner
                .zip(task.city.as_deref())
                .is_some_and(|(owner, name)| fold_name(&owner.name) != fold_name(name))
        };
        let is_current =
            |task: &&CityTask| skippable(task).is_some_and(current) && !is_other_name(task);
        Ok(tasks.iter().map(is_current).collect())
    }

    /// Resolves the cities of `tasks`, then requests all of them at once. `request` gives one
    /// value a location, in their order; `record` makes the record of a city from its value.
    pub async fn fetch<V, R, F>(
        &self,
        tasks: &[&CityTask],
        request: impl FnOnce(Vec<Coordinates>) -> F,
        record: impl Fn(City, V) -> Result<R, DatedAhead>,
    ) -> Answer<Vec<TaskOutcome<R>>>
    where
        F: Future<Output = Answer<Vec<V>>>,
    {
        let mut outcomes: Vec<Option<TaskOutcome<R>>> = Vec::with_capacity(tasks.len());
        outcomes.resize_with(tasks.len(), || None);
        let mut cities: Vec<(usize, City)> = Vec::with_capacity(tasks.len());
        let mut lookups = FuturesUnordered::new();
        for (at, task) in tasks.iter().enumerate() {
            match city_of(task) {
                Some(city) => cities.push((at, city)),
                None => lookups.push(async move { (at, self.resolve(task).await) }),
            }
        }
        while let Some((at, resolved)) = lookups.next().await {
            match resolved {
                Ok(Answer::Ok(Some(city))) => cities.push((at, city)),
                Ok(Answer::Ok(None)) => outcomes[at] = Some(not_found(tasks[at])),
                Ok(failure) => outcomes[at] = Some(after_geocoder(failure)),
                Err(error) if error.is_transient() => {
                    let error = isobar_telemetry::error_chain(&error);
                    tracing::warn!(error, "cannot look a city up; trying again");
                    return Answer::Wait {
                        until: Utc::now() + STORE_PAUSE,
                        why: WaitReason::Store,
                    };
                }
                Err(error) => {
                    let reason = isobar_telemetry::error_chain(&error);
                    outcomes[at] = Some(TaskOutcome::Retry { code: "store_unavailable", reason });
                }
            }
        }
        if let Err(error) = self.refuse_taken(tasks, &mut cities, &mut outcomes).await {
            let error = isobar_telemetry::error_chain(&error);
            tracing::warn!(error, "cannot compare cities with the stored ones; trying again");
            return Answer::Wait { until: Utc::now() + STORE_PAUSE, why: WaitReason::Store };
        }
        if !cities.is_empty() {
            let locations = cities.iter().map(|(_, city)| city.coordinates).collect();
            // If one location is refused the worker repeats this in halves. The store has kept
            // the geocoder's answers by then, so no name is requested twice.
            let values = match request(locations).await.into_result() {
                Ok(values) => values,
                Err(failure) => return failure,
            };
            let mut ahead = None;
            let requested = cities.len();
            let mut refused = 0;
            for ((at, city), value) in cities.into_iter().zip(values) {
                outcomes[at] = Some(match record(city, value) {
                    Ok(record) => TaskOutcome::Record(record),
                    Err(error) => {
                        refused += 1;
                        let reason = ahead.insert(error).to_string();
                        TaskOutcome::Retry { code: "bad_response", reason }
                    }
                });
            }
            // All alike: the clock of this host is behind, and no location is at fault.
            if let Some(error) = ahead.filter(|_| refused == requested && refused >= ALIKE_FROM) {
                let reason = format!("{error}; check the clock of this host");
                return Answer::Misconfigured { reason };
            }
        }
        let missing = || TaskOutcome::Retry {
            code: "bad_response",
            reason: "the upstream answered fewer locations than were requested".to_owned(),
        };
        Answer::Ok(outcomes.into_iter().map(|outcome| outcome.unwrap_or_else(missing)).collect())
    }

    /// Fails the tasks that were resolved to another city than the one that has their number.
    async fn refuse_taken<R>(
        &self,
        tasks: &[&CityTask],
        cities: &mut Vec<(usize, City)>,
        outcomes: &mut [Option<TaskOutcome<R>>],
    ) -> Result<(), StoreError> {
        let is_resolved = |at: usize| tasks[at].coordinates.is_none() && tasks[at].city.is_some();
        let resolved = cities.iter().filter(|(at, city)| is_resolved(*at) && city.id.0 > 0);
        let ids: Vec<CityId> = resolved.map(|(_, city)| city.id).collect();
        let owners = self.numbers.stored(&ids).await?;
        cities.retain(|(at, city)| {
            let owner = owners.get(&city.id).filter(|_| is_resolved(*at));
            let other = owner.filter(|owner| owner.is_other(&city.name, city.coordinates));
            outcomes[*at] = other.map(|owner| taken(owner, city));
            other.is_none()
        });
        Ok(())
    }

    /// The city of a task without coordinates, under the number of the task if it has one.
    async fn resolve(&self, task: &CityTask) -> Result<Answer<Option<City>>, StoreError> {
        let listed = task.city_id.and_then(|id| gazetteer::builtin().by_id(id)).filter(|listed| {
            // The same number may mean another city in the source than in the list.
            task.city.as_deref().is_none_or(|name| fold_name(name) == fold_name(&listed.name))
        });
        Ok(match (listed, &task.city, task.city_id) {
            (Some(city), ..) => Answer::Ok(Some(city.clone())),
            (None, Some(name), _) => {
                let country = task.country_code.as_deref();
                match self.finder.find(name, country, Priority::Batch).await? {
                    Answer::Ok(city) => Answer::Ok(city.map(|city| with_task_id(city, task))),
                    failure => failure,
                }
            }
            (None, None, Some(id)) => Answer::Ok(self.finder.by_id(id).await?),
            (None, None, None) => Answer::Ok(None),
        })
    }
}

/// The city whose stored value may make a request unnecessary. Retries, forced tasks and entries
/// without a job were requested on purpose: they have none.
fn skippable(task: &CityTask) -> Option<CityId> {
    let is_first = task.head.job_id.is_some() && task.head.try_number == 1;
    task.city_id.filter(|_| is_first && !task.head.force)
}

/// The city of a task with coordinates, completed from the built-in list.
fn city_of(task: &CityTask) -> Option<City> {
    let coordinates = task.coordinates?;
    let id = task.city_id.unwrap_or_else(|| {
        let name = task.city.as_deref().unwrap_or_default();
        derived_city_id(name, task.country_code.as_deref(), Some(coordinates))
    });
    // Far from the listed city an equal number is a coincidence.
    let listed =
        gazetteer::builtin().by_id(id).filter(|listed| is_near(listed.coordinates, coordinates));
    let name = || listed.map(|listed| listed.name.clone());
    let country = || listed.and_then(|listed| listed.country_code.clone());
    Some(City {
        id,
        name: task.city.clone().or_else(name).unwrap_or_default(),
        country_code: task.country_code.clone().or_else(country),
        admin1_code: listed.and_then(|listed| listed.admin1_code.clone()),
        coordinates,
        population: listed.and_then(|listed| listed.population),
    })
}

fn with_task_id(city: City, task: &CityTask) -> City {
    City { id: task.city_id.unwrap_or(city.id), ..city }
}

fn taken<R>(owner: &Owner, city: &City) -> TaskOutcome<R> {
    let reason = format!(
        "city_id {} is already the city {:?} at {}, {}, which is {:.0} km from {:?}; give this city another number, or none",
        city.id,
        owner.name,
        owner.coordinates.latitude(),
        owner.coordinates.longitude(),
        distance_km(owner.coordinates, city.coordinates),
        city.name,
    );
    TaskOutcome::Failed { code: "id_taken", reason }
}

fn not_found<R>(task: &CityTask) -> TaskOutcome<R> {
    let reason = match (&task.city, &task.country_code, task.city_id) {
        (Some(name), Some(country), _) => format!("no city called {name:?} is known in {country}"),
        (Some(name), None, _) => format!("no city called {name:?} is known"),
        (None, _, Some(id)) => format!("no city of number {id} is known"),
        (None, _, None) => "the task names no city".to_owned(),
    };
    TaskOutcome::Failed { code: "city_not_found", reason }
}

/// The outcome of a task whose city could not be resolved.
fn after_geocoder<R>(failure: Answer<Option<City>>) -> TaskOutcome<R> {
    match failure {
        Answer::Ok(_) => unreachable!("a success is not a failure"),
        Answer::Retry { code, reason } => TaskOutcome::Retry { code, reason },
        Answer::BadLocation { code, reason } => TaskOutcome::Failed { code, reason },
        Answer::Wait { until, why } => {
            let reason = format!("the geocoder has to wait: {}", why.as_str());
            TaskOutcome::Deferred { until, reason }
        }
        Answer::TooLarge { reason } | Answer::Misconfigured { reason } => {
            TaskOutcome::Deferred { until: Utc::now() + GEOCODER_PAUSE, reason }
        }
    }
}

#[cfg(test)]
mod tests {
    use isobar_model::task::Fields;

    use super::*;

    fn task(fields: &[(&str, &str)]) -> CityTask {
        let id = ("task_id", "6fa1c1f0-52c4-4c39-9a55-000000000001");
        let fields = fields.iter().chain([&id]);
        let fields = fields.map(|(k, v)| (k.as_bytes().to_vec(), v.as_bytes().to_vec())).collect();
        CityTask::from_fields(&Fields(fields)).expect("decodes")
    }

    #[test]
    fn the_built_in_list_completes_a_task() {
        let paris =
            task(&[("city_id", "2988507"), ("latitude_deg", "48.85"), ("longitude_deg", "2.35")]);
        let city = city_of(&paris).expect("has coordinates");
        assert_eq!(city.name, "Paris");
        assert!(city.population.is_some());
    }

    #[test]
    fn an_equal_number_elsewhere_is_another_city() {
        let other =
            task(&[("city_id", "2988507"), ("latitude_deg", "-33.9"), ("longitude_deg", "18.4")]);
        let city = city_of(&other).expect("has coordinates");
        assert_eq!((city.name.as_str(), city.population), ("", None));
    }
}

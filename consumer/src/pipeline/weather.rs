//! Weather: tasks that name a city, fetched by coordinates, stored as snapshots.
//!
//! A task without coordinates is resolved first: in the built-in list, in what the geocoder
//! answered before, then by the geocoder, whose answer is kept for ever. Answers are matched to
//! tasks by position, never by the coordinates that come back: those are grid-cell centres.

use std::collections::HashMap;
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use futures::stream::{FuturesUnordered, StreamExt};
use isobar_broker::{Switches, Topic};
use isobar_model::city::{Coordinates, Place, fold_name, unnumbered_city_id};
use isobar_model::freshness::{FreshFor, is_current};
use isobar_model::gazetteer;
use isobar_model::ids::CityId;
use isobar_model::pipeline::PipelineName;
use isobar_model::task::{Fields, TaskHead, Undecodable, WeatherTask};
use isobar_settings::Settings;
use isobar_store::{CityFailure, Records, Snapshot, Store, StoreError};
use isobar_upstream::{Answer, Observation, Priority, Upstream, Waiting};

use super::{Company, Pipeline, Verdict};

/// Tasks without coordinates that share a batch: each may need a geocoding request of its own,
/// and the batch must end within a lease.
const UNRESOLVED_PER_BATCH: usize = 8;
/// When a task is tried again whose geocoder refuses how it is asked, or whose store is away.
const GEOCODER_PAUSE: TimeDelta = TimeDelta::minutes(1);
const STORE_PAUSE: TimeDelta = TimeDelta::seconds(1);
/// Farther from the built-in list's city than this (degrees), an equal number is a coincidence.
const SAME_CITY_DEG: f64 = 0.5;

#[derive(Clone, Debug)]
pub struct WeatherPipeline {
    topic: Topic,
    upstream: Upstream,
    store: Store,
    settings: Arc<Settings>,
}

impl WeatherPipeline {
    pub fn new(settings: Arc<Settings>, upstream: Upstream, store: Store) -> Self {
        let topic = Topic::of(PipelineName::Weather, &settings);
        Self { topic, upstream, store, settings }
    }

    /// Where the city of a task without coordinates is: what is known, else the geocoder.
    async fn resolve(&self, task: &WeatherTask) -> Answer<Result<Place, Verdict<Snapshot>>> {
        if let Some(known) = task.city_id.and_then(|id| gazetteer::builtin().by_id(id)) {
            return Answer::Ok(Ok(known.clone()));
        }
        let Some(name) = &task.city else {
            return self.resolve_number(task).await;
        };
        let country = task.country_code.as_deref();
        if let Some((place, _)) = gazetteer::builtin().by_name(name, country) {
            return Answer::Ok(Ok(numbered(place.clone(), task)));
        }
        let folded = fold_name(name);
        match self.store.cities_named(&folded, country).await {
            Ok(cities) => {
                let known = cities.into_iter().find_map(|city| {
                    Some(Place {
                        id: city.id,
                        name: city.name,
                        country_code: city.country_code,
                        admin1_code: city.admin1_code,
                        coordinates: city.coordinates?,
                        population: city.population,
                    })
                });
                if let Some(place) = known {
                    return Answer::Ok(Ok(numbered(place, task)));
                }
            }
            Err(error) => return store_trouble(&error),
        }
        let mut found = match self.upstream.geocode(name, country, Priority::Batch).await {
            Answer::Ok(found) => found,
            Answer::Retry { code, reason } => {
                return Answer::Ok(Err(Verdict::Retry { code, reason }));
            }
            Answer::Location { code, reason } => {
                return Answer::Ok(Err(Verdict::Failed { code, reason }));
            }
            Answer::Split { reason } | Answer::Config { reason } => {
                return Answer::Config { reason };
            }
            Answer::Wait { until, why } => return Answer::Wait { until, why },
        };
        if found.is_empty() {
            let reason = match country {
                Some(country) => format!("no city called {name:?} is known in {country}"),
                None => format!("no city called {name:?} is known"),
            };
            return Answer::Ok(Err(Verdict::Failed { code: "city_not_found", reason }));
        }
        let place = found.swap_remove(0);
        if let Err(error) = self.store.remember_city(&folded, country, &place).await {
            return store_trouble(&error);
        }
        Answer::Ok(Ok(numbered(place, task)))
    }

    async fn resolve_number(&self, task: &WeatherTask) -> Answer<Result<Place, Verdict<Snapshot>>> {
        let Some(id) = task.city_id else {
            // Decoding lets no such task through.
            let reason = "the task names no city".to_owned();
            return Answer::Ok(Err(Verdict::Failed { code: "undecodable", reason }));
        };
        match self.store.city(id).await {
            Ok(city) => Answer::Ok(match city.and_then(|city| Some((city.coordinates?, city))) {
                Some((coordinates, city)) => Ok(Place {
                    id,
                    name: city.name,
                    country_code: city.country_code,
                    admin1_code: city.admin1_code,
                    coordinates,
                    population: city.population,
                }),
                None => Err(Verdict::Failed {
                    code: "city_not_found",
                    reason: format!("no city of number {id} is known"),
                }),
            }),
            Err(error) => store_trouble(&error),
        }
    }

    fn snapshot(place: Place, named: bool, observed: Observation) -> Snapshot {
        Snapshot {
            city_id: place.id,
            name: named.then_some(place.name),
            country_code: place.country_code,
            admin1_code: place.admin1_code,
            coordinates: place.coordinates,
            population: place.population,
            temperature: observed.temperature,
            windspeed: observed.windspeed,
            winddirection: observed.winddirection,
            weathercode: observed.weathercode,
            humidity: observed.humidity,
            time: observed.time,
            observed_at: observed.observed_at,
            fresh_until: observed.fresh_until,
            raw_payload: observed.raw_payload,
            synced_at: Utc::now(),
        }
    }
}

impl Pipeline for WeatherPipeline {
    type Task = WeatherTask;
    type Record = Snapshot;

    const NAME: PipelineName = PipelineName::Weather;
    const CURRENT: &'static str = "the snapshot is still current";

    fn topic(&self) -> &Topic {
        &self.topic
    }

    fn decode(&self, fields: &Fields) -> Result<WeatherTask, Undecodable> {
        WeatherTask::from_fields(fields)
    }

    fn head(task: &WeatherTask) -> &TaskHead {
        &task.head
    }

    fn subject(task: &WeatherTask) -> (Option<CityId>, Option<String>) {
        let known = || task.city_id.and_then(|id| gazetteer::builtin().by_id(id));
        (task.city_id, task.city.clone().or_else(|| known().map(|city| city.name.clone())))
    }

    fn company(&self, task: &WeatherTask) -> Company {
        let limit = self.settings.locations_per_request();
        match task.coordinates {
            Some(_) => Company { kind: "placed", limit },
            None => Company { kind: "named", limit: limit.min(UNRESOLVED_PER_BATCH) },
        }
    }

    async fn current(&self, tasks: &[&WeatherTask]) -> Result<Vec<bool>, StoreError> {
        if self.settings.fresh_for == FreshFor::Fixed(std::time::Duration::ZERO) {
            return Ok(vec![false; tasks.len()]);
        }
        // Not for retries, forced tasks, or entries without a job: those were asked for.
        let asks = |task: &WeatherTask| {
            task.city_id.filter(|_| {
                task.head.job_id.is_some() && task.head.try_number == 1 && !task.head.force
            })
        };
        let ids: Vec<CityId> = tasks.iter().filter_map(|task| asks(task)).collect();
        if ids.is_empty() {
            return Ok(vec![false; tasks.len()]);
        }
        let known = self.store.freshness(&ids).await?;
        let now = Utc::now();
        let policy = self.settings.fresh_for;
        let current = |id: CityId| {
            known
                .get(&id)
                .is_some_and(|city| is_current(policy, city.fresh_until, city.synced_at, now))
        };
        Ok(tasks.iter().map(|task| asks(task).is_some_and(current)).collect())
    }

    async fn fetch(&self, tasks: &[&WeatherTask]) -> Answer<Vec<Verdict<Snapshot>>> {
        let mut verdicts: Vec<Option<Verdict<Snapshot>>> = Vec::with_capacity(tasks.len());
        verdicts.resize_with(tasks.len(), || None);
        let mut places: Vec<(usize, Place)> = Vec::with_capacity(tasks.len());
        let mut lookups = FuturesUnordered::new();
        for (at, task) in tasks.iter().enumerate() {
            match placed(task) {
                Some(place) => places.push((at, place)),
                None => lookups.push(async move { (at, self.resolve(task).await) }),
            }
        }
        while let Some((at, answer)) = lookups.next().await {
            match answer {
                Answer::Ok(Ok(place)) => places.push((at, place)),
                Answer::Ok(Err(verdict)) => verdicts[at] = Some(verdict),
                Answer::Retry { code, reason } => {
                    verdicts[at] = Some(Verdict::Retry { code, reason });
                }
                Answer::Location { code, reason } => {
                    verdicts[at] = Some(Verdict::Failed { code, reason });
                }
                // The store's trouble is everyone's; the geocoder's is only this task's.
                Answer::Wait { until, why: Waiting::Store } => {
                    return Answer::Wait { until, why: Waiting::Store };
                }
                Answer::Wait { until, why } => {
                    let reason = format!("the geocoder has to wait: {}", why.as_str());
                    verdicts[at] = Some(Verdict::Later { until, reason });
                }
                Answer::Config { reason } | Answer::Split { reason } => {
                    let until = Utc::now() + GEOCODER_PAUSE;
                    verdicts[at] = Some(Verdict::Later { until, reason });
                }
            }
        }
        if !places.is_empty() {
            let locations: Vec<Coordinates> =
                places.iter().map(|(_, place)| place.coordinates).collect();
            let observed = match self.upstream.weather(&locations, Priority::Batch).await {
                Answer::Ok(observed) => observed,
                Answer::Retry { code, reason } => return Answer::Retry { code, reason },
                Answer::Split { reason } => return Answer::Split { reason },
                // The refused location may be any of them: what is settled already stays settled
                // in the store's memory, so asking again in halves costs no second geocoding.
                Answer::Location { code, reason } => return Answer::Location { code, reason },
                Answer::Wait { until, why } => return Answer::Wait { until, why },
                Answer::Config { reason } => return Answer::Config { reason },
            };
            for ((at, place), observed) in places.into_iter().zip(observed) {
                let named = !place.name.is_empty();
                verdicts[at] = Some(Verdict::Record(Self::snapshot(place, named, observed)));
            }
        }
        let unanswered = || Verdict::Retry {
            code: "bad_response",
            reason: "the upstream answered for fewer locations than were asked for".to_owned(),
        };
        Answer::Ok(verdicts.into_iter().map(|verdict| verdict.unwrap_or_else(unanswered)).collect())
    }

    fn records(&self, records: Vec<Snapshot>) -> Records {
        let mut newest: HashMap<CityId, Snapshot> = HashMap::with_capacity(records.len());
        for record in records {
            match newest.entry(record.city_id) {
                std::collections::hash_map::Entry::Occupied(mut stored) => {
                    if record.observed_at >= stored.get().observed_at {
                        stored.insert(record);
                    }
                }
                std::collections::hash_map::Entry::Vacant(empty) => {
                    empty.insert(record);
                }
            }
        }
        Records::Weather(newest.into_values().collect())
    }

    fn failure(&self, task: &WeatherTask, error: &str) -> Option<CityFailure> {
        Some(CityFailure {
            city_id: task.city_id?,
            name: Self::subject(task).1,
            country_code: task.country_code.clone(),
            coordinates: task.coordinates,
            error: error.to_owned(),
            at: Utc::now(),
        })
    }

    fn obey(&self, switches: &Switches) {
        self.upstream.obey(switches);
    }

    async fn shut_until(&self) -> Option<(DateTime<Utc>, Waiting)> {
        self.upstream.shut_until()
    }

    async fn upstream_state(&self) -> serde_json::Value {
        serde_json::to_value(self.upstream.state().await).unwrap_or_default()
    }
}

/// The place of a task that brings its coordinates, with what the built-in list adds.
fn placed(task: &WeatherTask) -> Option<Place> {
    let coordinates = task.coordinates?;
    let id = task.city_id.unwrap_or_else(|| {
        let name = task.city.as_deref().unwrap_or_default();
        unnumbered_city_id(name, task.country_code.as_deref(), Some(coordinates))
    });
    let known = gazetteer::builtin().by_id(id).filter(|known| {
        (known.coordinates.latitude() - coordinates.latitude()).abs() < SAME_CITY_DEG
            && (known.coordinates.longitude() - coordinates.longitude()).abs() < SAME_CITY_DEG
    });
    Some(Place {
        id,
        name: task
            .city
            .clone()
            .or_else(|| known.map(|known| known.name.clone()))
            .unwrap_or_default(),
        country_code: task
            .country_code
            .clone()
            .or_else(|| known.and_then(|known| known.country_code.clone())),
        admin1_code: known.and_then(|known| known.admin1_code.clone()),
        coordinates,
        population: known.and_then(|known| known.population),
    })
}

/// A resolved place under the number that the task gave, if it gave one.
fn numbered(place: Place, task: &WeatherTask) -> Place {
    Place { id: task.city_id.unwrap_or(place.id), ..place }
}

fn store_trouble<T>(error: &StoreError) -> Answer<Result<T, Verdict<Snapshot>>> {
    let reason = isobar_telemetry::chain(error);
    if error.is_transient() {
        tracing::warn!(error = reason, "cannot look a city up; asking again");
        // Nobody's fault (I7): waited out with the task in hand.
        return Answer::Wait { until: Utc::now() + STORE_PAUSE, why: Waiting::Store };
    }
    Answer::Ok(Err(Verdict::Retry { code: "store_unavailable", reason }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task(fields: &[(&str, &str)]) -> WeatherTask {
        let id = ("task_id", "6fa1c1f0-52c4-4c39-9a55-000000000001");
        let fields = fields.iter().chain([&id]);
        let fields = fields.map(|(k, v)| (k.as_bytes().to_vec(), v.as_bytes().to_vec())).collect();
        WeatherTask::from_fields(&Fields(fields)).expect("decodes")
    }

    #[test]
    fn the_built_in_list_adds_what_a_source_does_not_say() {
        let paris =
            task(&[("city_id", "2988507"), ("latitude_deg", "48.85"), ("longitude_deg", "2.35")]);
        let place = placed(&paris).expect("placed");
        assert_eq!(place.name, "Paris");
        assert!(place.population.is_some());
    }

    #[test]
    fn an_equal_number_elsewhere_is_another_city() {
        let other =
            task(&[("city_id", "2988507"), ("latitude_deg", "-33.9"), ("longitude_deg", "18.4")]);
        let place = placed(&other).expect("placed");
        assert_eq!((place.name.as_str(), place.population), ("", None));
    }
}

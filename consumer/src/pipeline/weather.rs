//! Weather: city tasks, fetched by coordinates, stored as snapshots.
//!
//! Next: [`super::cities`], which resolves the cities and checks freshness.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use isobar_broker::{Switches, Topic};
use isobar_model::pipeline::PipelineName;
use isobar_model::task::{Fields, TaskHead, Undecodable, WeatherTask};
use isobar_settings::Settings;
use isobar_store::{CityFailure, Records, Snapshot, Store, StoreError};
use isobar_upstream::cities::snapshot;
use isobar_upstream::{Answer, Priority, Service, Upstream, Waiting};

use super::cities::{self, Cities};
use super::definition::{BatchKey, Pipeline, TaskOutcome, TaskSubject};
use super::newest::newest;

#[derive(Clone, Debug)]
pub struct WeatherPipeline {
    topic: Topic,
    cities: Cities,
    upstream: Upstream,
    store: Store,
}

impl WeatherPipeline {
    pub fn new(settings: Arc<Settings>, upstream: Upstream, store: Store) -> Self {
        let topic = Topic::of(PipelineName::Weather, &settings);
        let cities = Cities::new(settings, upstream.clone(), store.clone());
        Self { topic, cities, upstream, store }
    }
}

impl Pipeline for WeatherPipeline {
    type Task = WeatherTask;
    type Record = Snapshot;

    const NAME: PipelineName = PipelineName::Weather;
    const SKIP_REASON: &'static str = "the snapshot is still current";

    fn topic(&self) -> &Topic {
        &self.topic
    }

    fn decode(&self, fields: &Fields) -> Result<WeatherTask, Undecodable> {
        WeatherTask::from_fields(fields)
    }

    fn head(task: &WeatherTask) -> &TaskHead {
        &task.head
    }

    fn subject(task: &WeatherTask) -> TaskSubject {
        cities::subject(task)
    }

    fn batch_key(&self, task: &WeatherTask) -> BatchKey {
        self.cities.batch_key(task)
    }

    async fn already_current(&self, tasks: &[&WeatherTask]) -> Result<Vec<bool>, StoreError> {
        self.cities.already_current(tasks, async |ids| self.store.freshness(&ids).await).await
    }

    async fn fetch(&self, tasks: &[&WeatherTask]) -> Answer<Vec<TaskOutcome<Snapshot>>> {
        let request =
            async |locations: Vec<_>| self.upstream.weather(&locations, Priority::Batch).await;
        self.cities.fetch(tasks, request, |city, seen| snapshot(city, seen, Utc::now())).await
    }

    fn records(&self, records: Vec<Snapshot>) -> Records {
        let records = newest(records, |snapshot| snapshot.city_id, |snapshot| snapshot.observed_at);
        Records::Weather(records)
    }

    fn failure(&self, task: &WeatherTask, error: &str) -> Option<CityFailure> {
        Some(CityFailure {
            city_id: task.city_id?,
            name: Self::subject(task).text,
            country_code: task.country_code.clone(),
            coordinates: task.coordinates,
            error: error.to_owned(),
            at: Utc::now(),
        })
    }

    fn apply_flags(&self, flags: &Switches) {
        self.upstream.obey(flags);
    }

    async fn closed_until(&self) -> Option<(DateTime<Utc>, Waiting)> {
        self.upstream.shut_until(Service::Forecast)
    }

    async fn upstream_state(&self) -> serde_json::Value {
        serde_json::to_value(self.upstream.state(Service::Forecast).await).unwrap_or_default()
    }
}

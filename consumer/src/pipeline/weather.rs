//! Weather: city tasks, fetched by coordinates, stored as snapshots.
//!
//! Next: [`super::cities`], which resolves the cities and checks freshness.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use isobar_broker::{Flags, Topic};
use isobar_model::pipeline::PipelineName;
use isobar_model::task::{CityTask, DecodeError, Fields, TaskHeader};
use isobar_settings::Settings;
use isobar_store::{CityFailure, Records, Store, StoreError, WeatherSnapshot};
use isobar_upstream::cities::snapshot;
use isobar_upstream::{Answer, Priority, WaitReason, WeatherClient, WeatherService};

use super::cities::{self, Cities};
use super::definition::{BatchKey, Pipeline, TaskOutcome, TaskSubject};
use super::newest::newest;

#[derive(Clone, Debug)]
pub struct WeatherPipeline {
    topic: Topic,
    cities: Cities,
    upstream: WeatherClient,
    store: Store,
}

impl WeatherPipeline {
    pub fn new(settings: Arc<Settings>, upstream: WeatherClient, store: Store) -> Self {
        let topic = Topic::of(PipelineName::Weather, &settings);
        let cities = Cities::new(settings, upstream.clone(), store.clone());
        Self { topic, cities, upstream, store }
    }
}

impl Pipeline for WeatherPipeline {
    type Task = CityTask;
    type Record = WeatherSnapshot;

    const NAME: PipelineName = PipelineName::Weather;
    const SKIP_REASON: &'static str = "the snapshot is still current";

    fn topic(&self) -> &Topic {
        &self.topic
    }

    fn decode(&self, fields: &Fields) -> Result<CityTask, DecodeError> {
        CityTask::from_fields(fields)
    }

    fn head(task: &CityTask) -> &TaskHeader {
        &task.head
    }

    fn subject(task: &CityTask) -> TaskSubject {
        cities::subject(task)
    }

    fn batch_key(&self, task: &CityTask) -> BatchKey {
        self.cities.batch_key(task)
    }

    async fn identify(&self, tasks: Vec<&mut CityTask>) -> Result<(), StoreError> {
        self.cities.separate(tasks).await
    }

    async fn already_current(&self, tasks: &[&CityTask]) -> Result<Vec<bool>, StoreError> {
        self.cities.already_current(tasks, async |ids| self.store.freshness(&ids).await).await
    }

    async fn fetch(&self, tasks: &[&CityTask]) -> Answer<Vec<TaskOutcome<WeatherSnapshot>>> {
        let request =
            async |locations: Vec<_>| self.upstream.weather(&locations, Priority::Batch).await;
        self.cities.fetch(tasks, request, |city, seen| snapshot(city, seen, Utc::now())).await
    }

    fn records(&self, records: Vec<WeatherSnapshot>) -> Records {
        let records = newest(records, |snapshot| snapshot.city_id, |snapshot| snapshot.observed_at);
        Records::Weather(records)
    }

    fn failure(&self, task: &CityTask, error: &str) -> Option<CityFailure> {
        Some(CityFailure {
            city_id: task.city_id?,
            name: Self::subject(task).text,
            country_code: task.country_code.clone(),
            coordinates: task.coordinates,
            error: error.to_owned(),
            at: Utc::now(),
        })
    }

    fn apply_flags(&self, flags: &Flags) {
        self.upstream.apply_flags(flags);
    }

    async fn closed_until(&self) -> Option<(DateTime<Utc>, WaitReason)> {
        self.upstream.closed_until(WeatherService::Forecast)
    }

    async fn upstream_state(&self) -> serde_json::Value {
        serde_json::to_value(self.upstream.state(WeatherService::Forecast).await)
            .unwrap_or_default()
    }
}

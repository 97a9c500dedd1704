//! Air quality: city tasks, fetched by coordinates, stored as one row a city.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use isobar_broker::{Flags, Topic};
use isobar_model::city::City;
use isobar_model::pipeline::PipelineName;
use isobar_model::task::{CityTask, DecodeError, Fields, TaskHeader};
use isobar_settings::Settings;
use isobar_store::{AirQualityRow, Records, Store, StoreError};
use isobar_upstream::cities::air_quality_row;
use isobar_upstream::{Answer, Priority, WaitReason, WeatherClient, WeatherService};

use super::cities::{self, Cities};
use super::definition::{BatchKey, Pipeline, TaskOutcome, TaskSubject};
use super::newest::newest;

#[derive(Clone, Debug)]
pub struct AirQualityPipeline {
    topic: Topic,
    cities: Cities,
    upstream: WeatherClient,
    store: Store,
}

impl AirQualityPipeline {
    pub fn new(settings: Arc<Settings>, upstream: WeatherClient, store: Store) -> Self {
        let topic = Topic::of(PipelineName::Air, &settings);
        let cities = Cities::new(settings, upstream.clone(), store.clone());
        Self { topic, cities, upstream, store }
    }
}

impl Pipeline for AirQualityPipeline {
    type Task = CityTask;
    type Record = AirQualityRow;

    const NAME: PipelineName = PipelineName::Air;
    const SKIP_REASON: &'static str = "the air quality is still current";

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
        let stored = async |ids: Vec<_>| self.store.air_quality_freshness(&ids).await;
        self.cities.already_current(tasks, stored).await
    }

    async fn fetch(&self, tasks: &[&CityTask]) -> Answer<Vec<TaskOutcome<AirQualityRow>>> {
        let request =
            async |locations: Vec<_>| self.upstream.air_quality(&locations, Priority::Batch).await;
        let record = |city: City, air| air_quality_row(city.id, &air, Utc::now());
        self.cities.fetch(tasks, request, record).await
    }

    fn records(&self, rows: Vec<AirQualityRow>) -> Records {
        Records::AirQuality(newest(rows, |row| row.city_id, |row| row.observed_at))
    }

    fn apply_flags(&self, flags: &Flags) {
        self.upstream.apply_flags(flags);
    }

    async fn closed_until(&self) -> Option<(DateTime<Utc>, WaitReason)> {
        self.upstream.closed_until(WeatherService::AirQuality)
    }

    async fn upstream_state(&self) -> serde_json::Value {
        serde_json::to_value(self.upstream.state(WeatherService::AirQuality).await)
            .unwrap_or_default()
    }
}

//! Numbers: the pipeline of this crate's unit tests, without an upstream.
//!
//! A task asks for a number, and its record is that number. The number is its city too.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};

use chrono::{DateTime, Utc};
use isobar_broker::{Flags, Topic};
use isobar_model::ids::{CityId, JobId};
use isobar_model::pipeline::PipelineName;
use isobar_model::task::{DecodeError, Fields, TaskHeader};
use isobar_settings::Settings;
use isobar_store::{AirQualityRow, CityFailure, Records, StoreError};
use isobar_upstream::{Answer, WaitReason};

use super::definition::{BatchKey, Pipeline, TaskOutcome, TaskSubject};

#[derive(Clone, Debug, Default)]
pub struct Numbers {
    /// Refused like bad locations.
    pub bad: Arc<Vec<usize>>,
    /// The longest request that is answered.
    pub at_most: usize,
    pub requests: Arc<AtomicUsize>,
}

#[derive(Clone, Debug)]
pub struct NumberTask {
    pub number: usize,
    pub head: TaskHeader,
}

impl From<usize> for NumberTask {
    fn from(number: usize) -> Self {
        let job_id = JobId::derive("numbers", "slot");
        let head = TaskHeader {
            task_id: job_id.task(&number.to_string()),
            job_id: Some(job_id),
            row: None,
            batch: None,
            try_number: 1,
            force: false,
        };
        Self { number, head }
    }
}

fn city(number: usize) -> CityId {
    CityId(number as i64)
}

impl Pipeline for Numbers {
    type Task = NumberTask;
    type Record = usize;
    const NAME: PipelineName = PipelineName::Weather;
    const SKIP_REASON: &'static str = "current";

    fn topic(&self) -> &Topic {
        static TOPIC: LazyLock<Topic> =
            LazyLock::new(|| Topic::of(PipelineName::Weather, &Settings::defaults()));
        &TOPIC
    }

    fn decode(&self, _: &Fields) -> Result<NumberTask, DecodeError> {
        unreachable!("unit tests decode no entry")
    }

    fn head(task: &NumberTask) -> &TaskHeader {
        &task.head
    }

    fn subject(task: &NumberTask) -> TaskSubject {
        TaskSubject { text: Some(task.number.to_string()), city_id: Some(city(task.number)) }
    }

    fn batch_key(&self, _: &NumberTask) -> BatchKey {
        BatchKey { kind: "number", limit: 100 }
    }

    async fn already_current(&self, tasks: &[&NumberTask]) -> Result<Vec<bool>, StoreError> {
        Ok(vec![false; tasks.len()])
    }

    async fn fetch(&self, tasks: &[&NumberTask]) -> Answer<Vec<TaskOutcome<usize>>> {
        self.requests.fetch_add(1, Ordering::Relaxed);
        if tasks.len() > self.at_most {
            return Answer::TooLarge { reason: "too much".into() };
        }
        if tasks.iter().any(|task| self.bad.contains(&task.number)) {
            return Answer::BadLocation { code: "location_rejected", reason: "bad".into() };
        }
        Answer::Ok(tasks.iter().map(|task| TaskOutcome::Record(task.number)).collect())
    }

    fn records(&self, numbers: Vec<usize>) -> Records {
        let at = DateTime::UNIX_EPOCH;
        let row = |number| AirQualityRow {
            city_id: city(number),
            pm10: None,
            pm2_5: None,
            carbon_monoxide: None,
            nitrogen_dioxide: None,
            ozone: None,
            european_aqi: None,
            us_aqi: None,
            observed_at: at,
            fresh_until: at,
            synced_at: at,
        };
        Records::AirQuality(numbers.into_iter().map(row).collect())
    }

    fn failure(&self, task: &NumberTask, error: &str) -> Option<CityFailure> {
        Some(CityFailure {
            city_id: city(task.number),
            name: None,
            country_code: None,
            coordinates: None,
            error: error.to_owned(),
            at: DateTime::UNIX_EPOCH,
        })
    }

    fn apply_flags(&self, _: &Flags) {}

    async fn closed_until(&self) -> Option<(DateTime<Utc>, WaitReason)> {
        None
    }

    async fn upstream_state(&self) -> serde_json::Value {
        serde_json::Value::Null
    }
}

//! Rows for the store's tests: plain ones, to be altered where a test says so.
//!
//! Times are whole milliseconds, the finest that both databases keep.

use chrono::{DateTime, TimeDelta, Utc};
use isobar_model::city::{City, Coordinates};
use isobar_model::ids::{CityId, JobId, TaskId};
use isobar_model::task::{JobKind, JobOpen, JobSeal, SealOutcome};
use isobar_store::{
    CityFailure, Commit, DeadLetter, LedgerRow, Records, RowStatus, WeatherSnapshot,
};

/// A fixed moment and some minutes.
pub fn at(minutes: i64) -> DateTime<Utc> {
    let start = DateTime::from_timestamp(1_790_000_000, 0).expect("a time");
    start + TimeDelta::minutes(minutes)
}

pub fn job(slot: &str) -> JobId {
    JobId::derive("store tests", slot)
}

pub fn task(job: JobId, number: u64) -> TaskId {
    job.task(&number.to_string())
}

pub fn snapshot(city: i64, observed_at: DateTime<Utc>) -> WeatherSnapshot {
    WeatherSnapshot {
        city_id: CityId(city),
        name: Some(format!("Città {city}")),
        country_code: Some("IT".into()),
        admin1_code: None,
        coordinates: Coordinates::new(45.5, -9.25).expect("on the globe"),
        population: Some(1_000 + city),
        temperature: Some(21.5),
        windspeed: Some(3.25),
        winddirection: Some(270),
        weathercode: Some(3),
        humidity: None,
        time: observed_at.format("%Y-%m-%dT%H:%M").to_string(),
        observed_at,
        fresh_until: observed_at + TimeDelta::minutes(15),
        raw_payload: r#"{"temperature":21.5,"place":"Città"}"#.into(),
        synced_at: observed_at + TimeDelta::minutes(1),
    }
}

pub fn row(job: JobId, number: u64, status: RowStatus) -> LedgerRow {
    let failed = status == RowStatus::Failed;
    LedgerRow {
        job_id: job,
        task_id: task(job, number),
        try_number: 1,
        row: Some(number),
        batch: Some(1 + number / 500),
        entry: Some(format!("{number}-0")),
        city_id: Some(CityId(number as i64)),
        city: Some(format!("Città {number}")),
        status,
        error_code: failed.then(|| "upstream_error".into()),
        last_error: failed.then(|| "the upstream answered 500".into()),
        attempts: 1,
        input: failed.then(|| r#"{"task_id":"…"}"#.into()),
        finished_at: at(number as i64),
        rejected: false,
        last_refreshed_at: None,
    }
}

pub fn reject(job: JobId, number: u64) -> LedgerRow {
    LedgerRow {
        task_id: job.reject(number),
        city_id: None,
        rejected: true,
        input: None,
        ..row(job, number, RowStatus::Failed)
    }
}

pub fn open(job: JobId) -> JobOpen {
    JobOpen {
        pipeline: isobar_model::pipeline::PipelineName::Weather,
        job_id: job,
        job_kind: JobKind::Import,
        source: "cities.csv".into(),
        slot: "slot".into(),
        created_at: at(-5),
    }
}

pub fn seal(job: JobId, rows: u64, rejected: u64, duplicates: u64) -> JobSeal {
    JobSeal { job_id: job, rows, rejected, duplicates, outcome: SealOutcome::Complete, error: None }
}

pub fn dead(source: &str) -> DeadLetter {
    DeadLetter {
        pipeline: isobar_model::pipeline::PipelineName::Weather,
        id: 0,
        task_id: None,
        job_id: None,
        city_id: Some(CityId(-4)),
        code: "undecodable".into(),
        reason: "task_id is no UTF-8".into(),
        payload: vec![0, 0xff, b'x', 0],
        deliveries: 2,
        attempts: 1,
        first_seen: at(0),
        last_seen: at(3),
        source: source.into(),
    }
}

pub fn failure(city: i64) -> CityFailure {
    CityFailure {
        city_id: CityId(city),
        name: None,
        country_code: None,
        coordinates: None,
        error: "the upstream answered 500".into(),
        at: at(9),
    }
}

pub fn place(id: i64, name: &str, country: &str, population: i64) -> City {
    City {
        id: CityId(id),
        name: name.into(),
        country_code: Some(country.into()),
        admin1_code: None,
        coordinates: Coordinates::new(48.85, 2.35).expect("on the globe"),
        population: Some(population),
    }
}

pub fn weather(snapshots: Vec<WeatherSnapshot>) -> Commit {
    Commit { records: Records::Weather(snapshots), ..Commit::default() }
}

pub fn ledger(rows: Vec<LedgerRow>) -> Commit {
    Commit { ledger: rows, ..Commit::default() }
}

pub fn seals(seal: JobSeal) -> Commit {
    Commit { seals: vec![seal], ..Commit::default() }
}

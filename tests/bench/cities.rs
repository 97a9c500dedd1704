//! Cities in the shapes that the parts need, all from the built-in list and the same every time:
//! rows of a CSV, task payloads as the producer freezes them, snapshots with their ledger rows.
//!
//! Past the end of the list it starts again with other numbers, so that every city is distinct.

use std::fmt::Write as _;
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};

use chrono::{DateTime, SubsecRound, TimeDelta, Utc};
use isobar_model::city::City;
use isobar_model::gazetteer;
use isobar_model::ids::{CityId, JobId};
use isobar_model::task::{CityTask, JobKind, JobOpen, JobSeal, SealOutcome, TaskHeader};
use isobar_store::{Commit, LedgerRow, Records, RowStatus, WeatherSnapshot};

/// More than any number of the list, and less than what JSON numbers may be.
const NEXT_ROUND: i64 = 20_000_000;

pub fn cities(count: usize) -> impl Iterator<Item = City> {
    let list = gazetteer::builtin().cities();
    (0..count).map(move |at| {
        let round = (at / list.len()) as i64;
        let city = list[at % list.len()].clone();
        City { id: CityId(city.id.0 + round * NEXT_ROUND), ..city }
    })
}

/// A file of `count` cities in the columns of the built-in list.
pub fn csv(folder: &Path, count: usize) -> PathBuf {
    let path = folder.join(format!("cities-{count}.csv"));
    let mut file = BufWriter::new(std::fs::File::create(&path).expect("create a CSV"));
    let mut line =
        "geoname_id,name,country_code,admin1_code,latitude,longitude,population\n".to_owned();
    for city in cities(count) {
        file.write_all(line.as_bytes()).expect("write a CSV");
        line.clear();
        let name = city.name.replace('"', "\"\"");
        let (country, region) =
            (city.country_code.unwrap_or_default(), city.admin1_code.unwrap_or_default());
        let (at, people) = (city.coordinates, city.population.unwrap_or_default());
        let _ = writeln!(
            line,
            "{},\"{name}\",{country},{region},{},{},{people}",
            city.id,
            at.latitude(),
            at.longitude()
        );
    }
    file.write_all(line.as_bytes()).expect("write a CSV");
    file.flush().expect("write a CSV");
    path
}

/// Task payloads as the outbox holds them: a JSON array of names and values in turn.
pub fn payloads(count: usize, job: JobId, in_job: bool) -> Vec<String> {
    let task = |(row, city): (u64, City)| {
        let head = TaskHeader {
            task_id: job.task(&city.id.to_string()),
            job_id: in_job.then_some(job),
            row: in_job.then_some(row),
            batch: in_job.then_some(1 + row / 500),
            try_number: 1,
            force: false,
        };
        let task = CityTask {
            head,
            city_id: Some(city.id),
            city: Some(city.name),
            country_code: city.country_code,
            coordinates: Some(city.coordinates),
            traceparent: None,
        };
        let wire = task.to_wire();
        let flat: Vec<&str> =
            wire.iter().flat_map(|(name, value)| [*name, value.as_str()]).collect();
        serde_json::to_string(&flat).expect("text is JSON")
    };
    (1..).zip(cities(count)).map(task).collect()
}

/// The transactions that a worker makes of one job over `count` cities, observed at `at`.
pub fn commits(count: usize, size: usize, job: JobId, at: DateTime<Utc>) -> Vec<Commit> {
    let rows: Vec<(WeatherSnapshot, LedgerRow)> = (1..)
        .zip(cities(count))
        .map(|(row, city)| (snapshot(&city, at), ledger_row(&city, job, row, at)))
        .collect();
    let mut commits: Vec<Commit> = rows
        .chunks(size)
        .map(|rows| {
            let (snapshots, ledger) = rows.iter().cloned().unzip();
            Commit { records: Records::Weather(snapshots), ledger, ..Commit::default() }
        })
        .collect();
    let open = JobOpen {
        pipeline: isobar_model::pipeline::PipelineName::Weather,
        job_id: job,
        job_kind: JobKind::Produce,
        source: "bench".to_owned(),
        slot: "bench".to_owned(),
        created_at: at,
    };
    let (rows, outcome) = (count as u64, SealOutcome::Complete);
    let seal = JobSeal { job_id: job, rows, rejected: 0, duplicates: 0, outcome, error: None };
    commits.first_mut().expect("at least one city").opens.push(open);
    commits.last_mut().expect("at least one city").seals.push(seal);
    commits
}

/// The same without snapshots: what one job over `count` cities leaves in the ledger.
pub fn ledger(
    count: usize,
    size: usize,
    job: JobId,
    at: DateTime<Utc>,
) -> impl Iterator<Item = Commit> {
    let mut rows = (1..).zip(cities(count)).map(move |(row, city)| ledger_row(&city, job, row, at));
    std::iter::from_fn(move || {
        let ledger: Vec<LedgerRow> = rows.by_ref().take(size).collect();
        (!ledger.is_empty()).then(|| Commit { ledger, ..Commit::default() })
    })
}

fn snapshot(city: &City, at: DateTime<Utc>) -> WeatherSnapshot {
    let time = at.format("%Y-%m-%dT%H:%M").to_string();
    let (latitude, longitude) = (city.coordinates.latitude(), city.coordinates.longitude());
    // As long as what is kept of the provider's answer.
    let raw_payload = format!(
        r#"{{"latitude":{latitude:.6},"longitude":{longitude:.6},"elevation":38.0,"current":{{"time":"{time}","interval":900,"temperature_2m":12.3,"relative_humidity_2m":77,"weather_code":3,"wind_speed_10m":14.8,"wind_direction_10m":237}}}}"#
    );
    WeatherSnapshot {
        city_id: city.id,
        name: Some(city.name.clone()),
        country_code: city.country_code.clone(),
        admin1_code: city.admin1_code.clone(),
        coordinates: city.coordinates,
        population: city.population,
        temperature: Some(12.3),
        windspeed: Some(14.8),
        winddirection: Some(237),
        weathercode: Some(3),
        humidity: Some(77),
        time,
        observed_at: at,
        fresh_until: at + TimeDelta::minutes(15),
        raw_payload,
        synced_at: Utc::now().trunc_subsecs(3),
    }
}

fn ledger_row(city: &City, job: JobId, row: u64, at: DateTime<Utc>) -> LedgerRow {
    LedgerRow {
        job_id: job,
        task_id: job.task(&city.id.to_string()),
        try_number: 1,
        row: Some(row),
        batch: Some(1 + row / 500),
        entry: Some(format!("1764102000000-{row}")),
        city_id: Some(city.id),
        city: Some(city.name.clone()),
        status: RowStatus::Success,
        error_code: None,
        last_error: None,
        attempts: 0,
        input: None,
        finished_at: at,
        rejected: false,
        last_refreshed_at: None,
    }
}

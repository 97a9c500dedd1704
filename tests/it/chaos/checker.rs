//! Did every row end exactly once, and is nothing else left? Asked of the databases themselves.
//!
//! Plain SQL and Redis commands, past Isobar's own store, broker and `verify`: what those share with
//! the code under test they could not see. A run is judged when it is finished, that is when its
//! stream is drained and its outbox was flushed after that. Each fault names the invariant of
//! ARCHITECTURE.md that it breaks; no fault is an empty list.

use std::collections::{BTreeMap, BTreeSet};

use super::arena::{AIR_QUALITY_STREAM, Arena, GROUP, STREAM, USER_STREAM};
use super::source::{End, Source, weather};
use super::tables::Tables;

/// A job, what it was made of, and how it is to have ended.
pub struct Job<'a> {
    pub id: String,
    pub source: &'a Source,
    pub fate: Fate,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    Done,
    /// Any row of what was extracted may be skipped, and what was not has no end.
    Cancelled,
}

/// Everything that is wrong after these jobs, and no others, have finished.
pub async fn faults(arena: &Arena, jobs: &[Job<'_>]) -> Vec<String> {
    let mut faults = Vec::new();
    let mut tables = Tables::of(arena).await;
    let known: BTreeSet<&str> = jobs.iter().map(|job| job.id.as_str()).collect();
    for (table, sql) in [
        ("jobs", "SELECT DISTINCT CAST(job_id AS TEXT) FROM jobs"),
        ("job_tasks", "SELECT DISTINCT CAST(job_id AS TEXT) FROM job_tasks"),
    ] {
        for row in tables.rows(sql).await {
            let id = row[0].clone().unwrap_or_default();
            if !known.contains(id.as_str()) {
                faults.push(format!("I1: {table} has job {id}, which nobody asked for"));
            }
        }
    }
    for job in jobs {
        account(&mut tables, job, &mut faults).await;
        ledger(&mut tables, job, &mut faults).await;
        letters(&mut tables, job, &mut faults).await;
    }
    snapshots(&mut tables, jobs, &mut faults).await;
    match &arena.redis {
        Some(_) => redis_is_empty(arena, &mut faults).await,
        None => file_is_empty(arena, &mut faults),
    }
    outboxes_are_empty(arena, &mut faults);
    faults
}

/// I5: the counters are what the ledger and the file make them, and the job has ended.
async fn account(tables: &mut Tables, job: &Job<'_>, faults: &mut Vec<String>) {
    let rows = tables
        .rows_of(
            "SELECT status, CAST(total AS TEXT), CAST(processed AS TEXT), CAST(succeeded AS TEXT),
             CAST(failed AS TEXT), CAST(skipped AS TEXT), CAST(rejected AS TEXT),
             CAST(duplicates AS TEXT) FROM jobs WHERE job_id = ",
            &job.id,
        )
        .await;
    let ledger = tables
        .rows_of(
            "SELECT CAST(count(*) AS TEXT),
             CAST(coalesce(sum(CASE WHEN status = 'success' THEN 1 ELSE 0 END), 0) AS TEXT),
             CAST(coalesce(sum(CASE WHEN status = 'failed' THEN 1 ELSE 0 END), 0) AS TEXT),
             CAST(coalesce(sum(CASE WHEN status = 'skipped' THEN 1 ELSE 0 END), 0) AS TEXT)
             FROM job_tasks WHERE job_id = ",
            &job.id,
        )
        .await;
    let number = |row: &[Option<String>], at: usize| -> u64 {
        row[at].as_deref().and_then(|text| text.parse().ok()).unwrap_or(u64::MAX)
    };
    let [row] = rows.as_slice() else {
        return faults.push(format!("I5: job {} has {} rows", job.id, rows.len()));
    };
    let [total, processed, succeeded, failed, skipped, rejected, duplicates] =
        [1, 2, 3, 4, 5, 6, 7].map(|at| number(row, at));
    let [ended, stored, given_up, passed_over] = [0, 1, 2, 3].map(|at| number(&ledger[0], at));
    let counted = (processed, succeeded, failed, skipped);
    let listed = (ended + duplicates, stored, given_up, passed_over + duplicates);
    if total != processed || counted != listed {
        faults.push(format!("I5: job {} counts {row:?}, its ledger {listed:?}", job.id));
    }
    let source = job.source;
    let (status, expected) = match job.fate {
        Fate::Done => ("done", [source.rows(), source.rejects(), source.duplicates]),
        Fate::Cancelled => ("cancelled", [total.min(source.rows()), rejected, duplicates]),
    };
    if row[0].as_deref() != Some(status) || [total, rejected, duplicates] != expected {
        faults.push(format!("I5: job {} is {row:?}, not {status} with {expected:?}", job.id));
    }
}

/// I5: one row for each row of the file, with its own end.
async fn ledger(tables: &mut Tables, job: &Job<'_>, faults: &mut Vec<String>) {
    let rows = tables
        .rows_of(
            "SELECT CAST(\"row\" AS TEXT), status, error_code, CAST(city_id AS TEXT)
             FROM job_tasks WHERE job_id = ",
            &job.id,
        )
        .await;
    let mut found: BTreeMap<u64, Vec<String>> = BTreeMap::new();
    for row in rows {
        let text = |at: usize| row[at].clone().unwrap_or_else(|| "-".to_owned());
        let number = text(0).parse().unwrap_or(0);
        found.entry(number).or_default().push([text(1), text(2), text(3)].join(" "));
    }
    for (row, end) in &job.source.ends {
        let (wanted, city) = match end {
            End::Stored { city } => (format!("success - {city}"), Some(city)),
            End::Failed { city, code } => (format!("failed {code} {city}"), Some(city)),
            End::Rejected { code } => (format!("failed {code} -"), None),
        };
        let skipped = city.map(|city| format!("skipped cancelled {city}"));
        match found.remove(row).as_deref() {
            Some([ended]) if *ended == wanted => {}
            Some([ended]) if job.fate == Fate::Cancelled && Some(ended) == skipped.as_ref() => {}
            None if job.fate == Fate::Cancelled => {}
            ended => faults.push(format!("I5: row {row} ended as {ended:?}, not {wanted:?}")),
        }
    }
    for (row, ended) in found {
        faults.push(format!("I5: row {row} has no end of its own, but ended as {ended:?}"));
    }
}

/// One dead letter for each task given up, none for anything else.
async fn letters(tables: &mut Tables, job: &Job<'_>, faults: &mut Vec<String>) {
    let rows = tables
        .rows_of("SELECT CAST(city_id AS TEXT), code FROM dead_letters WHERE job_id = ", &job.id)
        .await;
    let mut found: Vec<String> = rows
        .into_iter()
        .map(|row| row.into_iter().flatten().collect::<Vec<_>>().join(" "))
        .collect();
    let ends = job.source.ends.values();
    let mut wanted: Vec<String> = ends
        .filter_map(|end| match end {
            End::Failed { city, code } => Some(format!("{city} {code}")),
            End::Stored { .. } | End::Rejected { .. } => None,
        })
        .collect();
    found.sort();
    wanted.sort();
    let is_right = match job.fate {
        Fate::Done => found == wanted,
        Fate::Cancelled => found.iter().all(|letter| wanted.contains(letter)),
    };
    if !is_right {
        faults.push(format!("I3: dead letters of job {} are {found:?}, not {wanted:?}", job.id));
    }
}

/// I4: each city has the weather that the simulator reports for its place and its hour.
async fn snapshots(tables: &mut Tables, jobs: &[Job<'_>], faults: &mut Vec<String>) {
    let rows = tables
        .rows(
            "SELECT CAST(city_id AS TEXT), \"time\", CAST(temperature AS TEXT),
             CAST(windspeed AS TEXT), CAST(winddirection AS TEXT), CAST(weathercode AS TEXT),
             CAST(humidity AS TEXT) FROM weather",
        )
        .await;
    let mut wanted: BTreeMap<i64, (f64, f64)> = BTreeMap::new();
    let mut certain = BTreeSet::new();
    for job in jobs {
        wanted.extend(&job.source.places);
        if job.fate == Fate::Done {
            certain.extend(job.source.places.keys().copied());
        }
    }
    for row in rows {
        let number = |at: usize| row[at].as_deref().and_then(|text| text.parse::<f64>().ok());
        let city = number(0).unwrap_or_default() as i64;
        let Some(place) = wanted.remove(&city) else {
            faults.push(format!("I1: city {city} is stored, which no job has, or twice"));
            continue;
        };
        let Some(now) = row[1].as_deref().and_then(|time| weather(place, time)) else {
            faults.push(format!("I4: city {city} has the time {:?}", row[1]));
            continue;
        };
        let found = [2, 3, 4, 5, 6].map(number);
        let tenth = |value: i64| Some(value as f64 / 10.0);
        let whole = |value: i64| Some(value as f64);
        let told = [
            tenth(now.temperature_decicelsius),
            tenth(now.wind_decikmh),
            whole(now.wind_direction_degrees),
            whole(i64::from(now.code)),
            whole(now.humidity_percent),
        ];
        if found != told {
            faults.push(format!("I4: city {city} has {found:?}, the upstream says {told:?}"));
        }
    }
    for city in wanted.keys().filter(|city| certain.contains(city)) {
        faults.push(format!("I5: city {city} has no snapshot"));
    }
}

/// I3, I8: no entry, no pending entry, no watermark, no attempts; no key that is not ours.
async fn redis_is_empty(arena: &Arena, faults: &mut Vec<String>) {
    let redis = arena.redis.as_ref().expect("asked for Redis only");
    let tagged = |name: &str| format!("{{{STREAM}}}:{name}");
    for stream in [STREAM.to_owned(), tagged("control")] {
        let entries: u64 = redis.cli(&["XLEN", &stream]).await;
        if entries > 0 {
            faults.push(format!("I3: {entries} entries are left in {stream}"));
        }
        let pending: Vec<redis::Value> = redis.cli(&["XPENDING", &stream, GROUP]).await;
        if !matches!(pending.first(), Some(redis::Value::Int(0))) {
            faults.push(format!("I3: entries of {stream} are pending still: {pending:?}"));
        }
    }
    let keys: Vec<String> = redis.cli(&["KEYS", "*"]).await;
    // Workers create the stream of every pipeline, also where it stays empty.
    let names = |stream: &str| {
        let tagged = ["control", "epoch", "watermarks", "ended", "store"]
            .map(|name| format!("{{{stream}}}:{name}"));
        std::iter::once(stream.to_owned()).chain(tagged)
    };
    let expected: Vec<String> =
        [STREAM, AIR_QUALITY_STREAM, USER_STREAM].into_iter().flat_map(names).collect();
    for key in keys {
        if !expected.contains(&key) && !key.starts_with("isobar:") {
            faults.push(format!("I8: the key {key} is left"));
        }
    }
}

/// The same for the embedded broker, whose counters must agree with its rows, too.
fn file_is_empty(arena: &Arena, faults: &mut Vec<String>) {
    let Some(path) = arena.data_file("broker.db") else {
        return faults.push("I1: there is no broker.db".to_owned());
    };
    for (what, sql) in [
        ("I3: entries are left", "SELECT count(*) FROM entries"),
        ("I8: watermarks are left", "SELECT count(*) FROM watermarks WHERE ended_ms IS NULL"),
        ("I8: records of batches are left", "SELECT count(*) FROM batches"),
        (
            "I5: the stream counts unfinished tasks",
            "SELECT sum(abs(tasks) + abs(control)) FROM topics",
        ),
    ] {
        faults.extend(left(&path, what, sql));
    }
}

/// I1, I8: every batch is confirmed and pruned, every job done, no key and no file kept for it.
fn outboxes_are_empty(arena: &Arena, faults: &mut Vec<String>) {
    for path in arena.outboxes() {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        for (what, sql) in [
            (
                "unconfirmed batches are left",
                "SELECT count(*) FROM batches WHERE confirmed_at_ms IS NULL",
            ),
            (
                "payloads of no batch are left",
                "SELECT count(*) FROM payloads WHERE batch NOT IN (SELECT key FROM batches)",
            ),
            ("jobs are not done", "SELECT count(*) FROM jobs WHERE state <> 'done'"),
            ("seen keys are left", "SELECT count(*) FROM seen"),
            ("new seen keys are left", "SELECT count(*) FROM seen_lately"),
        ] {
            faults.extend(left(&path, &format!("I8: {what} in {name}"), sql));
        }
    }
    let spooled = arena.data_file("spool").into_iter().flat_map(std::fs::read_dir).flatten();
    for file in spooled.flatten() {
        // What a writer that was killed had begun is swept when it is old enough.
        if file.path().extension().is_none_or(|extension| extension != "part") {
            faults.push(format!("I8: {} is left in the spool", file.path().display()));
        }
    }
}

fn left(path: &std::path::Path, what: &str, sql: &str) -> Option<String> {
    let db = rusqlite::Connection::open(path).expect("opens");
    let count: i64 = db.query_row(sql, [], |row| row.get(0)).expect("counts");
    (count != 0).then(|| format!("{what} ({count})"))
}

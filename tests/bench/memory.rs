//! A CSV of a million rows: how much memory `produce` needs at its peak, and whether ten times
//! the rows take ten times as long.
//!
//! The peak is the kernel's own (`VmHWM`), asked for until the process ends. It is monotonous, so
//! only what happens in the last moments between two looks could be missed.

use std::path::Path;
use std::time::{Duration, Instant};

use crate::cities;
use crate::fixtures::{Ground, LIMIT, Timed, finished, folder};
use crate::harness::redis::Redis;
use crate::limits;
use crate::table::{Row, Target};

const LOOK_EVERY: Duration = Duration::from_millis(10);

pub async fn large_csv(ground: &Ground) -> Vec<Row> {
    let home = folder();
    let redis = Redis::start().await;
    let (small, large) = (ground.scale.tasks(), ground.scale.rows);
    let mut small_seconds = Vec::new();
    for _ in 0..ground.scale.runs {
        small_seconds.push(run(ground, home.path(), &redis, small).await.0.took.as_secs_f64());
    }
    let (ended, peak_mib) = run(ground, home.path(), &redis, large).await;
    let seconds = ended.took.as_secs_f64();
    let small_row = Row::new(format!("produce, CSV of {small} rows"), "s", small_seconds);
    let ratio = small_row.median().map_or(f64::NAN, |small| seconds / small);
    vec![
        Row::new("peak memory of the large CSV", "MiB", vec![peak_mib])
            .target(Target::AtMost(128.0)),
        Row::new(format!("produce, CSV of {large} rows"), "s", vec![seconds]),
        Row::new("the same per second", "rows/s", vec![ended.per_second(large as u64)]),
        small_row,
        Row::new("time of ten times the rows", "×", vec![ratio]).target(Target::AtMost(11.0)),
    ]
}

async fn run(ground: &Ground, home: &Path, redis: &Redis, rows: usize) -> (Timed, f64) {
    limits::empty(redis).await;
    let csv = cities::csv(home, rows).to_string_lossy().into_owned();
    let dir = folder();
    let command = ground.isobar(dir.path(), ["produce", "--json", "--csv", &csv]);
    let command = command.env("REDIS_URL", redis.url());
    let began = Instant::now();
    let mut running = command.spawn();
    let mut peak_kib = 0;
    let mut process = None;
    while running.is_running() {
        assert!(began.elapsed() < LIMIT, "produce is still running after {LIMIT:?}");
        process = process.or_else(|| process_with(&csv));
        peak_kib = peak_kib.max(process.as_deref().and_then(peak).unwrap_or_default());
        tokio::time::sleep(LOOK_EVERY).await;
    }
    let took = began.elapsed();
    let ended = running.wait(LIMIT).await;
    let ended = finished(&running, ended, 0, took);
    assert_eq!(ended.count("published"), rows as u64);
    (ended, peak_kib as f64 / 1024.0)
}

/// The folder in /proc of our binary that was started with this argument; its guard is a shell.
fn process_with(argument: &str) -> Option<String> {
    let program = Path::new(env!("CARGO_BIN_EXE_isobar")).canonicalize().ok()?;
    let processes = std::fs::read_dir("/proc").ok()?;
    processes.flatten().map(|entry| entry.path()).find_map(|folder| {
        let is_ours = std::fs::read_link(folder.join("exe")).is_ok_and(|exe| exe == program);
        let words = is_ours.then(|| std::fs::read(folder.join("cmdline")).ok()).flatten()?;
        let has_it = words.split(|byte| *byte == 0).any(|word| word == argument.as_bytes());
        has_it.then(|| folder.to_string_lossy().into_owned())
    })
}

fn peak(process: &str) -> Option<u64> {
    let status = std::fs::read_to_string(format!("{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix(" kB")?.parse().ok()
}

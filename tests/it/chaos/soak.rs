//! Full speed under a failing upstream, for as long as somebody likes: nothing grows.
//!
//! Memory and open files of the roles that never end, keys in Redis, the logs of SQLite's files:
//! what they are in the last third of the time is what they were in the second, give or take little.
//! `ISOBAR_SOAK_SECONDS` says how long (1800 for half an hour); in the end every row is asked for.

use std::time::{Duration, Instant};

use serde_json::json;

use super::arena::{Arena, Backend};
use super::checker::{Fate, Job};
use super::scenario::{from_file, judge};
use super::source::Source;
use super::upload::{confirm, post};
use crate::harness::guard::chosen;
use crate::harness::http::Http;
use crate::harness::isobar::Running;
use crate::harness::port::free_port;
use crate::harness::sim::Sim;
use crate::harness::wait::{PATIENCE, eventually};

const SECONDS: i64 = 15;
/// Of cron's file, and of the one that is uploaded.
const ROWS: [u64; 2] = [1_000, 100];
/// A few rounds are under way at a time, and no more.
const HIGH_WATER: &str = "2000";
const MIB: u64 = 1 << 20;
/// What a quantity may be more in the last third than it ever was in the second.
const MORE: Sample = Sample { memory: 24 * MIB, files: 12, keys: 12, log: 16 * MIB };
/// SQLite begins a log anew from about four mebibytes on, where no reader is in the way.
const LOG_BYTES: u64 = 64 * MIB;

#[derive(Clone, Copy, Debug, Default)]
struct Sample {
    /// Of that role which has the most.
    memory: u64,
    files: u64,
    keys: u64,
    /// The largest of SQLite's.
    log: u64,
}

impl Sample {
    fn most(self, other: Self) -> Self {
        Self {
            memory: self.memory.max(other.memory),
            files: self.files.max(other.files),
            keys: self.keys.max(other.keys),
            log: self.log.max(other.log),
        }
    }

    fn counts(self) -> [(&'static str, u64); 4] {
        [
            ("bytes of memory", self.memory),
            ("open files", self.files),
            ("keys in Redis", self.keys),
            ("bytes of a log", self.log),
        ]
    }
}

#[tokio::test]
async fn nothing_grows_with_files() {
    soak(Backend::Embedded).await;
}

#[tokio::test]
async fn nothing_grows_with_servers() {
    soak(Backend::Servers).await;
}

async fn soak(backend: Backend) {
    let seconds = chosen("ISOBAR_SOAK_SECONDS").unwrap_or(SECONDS);
    let whole = Duration::from_secs(seconds.unsigned_abs());
    let sim = Sim::start(["--cities", "1"]).await;
    for fault in [
        json!({"endpoint": "/v1/forecast", "status": 503, "every": 17}),
        json!({"endpoint": "/v1/forecast", "kind": "reset", "every": 23}),
        json!({"endpoint": "/v1/forecast", "kind": "truncate", "every": 29}),
    ] {
        sim.fault(&fault).await;
    }
    let arena = Arena::set(backend, sim.url()).await.with("ISOBAR_STREAM_HIGH_WATER", HIGH_WATER);
    arena.isobar(["migrate"]).run().await.expect_code(0);
    let listen = format!("127.0.0.1:{}", free_port());
    let http = Http::new(format!("http://{listen}"));
    let mut roles: Vec<Running> = vec![
        arena.isobar(["serve", "--listen", &listen]).spawn(),
        arena.isobar(["consume"]).spawn(),
        arena.isobar(["consume"]).spawn(),
    ];
    let (began, mut jobs, mut samples) = (Instant::now(), Vec::new(), Vec::new());
    while began.elapsed() < whole {
        let number = jobs.len() as i64;
        let [file, upload] = [(ROWS[0], number), (ROWS[1], number + 1)]
            .map(|(rows, number)| Source::of(rows, number));
        let report = from_file(&arena, &file).run().await.expect_code(0).json();
        jobs.push((report["job_id"].as_str().expect("an id").to_owned(), file));
        let id = eventually(PATIENCE, "the file is taken", async || {
            post(&http, &upload.text, &number.to_string()).await
        });
        jobs.push((id.await, upload));
        for path in ["/stats", "/bulk/jobs", "/metrics", "/cities/?limit=500"] {
            assert_eq!(http.get(path).await.status, 200, "{path}");
        }
        samples.push((began.elapsed(), sample(&arena, &roles).await));
    }
    let elapsed = began.elapsed();
    for role in &mut roles {
        role.terminate();
        assert_eq!(role.wait(PATIENCE).await, 0, "{}", role.stderr_so_far());
    }

    let within = |from: u32, to: u32| {
        let (from, to) = (elapsed * from / 3, elapsed * to / 3);
        let of = samples.iter().filter(|(at, _)| (from..=to).contains(at)).map(|(_, one)| *one);
        of.fold(Sample::default(), Sample::most)
    };
    let (before, after) = (within(1, 2), within(2, 3));
    println!("{backend:?}: {} jobs in {elapsed:?}, {before:?}, then {after:?}", jobs.len());
    let more = before.counts().into_iter().zip(after.counts()).zip(MORE.counts());
    for (((what, before), (_, after)), (_, more)) in more {
        assert!(after <= before + more, "{before} {what} became {after}");
    }
    assert!(after.log <= LOG_BYTES, "a log of {} bytes is never begun anew", after.log);

    let jobs: Vec<Job<'_>> =
        jobs.iter().map(|(id, source)| Job { id: id.clone(), source, fate: Fate::Done }).collect();
    let drained = arena.isobar(["consume", "--drain"]).run().await;
    assert!([0, 3].contains(&drained.code), "{drained:?}");
    confirm(&arena).await;
    let wrong = judge(&arena, &jobs).await;
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

async fn sample(arena: &Arena, roles: &[Running]) -> Sample {
    let keys = match &arena.redis {
        Some(redis) => redis.cli(&["DBSIZE"]).await,
        None => 0,
    };
    let used = roles.iter().map(|role| {
        let (memory, files) = role.uses();
        Sample { memory, files, ..Sample::default() }
    });
    let files = std::fs::read_dir(arena.dir.path()).expect("a folder").flatten();
    let logs = files.filter(|file| file.file_name().to_string_lossy().ends_with(".db-wal"));
    let log = logs.filter_map(|file| Some(file.metadata().ok()?.len())).max().unwrap_or(0);
    used.fold(Sample { keys, log, ..Sample::default() }, Sample::most)
}

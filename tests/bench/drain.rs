//! Stream to store: `isobar consume --drain` against the simulator, on servers and on files, with
//! many locations in a request and with one; then the whole way from the start of `produce`.
//!
//! Each run begins with an empty store: the first pass inserts, the second (`--force`) updates.
//! The stream is filled before and not timed. Beside it stand the committer's statements alone on
//! as many rows of the same kind, into a store of the same kind.

use std::path::Path;
use std::time::{Duration, Instant};

use chrono::Utc;
use isobar_store::{JobStatus, Store};

use crate::fixtures::{Ground, LIMIT, finished, folder, timed};
use crate::harness::isobar::Isobar;
use crate::harness::redis::Redis;
use crate::harness::wait::PATIENCE;
use crate::limits;
use crate::table::{Row, Target};

/// Locations in a request, and the cities per second that are asked for.
const LOCATIONS: [(usize, f64); 2] = [(100, 10_000.0), (1, 3_500.0)];
const PASSES: [&str; 2] = ["inserts", "updates"];
/// Beyond this a pipeline is held back by something else than its store.
const SHARE: f64 = 0.6;
const LOOK_EVERY: Duration = Duration::from_millis(10);

pub async fn on_servers(ground: &Ground) -> Vec<Row> {
    let redis = Redis::start().await;
    let place = Place::Servers(&redis);
    measure(ground, &place, "Redis + PostgreSQL", "limit B: commits alone, PostgreSQL").await
}

pub async fn embedded(ground: &Ground) -> Vec<Row> {
    measure(ground, &Place::Files, "embedded", "commits alone, SQLite").await
}

/// Where stream and store are.
enum Place<'a> {
    Servers(&'a Redis),
    Files,
}

impl Place<'_> {
    /// A store that nobody has used yet.
    async fn fresh_database(&self, ground: &Ground) -> Option<String> {
        match self {
            Self::Servers(_) => Some(ground.postgres.fresh_database().await.url),
            Self::Files => None,
        }
    }

    fn tell(&self, command: Isobar, database: Option<&String>) -> Isobar {
        match (self, database) {
            (Self::Servers(redis), Some(url)) => {
                command.env("REDIS_URL", redis.url()).env("DATABASE_URL", url)
            }
            _ => command,
        }
    }
}

async fn measure(ground: &Ground, place: &Place<'_>, name: &str, limit: &str) -> Vec<Row> {
    let mut alone = [const { Vec::new() }; 2];
    let mut drained = [const { [const { Vec::new() }; 2] }; 2];
    for _ in 0..ground.scale.runs {
        let database = place.fresh_database(ground).await;
        let rates = limits::commits(ground, folder().path(), database.as_deref()).await;
        for (pass, rate) in rates.into_iter().enumerate() {
            alone[pass].push(rate);
        }
        for (of, (locations, _)) in LOCATIONS.into_iter().enumerate() {
            let dir = folder();
            let database = place.fresh_database(ground).await;
            for (pass, into) in drained[of].iter_mut().enumerate() {
                let tell = |command| place.tell(command, database.as_ref());
                into.push(drain(ground, dir.path(), tell, locations, pass).await);
            }
        }
    }
    let limits: Vec<Row> = std::iter::zip(PASSES, alone)
        .map(|(pass, runs)| Row::new(format!("{limit}, {pass}"), "cities/s", runs))
        .collect();
    let mut rows = Vec::new();
    for ((locations, least), drained) in std::iter::zip(LOCATIONS, drained) {
        for (pass, runs) in drained.into_iter().enumerate() {
            let name = format!("drain, {name}, {locations} a request, {}", PASSES[pass]);
            let mut row = Row::new(name, "cities/s", runs);
            // What is asked for was said of servers.
            let on_servers = matches!(place, Place::Servers(_));
            if on_servers {
                row = row.target(Target::AtLeast(least));
            }
            let share = (on_servers && locations > 1).then_some(Target::AtLeast(SHARE));
            rows.push(row.share_of(&limits[pass], share));
        }
    }
    limits.into_iter().chain(rows).collect()
}

/// Fills the stream, then times the drain.
async fn drain(
    ground: &Ground,
    dir: &Path,
    tell: impl Fn(Isobar) -> Isobar,
    locations: usize,
    pass: usize,
) -> f64 {
    let filled = timed(&tell(producer(ground, dir, pass)), 0).await;
    let cities = ground.scale.cities as u64;
    assert_eq!(filled.count("published"), cities, "the stream holds every city");
    let locations = locations.to_string();
    let args = ["consume", "--drain", "--json", "--locations-per-request", &locations];
    let ended = timed(&tell(ground.isobar(dir, args)), 0).await;
    assert_eq!(ended.count("succeeded"), cities, "every city is stored");
    ended.per_second(cities)
}

fn producer(ground: &Ground, dir: &Path, pass: usize) -> Isobar {
    // The stream remembers the jobs of earlier runs, so each has slots of its own.
    let slot = format!("{} {}", dir.display(), PASSES[pass]);
    let command = ground.isobar(dir, ["produce", "--json", "--source", "api", "--slot", &slot]);
    if pass == 0 { command } else { command.args(["--force"]) }
}

/// From the start of `produce` to its job's end in the store, with a worker that waits for it.
pub async fn whole(ground: &Ground) -> Vec<Row> {
    let redis = Redis::start().await;
    let mut rates = [const { Vec::new() }; 2];
    for _ in 0..ground.scale.runs {
        limits::empty(&redis).await;
        let dir = folder();
        let database = ground.postgres.fresh_database().await.url;
        let tell = |command: Isobar| {
            command.env("REDIS_URL", redis.url()).env("DATABASE_URL", database.clone())
        };
        let settings = ground
            .settings(dir.path(), &[("REDIS_URL", &redis.url()), ("DATABASE_URL", &database)]);
        let store = Store::open(&settings).await.expect("a store");
        let mut worker = tell(ground.isobar(dir.path(), ["consume"])).spawn();
        worker.wait_for_line(|line| line.contains("worker started"), PATIENCE).await;
        for (pass, rates) in rates.iter_mut().enumerate() {
            rates.push(to_the_end(ground, &tell(producer(ground, dir.path(), pass)), &store).await);
        }
        worker.terminate();
        assert_eq!(worker.wait(LIMIT).await, 0, "{}", worker.stderr_so_far());
    }
    let row = |(pass, runs): (&str, Vec<f64>)| {
        let name = format!("start of produce to last city stored, {pass}");
        Row::new(name, "cities/s", runs).target(Target::AtLeast(7_000.0))
    };
    std::iter::zip(PASSES, rates).map(row).collect()
}

async fn to_the_end(ground: &Ground, producer: &Isobar, store: &Store) -> f64 {
    let cities = ground.scale.cities as u64;
    let started_at = Utc::now();
    let began = Instant::now();
    let mut running = producer.spawn();
    let job = loop {
        let newest = store.jobs(None, 1).await.expect("the store answers").pop();
        // Stored times are cut to milliseconds, so the one before is no proof.
        let ours =
            newest.filter(|job| job.created_at.timestamp_millis() >= started_at.timestamp_millis());
        if let Some(job) = ours.filter(|job| job.status == JobStatus::Done) {
            break job;
        }
        assert!(began.elapsed() < LIMIT, "the job is not done\n{}", running.stderr_so_far());
        tokio::time::sleep(LOOK_EVERY).await;
    };
    let took = began.elapsed();
    assert_eq!((job.total, job.succeeded), (Some(cities), cities), "every city is stored");
    let ended = running.wait(LIMIT).await;
    finished(&running, ended, 0, took).per_second(cities)
}

/// Nothing installed, nothing configured: the first command of the README.
pub async fn demo(ground: &Ground) -> Vec<Row> {
    const NAME: &str = "isobar demo --exit";
    let mut seconds = Vec::new();
    for _ in 0..ground.scale.runs {
        let dir = folder();
        let command = Isobar::new(dir.path()).args(["demo", "--exit", "--json"]);
        let began = Instant::now();
        let mut running = command.spawn();
        let code = running.wait(LIMIT).await;
        let took = began.elapsed();
        if code == 2 {
            return vec![Row::absent(NAME, "s", "this binary has no such command")];
        }
        finished(&running, code, 0, took);
        seconds.push(took.as_secs_f64());
    }
    vec![Row::new(NAME, "s", seconds).target(Target::AtMost(15.0))]
}

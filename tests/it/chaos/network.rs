//! Every connection × everything that a network does to one: it recovers by itself, and in time.
//!
//! A producer's run and a worker that is never restarted, with the proxy between them and Redis,
//! PostgreSQL or the upstream. Nothing may hang longer than its named limit, so a case that is not at
//! its end after [`LONG_PATIENCE`] has failed, whatever it waits for.

use std::time::Duration;

use tokio::task::{JoinSet, LocalSet};

use super::arena::{Arena, Backend};
use super::checker::{Fate, Job};
use super::scenario::{from_file, judge};
use super::source::Source;
use super::tables::Tables;
use crate::harness::proxy::{Fault, Kind, Proxy};
use crate::harness::sim::Sim;
use crate::harness::wait::{LONG_PATIENCE, PATIENCE, until};

const ROWS: u64 = 230;
/// Cases at a time: most of one is waiting for a limit.
const AT_A_TIME: usize = 4;
/// Between whom the proxy is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Between {
    RolesAndRedis,
    WorkerAndPostgres,
    WorkerAndUpstream,
}

impl Between {
    fn kinds(self) -> [Kind; 6] {
        // Above the limit of an answer: 600 ms of the upstream here, 5 s of Redis. PostgreSQL may take
        // its time.
        let late = match self {
            Self::RolesAndRedis => Duration::from_secs(6),
            Self::WorkerAndPostgres | Self::WorkerAndUpstream => Duration::from_secs(2),
        };
        [
            Kind::CutBeforeReply,
            Kind::CutAfterReply,
            Kind::Refuse,
            Kind::Silence,
            Kind::Late(late),
            Kind::Trickle,
        ]
    }
}

#[tokio::test]
async fn redis_behind_a_bad_network_loses_nothing() {
    LocalSet::new().run_until(try_all(Between::RolesAndRedis)).await;
}

#[tokio::test]
async fn postgres_behind_a_bad_network_loses_nothing() {
    LocalSet::new().run_until(try_all(Between::WorkerAndPostgres)).await;
}

#[tokio::test]
async fn an_upstream_behind_a_bad_network_loses_nothing() {
    LocalSet::new().run_until(try_all(Between::WorkerAndUpstream)).await;
}

/// Its bar counts beside the worker, five times a second: here while the worker still connects.
#[tokio::test]
async fn a_drain_over_a_slow_connection_comes_to_its_end() {
    let sim = Sim::start(["--cities", "1"]).await;
    let arena = Arena::set(Backend::Servers, sim.url()).await;
    let source = Source::of(ROWS, 0);
    let report = from_file(&arena, &source).run().await.expect_code(0).json();
    let id = report["job_id"].as_str().expect("an id").to_owned();
    let kind = Kind::Late(Duration::from_millis(700));
    let fault = Fault { kind, after_bytes: 0, connections: 1 };
    let redis = arena.redis.as_ref().expect("servers");
    let proxy = Proxy::start(redis.port(), fault).await;
    let url = format!("redis://127.0.0.1:{}", proxy.port());
    let mut drain = arena.isobar(["consume", "--drain"]).env("REDIS_URL", url).spawn();
    let code = drain.wait(PATIENCE).await;
    // 3 says that some rows failed, as they must.
    assert_eq!((code, proxy.had_it()), (3, 1), "{}", drain.stderr_so_far());
    let wrong = judge(&arena, &[Job { id, source: &source, fate: Fate::Done }]).await;
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

async fn try_all(between: Between) {
    // While they open the connection, and in the middle of the work.
    let mut waiting = between.kinds().into_iter().flat_map(|kind| [(kind, 0), (kind, 2_000)]);
    let (mut running, mut wrong) = (JoinSet::new(), Vec::new());
    loop {
        while running.len() < AT_A_TIME
            && let Some((kind, after_bytes)) = waiting.next()
        {
            // The longest limit, that of a silent database, is met once.
            let is_long = between == Between::WorkerAndPostgres && kind == Kind::Silence;
            let connections = if is_long { 1 } else { 3 };
            running.spawn_local(survive(between, Fault { kind, after_bytes, connections }));
        }
        match running.join_next().await {
            Some(ended) => wrong.extend(ended.expect("a case panics only where the test is wrong")),
            None => break,
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

async fn survive(between: Between, fault: Fault) -> Vec<String> {
    let sim = Sim::start(["--cities", "1"]).await;
    let arena = Arena::set(Backend::Servers, sim.url()).await;
    let (redis, database) =
        (arena.redis.as_ref().expect("servers"), arena.database.as_ref().expect("servers"));
    let url = match between {
        Between::RolesAndRedis => redis.url(),
        Between::WorkerAndPostgres => database.url.clone(),
        Between::WorkerAndUpstream => sim.url().to_owned(),
    };
    let mut url = url::Url::parse(&url).expect("a URL");
    let proxy = Proxy::start(url.port().expect("a port"), fault).await;
    url.set_port(Some(proxy.port())).expect("a URL with a host");
    let (name, url) = match between {
        Between::RolesAndRedis => ("REDIS_URL", url.to_string()),
        Between::WorkerAndPostgres => ("DATABASE_URL", url.to_string()),
        Between::WorkerAndUpstream => ("ISOBAR_OPEN_METEO_URL", url.to_string()),
    };
    arena.isobar(["migrate"]).run().await.expect_code(0);
    let source = Source::of(ROWS, 0);
    let produce = from_file(&arena, &source).env(name, url.clone());
    let mut worker = arena.isobar(["consume"]).env(name, url).spawn();
    let mut id = None;
    // As cron does: again, while it says that it is worth it.
    until(LONG_PATIENCE, "the producer comes to its end", async || {
        let ended = produce.run().await;
        assert!([0, 75].contains(&ended.code), "{between:?} {fault:?}: {ended:?}");
        id = (ended.code == 0).then(|| ended.json()["job_id"].as_str().expect("an id").to_owned());
        id.is_some()
    })
    .await;
    let id = id.expect("it ended well");
    let mut tables = Tables::of(&arena).await;
    let done = format!("SELECT count(*) FROM jobs WHERE status = 'done' AND job_id = '{id}'");
    until(LONG_PATIENCE, &format!("the job is done, {between:?} {fault:?}"), async || {
        assert!(worker.is_running(), "{between:?} {fault:?}: {}", worker.stderr_so_far());
        tables.count(&done).await == 1
    })
    .await;
    worker.terminate();
    let code = worker.wait(LONG_PATIENCE).await;
    let mut wrong = judge(&arena, &[Job { id, source: &source, fate: Fate::Done }]).await;
    if code != 0 {
        wrong.push(format!("the worker ended with {code}: {}", worker.stderr_so_far()));
    }
    if proxy.had_it() == 0 {
        wrong.push("no connection had the fault".to_owned());
    }
    wrong.into_iter().map(|fault_found| format!("{between:?} {fault:?}: {fault_found}")).collect()
}

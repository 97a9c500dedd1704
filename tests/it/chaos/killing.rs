//! Producers, workers, the API and Redis are killed at moments of chance, round after round.
//!
//! A round is a file for cron's producer and one that is uploaded, with other cities than all rounds
//! before. While they are worked on under a failing upstream, roles die by `kill -9` and are started
//! again; then the round is brought to its end as an operator would, and after the last one the
//! checker judges all of them. `ISOBAR_CHAOS_ROUNDS` says how many (1000 for a night), and
//! `ISOBAR_CHAOS_SEED` replays the choices of a run that failed: who dies, when and in which order.
//! What the processes do meanwhile is theirs.

use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use serde_json::json;

use super::arena::{Arena, Backend};
use super::checker::{Fate, Job, faults};
use super::scenario::from_file;
use super::source::Source;
use super::tables::Tables;
use super::upload::{confirm, post};
use crate::harness::guard::chosen;
use crate::harness::http::Http;
use crate::harness::isobar::Running;
use crate::harness::port::free_port;
use crate::harness::sim::Sim;
use crate::harness::wait::{LONG_PATIENCE, until};

/// Rounds where nobody says how many.
const ROUNDS: i64 = 3;
const ROWS: u64 = 230;
/// Fewer of a worker's deaths than condemn a task that is innocently with it each time.
const KILLS: usize = 6;
/// The longest that passes between two kills.
const APART_MS: u64 = 400;

#[tokio::test]
async fn rounds_of_kills_lose_nothing_with_files() {
    survive(Backend::Embedded).await;
}

#[tokio::test]
async fn rounds_of_kills_lose_nothing_with_servers() {
    survive(Backend::Servers).await;
}

/// Who dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Victim {
    Producer,
    Worker(usize),
    Api,
    Redis,
}

/// Everything that runs.
struct Fleet {
    arena: Arena,
    listen: String,
    api: Running,
    workers: Vec<Running>,
    producer: Option<Running>,
}

async fn survive(backend: Backend) {
    let rounds = chosen("ISOBAR_CHAOS_ROUNDS").unwrap_or(ROUNDS);
    let seed = chosen("ISOBAR_CHAOS_SEED").unwrap_or_else(|| rand::rng().random_range(0..1 << 32));
    println!("{backend:?}: {rounds} rounds, ISOBAR_CHAOS_SEED={seed}");
    let mut chance = StdRng::seed_from_u64(seed.cast_unsigned());
    let sim = Sim::start(["--cities", "1"]).await;
    for fault in [
        json!({"endpoint": "/v1/forecast", "status": 503, "every": 7}),
        json!({"endpoint": "/v1/forecast", "kind": "reset", "every": 11}),
        json!({"endpoint": "/v1/forecast", "kind": "truncate", "every": 13}),
    ] {
        sim.fault(&fault).await;
    }
    // Leases that a starved worker renews too late cost deliveries, too, and condemn nobody here.
    let arena = Arena::set(backend, sim.url()).await.with("ISOBAR_MAX_DELIVERIES", "10");
    let mut fleet = Fleet::start(arena);
    let mut sources = Vec::new();
    for round in 0..rounds {
        let began = Instant::now();
        let pair = [2 * round, 2 * round + 1].map(|number| Source::of(ROWS, number));
        let (ids, kills) = fleet.round(round, &pair, &mut chance).await;
        println!("{backend:?} round {round}: {kills:?}, {:.1} s", began.elapsed().as_secs_f64());
        sources.extend(ids.into_iter().zip(pair));
    }
    let arena = fleet.end().await;
    let jobs: Vec<Job<'_>> = sources
        .iter()
        .map(|(id, source)| Job { id: id.clone(), source, fate: Fate::Done })
        .collect();
    let wrong = faults(&arena, &jobs).await;
    assert!(wrong.is_empty(), "ISOBAR_CHAOS_SEED={seed} on {backend:?}\n{}", wrong.join("\n"));
}

impl Fleet {
    fn start(arena: Arena) -> Self {
        let listen = format!("127.0.0.1:{}", free_port());
        let api = arena.isobar(["serve", "--listen", &listen]).spawn();
        let workers = (0..3).map(|_| arena.isobar(["consume"]).spawn()).collect();
        Self { arena, listen, api, workers, producer: None }
    }

    /// The ids of its two jobs, and who died.
    async fn round(
        &mut self,
        round: i64,
        [file, upload]: &[Source; 2],
        chance: &mut StdRng,
    ) -> ([String; 2], Vec<Victim>) {
        let produce = from_file(&self.arena, file);
        self.producer = Some(produce.spawn());
        let key = format!("round-{round}");
        let http = Http::new(format!("http://{}", self.listen));
        let mut uploaded = post(&http, &upload.text, &key).await;
        let kills = self.victims(chance);
        for victim in &kills {
            self.kill(*victim, chance).await;
            if uploaded.is_none() {
                uploaded = post(&http, &upload.text, &key).await;
            }
        }
        // Now as cron and a careful client would: again, until it is done.
        drop(self.producer.take());
        let mut produced = None;
        until(LONG_PATIENCE, "the producer comes to its end", async || {
            let ended = produce.run().await;
            assert!([0, 75].contains(&ended.code), "{ended:?}");
            produced = (ended.code == 0).then(|| ended.json()["job_id"].clone());
            produced.is_some()
        })
        .await;
        until(LONG_PATIENCE, "the file is taken", async || {
            uploaded = post(&http, &upload.text, &key).await;
            uploaded.is_some()
        })
        .await;
        if kills.contains(&Victim::Redis) {
            // Its relay looks at once, when it starts, for what Redis has lost.
            self.api.kill9().await;
            self.api = self.arena.isobar(["serve", "--listen", &self.listen]).spawn();
        }
        let produced = produced.as_ref().and_then(|id| id.as_str()).expect("an id").to_owned();
        let ids = [produced, uploaded.expect("it was taken")];
        self.are_done(&ids).await;
        (ids, kills)
    }

    fn victims(&self, chance: &mut StdRng) -> Vec<Victim> {
        let mut all = vec![Victim::Producer, Victim::Producer, Victim::Api];
        all.extend((0..self.workers.len()).map(Victim::Worker));
        all.extend(self.arena.redis.iter().map(|_| Victim::Redis));
        let count = chance.random_range(1..=KILLS);
        (0..count).map(|_| *all.choose(chance).expect("somebody")).collect()
    }

    async fn kill(&mut self, victim: Victim, chance: &mut StdRng) {
        let moment = Duration::from_millis(chance.random_range(0..APART_MS));
        // Not to wait for anything: this is when it dies.
        tokio::time::sleep(moment).await;
        match victim {
            Victim::Producer => {
                if let Some(mut producer) = self.producer.take() {
                    producer.kill9().await;
                }
            }
            Victim::Worker(number) => {
                self.workers[number].kill9().await;
                self.workers[number] = self.arena.isobar(["consume"]).spawn();
            }
            Victim::Api => {
                self.api.kill9().await;
                self.api = self.arena.isobar(["serve", "--listen", &self.listen]).spawn();
            }
            Victim::Redis => {
                let redis = self.arena.redis.as_mut().expect("only where there is one");
                redis.kill9().await;
                redis.start_again().await;
            }
        }
    }

    /// Waits for it, with the flushes that an operator's cron job makes.
    async fn are_done(&self, ids: &[String]) {
        let mut tables = Tables::of(&self.arena).await;
        until(LONG_PATIENCE, "both jobs are done", async || {
            let flush = self.arena.isobar(["outbox", "flush"]).run().await;
            assert!([0, 75].contains(&flush.code), "{flush:?}");
            let done = ids.iter().map(|id| format!("'{id}'")).collect::<Vec<_>>().join(", ");
            let done = format!(
                "SELECT count(*) FROM jobs WHERE status = 'done' AND CAST(job_id AS TEXT) IN ({done})"
            );
            tables.count(&done).await == ids.len() as u64
        })
        .await;
    }

    /// Everybody finishes and goes; what is left is drained and confirmed.
    async fn end(mut self) -> Arena {
        for role in self.workers.iter_mut().chain([&mut self.api]) {
            role.terminate();
        }
        for role in self.workers.iter_mut().chain([&mut self.api]) {
            let code = role.wait(LONG_PATIENCE).await;
            assert_eq!(code, 0, "{}", role.stderr_so_far());
        }
        let drained = self.arena.isobar(["consume", "--drain"]).run().await;
        assert!([0, 3].contains(&drained.code), "{drained:?}");
        self.arena.isobar(["outbox", "flush"]).run().await.expect_code(0);
        confirm(&self.arena).await;
        self.arena.isobar(["verify"]).run().await.expect_code(0);
        self.arena
    }
}

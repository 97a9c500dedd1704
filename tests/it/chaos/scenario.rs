//! A process is killed at a named point of its way, started again, and everything run to its end.
//!
//! Each scenario leads over some of the points of `isobar_failpoint`; `matrix` says which. All of
//! them end alike: the stream is drained, the outboxes confirm, and the checker finds nothing wrong.

use std::path::PathBuf;

use isobar_failpoint::VARIABLE;

use super::arena::{Arena, Backend};
use super::checker::{Fate, Job, faults};
use super::source::Source;
use super::tables::Tables;
use super::upload;
use crate::harness::isobar::{Finished, Isobar};
use crate::harness::sim::Sim;
use crate::harness::wait::{LONG_PATIENCE, PATIENCE, until};

/// 128 + SIGABRT.
pub const ABORTED: i32 = 134;
/// Three batches of a hundred, the last one not full.
pub const ROWS: u64 = 230;
/// A row that is a city, and its place in no batch is special.
const POISON_ROW: u64 = 30;
/// More drains than a poison task needs to be condemned.
const DRAINS: usize = 15;
/// A schedule that fires once a year, and a tick of it that is known to be done.
const YEARLY: &str = "@yearly";
const LAST_TICK: &str = "INSERT INTO schedule_ticks
    (schedule, tick, owner, lease_until, started_at, done_at, outcome)
    VALUES ('sync', '2024-01-01T00:00:00Z', 'gone', '2024-01-01T00:00:00Z',
            '2024-01-01T00:00:00Z', '2024-01-01T00:00:00Z', 'done')";
/// As if the killed scheduler had been dead for longer than its lease.
const LONG_DEAD: &str =
    "UPDATE schedule_ticks SET lease_until = '2024-01-01T00:00:00Z' WHERE done_at IS NULL";

/// As if the job had ended before everything that is kept.
const LONG_ENDED: &str = "UPDATE jobs SET finished_at = '2024-01-01T00:00:00Z'";

/// What the killed process does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// `produce --csv FILE`.
    Produce,
    /// `produce --csv -`.
    StandardInput,
    /// `outbox flush` when everything is finished.
    Confirm,
    /// `outbox flush` when the broker has lost everything.
    Lost,
    /// `up`, into which a file is uploaded.
    Upload,
    /// `consume --drain`.
    Work,
    /// The same with an upstream so slow that leases are renewed.
    WorkSlowly,
    /// The same with an upstream that answers 503 for a while.
    WorkRefused,
    /// The same with a task that ends every process that fetches it.
    WorkPoisoned,
    /// `consume --drain` while everything fails; then `jobs retry`.
    FailedThenRetry,
    /// The same; then `dead replay`.
    FailedThenReplay,
    /// `consume --drain`; then `jobs cancel`.
    StoredThenCancel,
    /// `consume --drain` of a retry, whose job is older than what is kept; then rows are pruned.
    RetriedThenPruned,
    /// `jobs cancel` of a run that was killed while it extracted.
    Cancel,
    /// `jobs retry` of a job whose tasks have all failed.
    Retry,
    /// `dead replay` of its letters.
    Replay,
    /// `schedule`, which fires the tick of a year.
    Tick,
}

/// One case: on which backend, on which way, at which passage of which point.
#[derive(Clone, Copy, Debug)]
pub struct Case<'a> {
    pub backend: Backend,
    pub way: Way,
    /// `name` or `name:n`.
    pub at: &'a str,
    /// Where the simulator is that does nobody harm.
    pub sim_url: &'a str,
}

struct Failing {
    sim: Sim,
    arena: Arena,
    source: Source,
    run: Isobar,
    worker: Isobar,
}

impl Case<'_> {
    /// Everything that is wrong afterwards.
    pub async fn survive(&self) -> Vec<String> {
        match self.way {
            Way::Produce => self.produce().await,
            Way::StandardInput => self.standard_input().await,
            Way::Confirm => self.confirm().await,
            Way::Lost => self.lost().await,
            Way::Upload => upload::survive(&self.arena().await, self.at).await,
            Way::Work => self.work(&self.arena().await).await,
            Way::WorkSlowly => self.work_slowly().await,
            Way::WorkRefused => self.work_refused().await,
            Way::WorkPoisoned => self.work_poisoned().await,
            Way::FailedThenRetry | Way::FailedThenReplay => self.failed().await,
            Way::StoredThenCancel => self.stored().await,
            Way::RetriedThenPruned => self.retried().await,
            Way::Cancel => self.cancel().await,
            Way::Retry | Way::Replay => self.again().await,
            Way::Tick => self.tick().await,
        }
    }

    async fn produce(&self) -> Vec<String> {
        let (arena, source) = (self.arena().await, Source::of(ROWS, 0));
        let run = from_file(&arena, &source);
        if let Err(alive) = self.killed(&run).await {
            return alive;
        }
        finish(&arena, &run, &source).await
    }

    async fn standard_input(&self) -> Vec<String> {
        let (arena, source) = (self.arena().await, Source::of(ROWS, 0));
        let args = ["produce", "--json", "--slot", "a", "--csv", "-"];
        let run = arena.isobar(args).input(source.text.clone());
        if let Err(alive) = self.killed(&run).await {
            return alive;
        }
        finish(&arena, &run, &source).await
    }

    async fn confirm(&self) -> Vec<String> {
        let (arena, source) = (self.arena().await, Source::of(ROWS, 0));
        let run = from_file(&arena, &source);
        run.run().await.expect_code(0);
        drain(&arena).await;
        if let Err(alive) = self.killed(&arena.isobar(["outbox", "flush"])).await {
            return alive;
        }
        finish(&arena, &run, &source).await
    }

    async fn lost(&self) -> Vec<String> {
        let (arena, source) = (self.arena().await, Source::of(ROWS, 0));
        let run = from_file(&arena, &source);
        run.run().await.expect_code(0);
        arena.broker_loses_everything().await;
        if let Err(alive) = self.killed(&arena.isobar(["outbox", "flush"])).await {
            return alive;
        }
        finish(&arena, &run, &source).await
    }

    async fn work(&self, arena: &Arena) -> Vec<String> {
        let source = Source::of(ROWS, 0);
        let run = from_file(arena, &source);
        run.run().await.expect_code(0);
        if let Err(alive) = self.killed(&arena.isobar(["consume", "--drain"])).await {
            return alive;
        }
        finish(arena, &run, &source).await
    }

    async fn work_slowly(&self) -> Vec<String> {
        let sim = Sim::start(["--latency", "250ms"]).await;
        let arena = Arena::set(self.backend, sim.url()).await.with("ISOBAR_CONCURRENCY", "1");
        self.work(&arena).await
    }

    async fn work_refused(&self) -> Vec<String> {
        let sim = Sim::start(["--cities", "1"]).await;
        // Both tries of the first request, and of the one after it.
        let plan = serde_json::json!({"endpoint": "/v1/forecast", "status": 503, "count": 4});
        sim.fault(&plan).await;
        let arena = Arena::set(self.backend, sim.url()).await.with("ISOBAR_CONCURRENCY", "1");
        self.work(&arena).await
    }

    async fn work_poisoned(&self) -> Vec<String> {
        let arena = self.arena().await;
        let whole = Source::of(ROWS, 0);
        let city = whole.city(POISON_ROW);
        let source = whole.with_failure(city, "crash_loop");
        let run = from_file(&arena, &source);
        run.run().await.expect_code(0);
        let worker =
            arena.isobar(["consume", "--drain"]).env(VARIABLE, format!("{}={city}", self.at));
        let mut deaths = 0;
        for _ in 0..DRAINS {
            match worker.run().await.code {
                ABORTED => deaths += 1,
                _ => break,
            }
        }
        let mut faults = finish(&arena, &run, &source).await;
        // Two in company; the five deaths alone are those of children.
        if deaths != 2 {
            faults.push(format!("the poison ended {deaths} workers, not 2"));
        }
        faults
    }

    /// Entries of rows that have failed are still in the stream when the rows are tried again.
    async fn failed(&self) -> Vec<String> {
        let Failing { sim, arena, source, run, worker } = self.failing().await;
        if let Err(alive) = self.killed(&worker).await {
            return alive;
        }
        sim.clear_faults().await;
        let id = arena.only_job();
        let again = self.try_again(&arena, &id);
        again.run().await.expect_code(0);
        finish_again(&arena, &run, &source).await
    }

    async fn stored(&self) -> Vec<String> {
        // So slow that the first commit cannot end the job.
        let sim = Sim::start(["--latency", "250ms"]).await;
        let arena = Arena::set(self.backend, sim.url()).await.with("ISOBAR_CONCURRENCY", "1");
        let source = Source::of(ROWS, 0);
        from_file(&arena, &source).run().await.expect_code(0);
        if let Err(alive) = self.killed(&arena.isobar(["consume", "--drain"])).await {
            return alive;
        }
        let id = arena.only_job();
        arena.isobar(["jobs", "cancel", &id]).run().await.expect_code(0);
        judge(&arena, &[Job { id, source: &source, fate: Fate::Cancelled }]).await
    }

    async fn retried(&self) -> Vec<String> {
        let Failing { sim, arena, source, run, worker } = self.failing().await;
        worker.run().await.expect_code(3);
        sim.clear_faults().await;
        arena.isobar(["outbox", "flush"]).run().await.expect_code(0);
        arena.execute(LONG_ENDED).await;
        let id = arena.only_job();
        arena.isobar(["jobs", "retry", &id]).run().await.expect_code(0);
        if let Err(alive) = self.killed(&arena.isobar(["consume", "--drain"])).await {
            return alive;
        }
        finish_again(&arena, &run, &source).await
    }

    async fn cancel(&self) -> Vec<String> {
        let (arena, source) = (self.arena().await, Source::of(ROWS, 0));
        let run = from_file(&arena, &source).env(VARIABLE, "producer.extract.after:2");
        run.run().await.expect_code(ABORTED);
        arena.isobar(["outbox", "flush"]).run().await.expect_code(0);
        // A worker has begun it, so the store knows it.
        let worker = arena.isobar(["consume", "--drain"]).env(VARIABLE, "consumer.commit.after");
        worker.run().await.expect_code(ABORTED);
        let id = arena.only_job();
        let cancel = arena.isobar(["jobs", "cancel", &id]);
        if let Err(alive) = self.killed(&cancel).await {
            return alive;
        }
        cancel.run().await.expect_code(0);
        arena.isobar(["outbox", "flush"]).run().await.expect_code(0);
        judge(&arena, &[Job { id, source: &source, fate: Fate::Cancelled }]).await
    }

    async fn again(&self) -> Vec<String> {
        let Failing { sim, arena, source, run, worker } = self.failing().await;
        worker.run().await.expect_code(3);
        sim.clear_faults().await;
        let id = arena.only_job();
        let again = self.try_again(&arena, &id);
        if let Err(alive) = self.killed(&again).await {
            return alive;
        }
        again.run().await.expect_code(0);
        finish_again(&arena, &run, &source).await
    }

    async fn tick(&self) -> Vec<String> {
        let sim = Sim::start([format!("--cities={ROWS}")]).await;
        // A page that fails too often ends the run of the tick. No worker dies here, so the upstream
        // may take as long as with the defaults.
        let arena = Arena::set(self.backend, sim.url())
            .await
            .with("ISOBAR_SYNC_CRON", YEARLY)
            .with("ISOBAR_CLAIM_IDLE", "60s")
            .with("ISOBAR_REQUEST_TIMEOUT", "10s");
        arena.isobar(["migrate"]).run().await.expect_code(0);
        arena.execute(LAST_TICK).await;
        let schedule = arena.isobar(["schedule", "-v"]);
        // A scheduler never ends by itself: once the tick is over it waits for the next year. So the
        // point has been passed by when nothing is due any more.
        let mut doomed = schedule.clone().env(VARIABLE, self.at).spawn();
        until(LONG_PATIENCE, "the scheduler is dead, or has nothing to do", async || {
            !doomed.is_running() || doomed.stderr_so_far().contains("nothing is due")
        })
        .await;
        if doomed.is_running() {
            let said = doomed.stderr_so_far();
            return vec![format!("the point was not passed; the scheduler waits: {said}")];
        }
        let code = doomed.wait(PATIENCE).await;
        if code != ABORTED {
            let said = doomed.stderr_so_far();
            return vec![format!("the point was not passed; it ended with {code}: {said}")];
        }
        arena.execute(LONG_DEAD).await;
        let mut again = schedule.spawn();
        let mut tables = Tables::of(&arena).await;
        let unfinished = "SELECT count(*) FROM schedule_ticks WHERE done_at IS NULL";
        let all = "SELECT count(*) FROM schedule_ticks";
        until(PATIENCE, "the tick is done", async || {
            tables.count(all).await >= 2 && tables.count(unfinished).await == 0
        })
        .await;
        again.terminate();
        let code = again.wait(PATIENCE).await;
        // 143: it had nothing to do, and was told to stop before it listened to signals.
        assert!([0, 143].contains(&code), "{}", again.stderr_so_far());
        let source = Source::listed(ROWS);
        judge(&arena, &[Job { id: arena.only_job(), source: &source, fate: Fate::Done }]).await
    }

    /// A job, and a worker whose requests all fail for good.
    async fn failing(&self) -> Failing {
        let sim = Sim::start(["--cities", "1"]).await;
        let arena = Arena::set(self.backend, sim.url()).await;
        let source = Source::of(ROWS, 0);
        let run = from_file(&arena, &source);
        run.run().await.expect_code(0);
        sim.fault(&serde_json::json!({"endpoint": "/v1/forecast", "status": 503})).await;
        let worker = arena.isobar(["consume", "--drain"]).env("ISOBAR_MAX_ATTEMPTS", "1");
        Failing { sim, arena, source, run, worker }
    }

    fn try_again(&self, arena: &Arena, id: &str) -> Isobar {
        match self.way {
            Way::Retry | Way::FailedThenRetry => arena.isobar(["jobs", "retry", id]),
            _ => arena.isobar(["dead", "replay", "--job", id]),
        }
    }

    async fn arena(&self) -> Arena {
        Arena::set(self.backend, self.sim_url).await
    }

    /// Runs it until it dies; what is wrong if it does not.
    async fn killed(&self, isobar: &Isobar) -> Result<(), Vec<String>> {
        let ended = isobar.clone().env(VARIABLE, self.at).run().await;
        if ended.code == ABORTED { Ok(()) } else { Err(vec![passed_by(&ended)]) }
    }
}

pub fn passed_by(ended: &Finished) -> String {
    format!("the point was not passed; it ended with {}: {}", ended.code, ended.stderr)
}

/// A run over the source's file.
pub fn from_file(arena: &Arena, source: &Source) -> Isobar {
    let file: PathBuf = arena.file("cities.csv", &source.text);
    let args = ["produce", "--json", "--slot", "a", "--csv", &file.to_string_lossy()];
    arena.isobar(args)
}

/// Runs it again, works on everything, and judges.
async fn finish(arena: &Arena, run: &Isobar, source: &Source) -> Vec<String> {
    let report = run.run().await.expect_code(0).json();
    let id = report["job_id"].as_str().expect("an id").to_owned();
    judge(arena, &[Job { id, source, fate: Fate::Done }]).await
}

/// The same, after the relay of imports has confirmed what was tried again.
async fn finish_again(arena: &Arena, run: &Isobar, source: &Source) -> Vec<String> {
    drain(arena).await;
    upload::confirm(arena).await;
    finish(arena, run, source).await
}

/// Works until nothing is left anywhere, and judges.
pub async fn judge(arena: &Arena, jobs: &[Job<'_>]) -> Vec<String> {
    drain(arena).await;
    arena.isobar(["outbox", "flush"]).run().await.expect_code(0);
    faults(arena, jobs).await
}

async fn drain(arena: &Arena) {
    let drained = arena.isobar(["consume", "--drain"]).run().await;
    // 3 says that some rows failed.
    assert!([0, 3].contains(&drained.code), "{drained:?}");
}

//! Tests of the committer: what one transaction contains, and which entries are acknowledged.
//!
//! Store and broker are files of the test. Does not: lose them in the middle of a commit; the tests
//! of whole workers do.

use std::sync::Mutex;

use chrono::DateTime;
use isobar_broker::{AppendBatch, Broker, Entry};
use isobar_model::ids::CityId;
use isobar_model::pipeline::PipelineName;
use isobar_model::task::{ControlMessage, Fields, JobKind, JobOpen, JobSeal, SealOutcome};
use isobar_settings::{Environment, Settings};
use isobar_store::{LedgerRow, Records, RowStatus, Store};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::gate::ReadGate;
use crate::job_status::JobStatusCache;
use crate::leases::Leases;
use crate::pipeline::numbers::{NumberTask, Numbers};
use crate::settle::{DecodedEntry, FailureReason};
use crate::trial::TrialCommand;

fn job() -> JobId {
    JobId::derive("test", "slot")
}

fn entry(lane: Lane) -> Entry {
    Entry {
        lane,
        id: EntryId { ms: 1, seq: 0 },
        fields: Fields::default(),
        deliveries: 1,
        attempts: 0,
        crashes: 0,
    }
}

fn decoded(number: usize, try_number: u32) -> DecodedEntry<NumberTask> {
    let mut task = NumberTask::from(number);
    task.head.try_number = try_number;
    DecodedEntry { entry: entry(Lane::Tasks), task }
}

fn succeeded(number: usize, try_number: u32) -> SettledEntry<usize> {
    SettledEntry::succeeded::<Numbers>(&decoded(number, try_number), number)
}

fn failed(number: usize, try_number: u32) -> SettledEntry<usize> {
    let why = FailureReason::new("location_rejected", "bad");
    SettledEntry::failed(&Numbers::default(), &decoded(number, try_number), &why, "e")
}

/// The cities whose records a commit stores.
fn stored(commit: &Commit) -> Vec<CityId> {
    match &commit.records {
        Records::AirQuality(rows) => rows.iter().map(|row| row.city_id).collect(),
        other => panic!("not the records of this pipeline: {other:?}"),
    }
}

#[test]
fn the_highest_try_of_a_task_is_committed() {
    for tries in [[1, 2, 2], [2, 1, 2], [2, 2, 1]] {
        let settle = |at: u32| if at == 2 { succeeded(7, at) } else { failed(7, at) };
        let commit = assemble(&Numbers::default(), &tries.map(settle));
        let row = |row: &LedgerRow| row.try_number;
        assert_eq!(commit.ledger.iter().map(row).collect::<Vec<_>>(), [2], "{tries:?}");
        assert_eq!(stored(&commit), [CityId(7)], "{tries:?}");
        assert!(commit.dead.is_empty() && commit.failed_cities.is_empty(), "{tries:?}");
    }
}

#[test]
fn a_commit_contains_every_outcome() {
    let seal = JobSeal {
        job_id: job(),
        rows: 2,
        rejected: 0,
        duplicates: 0,
        outcome: SealOutcome::Complete,
        error: None,
    };
    let open = JobOpen {
        job_id: job(),
        job_kind: JobKind::Produce,
        pipeline: PipelineName::Weather,
        source: "cities.csv".to_owned(),
        slot: "slot".to_owned(),
        created_at: DateTime::UNIX_EPOCH,
    };
    let control = |message| SettledEntry::control(&entry(Lane::Control), message);
    let mut without_job = decoded(3, 1);
    without_job.task.head.job_id = None;
    let commit = assemble(
        &Numbers::default(),
        &[
            control(ControlMessage::Open(open.clone())),
            succeeded(1, 1),
            failed(2, 1),
            SettledEntry::succeeded::<Numbers>(&without_job, 3),
            control(ControlMessage::Seal(seal.clone())),
        ],
    );
    assert_eq!((commit.opens.as_slice(), commit.seals.as_slice()), (&[open][..], &[seal][..]));
    assert_eq!(stored(&commit), [CityId(1), CityId(3)]);
    let cities: Vec<_> = commit.ledger.iter().map(|row| row.city_id).collect();
    assert_eq!(cities, [Some(CityId(1)), Some(CityId(2))], "a row needs a job");
    assert_eq!(commit.failed_cities[0].city_id, CityId(2));
    assert_eq!((commit.failed_cities.len(), commit.dead.len()), (1, 1));
}

/// A worker with a store of its own, which ends with it.
struct TestWorker {
    _folder: tempfile::TempDir,
    ctx: Arc<Context<Numbers>>,
}

impl TestWorker {
    async fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().display().to_string();
        let environment = Environment::empty().with("ISOBAR_DATA_DIR", path);
        let settings = Arc::new(Settings::load(&environment).expect("settings"));
        let ctx = Context {
            pipeline: Numbers::default(),
            broker: Broker::open(&settings).expect("a broker"),
            store: Store::open(&settings).await.expect("a store"),
            name: "worker".to_owned(),
            trial: TrialCommand::default(),
            store_name: "store".to_owned(),
            leases: Leases::new(settings.commit_window()),
            gate: ReadGate::default(),
            tally: Arc::default(),
            statuses: JobStatusCache::default(),
            slots: Semaphore::new(1),
            capacity: 100,
            stop: CancellationToken::new(),
            epoch: Mutex::default(),
            flags: Mutex::default(),
            settings,
        };
        Self { _folder: folder, ctx: Arc::new(ctx) }
    }

    /// Commits entries that the worker holds, and returns which it acknowledges.
    async fn commit(&self, entries: Vec<SettledEntry<usize>>) -> Vec<u64> {
        let (acks, mut acked) = mpsc::channel(entries.len());
        commit(&self.ctx, entries, &acks).await.expect("the store answers");
        drop(acks);
        let mut ids = Vec::new();
        while let Some(entries) = acked.recv().await {
            ids.extend(entries.into_iter().map(|(_, id)| id.ms));
        }
        ids.sort_unstable();
        ids
    }

    /// The numbers and ends of the stored tasks.
    async fn ledger(&self) -> Vec<(i64, RowStatus)> {
        let job_id = NumberTask::from(0).head.job_id.expect("a job");
        let rows = self.ctx.store.ledger(job_id, None, None, 100).await.expect("reads");
        let mut rows: Vec<(i64, RowStatus)> =
            rows.iter().map(|row| (row.city_id.expect("a city").0, row.status)).collect();
        rows.sort_by_key(|(city, _)| *city);
        rows
    }
}

/// The entry of a number has it as its id.
fn numbered(number: usize) -> SettledEntry<usize> {
    SettledEntry { id: EntryId { ms: number as u64, seq: 0 }, ..succeeded(number, 1) }
}

#[tokio::test]
async fn a_refused_row_leaves_its_neighbours() {
    let worker = TestWorker::start().await;
    let mut entries: Vec<_> = (1..=5).map(numbered).collect();
    if let Some(row) = &mut entries[2].ledger {
        row.city = Some("no store accepts a NUL\0".to_owned());
    }
    for entry in &entries {
        worker.ctx.leases.hold(entry.lane, entry.id, Instant::now());
    }
    assert_eq!(worker.commit(entries).await, [1, 2, 3, 4, 5]);
    let ends = [1, 2, 3, 4, 5].map(|city| {
        let status = if city == 3 { RowStatus::Failed } else { RowStatus::Success };
        (city, status)
    });
    assert_eq!(worker.ledger().await, ends);
}

#[tokio::test]
async fn a_result_is_dropped_with_its_lease() {
    let worker = TestWorker::start().await;
    let leases = &worker.ctx.leases;
    let entries: Vec<_> = (1..=2).map(numbered).collect();
    for entry in &entries {
        leases.hold(entry.lane, entry.id, Instant::now());
    }
    let [kept, lost] = [entries[0].id, entries[1].id];
    leases.renewed(Lane::Tasks, &[], &[lost], Instant::now());
    assert_eq!(worker.commit(entries).await, [1]);
    assert_eq!(worker.ledger().await, [(1, RowStatus::Success)]);
    assert!(!leases.holds(Lane::Tasks, lost));
    assert!(leases.holds(Lane::Tasks, kept), "until it is acknowledged");
}

#[tokio::test]
async fn results_that_wait_share_a_transaction() {
    let worker = TestWorker::start().await;
    let (settled, results) = mpsc::channel(2);
    for number in [1, 2] {
        let entry = numbered(number);
        worker.ctx.leases.hold(entry.lane, entry.id, Instant::now());
        settled.send(vec![entry]).await.expect("it waits");
    }
    drop(settled);
    let (acks, mut acked) = mpsc::channel(2);
    run(Arc::clone(&worker.ctx), results, acks).await.expect("the store answers");
    assert_eq!(acked.recv().await.map(|ids| ids.len()), Some(2));
    assert_eq!(worker.ledger().await.len(), 2);
}

#[tokio::test]
async fn an_acknowledged_entry_leaves_stream_and_worker() {
    let worker = TestWorker::start().await;
    let Context { broker, leases, pipeline, stop, .. } = &*worker.ctx;
    let topic = pipeline.topic();
    broker.heal(topic).await.expect("heals");
    let batch = AppendBatch {
        job_id: job(),
        seq: 1,
        hash: "1",
        previous_hash: "",
        floor: 1,
        high_water: 100,
        outbox: "",
        total: None,
        tasks: &[r#"["task_id","1"]"#],
        control: &[],
    };
    broker.append(topic, &batch).await.expect("appends");
    let read = broker.read(topic, "worker", 10, Duration::ZERO).await.expect("reads");
    let [entry] = read.as_slice() else { panic!("one entry, not {read:?}") };
    leases.hold(entry.lane, entry.id, Instant::now());
    // Also while the worker shuts down.
    stop.cancel();
    let (acks, committed) = mpsc::channel(1);
    acks.send(vec![(entry.lane, entry.id)]).await.expect("it waits");
    drop(acks);
    acknowledge(Arc::clone(&worker.ctx), committed).await.expect("the broker answers");
    assert!(leases.is_empty());
    let left = broker.peek(topic, Lane::Tasks, EntryId { ms: 0, seq: 0 }, 10).await;
    assert_eq!(left.expect("reads"), []);
}

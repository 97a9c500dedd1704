//! Committer: stores results, one transaction at a time, and acknowledges them afterwards (I3).
//!
//! There is one per process, apart from the fetch slots: while one transaction waits for the disk
//! the next one fills. Acknowledging runs beside the next commit, on its own task.
//!
//! Guarantees: a row that the store refuses is found by bisection and becomes a dead letter; its
//! neighbours are stored. A commit with an unknown outcome runs again and changes nothing (I5).
//! Results of entries that another worker has taken over are dropped.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use isobar_broker::{BrokerError, EntryId, Lane};
use isobar_model::ids::{JobId, TaskId};
use isobar_store::{Commit, StoreError};
use isobar_telemetry::error_chain;
use tokio::sync::mpsc;

use crate::context::{Context, WorkerError};
use crate::events;
use crate::pipeline::Pipeline;
use crate::retry_delay::loop_delay;
use crate::settle::{EntryOutcome, SettledEntry};

/// The most entries of one transaction, and the longest time that the first waits for others.
const COMMIT_ENTRIES: usize = 2_000;
const COMMIT_LINGER: Duration = Duration::from_millis(25);
/// How long a worker that shuts down waits for a failing store before it gives entries back.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(5);
/// The same for a failing broker, in tries.
const SHUTDOWN_ACK_TRIES: u32 = 2;
/// Tries of an acknowledgement. After the last one its entries are delivered again, harmlessly.
const ACK_TRIES: u32 = 12;

/// Commits entries until the channel closes and everything is stored.
pub async fn run<P: Pipeline>(
    ctx: Arc<Context<P>>,
    mut settled: mpsc::Receiver<Vec<SettledEntry<P::Record>>>,
    acks: mpsc::Sender<Vec<(Lane, EntryId)>>,
) -> Result<(), WorkerError> {
    let mut carried: Vec<SettledEntry<P::Record>> = Vec::new();
    loop {
        if carried.is_empty() {
            match settled.recv().await {
                Some(entries) => carried = entries,
                None => return Ok(()),
            }
        }
        let linger = tokio::time::sleep(COMMIT_LINGER);
        tokio::pin!(linger);
        while carried.len() < COMMIT_ENTRIES {
            tokio::select! {
                biased;
                more = settled.recv() => match more {
                    Some(entries) => carried.extend(entries),
                    None => break,
                },
                () = &mut linger => break,
            }
        }
        let rest = carried.split_off(carried.len().min(COMMIT_ENTRIES));
        commit(&ctx, std::mem::replace(&mut carried, rest), &acks).await?;
    }
}

/// Stores `entries`, in as many transactions as the data needs.
async fn commit<P: Pipeline>(
    ctx: &Context<P>,
    entries: Vec<SettledEntry<P::Record>>,
    acks: &mpsc::Sender<Vec<(Lane, EntryId)>>,
) -> Result<(), WorkerError> {
    let mut failures = 0;
    let mut failing_since = None;
    let mut open = vec![entries];
    while let Some(entries) = open.pop() {
        let mut entries = retain_leased(ctx, entries);
        if entries.is_empty() {
            continue;
        }
        let began = Instant::now();
        let has_dead = entries.iter().any(|entry| entry.dead.is_some());
        if has_dead {
            isobar_failpoint::hit("consumer.dead.before");
        }
        isobar_failpoint::hit("consumer.commit.before");
        match ctx.store.commit(&assemble(&ctx.pipeline, &entries)).await {
            Ok(report) => {
                isobar_failpoint::hit("consumer.commit.after");
                if has_dead {
                    isobar_failpoint::hit("consumer.dead.after");
                }
                failures = 0;
                failing_since = None;
                events::commit(entries.len(), began.elapsed(), &report);
                ctx.tally.committed(&entries, &report);
                ctx.clear_ended_flags(&report.finished_jobs).await;
                let ids = entries.iter().map(|entry| (entry.lane, entry.id)).collect();
                // The receiver ends after this task.
                let _ = acks.send(ids).await;
            }
            Err(error @ StoreError::Data { .. }) if entries.len() > 1 => {
                events::commit_bisected(&error, entries.len());
                let back = entries.split_off(entries.len() / 2);
                open.push(back);
                open.push(entries);
            }
            Err(error @ StoreError::Data { .. }) => {
                let entry = entries.remove(0);
                if entry.is_refused() {
                    // Even the bare dead letter is refused: a defect of the program, not of a row.
                    return Err(WorkerError::Store(error));
                }
                open.push(vec![entry.refused(P::NAME, &error_chain(&error))]);
            }
            Err(error) if error.is_transient() => {
                events::commit_failed(&error, entries.len());
                let since = *failing_since.get_or_insert_with(Instant::now);
                if ctx.stop.is_cancelled() && since.elapsed() > SHUTDOWN_GRACE {
                    // The entries are still held: the end of the run gives them back.
                    continue;
                }
                tokio::time::sleep(loop_delay(failures)).await;
                failures += 1;
                open.push(entries);
            }
            Err(error) => return Err(WorkerError::Store(error)),
        }
    }
    Ok(())
}

/// Drops the entries that may not be committed any more: their new owner commits its own result.
fn retain_leased<P: Pipeline>(
    ctx: &Context<P>,
    entries: Vec<SettledEntry<P::Record>>,
) -> Vec<SettledEntry<P::Record>> {
    let now = Instant::now();
    let (leased, lost): (Vec<_>, Vec<_>) =
        entries.into_iter().partition(|entry| ctx.leases.may_commit(entry.lane, entry.id, now));
    if !lost.is_empty() {
        events::leases_lost(lost.len());
        for lane in Lane::BOTH {
            let ids: Vec<EntryId> =
                lost.iter().filter(|entry| entry.lane == lane).map(|entry| entry.id).collect();
            ctx.leases.release(lane, &ids);
        }
    }
    leased
}

/// The content of one transaction: each (job, task) and each city once, as the store requires.
///
/// Of several tries of a task the highest one counts. A worker that died before its acknowledgement
/// leaves an earlier try in the stream, beside the retry of the same task.
fn assemble<P: Pipeline>(pipeline: &P, entries: &[SettledEntry<P::Record>]) -> Commit {
    let mut commit = Commit::default();
    let mut records = Vec::with_capacity(entries.len());
    let mut open: HashMap<(JobId, TaskId), u32> = HashMap::with_capacity(entries.len());
    for row in entries.iter().filter_map(|entry| entry.ledger.as_ref()) {
        let highest = open.entry((row.job_id, row.task_id)).or_default();
        *highest = row.try_number.max(*highest);
    }
    let mut cities = HashMap::new();
    for entry in entries {
        if let Some(row) = &entry.ledger {
            let task = (row.job_id, row.task_id);
            // The first entry of the highest try, and no other.
            if open.get(&task) != Some(&row.try_number) {
                continue;
            }
            open.remove(&task);
            commit.ledger.push(row.clone());
        }
        match &entry.outcome {
            EntryOutcome::Succeeded(record) => records.push(record.clone()),
            EntryOutcome::Opened(open) => commit.opens.push(open.clone()),
            EntryOutcome::Sealed(seal) => commit.seals.push(seal.clone()),
            EntryOutcome::Failed | EntryOutcome::Skipped | EntryOutcome::Rejected => {}
        }
        if let Some(city) = &entry.city {
            cities.insert(city.city_id, city.clone());
        }
        commit.dead.extend(entry.dead.clone());
    }
    commit.failed_cities = cities.into_values().collect();
    commit.records = pipeline.records(records);
    commit
}

/// Acknowledges committed entries until the channel closes.
pub async fn acknowledge<P: Pipeline>(
    ctx: Arc<Context<P>>,
    mut committed: mpsc::Receiver<Vec<(Lane, EntryId)>>,
) -> Result<(), WorkerError> {
    while let Some(entries) = committed.recv().await {
        for lane in Lane::BOTH {
            let ids: Vec<EntryId> =
                entries.iter().filter(|(own, _)| *own == lane).map(|(_, id)| *id).collect();
            if !ids.is_empty() {
                ack(&ctx, lane, &ids).await?;
                ctx.leases.release(lane, &ids);
            }
        }
    }
    Ok(())
}

async fn ack<P: Pipeline>(
    ctx: &Context<P>,
    lane: Lane,
    ids: &[EntryId],
) -> Result<(), WorkerError> {
    for failures in 0..ACK_TRIES {
        if failures > SHUTDOWN_ACK_TRIES && ctx.stop.is_cancelled() {
            break;
        }
        isobar_failpoint::hit("consumer.ack.before");
        match ctx.broker.ack(ctx.pipeline.topic(), lane, ids).await {
            Ok(_) => {
                isobar_failpoint::hit("consumer.ack.after");
                return Ok(());
            }
            // The stream is lost with its entries. Producers send again; the ledger knows repeats.
            Err(BrokerError::Missing { .. }) => return Ok(()),
            Err(error @ BrokerError::Refused { .. }) => return Err(WorkerError::Broker(error)),
            Err(error) => {
                events::broker_error("ack", &error);
                tokio::time::sleep(loop_delay(failures)).await;
            }
        }
    }
    // The entries are delivered again after the claim idle, found in the ledger, and acknowledged.
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use chrono::DateTime;
    use isobar_broker::{Broker, Entry};
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
        ctx: Context<Numbers>,
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
            Self { _folder: folder, ctx }
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
}

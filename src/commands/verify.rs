//! `isobar verify`: proves that no row is lost, or names what does not balance.
//!
//! Every task of a batch that the outboxes sent and the stream has not confirmed must be in the
//! stream or in the ledger. Outbox, stream and ledger are read in this order, the order in which a
//! task moves, so a task that moves during the check is found where it arrives. A republished task
//! is looked up under its own job; its try or a higher one counts.
//!
//! Three accounts are held against each other. (1) Every task of a batch that is not confirmed is in
//! the stream or in the ledger. (2) Every job that an outbox calls complete is in the store with the
//! same total; there its rows are processed, or its open rows are in the stream. (3) The counters of
//! a job equal the rows of its ledger (I5). Jobs without an end whose publisher is silent are named.
//!
//! Creates nothing: in a folder without an installation it exits 78.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::{Path, PathBuf};

use isobar_broker::{EntryId, Lane, PUBLISHER_LEASE, Topic};
use isobar_model::human::plural;
use isobar_model::ids::{JobId, TaskId};
use isobar_model::pipeline::PipelineName;
use isobar_model::task::TaskHeader;
use isobar_producer::outbox::{BatchIds, BatchTask, JobSummary, Outbox, OutboxJobState};
use isobar_store::{Imbalance, JobRow, JobStatus, Store, StoreError};
use serde::Serialize;

use crate::app::App;
use crate::context::Context;
use crate::exit::{Exit, ExitError};

/// Entries of the stream, and batches of the outbox, per read.
const PAGE: usize = 1_000;
const BATCHES: u32 = 50;
/// Jobs per read.
const JOBS: u32 = 500;
/// Missing tasks that are listed; the others are only counted.
const NAMED: usize = 20;

#[derive(Debug, clap::Args)]
#[command(before_help = "Example: isobar verify")]
pub struct Args {
    /// Look at this outbox only [default: all outboxes of the data dir]
    #[arg(long, value_name = "PATH")]
    outbox: Option<PathBuf>,
}

/// The findings.
#[derive(Debug, Default, Serialize)]
struct VerifyReport {
    balanced: bool,
    batches: u64,
    /// Tasks and rejects of batches that are not confirmed yet.
    tasks: u64,
    unsent: u64,
    in_stream: u64,
    in_ledger: u64,
    /// Republished tasks without a job that have left the stream: processed, by I3.
    unaccounted: u64,
    missing: u64,
    missing_sample: Vec<MissingTask>,
    /// Jobs with open rows that are neither in the stream nor in an outbox.
    lost: Vec<JobRows>,
    /// Entries of other producers: processed, but without a job to account for them.
    foreign: u64,
    imbalances: Vec<Imbalance>,
    /// Jobs that an outbox calls complete, and that the store knows otherwise or not at all.
    disagreements: Vec<Disagreement>,
    /// Jobs without an end that no outbox is publishing, as far as the stream knows.
    abandoned: Vec<Abandoned>,
    /// Rows that came after their job had ended: their results are stored, the job is as it was.
    late: Vec<JobRows>,
    dead_letters: u64,
}

#[derive(Debug, Serialize)]
struct MissingTask {
    job_id: JobId,
    task_id: TaskId,
    outbox: String,
}

#[derive(Debug, Serialize)]
struct Disagreement {
    job_id: JobId,
    outbox: String,
    detail: String,
}

#[derive(Debug, Serialize)]
struct Abandoned {
    job_id: JobId,
    /// The outbox that published it, if the stream knows.
    publisher: Option<String>,
}

#[derive(Debug, Serialize)]
struct JobRows {
    job_id: JobId,
    rows: u64,
}

/// The entries found in the stream.
#[derive(Default)]
struct InStream {
    /// The highest try of each task and reject.
    tries: HashMap<TaskId, u32>,
    /// First tries and rejects of each job.
    of_job: HashMap<JobId, u64>,
}

/// Rows by job that an outbox accounts for: unsent or missing.
type Accounted = HashMap<JobId, u64>;

pub async fn run(args: Args, app: &App) -> anyhow::Result<Exit> {
    let settings = app.settings()?;
    let outboxes = match args.outbox {
        Some(path) if !path.exists() => {
            return Err(ExitError::config(format!("the outbox {} does not exist", path.display())));
        }
        Some(path) => vec![path],
        None => settings.outboxes(),
    };
    let context = Context::open_existing(settings).await?;
    let mut report = VerifyReport::default();
    // Read before the stream: everything that these sealed jobs published has been in it.
    let sealed = sealed(&context.store).await?;
    let mut accounted = Accounted::new();
    let mut published_here = HashSet::new();
    let mut complete = Vec::new();
    for path in outboxes.iter().filter(|path| path.exists()) {
        let outbox = Outbox::open(path)?;
        complete.extend(outbox.complete_jobs().await?.into_iter().map(|job| (path, job)));
        published_here.extend(outbox.extracting().await?.into_iter().map(|job| job.job_id));
        check(path, &outbox, &context, &mut report, &mut accounted).await?;
    }
    published_here.extend(complete.iter().map(|(_, job)| job.job_id));
    report.disagreements = disagreements(&context.store, &complete).await?;
    report.abandoned = abandoned(&context, &published_here).await?;
    report.lost = lost(&context, &sealed, &accounted, &mut report).await?;
    report.imbalances = context.store.imbalances().await?;
    let late = context.store.late_rows().await?.into_iter();
    report.late = late.map(|(job_id, rows)| JobRows { job_id, rows }).collect();
    report.dead_letters = context.store.totals().await?.dead_letters;
    report.balanced = report.missing == 0
        && report.lost.is_empty()
        && report.imbalances.is_empty()
        && report.disagreements.is_empty()
        && report.abandoned.is_empty();
    app.print(&report, || describe(&report))?;
    Ok(if report.balanced { Exit::Done } else { Exit::Failed })
}

/// Account 2: what an outbox calls complete is in the store, with the same total. A batch that is not
/// confirmed may still be on its way, so only jobs that are done must have their total there.
async fn disagreements(
    store: &Store,
    complete: &[(&PathBuf, JobSummary)],
) -> Result<Vec<Disagreement>, StoreError> {
    let created_at = store.created_at().await?;
    let mut found = Vec::new();
    for (outbox, job) in complete {
        let is_done = job.state == OutboxJobState::Done;
        // A job that ended before this database was made is in another one.
        if job.finished_at.zip(created_at).is_some_and(|(ended, made)| ended < made) {
            continue;
        }
        let rows = plural(job.rows, "row");
        let detail = match store.job(job.job_id).await? {
            None if is_done => format!(
                "all its {rows} were acknowledged by workers of another store, or this store was restored from before them"
            ),
            Some(stored) if is_done && stored.total.is_none() => {
                format!("the store does not know its end ({rows})")
            }
            Some(stored) if stored.total.is_some_and(|total| total != job.rows) => {
                format!("the outbox has {rows}, the store {}", stored.total.unwrap_or_default())
            }
            Some(stored) if is_done && !stored.status.is_final() => format!(
                "the outbox has proof that workers finished its {rows}, the store has {} of them",
                stored.processed
            ),
            _ => continue,
        };
        found.push(Disagreement {
            job_id: job.job_id,
            outbox: outbox.display().to_string(),
            detail,
        });
    }
    Ok(found)
}

/// Jobs without a seal that no outbox here is extracting, and whose publisher is silent.
async fn abandoned(
    context: &Context,
    published_here: &HashSet<JobId>,
) -> anyhow::Result<Vec<Abandoned>> {
    let mut found = Vec::new();
    for job in unfinished(&context.store).await? {
        // Without a source its open never came, so none of our producers made it. While it is queued
        // nothing of it is published, and only its outbox knows it.
        let is_queued = job.status == JobStatus::Queued;
        if job.total.is_some() || job.source.is_empty() || is_queued {
            continue;
        }
        if published_here.contains(&job.id) {
            continue;
        }
        let topic = Topic::of(job.pipeline, &context.settings);
        let publisher = context.broker.publisher(&topic, job.id).await?;
        if publisher.as_ref().is_some_and(|publisher| publisher.silent < PUBLISHER_LEASE) {
            continue;
        }
        found.push(Abandoned {
            job_id: job.id,
            publisher: publisher.map(|publisher| publisher.outbox),
        });
    }
    Ok(found)
}

/// Jobs whose rows have all been sent and are not all finished.
async fn sealed(store: &Store) -> Result<Vec<JobId>, StoreError> {
    let unfinished = unfinished(store).await?;
    Ok(unfinished.into_iter().filter(|job| job.total.is_some()).map(|job| job.id).collect())
}

async fn unfinished(store: &Store) -> Result<Vec<JobRow>, StoreError> {
    let (mut found, mut before) = (Vec::new(), None);
    loop {
        let page = store.jobs(before, JOBS).await?;
        let Some(last) = page.last() else { return Ok(found) };
        before = Some((last.created_at, last.id));
        found.extend(page.into_iter().filter(|job| !job.status.is_final()));
    }
}

/// The stream is read before the counters: a row that ends in between is found twice, never not at all.
async fn lost(
    context: &Context,
    sealed: &[JobId],
    accounted: &Accounted,
    report: &mut VerifyReport,
) -> anyhow::Result<Vec<JobRows>> {
    let mut lost = Vec::new();
    if sealed.is_empty() {
        return Ok(lost);
    }
    let in_stream = stream(context, report).await?;
    for id in sealed {
        let Some(job) = context.store.job(*id).await? else { continue };
        let open = job.total.unwrap_or_default().saturating_sub(job.processed);
        let found = [&in_stream.of_job, accounted].map(|rows| rows.get(id).copied().unwrap_or(0));
        let rows = open.saturating_sub(found.iter().sum());
        if rows > 0 {
            lost.push(JobRows { job_id: *id, rows });
        }
    }
    Ok(lost)
}

async fn check(
    path: &Path,
    outbox: &Outbox,
    context: &Context,
    report: &mut VerifyReport,
    accounted: &mut Accounted,
) -> anyhow::Result<()> {
    // Outbox first: batches that are sent later are not part of this check.
    let mut batches: Vec<BatchIds> = Vec::new();
    let mut after = (0, 0);
    loop {
        let page = outbox.batch_ids(after, BATCHES).await?;
        let Some((last, _)) = page.last() else { break };
        after = *last;
        batches.extend(page.into_iter().map(|(_, batch)| batch));
    }
    let in_stream = stream(context, report).await?;
    for batch in batches {
        report.batches += 1;
        report.tasks += batch.tasks.len() as u64;
        if !batch.sent {
            report.unsent += batch.tasks.len() as u64;
            for job in batch.tasks.iter().filter_map(|task| task.job_id) {
                *accounted.entry(job).or_default() += 1;
            }
            continue;
        }
        let has_left = |task: &&BatchTask| {
            in_stream.tries.get(&task.task_id).is_none_or(|there| *there < task.try_number)
        };
        let left: Vec<BatchTask> = batch.tasks.iter().filter(has_left).copied().collect();
        report.in_stream += (batch.tasks.len() - left.len()) as u64;
        let mut by_job: BTreeMap<Option<JobId>, Vec<(TaskId, u32)>> = BTreeMap::new();
        for task in left {
            by_job.entry(task.job_id).or_default().push((task.task_id, task.try_number));
        }
        for (job, tasks) in by_job {
            let Some(job_id) = job else {
                report.unaccounted += tasks.len() as u64;
                continue;
            };
            let missing = ledger(&context.store, job_id, &tasks).await?;
            report.in_ledger += (tasks.len() - missing.len()) as u64;
            report.missing += missing.len() as u64;
            *accounted.entry(job_id).or_default() += missing.len() as u64;
            let named = missing.into_iter().take(NAMED.saturating_sub(report.missing_sample.len()));
            report.missing_sample.extend(named.map(|task_id| MissingTask {
                job_id,
                task_id,
                outbox: path.display().to_string(),
            }));
        }
    }
    Ok(())
}

/// Every task and reject in the streams; bounded by the high-water mark.
async fn stream(context: &Context, report: &mut VerifyReport) -> anyhow::Result<InStream> {
    let mut found = InStream::default();
    report.foreign = 0;
    let topics: Vec<Topic> =
        PipelineName::streams().map(|pipeline| Topic::of(pipeline, &context.settings)).collect();
    for (topic, lane) in topics.iter().flat_map(|topic| Lane::BOTH.map(|lane| (topic, lane))) {
        let mut after = EntryId::ZERO;
        loop {
            let page = context.broker.peek(topic, lane, after, PAGE).await?;
            let Some(last) = page.last() else { break };
            after = last.id;
            for entry in page {
                match lane {
                    Lane::Tasks => match TaskHeader::from_fields(&entry.fields) {
                        Ok(head) => {
                            report.foreign += u64::from(head.job_id.is_none());
                            let highest = found.tries.entry(head.task_id).or_default();
                            *highest = head.try_number.max(*highest);
                            if let (Some(job), 1) = (head.job_id, head.try_number) {
                                *found.of_job.entry(job).or_default() += 1;
                            }
                        }
                        Err(_) => report.foreign += 1,
                    },
                    Lane::Control => {
                        use isobar_model::task::ControlMessage;
                        if let Ok(Some(ControlMessage::Reject(reject))) =
                            ControlMessage::from_fields(&entry.fields)
                        {
                            found.tries.insert(reject.task_id, 1);
                            *found.of_job.entry(reject.job_id).or_default() += 1;
                        }
                    }
                }
            }
        }
    }
    Ok(found)
}

async fn ledger(store: &Store, job: JobId, tasks: &[(TaskId, u32)]) -> anyhow::Result<Vec<TaskId>> {
    let mut missing = Vec::new();
    for page in tasks.chunks(PAGE) {
        missing.extend(store.missing_from_ledger(job, page).await?);
    }
    Ok(missing)
}

fn describe(report: &VerifyReport) -> String {
    let mut lines = vec![format!(
        "{} not confirmed yet: {}, of them {} unsent (safe in the outbox), {} in the stream, {} in the ledger",
        plural(report.batches, "batch"),
        plural(report.tasks, "row"),
        report.unsent,
        report.in_stream,
        report.in_ledger
    )];
    if report.foreign > 0 {
        lines.push(format!(
            "{} entries in the stream come from other producers; they are processed, but no job accounts for them",
            report.foreign
        ));
    }
    if report.dead_letters > 0 {
        let letters = plural(report.dead_letters, "dead letter");
        lines.push(format!("{letters}, each with its reason"));
    }
    for late in &report.late {
        lines.push(format!(
            "{} came after job {} had ended; their results are stored, the job is as it was",
            plural(late.rows, "row"),
            late.job_id
        ));
    }
    for missing in &report.missing_sample {
        lines.push(format!(
            "MISSING task {} of job {} ({})",
            missing.task_id, missing.job_id, missing.outbox
        ));
    }
    if report.missing > 0 {
        lines.push(format!(
            "{} rows are neither in the stream nor in the ledger; `isobar outbox flush` sends them again",
            report.missing
        ));
    }
    for found in &report.disagreements {
        lines.push(format!(
            "DISAGREEMENT job {}: {} ({}); `isobar produce --force` fetches its rows again under a new job",
            found.job_id, found.detail, found.outbox
        ));
    }
    for found in &report.abandoned {
        let host = found.publisher.as_deref().and_then(|outbox| outbox.split_once('@'));
        let host = host.map_or("unknown", |(_, host)| host);
        lines.push(format!(
            "ABANDONED job {}: its publisher is silent, and its list is not complete; the next `isobar produce` on its host ({host}) continues it",
            found.job_id
        ));
    }
    for lost in &report.lost {
        lines.push(format!(
            "LOST {} open rows of job {}: another client removed entries from the stream (see `isobar doctor`); the relay of the host that published them sends them again (`isobar outbox flush` there)",
            lost.rows, lost.job_id
        ));
    }
    for imbalance in &report.imbalances {
        lines.push(format!("IMBALANCE job {}: {}", imbalance.job_id, imbalance.detail));
    }
    lines.push(if report.balanced { "everything balances" } else { "NOT balanced" }.to_owned());
    lines.join("\n")
}

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
//! Confirmed batches that the outbox keeps are looked up in the ledger too: the store may have lost
//! what it had acknowledged.
//!
//! Creates nothing: in a folder without an installation it exits 78.

mod repair;
mod report;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::{Path, PathBuf};

use isobar_broker::{EntryId, Lane, PUBLISHER_LEASE, Topic};
use isobar_model::human::plural;
use isobar_model::ids::{JobId, TaskId};
use isobar_model::pipeline::PipelineName;
use isobar_model::task::TaskHeader;
use isobar_producer::outbox::{BatchIds, BatchTask, JobKey, JobSummary, Outbox, OutboxJobState};
use isobar_store::{JobRow, JobStatus, Store, StoreError};

use self::repair::repair;
use self::report::{
    Abandoned, Conflict, Disagreement, FailedJob, JobRows, NAMED, VerifyReport, describe,
};
use crate::app::App;
use crate::context::Context;
use crate::exit::{Exit, ExitError};

/// Entries of the stream, and batches of the outbox, per read.
const PAGE: usize = 1_000;
const BATCHES: u32 = 50;
/// Jobs per read.
const JOBS: u32 = 500;

#[derive(Debug, clap::Args)]
#[command(before_help = "Example: isobar verify")]
pub struct Args {
    /// Look at this outbox only [default: all outboxes of the data dir]
    #[arg(long, value_name = "PATH")]
    outbox: Option<PathBuf>,

    /// Send again what is missing, and take wrong counters from the ledger
    #[arg(long)]
    repair: bool,
}

/// The entries found in the stream.
#[derive(Default)]
struct InStream {
    /// The highest try of each task and reject.
    tries: HashMap<TaskId, u32>,
    /// First tries and rejects of each job.
    of_job: HashMap<JobId, u64>,
}

impl InStream {
    fn lacks(&self, task: &BatchTask) -> bool {
        self.tries.get(&task.task_id).is_none_or(|there| *there < task.try_number)
    }
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
        None => settings.outboxes().into_iter().filter(|path| path.exists()).collect(),
    };
    let context = Context::open_existing(settings).await?;
    let mut repaired = None;
    if args.repair {
        repaired = Some(repair(&context, &outboxes, app).await?);
    }
    let report = VerifyReport { repaired, ..survey(&context, &outboxes).await? };
    app.print(&report, || describe(&report))?;
    Ok(if report.balanced { Exit::Done } else { Exit::Failed })
}

async fn survey(context: &Context, outboxes: &[PathBuf]) -> anyhow::Result<VerifyReport> {
    let mut report = VerifyReport::default();
    // Read before the stream: everything that these sealed jobs published has been in it.
    let sealed = sealed(&context.store).await?;
    let mut accounted = Accounted::new();
    let mut published_here = HashSet::new();
    let mut extracting_here = HashSet::new();
    for path in outboxes {
        let outbox = Outbox::open(path)?;
        let complete = outbox.complete_jobs().await?;
        published_here.extend(complete.iter().map(|job| job.job_id));
        extracting_here.extend(outbox.extracting().await?.into_iter().map(|job| job.job_id));
        let in_stream = check(path, &outbox, context, &mut report, &mut accounted).await?;
        check_kept(path, &outbox, context, &in_stream, &mut report, &mut accounted).await?;
        let found = disagreements(path, &outbox, &complete, &context.store).await?;
        report.disagreements.extend(found);
        report.conflicts.extend(conflicts(path, &outbox).await?);
    }
    report.abandoned = abandoned(context, &published_here, &extracting_here).await?;
    report.lost = lost(context, &sealed, &accounted, &mut report).await?;
    report.imbalances = context.store.imbalances().await?;
    let late = context.store.late_rows().await?.into_iter();
    report.late = late.map(|(job_id, rows)| JobRows { job_id, rows }).collect();
    report.failed_jobs = failed_jobs(&context.store).await?;
    report.dead_letters = context.store.totals().await?.dead_letters;
    report.balanced = report.is_balanced();
    Ok(report)
}

/// Jobs whose source failed.
async fn failed_jobs(store: &Store) -> Result<Vec<FailedJob>, StoreError> {
    let failed = |job: JobRow| {
        job.error().map(|error| FailedJob {
            job_id: job.id,
            source: job.source,
            rows: job.total.unwrap_or_default(),
            code: error.code,
            detail: error.detail,
        })
    };
    Ok(store.failed_sources(NAMED as u32).await?.into_iter().filter_map(failed).collect())
}

/// Account 2: what an outbox calls complete is in the store, with the same total. A batch that is not
/// confirmed may still be on its way, so only jobs that are done must have their total there.
async fn disagreements(
    path: &Path,
    outbox: &Outbox,
    complete: &[JobSummary],
    store: &Store,
) -> anyhow::Result<Vec<Disagreement>> {
    let created_at = store.created_at().await?;
    let kept: HashMap<JobId, u64> =
        outbox.kept_jobs().await?.into_iter().map(|job| (job.job_id, job.first)).collect();
    let mut found = Vec::new();
    for job in complete {
        let is_done = job.state == OutboxJobState::Done;
        // A job that ended before this database was made is in another one.
        if job.finished_at.zip(created_at).is_some_and(|(ended, made)| ended < made) {
            continue;
        }
        let rows = plural(job.rows, "row");
        let stored = store.job(job.job_id).await?;
        let first = kept.get(&job.job_id).copied();
        let mut is_kept = if stored.is_some() { first.is_some() } else { first == Some(1) };
        let detail = match stored {
            None if is_done => format!(
                "all its {rows} were acknowledged by workers of another store, or this store was restored from before them"
            ),
            // It ended with the rows that it had.
            Some(stored) if stored.status == JobStatus::Cancelled => continue,
            Some(stored) if is_done && stored.total.is_none() => {
                format!("the store does not know its end ({rows})")
            }
            Some(stored) if stored.total.is_some_and(|total| total != job.rows) => {
                is_kept = false;
                format!("the outbox has {rows}, the store {}", stored.total.unwrap_or_default())
            }
            Some(stored) if is_done && !stored.status.is_final() => format!(
                "the outbox has proof that workers finished its {rows}, the store has {} of them",
                stored.processed
            ),
            _ => continue,
        };
        let outbox = path.display().to_string();
        found.push(Disagreement { job_id: job.job_id, outbox, is_kept, detail });
    }
    Ok(found)
}

async fn conflicts(path: &Path, outbox: &Outbox) -> anyhow::Result<Vec<Conflict>> {
    let conflict = |job: JobSummary| Conflict {
        job_id: job.job_id,
        outbox: path.display().to_string(),
        detail: job.error.unwrap_or_default(),
    };
    Ok(outbox.conflicted_jobs().await?.into_iter().map(conflict).collect())
}

/// Jobs without a seal whose publisher is silent. One that an outbox here is extracting is among them
/// if no run is at work; while nothing of it is published, it is not.
async fn abandoned(
    context: &Context,
    published_here: &HashSet<JobId>,
    extracting_here: &HashSet<JobId>,
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
        let is_at_work = match &publisher {
            Some(publisher) => publisher.silent < PUBLISHER_LEASE,
            None => extracting_here.contains(&job.id),
        };
        if is_at_work {
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
) -> anyhow::Result<InStream> {
    // Outbox first: batches that are sent later are not part of this check.
    let mut batches: Vec<(JobKey, BatchIds)> = Vec::new();
    let mut after = (0, 0);
    loop {
        let page = outbox.batch_ids(after, BATCHES).await?;
        let Some((last, _)) = page.last() else { break };
        after = *last;
        batches.extend(page.into_iter().map(|((job, _), batch)| (job, batch)));
    }
    let in_stream = stream(context, report).await?;
    for (key, batch) in batches {
        report.batches += 1;
        report.tasks += batch.tasks.len() as u64;
        if !batch.sent {
            report.unsent += batch.tasks.len() as u64;
            for job in batch.tasks.iter().filter_map(|task| task.job_id) {
                *accounted.entry(job).or_default() += 1;
            }
            continue;
        }
        let left = batch.tasks.iter().filter(|task| in_stream.lacks(task));
        let left: Vec<BatchTask> = left.copied().collect();
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
            *accounted.entry(job_id).or_default() += missing.len() as u64;
            if !missing.is_empty() {
                let half_done = report.half_done.entry((path.to_owned(), key)).or_default();
                half_done.push(batch.seq);
            }
            report.add_missing(path, job_id, missing);
        }
    }
    Ok(in_stream)
}

/// Batches that the stream has confirmed: their rows are in the ledger, unless the store has lost
/// commits. The first tries of a job that has ended there are complete; what was tried again is looked
/// up. A job that is done here and unknown there is a disagreement.
async fn check_kept(
    path: &Path,
    outbox: &Outbox,
    context: &Context,
    in_stream: &InStream,
    report: &mut VerifyReport,
    accounted: &mut Accounted,
) -> anyhow::Result<()> {
    let mut complete_tries: HashMap<JobId, u32> = HashMap::new();
    for kept in outbox.kept_jobs().await? {
        let mut after = kept.first - 1;
        while let Some(batch) = outbox.kept_batch(kept.key, after).await? {
            after = batch.seq;
            let mut by_job: BTreeMap<JobId, Vec<(TaskId, u32)>> = BTreeMap::new();
            for task in batch.tasks.iter().filter(|task| in_stream.lacks(task)) {
                let Some(job_id) = task.job_id else { continue };
                let complete = if let Some(tries) = complete_tries.get(&job_id) {
                    *tries
                } else {
                    let tries = match context.store.job(job_id).await? {
                        None if kept.is_done => u32::MAX,
                        Some(job) if job.status.is_final() => 1,
                        _ => 0,
                    };
                    *complete_tries.entry(job_id).or_insert(tries)
                };
                if task.try_number > complete {
                    by_job.entry(job_id).or_default().push((task.task_id, task.try_number));
                }
            }
            for (job_id, tasks) in by_job {
                let missing = ledger(&context.store, job_id, &tasks).await?;
                if missing.is_empty() {
                    continue;
                }
                *accounted.entry(job_id).or_default() += missing.len() as u64;
                report.add_missing(path, job_id, missing);
                report.kept.entry((path.to_owned(), kept.key)).or_insert(batch.seq);
            }
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

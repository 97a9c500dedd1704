//! One cron run: extract into the outbox and relay into the stream, at the same time.
//!
//! An unsealed job of the same source is resumed first, under its old slot; then the run's own slot
//! starts. A slot that is done already publishes nothing. Whatever else the outbox holds is relayed
//! along the way. A broker that is away does not stop the extraction, a source that is away does
//! not stop the relay: what can be made safe is, and the [`Failure`] says where it lies and what to
//! do. One run at a time has an outbox ([`OutboxLock`](crate::outbox::OutboxLock)), and each leaves
//! word of how it ended ([`last_run`](crate::last_run)).

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use isobar_broker::Broker;
use isobar_model::ids::JobId;
use isobar_model::pipeline::PipelineName;
use isobar_model::task::JobKind;
use isobar_settings::Settings;
use isobar_store::Store;
use serde::{Deserialize, Serialize};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::extract::{Context, Extraction, Step};
use crate::failure::{Failure, Remedy};
use crate::last_run::tell;
use crate::outbox::{Job, JobState, NewJob, Outbox, OutboxLock};
use crate::progress::Progress;
use crate::rejects::Rejects;
use crate::relay::{Patience, Relay, RelayEnd, Target, drive};
use crate::slot;
use crate::source::{JobSpec, SourceError};
use crate::spool::remove_if_there;
use isobar_model::human::grouped;

/// What is to be produced.
#[derive(Clone, Debug)]
pub struct Order {
    pub spec: JobSpec,
    pub kind: JobKind,
    /// Which run of the source this is; the start second if nobody says.
    pub slot: Option<String>,
    /// Where rejected rows are listed.
    pub rejects: Option<PathBuf>,
    /// A spooled copy of the source, removed once the job is sealed.
    pub spooled: Option<PathBuf>,
    /// How long to wait for room in the stream.
    pub max_wait: Duration,
}

impl Order {
    /// What a bare `isobar produce` does.
    pub fn configured(settings: &Settings, max_wait: Duration) -> Self {
        Self::of(PipelineName::Weather, settings, max_wait)
    }

    /// The same of another pipeline.
    pub fn of(pipeline: PipelineName, settings: &Settings, max_wait: Duration) -> Self {
        Self {
            spec: JobSpec::of(pipeline, settings, None, false),
            kind: JobKind::Produce,
            slot: None,
            rejects: None,
            spooled: None,
            max_wait,
        }
    }

    /// The same for a tick of a schedule: wherever it is fired, it is one job in the same bytes.
    #[must_use]
    pub fn at(&self, tick: DateTime<Utc>) -> Self {
        Self { slot: Some(slot::of(tick)), ..self.clone() }
    }

    /// The job that it will be; unknown while it has no slot.
    pub fn job_id(&self) -> Option<JobId> {
        let slot = self.slot.as_deref()?;
        Some(JobId::derive(&self.spec.identity(), slot))
    }
}

/// What a run works with.
#[derive(Clone)]
pub struct Tools {
    pub settings: Arc<Settings>,
    pub broker: Broker,
    /// For sources that are the store.
    pub store: Option<Store>,
    pub progress: Arc<Progress>,
    pub shutdown: CancellationToken,
}

/// What `isobar produce --json` prints.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    pub job_id: JobId,
    pub source: String,
    pub slot: String,
    pub rows: u64,
    pub tasks: u64,
    pub rejected: u64,
    pub duplicates: u64,
    /// Tasks of this job that this run put into the stream.
    pub published: u64,
    pub batches: u64,
    /// Tasks that are in the outbox and not in the stream.
    pub unsent: u64,
    /// Whether the job, or one of the same source before it, was begun by an earlier run.
    pub resumed: bool,
    pub elapsed_ms: u64,
}

/// Runs the order against the outbox of the settings.
pub async fn run(order: Order, tools: &Tools) -> Result<Report, Failure> {
    let pipeline = order.spec.pipeline;
    let path = tools.settings.outbox_of(pipeline);
    let outbox = match open_outbox(&path) {
        Ok(outbox) => outbox,
        Err(failure) => {
            tell(pipeline, Err(&failure), None, &tools.broker).await;
            return Err(failure);
        }
    };
    let _lock = OutboxLock::take(&path)?;
    let result = run_in(order, tools, &outbox).await;
    tell(pipeline, result.as_ref(), Some(&outbox), &tools.broker).await;
    result
}

/// Relays what the outbox holds and extracts nothing: `isobar outbox flush`.
pub async fn flush(tools: &Tools, max_wait: Duration) -> Result<u64, Failure> {
    for pipeline in PipelineName::streams() {
        let path = tools.settings.outbox_of(pipeline);
        // That of cities is there from now on; one of users only if there are any.
        if pipeline == PipelineName::Weather || path.exists() {
            let outbox = open_outbox(&path)?;
            let _lock = OutboxLock::take(&path)?;
            outbox.drop_seen().await?;
            send(pipeline, &outbox, tools, max_wait).await?;
        }
    }
    Ok(tools.progress.reached().published)
}

/// Relays what this outbox holds for each stream; the caller has its lock.
pub(crate) async fn send_all(
    outbox: &Outbox,
    tools: &Tools,
    max_wait: Duration,
) -> Result<u64, Failure> {
    for pipeline in PipelineName::streams() {
        if !outbox.open_jobs(pipeline).await?.is_empty() {
            send(pipeline, outbox, tools, max_wait).await?;
        }
    }
    Ok(tools.progress.reached().published)
}

async fn send(
    pipeline: PipelineName,
    outbox: &Outbox,
    tools: &Tools,
    max_wait: Duration,
) -> Result<(), Failure> {
    let ended = CancellationToken::new();
    ended.cancel();
    let (relay, patience) = (relay(pipeline, tools, outbox), patience(tools, max_wait));
    let relayed = relay_all(relay, patience, ended, tools.shutdown.clone()).await;
    conclude(&relayed, outbox, tools).await
}

fn open_outbox(path: &std::path::Path) -> Result<Outbox, Failure> {
    Ok(Outbox::open(path)?)
}

async fn run_in(order: Order, tools: &Tools, outbox: &Outbox) -> Result<Report, Failure> {
    let began = Instant::now();
    outbox.drop_seen().await?;
    let slot = order.slot.clone().unwrap_or_else(|| slot::of(Utc::now()));
    let job_id = JobId::derive(&order.spec.identity(), &slot);
    let before = unsealed(outbox, &order.spec).await?;
    // The relay has the outbox's old batches to send from the first moment on.
    let ending = CancellationToken::new();
    let mut relays = JoinSet::new();
    relays.spawn(relay_all(
        relay(order.spec.pipeline, tools, outbox),
        patience(tools, order.max_wait),
        ending.clone(),
        tools.shutdown.clone(),
    ));
    let Extracted { result: extracted, resumed } =
        extract_all(&order, job_id, &slot, before, tools, outbox).await;
    ending.cancel();
    let relayed = match relays.join_next().await {
        Some(Ok(relayed)) => relayed,
        Some(Err(panic)) => {
            return Err(Failure::new(Remedy::GiveUp, format!("the relay ended: {panic}")));
        }
        None => unreachable!("one relay was started"),
    };
    remove_spooled(&order, job_id, outbox).await?;
    let report = report(job_id, &order, slot, &relayed, resumed, began, outbox).await?;
    tracing::info!(job_id = %report.job_id, source = %report.source, rows = report.rows, tasks = report.tasks, rejected = report.rejected, duplicates = report.duplicates, published = report.published, unsent = report.unsent, elapsed_ms = report.elapsed_ms, "run ended");
    let relayed = conclude(&relayed, outbox, tools).await;
    match (extracted, relayed) {
        (Ok(()), Ok(())) => Ok(report),
        // What needs a person is said first; else the source, which comes first on the way.
        (Ok(()), Err(failure)) => Err(failure.with(report)),
        (Err(_), Err(failure)) if failure.remedy != Remedy::TryAgain => Err(failure.with(report)),
        (Err(failure), _) => Err(safe_so_far(failure, &report, tools).with(report)),
    }
}

struct Extracted {
    result: Result<(), Failure>,
    resumed: bool,
}

async fn extract_all(
    order: &Order,
    job_id: JobId,
    slot: &str,
    before: Vec<Job>,
    tools: &Tools,
    outbox: &Outbox,
) -> Extracted {
    let mut resumed = false;
    for job in before.into_iter().filter(|job| job.job_id != job_id) {
        tracing::info!(job_id = %job.job_id, slot = job.slot, rows = job.rows, "resuming a run of the same source that was not finished");
        resumed = true;
        let job = Job { spec: resumable(&job, &order.spec), ..job };
        if let Err(failure) = extract(job, None, tools, outbox).await {
            return Extracted { result: Err(failure), resumed };
        }
    }
    let new = NewJob {
        job_id,
        slot: slot.to_owned(),
        kind: order.kind,
        spec: order.spec.clone(),
        created_at: slot::time(slot).unwrap_or_else(Utc::now),
    };
    let (job, is_new) = match outbox.open_job(new).await {
        Ok(opened) => opened,
        Err(error) => return Extracted { result: Err(error.into()), resumed },
    };
    isobar_failpoint::hit("producer.job.after");
    let spec = resumable(&job, &order.spec);
    let result = own_slot(Job { spec, ..job }, is_new, order, tools, outbox).await;
    Extracted { result, resumed: resumed || !is_new }
}

/// The order's source with the page size that the job's cursor counts in.
fn resumable(job: &Job, spec: &JobSpec) -> JobSpec {
    match spec.path() {
        // The file may have moved; its content is the same.
        Some(_) => spec.clone(),
        None => job.spec.clone(),
    }
}

async fn own_slot(
    job: Job,
    is_new: bool,
    order: &Order,
    tools: &Tools,
    outbox: &Outbox,
) -> Result<(), Failure> {
    let rejects = match &order.rejects {
        Some(path) => {
            let mut rejects = Rejects::create(path)?;
            rejects.add_frozen(outbox, job.key).await?;
            Some(rejects)
        }
        None => None,
    };
    match (job.state, &job.error) {
        (JobState::Extracting, _) => extract(job, rejects, tools, outbox).await,
        (JobState::Conflicted, why) => Err(Failure::new(
            Remedy::GiveUp,
            format!(
                "the job of slot {} is in conflict with the stream: {}",
                job.slot,
                why.as_deref().unwrap_or("unknown")
            ),
        )),
        (JobState::Sealed | JobState::Done, Some(why)) => Err(Failure::new(
            Remedy::GiveUp,
            format!("slot {} has failed already: {why}", job.slot),
        )),
        (JobState::Sealed | JobState::Done, None) => {
            debug_assert!(!is_new);
            tracing::info!(job_id = %job.job_id, slot = job.slot, "this slot is already done; nothing to extract");
            Ok(())
        }
    }
}

async fn extract(
    job: Job,
    rejects: Option<Rejects>,
    tools: &Tools,
    outbox: &Outbox,
) -> Result<(), Failure> {
    let context = Context {
        settings: &tools.settings,
        outbox,
        store: tools.store.as_ref(),
        progress: &tools.progress,
        shutdown: &tools.shutdown,
        rejects,
    };
    let mut extraction = Extraction::open(job, context).await?;
    loop {
        if tools.shutdown.is_cancelled() {
            return Err(SourceError::Stopped.into());
        }
        match extraction.step().await {
            Ok(Step::Froze) => {}
            Ok(Step::Sealed) => return Ok(()),
            Ok(Step::SealedAsFailed) => {
                let why = extraction.job().error.clone().unwrap_or_default();
                return Err(Failure::new(Remedy::GiveUp, why));
            }
            Err(SourceError::Taken) => return Err(ended(extraction.job(), outbox).await?),
            Err(error) => return Err(error.into()),
        }
    }
}

/// What to say of a job that somebody else has sealed: who cancelled it, most likely.
async fn ended(job: &Job, outbox: &Outbox) -> Result<Failure, Failure> {
    let now = outbox.job(job.job_id).await?;
    Ok(match now.and_then(|job| job.error) {
        Some(why) => Failure::new(Remedy::GiveUp, format!("job {}: {why}", job.job_id)),
        None => SourceError::Taken.into(),
    })
}

/// A sealed job reads its source no more.
async fn remove_spooled(order: &Order, job_id: JobId, outbox: &Outbox) -> Result<(), Failure> {
    let Some(path) = &order.spooled else { return Ok(()) };
    let sealed = outbox.job(job_id).await?.is_some_and(|job| job.state != JobState::Extracting);
    if sealed && let Err(error) = remove_if_there(path) {
        tracing::warn!(path = %path.display(), %error, "cannot remove a spooled file that is done with");
    }
    Ok(())
}

/// Jobs of this source that are not sealed; refuses a file that changed under one of them.
async fn unsealed(outbox: &Outbox, spec: &JobSpec) -> Result<Vec<Job>, Failure> {
    let identity = spec.identity();
    let mut same = Vec::new();
    for job in outbox.extracting().await? {
        if job.spec.identity() == identity {
            same.push(job);
        } else if job.rows > 0 && is_changed(&job.spec, spec) {
            let path = spec.path().expect("compared just now").to_owned();
            let failure = Failure::from(SourceError::Changed { path });
            let message = format!(
                "{} ({} rows of job {} are extracted)",
                failure.message,
                grouped(job.rows),
                job.job_id
            );
            return Err(Failure::new(failure.remedy, message));
        }
    }
    Ok(same)
}

/// Whether both name one file, with another content.
fn is_changed(old: &JobSpec, new: &JobSpec) -> bool {
    old.path().is_some() && old.path() == new.path() && old.content_hash() != new.content_hash()
}

fn relay(pipeline: PipelineName, tools: &Tools, outbox: &Outbox) -> Relay {
    let target = Target::of(pipeline, &tools.settings);
    Relay::new(outbox.clone(), tools.broker.clone(), target, Arc::clone(&tools.progress))
}

struct Relayed {
    relay: Relay,
    end: Result<(), RelayEnd>,
}

async fn relay_all(
    mut relay: Relay,
    patience: Patience,
    ending: CancellationToken,
    shutdown: CancellationToken,
) -> Relayed {
    let end = drive(&mut relay, patience, &ending, &shutdown).await;
    Relayed { relay, end }
}

fn patience(tools: &Tools, max_wait: Duration) -> Patience {
    Patience { retries: Some(tools.settings.redis_retries), max_wait: Some(max_wait) }
}

/// What the relay's end means for the run.
async fn conclude(relayed: &Relayed, outbox: &Outbox, tools: &Tools) -> Result<(), Failure> {
    let unsent = outbox.unsent_tasks(None).await?;
    let safe = format!("{} tasks are safe in the outbox, run again to send them", grouped(unsent));
    match &relayed.end {
        Err(end) => {
            let failure = Failure::of_relay(end);
            Err(Failure::new(failure.remedy, format!("{}; {safe}", failure.message)))
        }
        Ok(()) if tools.shutdown.is_cancelled() && outbox.unsent_batches(None).await? > 0 => {
            Err(Failure::new(Remedy::TryAgain, format!("stopped; {safe}")))
        }
        Ok(()) if relayed.relay.paused().next().is_some() => {
            let paused = relayed.relay.paused().next().map(|job| job.to_string());
            let paused = paused.unwrap_or_default();
            Err(Failure::new(
                Remedy::TryAgain,
                format!("job {paused} is paused (`isobar jobs resume {paused}`); {safe}"),
            ))
        }
        Ok(()) => match relayed.relay.conflicts() {
            [] => Ok(()),
            [job_id, ..] => Err(Failure::new(
                Remedy::GiveUp,
                format!(
                    "the stream {} holds another content under the numbers of job {job_id}: nothing was overwritten; `isobar verify` shows more",
                    relayed.relay.stream()
                ),
            )),
        },
    }
}

fn safe_so_far(failure: Failure, report: &Report, tools: &Tools) -> Failure {
    if failure.remedy != Remedy::TryAgain {
        return failure;
    }
    let rows = grouped(report.rows);
    let message = if tools.shutdown.is_cancelled() {
        format!(
            "stopped; {rows} rows are extracted and safe, {} tasks of them wait in the outbox; run again to go on",
            grouped(report.unsent)
        )
    } else {
        format!("{}; {rows} rows are extracted and safe, run again to go on", failure.message)
    };
    Failure { message, ..failure }
}

async fn report(
    job_id: JobId,
    order: &Order,
    slot: String,
    relayed: &Relayed,
    resumed: bool,
    began: Instant,
    outbox: &Outbox,
) -> Result<Report, Failure> {
    let job = outbox.job(job_id).await?;
    let count = |number: fn(&Job) -> u64| job.as_ref().map(number).unwrap_or_default();
    Ok(Report {
        job_id,
        source: order.spec.label(),
        slot,
        rows: count(|job| job.rows),
        tasks: count(|job| job.tasks),
        rejected: count(|job| job.rejected),
        duplicates: count(|job| job.duplicates),
        published: relayed.relay.published(job_id),
        batches: count(|job| job.last_seq),
        unsent: outbox.unsent_tasks(None).await?,
        resumed,
        elapsed_ms: began.elapsed().as_millis() as u64,
    })
}

//! One run: extracts into the outbox and relays into the stream, at the same time.
//!
//! An unsealed job of the same source is resumed first, under its old slot; then the run's own slot
//! starts. A slot that is already done publishes nothing. Everything else in the outbox is relayed
//! too.
//!
//! Guarantees: a broker that is down does not stop the extraction, and a source that is down does
//! not stop the relay. The [`Failure`] says what is safe and what to do. One run at a time uses an
//! outbox ([`OutboxLock`]). The outcome of each run is recorded ([`last_run`]).

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
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::extract::{Context, ExtractStep, Extraction};
use crate::failure::{Failure, Remedy};
use crate::last_run;
use crate::outbox::{NewOutboxJob, Outbox, OutboxJob, OutboxJobState, OutboxLock};
use crate::progress::RunProgress;
use crate::rejects::RejectFile;
use crate::relay::{InLedger, Relay, RelayEnd, RetryLimits, Target, drive};
use crate::report::RunReport;
use crate::slot;
use crate::source::{JobSpec, SourceError};
use crate::spool::remove_if_there;
use isobar_model::human::grouped;

/// What to produce.
#[derive(Clone, Debug)]
pub struct RunOrder {
    pub spec: JobSpec,
    pub kind: JobKind,
    /// Identifies this run of the source; the second of the start if absent.
    pub slot: Option<String>,
    /// The file that lists rejected rows.
    pub rejects: Option<PathBuf>,
    /// A spooled copy of the source, removed once the job is sealed.
    pub spooled: Option<PathBuf>,
    /// How long to wait for room in the stream.
    pub max_wait: Duration,
}

impl RunOrder {
    /// What a bare `isobar produce` does.
    pub fn configured(settings: &Settings, max_wait: Duration) -> Self {
        Self::of(PipelineName::default(), settings, max_wait)
    }

    /// The same for another pipeline.
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

    /// The same for a tick of a schedule: on every host it is one job with the same bytes.
    #[must_use]
    pub fn at(&self, tick: DateTime<Utc>) -> Self {
        Self { slot: Some(slot::of(tick)), ..self.clone() }
    }

    /// The id of its job; unknown while it has no slot.
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
    /// For sources that read the store.
    pub store: Option<Store>,
    pub progress: Arc<RunProgress>,
    pub shutdown: CancellationToken,
}

/// Runs the order against the outbox of the settings.
pub async fn run(order: RunOrder, tools: &Tools) -> Result<RunReport, Failure> {
    let pipeline = order.spec.pipeline;
    let path = tools.settings.outbox_of(pipeline);
    let outbox = Outbox::open(&path);
    // A run that finds another one at work has not run: it records nothing.
    let _lock = outbox.is_ok().then(|| OutboxLock::take(&path)).transpose()?;
    let (result, outbox) = match outbox {
        Ok(outbox) => (run_in(order, tools, &outbox).await, Some(outbox)),
        Err(error) => (Err(error.into()), None),
    };
    last_run::record(pipeline, result.as_ref(), outbox.as_ref(), &tools.broker).await;
    result
}

/// Relays the content of each outbox and extracts nothing: `isobar outbox flush`.
pub async fn flush(tools: &Tools, max_wait: Duration) -> Result<u64, Failure> {
    for pipeline in PipelineName::streams() {
        let path = tools.settings.outbox_of(pipeline);
        // The default outbox is created; the others exist only if their pipelines ran.
        if pipeline == PipelineName::default() || path.exists() {
            let outbox = Outbox::open(&path)?;
            let _lock = OutboxLock::take(&path)?;
            outbox.drop_seen().await?;
            send(relay(pipeline, tools, &outbox), &outbox, tools, max_wait).await?;
        }
    }
    Ok(tools.progress.snapshot().published)
}

/// Relays the content of this outbox to each stream; the caller holds its lock.
pub async fn send_all(outbox: &Outbox, tools: &Tools, max_wait: Duration) -> Result<u64, Failure> {
    send_missing(outbox, &Arc::default(), tools, max_wait).await?;
    Ok(tools.progress.snapshot().published)
}

/// The same; of batches that are in the ledger only open and seal are sent.
pub async fn send_missing(
    outbox: &Outbox,
    in_ledger: &Arc<InLedger>,
    tools: &Tools,
    max_wait: Duration,
) -> Result<(), Failure> {
    for pipeline in PipelineName::streams() {
        if !outbox.open_jobs(pipeline).await?.is_empty() {
            let mut relay = relay(pipeline, tools, outbox);
            relay.keep_back(Arc::clone(in_ledger));
            send(relay, outbox, tools, max_wait).await?;
        }
    }
    Ok(())
}

async fn send(
    relay: Relay,
    outbox: &Outbox,
    tools: &Tools,
    max_wait: Duration,
) -> Result<(), Failure> {
    let ended = CancellationToken::new();
    ended.cancel();
    let limits = retry_limits(tools, max_wait);
    // Boxed: a relay is too large to be part of every caller.
    let relayed = Box::pin(relay_all(relay, limits, ended, tools.shutdown.clone())).await;
    check_relay_end(&relayed, outbox, tools).await
}

async fn run_in(order: RunOrder, tools: &Tools, outbox: &Outbox) -> Result<RunReport, Failure> {
    let began = Instant::now();
    outbox.drop_seen().await?;
    let slot = order.slot.clone().unwrap_or_else(|| slot::of(Utc::now()));
    let job_id = JobId::derive(&order.spec.identity(), &slot);
    let before = unsealed(outbox, &order.spec).await?;
    // The relay starts first: it may have older batches to send.
    let ending = CancellationToken::new();
    let mut relays = JoinSet::new();
    relays.spawn(relay_all(
        relay(order.spec.pipeline, tools, outbox),
        retry_limits(tools, order.max_wait),
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
    let relayed = check_relay_end(&relayed, outbox, tools).await;
    match (extracted, relayed) {
        (Ok(()), Ok(())) => Ok(report),
        // A failure that needs a person is reported first, otherwise that of the source.
        (Ok(()), Err(failure)) => Err(failure.with(report)),
        (Err(_), Err(failure)) if failure.remedy != Remedy::TryAgain => Err(failure.with(report)),
        (Err(failure), _) => Err(with_progress(failure, &report, tools).with(report)),
    }
}

struct Extracted {
    result: Result<(), Failure>,
    resumed: bool,
}

async fn extract_all(
    order: &RunOrder,
    job_id: JobId,
    slot: &str,
    before: Vec<OutboxJob>,
    tools: &Tools,
    outbox: &Outbox,
) -> Extracted {
    let mut resumed = false;
    for job in before.into_iter().filter(|job| job.job_id != job_id) {
        tracing::info!(job_id = %job.job_id, slot = job.slot, rows = job.rows, "resuming an unfinished run of the same source");
        resumed = true;
        let job = OutboxJob { spec: resumable(&job, &order.spec), ..job };
        if let Err(failure) = extract(job, None, tools, outbox).await {
            return Extracted { result: Err(failure), resumed };
        }
    }
    let new = NewOutboxJob {
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
    let result = extract_slot(OutboxJob { spec, ..job }, is_new, order, tools, outbox).await;
    Extracted { result, resumed: resumed || !is_new }
}

/// The source of the order, with the page size in which the cursor of the job counts.
fn resumable(job: &OutboxJob, spec: &JobSpec) -> JobSpec {
    match spec.path() {
        // The file may have moved; its content is the same.
        Some(_) => spec.clone(),
        None => job.spec.clone(),
    }
}

async fn extract_slot(
    job: OutboxJob,
    is_new: bool,
    order: &RunOrder,
    tools: &Tools,
    outbox: &Outbox,
) -> Result<(), Failure> {
    let rejects = match &order.rejects {
        Some(path) => {
            let mut rejects = RejectFile::create(path, &job.spec).await?;
            rejects.add_frozen(outbox, job.key).await?;
            Some(rejects)
        }
        None => None,
    };
    match (job.state, &job.error) {
        (OutboxJobState::Extracting, _) => extract(job, rejects, tools, outbox).await,
        (OutboxJobState::Superseded, why) => {
            let why = why.as_deref().unwrap_or("another host has published it");
            tracing::info!(job_id = %job.job_id, slot = job.slot, why, "this slot is published by another host; nothing to do");
            Ok(())
        }
        (OutboxJobState::Conflicted, why) => Err(Failure::new(
            Remedy::GiveUp,
            format!(
                "the job of slot {} is in conflict with the stream: {}",
                job.slot,
                why.as_deref().unwrap_or("unknown")
            ),
        )),
        (OutboxJobState::Sealed | OutboxJobState::Done, Some(why)) => Err(Failure::new(
            Remedy::GiveUp,
            format!("slot {} has failed already: {why}", job.slot),
        )),
        (OutboxJobState::Sealed | OutboxJobState::Done, None) => {
            debug_assert!(!is_new);
            tracing::info!(job_id = %job.job_id, slot = job.slot, "this slot is already done; nothing to extract");
            Ok(())
        }
    }
}

async fn extract(
    job: OutboxJob,
    rejects: Option<RejectFile>,
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
    let known = job.clone();
    let opened = Extraction::open(job, context).await;
    let mut extraction = opened.map_err(|error| source_failure(error, &known))?;
    match extraction.run(&tools.shutdown).await {
        Ok(ExtractStep::SealedAsFailed) => {
            let why = extraction.job().error.clone().unwrap_or_default();
            Err(Failure::new(Remedy::GiveUp, why))
        }
        Ok(_) => Ok(()),
        Err(SourceError::Taken) => Err(job_ended_elsewhere(extraction.job(), outbox).await?),
        Err(error) => Err(source_failure(error, extraction.job())),
    }
}

/// The failure for a job that another process has sealed; most likely it was cancelled.
async fn job_ended_elsewhere(job: &OutboxJob, outbox: &Outbox) -> Result<Failure, Failure> {
    let now = outbox.job(job.job_id).await?;
    Ok(match now.and_then(|job| job.error) {
        Some(why) => Failure::new(Remedy::GiveUp, format!("job {}: {why}", job.job_id)),
        None => SourceError::Taken.into(),
    })
}

/// Removes the spooled copy of a sealed job, which does not read its source any more.
async fn remove_spooled(order: &RunOrder, job_id: JobId, outbox: &Outbox) -> Result<(), Failure> {
    let Some(path) = &order.spooled else { return Ok(()) };
    let sealed =
        outbox.job(job_id).await?.is_some_and(|job| job.state != OutboxJobState::Extracting);
    if sealed && let Err(error) = remove_if_there(path) {
        tracing::warn!(path = %path.display(), %error, "cannot remove a spooled file that is not needed any more");
    }
    Ok(())
}

/// Jobs of this source that are not sealed; an error if a file of such a job has changed.
async fn unsealed(outbox: &Outbox, spec: &JobSpec) -> Result<Vec<OutboxJob>, Failure> {
    let identity = spec.identity();
    let mut same = Vec::new();
    for job in outbox.extracting().await? {
        if job.spec.identity() == identity {
            same.push(job);
        } else if job.rows > 0 && is_changed(&job.spec, spec) {
            let path = spec.path().expect("compared just now").to_owned();
            return Err(source_failure(SourceError::Changed { path }, &job));
        }
    }
    Ok(same)
}

/// The failure of a source. If its file is not the one of which the job has read a part, it says how to
/// end the job.
fn source_failure(error: SourceError, job: &OutboxJob) -> Failure {
    if !matches!(error, SourceError::Changed { .. }) {
        return error.into();
    }
    let failure = Failure::from(error);
    let message = format!(
        "{} ({} rows of job {id} are extracted; to keep these and drop the others, run `isobar jobs cancel {id}`)",
        failure.message,
        grouped(job.rows),
        id = job.job_id
    );
    Failure::new(failure.remedy, message)
}

/// Whether both name the same file with different content.
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
    limits: RetryLimits,
    ending: CancellationToken,
    shutdown: CancellationToken,
) -> Relayed {
    let end = drive(&mut relay, limits, &ending, &shutdown).await;
    Relayed { relay, end }
}

fn retry_limits(tools: &Tools, max_wait: Duration) -> RetryLimits {
    RetryLimits { retries: Some(tools.settings.redis_retries), max_wait: Some(max_wait) }
}

/// Turns the end of the relay into the end of the run.
async fn check_relay_end(relayed: &Relayed, outbox: &Outbox, tools: &Tools) -> Result<(), Failure> {
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
        Ok(()) => match (relayed.relay.taken(), relayed.relay.conflicts()) {
            (None, []) => Ok(()),
            // It needs a person, so it is reported first.
            (_, [job_id, ..]) => Err(Failure::new(
                Remedy::GiveUp,
                format!(
                    "the stream {} holds other content under the numbers of job {job_id}; nothing was overwritten; `isobar verify` shows more",
                    relayed.relay.stream()
                ),
            )),
            (Some((job, outbox)), []) => {
                let host = outbox.split_once('@').map_or(outbox, |(_, host)| host);
                Err(Failure::new(
                    Remedy::TryAgain,
                    format!("{host} is publishing this slot (job {job}); {safe}"),
                ))
            }
        },
    }
}

fn with_progress(failure: Failure, report: &RunReport, tools: &Tools) -> Failure {
    if failure.remedy != Remedy::TryAgain {
        return failure;
    }
    let rows = grouped(report.rows);
    let message = if tools.shutdown.is_cancelled() {
        format!(
            "stopped; {rows} rows are extracted and safe, {} of their tasks wait in the outbox; run again to continue",
            grouped(report.unsent)
        )
    } else {
        format!("{}; {rows} rows are extracted and safe, run again to continue", failure.message)
    };
    Failure { message, ..failure }
}

async fn report(
    job_id: JobId,
    order: &RunOrder,
    slot: String,
    relayed: &Relayed,
    resumed: bool,
    began: Instant,
    outbox: &Outbox,
) -> Result<RunReport, Failure> {
    let job = outbox.job(job_id).await?;
    let count = |number: fn(&OutboxJob) -> u64| job.as_ref().map(number).unwrap_or_default();
    Ok(RunReport {
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
        superseded: job
            .as_ref()
            .filter(|job| job.state == OutboxJobState::Superseded)
            .and_then(|job| job.error.clone()),
        resumed,
        elapsed_ms: began.elapsed().as_millis() as u64,
    })
}

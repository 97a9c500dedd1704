//! Workers: the workers of a process, one for each stream, started and stopped together.
//!
//! Guarantees: if one worker fails, the others are stopped, so a process never runs with some of
//! its workers. Their summaries are merged into one.
//! Next: [`crate::worker`] (one of them).

use std::io;
use std::pin::Pin;
use std::sync::Arc;

use isobar_broker::Broker;
use isobar_model::pipeline::PipelineName;
use isobar_settings::Settings;
use isobar_store::Store;
use isobar_upstream::{EnrichmentClient, WeatherClient, card_key};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::context::WorkerError;
use crate::events::WorkerCounters;
use crate::pipeline::Pipeline;
use crate::pipeline::air_quality::AirQualityPipeline;
use crate::pipeline::users::UserPipeline;
use crate::pipeline::weather::WeatherPipeline;
use crate::run_summary::{RunSummary, RunUntil, StopReason};
use crate::suspect::TrialReport;
use crate::trial::{TrialCommand, TrialEntries};
use crate::worker::Worker;

/// What every worker needs.
pub struct WorkerParts {
    pub settings: Arc<Settings>,
    pub broker: Broker,
    pub store: Store,
    /// Which store this is; see [`Store::identity`].
    pub store_name: String,
    pub upstream: WeatherClient,
    pub trial: TrialCommand,
}

type Run = Pin<Box<dyn Future<Output = Result<RunSummary, WorkerError>> + Send>>;

/// A worker whose pipeline is no longer part of its type.
struct AnyWorker {
    counters: Arc<WorkerCounters>,
    run: Box<dyn FnOnce(WorkerTask) -> Run + Send>,
}

/// What a worker does.
enum WorkerTask {
    Run(RunUntil),
    /// The one entry, and what is called when it is found.
    Try(TrialEntries, fn()),
}

pub struct Workers {
    workers: Vec<AnyWorker>,
    stop: CancellationToken,
}

impl Workers {
    /// `name` is a prefix; each worker adds what makes it unique. Fails if the key of cards cannot
    /// be read.
    pub fn open(
        streams: impl IntoIterator<Item = PipelineName>,
        parts: &WorkerParts,
        name: &str,
        shutdown: &CancellationToken,
    ) -> io::Result<Self> {
        let stop = shutdown.child_token();
        let streams = streams.into_iter();
        let workers =
            streams.map(|stream| worker(stream, parts, name, &stop)).collect::<io::Result<_>>()?;
        Ok(Self { workers, stop })
    }

    /// Their counters, which may be read while they run.
    pub fn tallies(&self) -> Vec<Arc<WorkerCounters>> {
        self.workers.iter().map(|worker| Arc::clone(&worker.counters)).collect()
    }

    /// Runs all of them to their end. If some fail, the error is that of the first.
    pub async fn run(self, until: RunUntil) -> Result<RunSummary, WorkerError> {
        let mut running: JoinSet<_> =
            self.workers.into_iter().map(|worker| (worker.run)(WorkerTask::Run(until))).collect();
        let mut summary = Ok(RunSummary::default());
        while let Some(ended) = running.join_next().await {
            match ended {
                Ok(Ok(ending)) => summary = summary.map(|summary| merge(summary, ending)),
                // The first error counts: the others follow from the stop.
                Ok(Err(error)) => {
                    self.stop.cancel();
                    summary = summary.and(Err(error));
                }
                Err(panic) => std::panic::resume_unwind(panic.into_panic()),
            }
        }
        summary
    }
}

/// In the child of a worker: works on some entries of a stream. `begun` is called when one is
/// found.
pub async fn try_entries(
    stream: PipelineName,
    parts: &WorkerParts,
    entries: TrialEntries,
    begun: fn(),
    shutdown: &CancellationToken,
) -> Result<TrialReport, WorkerError> {
    let worker = worker(stream, parts, &entries.worker, shutdown).map_err(WorkerError::CardKey)?;
    (worker.run)(WorkerTask::Try(entries, begun)).await?;
    Ok(worker.counters.report())
}

/// The worker of a stream.
fn worker(
    stream: PipelineName,
    parts: &WorkerParts,
    name: &str,
    stop: &CancellationToken,
) -> io::Result<AnyWorker> {
    let settings = Arc::clone(&parts.settings);
    let (upstream, store) = (parts.upstream.clone(), parts.store.clone());
    Ok(match stream.stream() {
        PipelineName::Weather => {
            of(WeatherPipeline::new(settings, upstream, store), parts, name, stop)
        }
        PipelineName::Air => {
            of(AirQualityPipeline::new(settings, upstream, store), parts, name, stop)
        }
        PipelineName::Users | PipelineName::Addresses | PipelineName::Cards => {
            let providers = EnrichmentClient::new(&upstream, card_key::open(&settings)?);
            of(UserPipeline::new(&settings, providers, store), parts, name, stop)
        }
    })
}

fn of<P: Pipeline>(
    pipeline: P,
    parts: &WorkerParts,
    name: &str,
    stop: &CancellationToken,
) -> AnyWorker {
    let worker = Worker::new(
        pipeline,
        parts.broker.clone(),
        parts.store.clone(),
        parts.store_name.clone(),
        Arc::clone(&parts.settings),
        name,
        stop,
    )
    .with_trials(parts.trial.clone());
    let counters = worker.tally();
    let run = |task| -> Run {
        match task {
            WorkerTask::Run(until) => Box::pin(worker.run(until)),
            WorkerTask::Try(entries, begun) => Box::pin(async move {
                worker.try_entries(entries, begun).await.map(|()| RunSummary::default())
            }),
        }
    };
    AnyWorker { counters, run: Box::new(run) }
}

fn merge(one: RunSummary, other: RunSummary) -> RunSummary {
    let left = match (one.left, other.left) {
        // A wrong configuration needs a person, so it is reported first.
        (Some(StopReason::Later(_)) | None, Some(why @ StopReason::Config(_))) => Some(why),
        (why, other) => why.or(other),
    };
    RunSummary {
        entries: one.entries + other.entries,
        succeeded: one.succeeded + other.succeeded,
        failed: one.failed + other.failed,
        skipped: one.skipped + other.skipped,
        dead: one.dead + other.dead,
        left,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_configuration_is_reported_before_a_wait() {
        let ending = |left| RunSummary { entries: 2, left, ..RunSummary::default() };
        let later = || Some(StopReason::Later("quota".into()));
        let config = || Some(StopReason::Config("key".into()));
        assert_eq!(merge(ending(later()), ending(config())).left, config());
        assert_eq!(merge(ending(config()), ending(later())).left, config());
        assert_eq!(
            merge(ending(None), ending(later())),
            RunSummary { entries: 4, ..ending(later()) }
        );
    }
}

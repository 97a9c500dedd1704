//! The workers of a process: one for each stream, started and stopped together.
//!
//! Guarantees: if one worker fails, the others are stopped, so a process never runs with some of
//! its workers. Their summaries are merged into one.

use std::pin::Pin;
use std::sync::Arc;

use anyhow::Context as _;
use isobar_consumer::{
    AirQualityPipeline, Pipeline, RunSummary, RunUntil, StopReason, UserPipeline, WeatherPipeline,
    Worker, WorkerCounters, WorkerError,
};
use isobar_model::pipeline::PipelineName;
use isobar_upstream::{EnrichmentClient, card_key};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::context::Context;

/// The pipelines to work for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PipelineChoice {
    One(PipelineName),
    All,
}

impl PipelineChoice {
    const ALL: &str = "all";

    /// `all`, or a pipeline that has a stream.
    pub fn parser() -> impl clap::builder::TypedValueParser<Value = Self> {
        use clap::builder::{PossibleValuesParser, TypedValueParser};
        let names = PipelineName::streams().map(PipelineName::as_str).chain([Self::ALL]);
        PossibleValuesParser::new(names)
            .map(|name| PipelineName::parse(&name).map_or(Self::All, Self::One))
    }

    fn includes(self, pipeline: PipelineName) -> bool {
        self == Self::All || self == Self::One(pipeline)
    }
}

type Run = Pin<Box<dyn Future<Output = Result<RunSummary, WorkerError>> + Send>>;

/// A worker whose pipeline is no longer part of its type.
struct AnyWorker {
    counters: Arc<WorkerCounters>,
    run: Box<dyn FnOnce(RunUntil) -> Run + Send>,
}

impl AnyWorker {
    fn new<P: Pipeline>(worker: Worker<P>) -> Self {
        Self { counters: worker.tally(), run: Box::new(|until| Box::pin(worker.run(until))) }
    }
}

pub struct Workers {
    workers: Vec<AnyWorker>,
    stop: CancellationToken,
}

impl Workers {
    /// `name` is a prefix; each worker adds what makes it unique.
    pub fn open(
        choice: PipelineChoice,
        context: &Context,
        name: &str,
        shutdown: &CancellationToken,
    ) -> anyhow::Result<Self> {
        let stop = shutdown.child_token();
        let workers = PipelineName::streams()
            .filter(|stream| choice.includes(*stream))
            .map(|stream| worker(stream, context, name, &stop))
            .collect::<anyhow::Result<_>>()?;
        Ok(Self { workers, stop })
    }

    /// Their counters, which may be read while they run.
    pub fn tallies(&self) -> Vec<Arc<WorkerCounters>> {
        self.workers.iter().map(|worker| Arc::clone(&worker.counters)).collect()
    }

    pub async fn run(self, until: RunUntil) -> anyhow::Result<RunSummary> {
        let mut running: JoinSet<_> =
            self.workers.into_iter().map(|worker| (worker.run)(until)).collect();
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
        Ok(summary?)
    }
}

/// The worker of a stream.
fn worker(
    stream: PipelineName,
    context: &Context,
    name: &str,
    stop: &CancellationToken,
) -> anyhow::Result<AnyWorker> {
    let (settings, store) = (&context.settings, context.store.clone());
    Ok(match stream.stream() {
        PipelineName::Weather => {
            let pipeline = WeatherPipeline::new(settings.clone(), context.upstream.clone(), store);
            AnyWorker::new(context.worker(pipeline, name, stop))
        }
        PipelineName::Air => {
            let pipeline =
                AirQualityPipeline::new(settings.clone(), context.upstream.clone(), store);
            AnyWorker::new(context.worker(pipeline, name, stop))
        }
        PipelineName::Users | PipelineName::Addresses | PipelineName::Cards => {
            let key = card_key::open(settings).context("cannot open the key of cards")?;
            let providers = EnrichmentClient::new(&context.upstream, key);
            let pipeline = UserPipeline::new(settings, providers, store);
            AnyWorker::new(context.worker(pipeline, name, stop))
        }
    })
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

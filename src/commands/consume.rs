//! `isobar consume`: runs a worker; start as many as you like.
//!
//! With `--drain` it exits once the stream is empty and nothing is pending for any worker of the
//! group. With `--listen` it serves `/livez` and `/metrics`.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use isobar_consumer::{RunSummary, RunUntil, StopReason, WorkerCounters, WorkerError, Workers};
use isobar_model::duration::{format_duration, parse_duration};
use isobar_model::pipeline::PipelineName;
use isobar_settings::Environment;
use isobar_settings::values::ListenAddress;
use isobar_telemetry::host_name;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::app::App;
use crate::context::Context;
use crate::exit::{Exit, ExitError};
use crate::health_server;
use crate::progress::Bar;

/// How often the bar is updated.
const BAR_EVERY: Duration = Duration::from_millis(200);

#[derive(Debug, clap::Args)]
#[command(before_help = "Example: isobar consume --drain")]
pub struct Args {
    /// Exit when the stream is empty and nothing is pending
    #[arg(long)]
    drain: bool,
    /// With --drain: leave entries that fall due later than this (then exit 75)
    #[arg(long, default_value = "60s", value_parser = parse_duration, value_name = "DURATION")]
    max_wait: Duration,
    /// Prefix of the worker's unique name [default: the host name]
    #[arg(long)]
    name: Option<String>,
    /// Requests in flight (ISOBAR_CONCURRENCY)
    #[arg(long, value_name = "N")]
    concurrency: Option<String>,
    /// Locations in one request (ISOBAR_LOCATIONS_PER_REQUEST)
    #[arg(long, value_name = "N")]
    locations_per_request: Option<String>,
    /// Pipeline to work for
    #[arg(long, default_value = "all", value_parser = PipelineChoice::parser())]
    pipeline: PipelineChoice,
    /// Serve /livez and /metrics on this address
    #[arg(long, value_name = "ADDR")]
    listen: Option<ListenAddress>,
}

/// The pipelines to work for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum PipelineChoice {
    One(PipelineName),
    All,
}

impl PipelineChoice {
    const ALL: &str = "all";

    /// `all`, or a pipeline that has a stream.
    fn parser() -> impl TypedValueParser<Value = Self> {
        let names = PipelineName::streams().map(PipelineName::as_str).chain([Self::ALL]);
        PossibleValuesParser::new(names)
            .map(|name| PipelineName::parse(&name).map_or(Self::All, Self::One))
    }

    fn streams(self) -> impl Iterator<Item = PipelineName> {
        PipelineName::streams()
            .filter(move |stream| self == Self::All || self == Self::One(*stream))
    }
}

pub async fn run(args: Args, app: &App) -> anyhow::Result<Exit> {
    let mut environment = Environment::from_process();
    if let Some(n) = args.concurrency {
        environment = environment.with("ISOBAR_CONCURRENCY", n);
    }
    if let Some(n) = args.locations_per_request {
        environment = environment.with("ISOBAR_LOCATIONS_PER_REQUEST", n);
    }
    let settings = app.settings_from(&environment)?;
    app.stop_on_signals()?;
    if let Some(address) = args.listen {
        health_server::check(address.0, &settings)?;
    }
    let began = std::time::Instant::now();
    let context = Context::open(settings).await?;
    context.check_broker().await?;
    let name = args.name.unwrap_or_else(host_name);
    let trial = app.trial_command(&environment);
    let workers = context.workers(args.pipeline.streams(), &name, &trial, &app.shutdown)?;
    let background_stop = CancellationToken::new();
    let mut background = tokio::task::JoinSet::new();
    let (recorder, tidying) = (context.metrics.clone(), background_stop.clone());
    background.spawn(async move {
        isobar_telemetry::run_upkeep(recorder, tidying).await;
        Ok(())
    });
    if let Some(address) = args.listen {
        let listener = health_server::bind(address.0).await?;
        background.spawn(health_server::serve(
            listener,
            context.metrics.clone(),
            context.upstream.clone(),
            background_stop.clone(),
        ));
    }
    let until =
        if args.drain { RunUntil::Drained { max_wait: args.max_wait } } else { RunUntil::Stopped };
    let ending = if args.drain && !app.global.json {
        with_bar(workers, until, &context, app.global.quiet).await
    } else {
        workers.run(until).await
    };
    background_stop.cancel();
    while let Some(end) = background.join_next().await {
        end??;
    }
    let ending = ending?;
    if args.drain {
        summarise(&ending, began.elapsed(), app)?;
    }
    Ok(match ending.left {
        Some(StopReason::Config(why)) => {
            return Err(ExitError::config(format!(
                "{why}; nothing is lost; correct it and run again"
            )));
        }
        Some(StopReason::Later(why)) => {
            tracing::warn!("not drained: {why}; nothing is lost; run again later");
            Exit::TryAgain
        }
        None if args.drain && ending.failed > 0 => Exit::SomeFailed,
        None => Exit::Done,
    })
}

fn summarise(ending: &RunSummary, took: Duration, app: &App) -> anyhow::Result<()> {
    let document = json!({
        "entries": ending.entries,
        "succeeded": ending.succeeded,
        "failed": ending.failed,
        "skipped": ending.skipped,
        "dead": ending.dead,
        "elapsed_ms": took.as_millis() as u64,
    });
    app.print(&document, || {
        format!(
            "{} entries in {}: {} succeeded, {} failed ({} dead letters), {} skipped",
            ending.entries,
            format_duration(Duration::from_millis(took.as_millis() as u64)),
            ending.succeeded,
            ending.failed,
            ending.dead,
            ending.skipped
        )
    })
}

/// Runs a drain with a bar that counts finished entries.
///
/// The count is polled beside the work, never instead of it: the work may hold the lock of a
/// connection that the count waits for, and it releases the lock only while it is polled.
async fn with_bar(
    workers: Workers,
    until: RunUntil,
    context: &Context,
    quiet: bool,
) -> Result<RunSummary, WorkerError> {
    let tallies = workers.tallies();
    let mut bar = Bar::new("drain", "entries", quiet);
    let ending = tokio::select! {
        ending = workers.run(until) => ending,
        never = count_up(&mut bar, &tallies, context) => match never {},
    };
    bar.finish();
    ending
}

async fn count_up(bar: &mut Bar, tallies: &[Arc<WorkerCounters>], context: &Context) -> Infallible {
    let sum = |counter: fn(&WorkerCounters) -> &AtomicU64| -> u64 {
        tallies.iter().map(|tally| counter(tally).load(Relaxed)).sum()
    };
    loop {
        tokio::time::sleep(BAR_EVERY).await;
        let done = sum(|tally| &tally.entries);
        let depths = context.broker.depths(&context.settings).await.ok();
        let left = depths.map(|depths| depths.values().map(|depth| depth.tasks).sum::<u64>());
        let failed = sum(|tally| &tally.failed);
        let note = if failed > 0 { format!("{failed} failed") } else { String::new() };
        bar.set(done, left.map(|left| done + left), note);
    }
}

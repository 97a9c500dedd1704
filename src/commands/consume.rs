//! `isobar consume`: a worker; run as many as you like.
//!
//! With `--drain` it ends once the stream is empty and nothing is pending for anyone in the
//! group, which suits cron and tests. With `--listen` it answers `/livez` and `/metrics` itself.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use isobar_consumer::{Ending, Left, Tally, Until};
use isobar_model::duration::{duration, show_duration};
use isobar_settings::Environment;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::app::App;
use crate::context::Parts;
use crate::exit::{Exit, Stop};
use crate::health_server;
use crate::progress::Bar;
use crate::workers::{Which, Workers};

/// How often the bar is brought up to date.
const BAR_EVERY: Duration = Duration::from_millis(200);

#[derive(Debug, clap::Args)]
#[command(before_help = "Example: isobar consume --drain")]
pub struct Args {
    /// End once the stream is empty and nothing is pending for anyone
    #[arg(long)]
    drain: bool,
    /// With --drain: leave what falls due later than this (exit code 75)
    #[arg(long, default_value = "60s", value_parser = duration, value_name = "DURATION")]
    max_wait: Duration,
    /// First part of the worker's name; the rest makes it unique [default: the host's name]
    #[arg(long)]
    name: Option<String>,
    /// Requests in flight (ISOBAR_CONCURRENCY)
    #[arg(long, value_name = "N")]
    concurrency: Option<String>,
    /// Locations in one request (ISOBAR_LOCATIONS_PER_REQUEST)
    #[arg(long, value_name = "N")]
    locations_per_request: Option<String>,
    /// Which tasks to work on
    #[arg(long, value_enum, default_value_t = Which::All)]
    pipeline: Which,
    /// Answer /livez and /metrics here
    #[arg(long, value_name = "ADDR")]
    listen: Option<SocketAddr>,
}

pub async fn run(args: Args, app: &App) -> anyhow::Result<Exit> {
    let mut environment = Environment::of_process();
    if let Some(n) = args.concurrency {
        environment = environment.with("ISOBAR_CONCURRENCY", n);
    }
    if let Some(n) = args.locations_per_request {
        environment = environment.with("ISOBAR_LOCATIONS_PER_REQUEST", n);
    }
    let settings = app.settings_from(&environment)?;
    app.stop_on_signals()?;
    if let Some(address) = args.listen {
        health_server::check(address, &settings)?;
    }
    let began = std::time::Instant::now();
    let parts = Parts::open(settings).await?;
    let name = args.name.unwrap_or_else(host_name);
    let workers = Workers::open(args.pipeline, &parts, &name, &app.shutdown)?;
    let beside = CancellationToken::new();
    let mut company = tokio::task::JoinSet::new();
    let (counted, tidying) = (parts.metrics.clone(), beside.clone());
    company.spawn(async move {
        isobar_telemetry::tidy(counted, tidying).await;
        Ok(())
    });
    if let Some(address) = args.listen {
        let listener = health_server::bind(address).await?;
        company.spawn(health_server::serve(
            listener,
            parts.metrics.clone(),
            parts.upstream.clone(),
            beside.clone(),
        ));
    }
    let until =
        if args.drain { Until::Drained { max_wait: args.max_wait } } else { Until::Stopped };
    let ending = if args.drain && !app.global.json {
        with_bar(workers, until, &parts, app.global.quiet).await
    } else {
        workers.run(until).await
    };
    beside.cancel();
    while let Some(end) = company.join_next().await {
        end??;
    }
    let ending = ending?;
    if args.drain {
        summarise(&ending, began.elapsed(), app)?;
    }
    Ok(match ending.left {
        Some(Left::Config(why)) => {
            return Err(Stop::config(format!(
                "{why}; nothing is lost, run again when it is mended"
            )));
        }
        Some(Left::Later(why)) => {
            tracing::warn!("not drained: {why}; nothing is lost, run again later");
            Exit::TryAgain
        }
        None if args.drain && ending.failed > 0 => Exit::SomeFailed,
        None => Exit::Done,
    })
}

fn summarise(ending: &Ending, took: Duration, app: &App) -> anyhow::Result<()> {
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
            show_duration(Duration::from_millis(took.as_millis() as u64)),
            ending.succeeded,
            ending.failed,
            ending.dead,
            ending.skipped
        )
    })
}

/// Runs a drain with a bar that counts up to what was in the stream.
///
/// The count is polled beside the work and never instead of it. The work may hold the lock of the
/// connection that the count waits for, and would not let go of it if nobody polled it.
async fn with_bar(
    workers: Workers,
    until: Until,
    parts: &Parts,
    quiet: bool,
) -> anyhow::Result<Ending> {
    let tallies = workers.tallies();
    let mut bar = Bar::new("drain", "entries", quiet);
    let ending = tokio::select! {
        ending = workers.run(until) => ending,
        never = count_up(&mut bar, &tallies, parts) => match never {},
    };
    bar.finish();
    ending
}

async fn count_up(bar: &mut Bar, tallies: &[Arc<Tally>], parts: &Parts) -> Infallible {
    let sum = |counter: fn(&Tally) -> &AtomicU64| -> u64 {
        tallies.iter().map(|tally| counter(tally).load(Relaxed)).sum()
    };
    loop {
        tokio::time::sleep(BAR_EVERY).await;
        let done = sum(|tally| &tally.entries);
        let depths = parts.broker.depths(&parts.settings).await.ok();
        let left = depths.map(|depths| depths.values().map(|depth| depth.tasks).sum::<u64>());
        let failed = sum(|tally| &tally.failed);
        let note = if failed > 0 { format!("{failed} failed") } else { String::new() };
        bar.set(done, left.map(|left| done + left), note);
    }
}

pub fn host_name() -> String {
    // Only a label; uniqueness comes from the uuid behind it.
    std::fs::read_to_string("/proc/sys/kernel/hostname")
        .map(|name| name.trim().to_owned())
        .ok()
        .filter(|name| !name.is_empty())
        .unwrap_or_else(|| "worker".to_owned())
}

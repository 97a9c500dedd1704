//! `isobar up`: runs API, worker, import relay and schedules in one process.
//!
//! It uses `REDIS_URL` and `DATABASE_URL`; with neither set it needs nothing installed. `--sim`
//! adds the simulator as the upstream. `--once` is for cron: produce, drain and exit.

use std::sync::Arc;
use std::time::Duration;

use isobar_consumer::{RunUntil, StopReason, TrialCommand};
use isobar_model::pipeline::{PIPELINES, PipelineName, PipelineSpec};
use isobar_producer::RunReport;
use isobar_producer::run::{RunOrder, Tools, run as produce};
use isobar_settings::values::ListenAddress;
use isobar_settings::{Environment, Settings};
use isobar_sim::Options;
use isobar_telemetry::host_name;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::app::App;
use crate::commands::produce::{after, exit_error, tools, with_bar};
use crate::commands::{schedule, serve};
use crate::context::Context;
use crate::exit::{Exit, ExitError};
use crate::progress;
use crate::roles::Roles;

/// How long `--once` waits for room in the stream, and for entries that fall due later.
const ONCE_MAX_WAIT: Duration = Duration::from_mins(10);

#[derive(Debug, clap::Args)]
#[command(before_help = "Example: isobar up --sim")]
pub struct Args {
    /// Use the simulator as the upstream
    #[arg(long)]
    sim: bool,
    /// Produce, drain and exit
    #[arg(long)]
    once: bool,
    /// Address to listen on (ISOBAR_LISTEN)
    #[arg(long, value_name = "ADDR")]
    listen: Option<ListenAddress>,
}

pub async fn run(args: Args, app: &App) -> anyhow::Result<Exit> {
    let mut environment = serve::with_listen(Environment::from_process(), args.listen);
    let mut roles = Roles::default();
    let mut simulator = None;
    if args.sim {
        let (listener, url) = sim_listener().await?;
        environment = with_upstream(environment, &url);
        simulator = Some(listener);
    }
    let settings = app.settings_from(&environment)?;
    app.stop_on_signals()?;
    let trial = app.trial_command(&environment);
    if args.once {
        return Box::pin(once(app, settings, &trial, simulator)).await;
    }
    let listener = serve::listen(&settings).await?;
    let context = Context::open(settings).await?;
    context.check_broker().await?;
    context.check_store().await?;
    serve::start(&mut roles, listener, &context)?;
    // Started before the worker, so it stops first: the worker still finishes what a tick publishes.
    schedule::start(&mut roles, &context, None);
    start_worker(&mut roles, &context, trial);
    if let Some(listener) = simulator {
        start_sim(&mut roles, listener);
    }
    roles.run_until(&app.shutdown).await?;
    Ok(Exit::Done)
}

/// A simulator on a free port, and its address.
pub async fn sim_listener() -> anyhow::Result<(TcpListener, String)> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}", listener.local_addr()?);
    Ok((listener, url))
}

/// Points every upstream at one address.
pub fn with_upstream(environment: Environment, url: &str) -> Environment {
    [
        "ISOBAR_OPEN_METEO_URL",
        "ISOBAR_GEOCODING_URL",
        "ISOBAR_AIR_QUALITY_URL",
        "ISOBAR_OPENWEATHER_URL",
        "ISOBAR_CITY_SOURCE_URL",
    ]
    .into_iter()
    .fold(environment, |environment, name| environment.with(name, url))
    .with("ISOBAR_USERS_URL", format!("{url}/jsonplaceholder/users"))
    .with("ISOBAR_ADDRESSES_URL", format!("{url}/api/v2/addresses"))
    .with("ISOBAR_CARDS_URL", format!("{url}/api/v2/credit_cards"))
}

pub fn start_sim(roles: &mut Roles, listener: TcpListener) {
    roles.start("the simulator", |stop| isobar_sim::serve(listener, Options::default(), stop));
}

pub fn start_worker(roles: &mut Roles, context: &Context, trial: TrialCommand) {
    let context = context.clone();
    roles.start("the worker", |stop| async move {
        context
            .workers(PipelineName::streams(), &host_name(), &trial, &stop)?
            .run(RunUntil::Stopped)
            .await?;
        Ok(())
    });
}

async fn once(
    app: &App,
    settings: Arc<Settings>,
    trial: &TrialCommand,
    simulator: Option<TcpListener>,
) -> anyhow::Result<Exit> {
    let mut roles = Roles::default();
    if let Some(listener) = simulator {
        start_sim(&mut roles, listener);
    }
    let work_done = CancellationToken::new();
    let background = roles.run_until(&work_done);
    let work = async {
        let exit = Box::pin(produce_and_drain(app, settings, trial)).await;
        work_done.cancel();
        exit
    };
    let (background, exit) = tokio::join!(background, work);
    background?;
    exit
}

/// The pipelines that the settings configure, in their order: users before their addresses.
fn configured(settings: &Settings) -> Vec<PipelineName> {
    let schedules = settings.schedules();
    let is_set = |spec: &&PipelineSpec| {
        let has_schedule = schedules.iter().any(|schedule| schedule.name == spec.schedule);
        spec.name == PipelineName::Weather || has_schedule
    };
    PIPELINES.iter().filter(is_set).map(|spec| spec.name).collect()
}

async fn produce_and_drain(
    app: &App,
    settings: Arc<Settings>,
    trial: &TrialCommand,
) -> anyhow::Result<Exit> {
    let context = Context::open(Arc::clone(&settings)).await?;
    context.check_broker().await?;
    let (mut reports, mut exit) = (Vec::new(), Exit::Done);
    for pipeline in configured(&settings) {
        let (report, end) = Box::pin(run_one(app, &context, pipeline, trial)).await?;
        reports.push(report);
        exit = match (exit, end) {
            (Exit::Done, end) | (_, end @ Exit::TryAgain) => end,
            (exit, _) => exit,
        };
        // What this run left would be counted for the next one, and later runs may need it.
        if end == Exit::TryAgain || app.shutdown.is_cancelled() {
            break;
        }
    }
    match &reports[..] {
        [one] => app.print(one, String::new)?,
        several => app.print(&several, String::new)?,
    }
    Ok(exit)
}

/// Produces for one pipeline and works until the streams are empty, so that the next pipeline finds
/// the results in the store.
async fn run_one(
    app: &App,
    context: &Context,
    pipeline: PipelineName,
    trial: &TrialCommand,
) -> anyhow::Result<(RunReport, Exit)> {
    let order = RunOrder::of(pipeline, &context.settings, ONCE_MAX_WAIT);
    let store = Some(context.store.clone());
    let tools = Tools { store, ..tools(context.settings.clone(), context.broker.clone(), app) };
    // At the same time: a source larger than the high-water mark would else wait for a drain that
    // never starts.
    let producing = CancellationToken::new();
    let workers = context.workers(PipelineName::streams(), &host_name(), trial, &producing)?;
    let working = workers.run(RunUntil::Stopped);
    let produced = async {
        let report = Box::pin(with_bar(produce(order, &tools), &tools.progress, app)).await;
        producing.cancel();
        report
    };
    let (report, working) = tokio::join!(produced, working);
    let report = report.map_err(exit_error)?;
    let begun = working?;
    let rest = context
        .workers(PipelineName::streams(), &host_name(), trial, &app.shutdown)?
        .run(RunUntil::Drained { max_wait: ONCE_MAX_WAIT })
        .await?;
    progress::print_status(&format!(
        "{pipeline}: {} rows from {}: {} succeeded, {} failed, {} skipped",
        report.rows,
        report.source,
        begun.succeeded + rest.succeeded,
        begun.failed + rest.failed,
        begun.skipped + rest.skipped + report.duplicates,
    ));
    let exit = match rest.left {
        Some(StopReason::Config(why)) => return Err(ExitError::config(why)),
        Some(StopReason::Later(why)) => {
            tracing::warn!("not drained: {why}; nothing is lost; run again later");
            Exit::TryAgain
        }
        None if begun.failed + rest.failed > 0 => Exit::SomeFailed,
        None => after(pipeline, &report),
    };
    Ok((report, exit))
}

//! `isobar produce`: reads a source once and publishes its rows.
//!
//! Guarantees: exit code 0 means that nothing is unsent; 75 means that nothing is lost and the
//! command may be run again.
//! Does not: extract or relay itself (see [`isobar_producer::run`]).

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use isobar_broker::{Broker, Topic};
use isobar_model::duration::{format_duration, parse_duration};
use isobar_model::human::grouped;
use isobar_model::pipeline::{PipelineName, RowKind};
use isobar_model::task::JobKind;
use isobar_producer::dry_run::{DryRun, dry_run};
use isobar_producer::last_run;
use isobar_producer::progress::{ProgressSnapshot, RunProgress};
use isobar_producer::run::{RunOrder, Tools, run as produce};
use isobar_producer::source::csv::content;
use isobar_producer::source::{JobSpec, SourceSpec};
use isobar_producer::spool::Spool;
use isobar_producer::{Failure, Remedy, RunReport};
use isobar_settings::Settings;
use isobar_store::Store;

use crate::app::App;
use crate::context::{create_data_dir, open_store, refuse_wrong_server};
use crate::exit::{Exit, ExitError};
use crate::progress::{self, Bar};

/// How long `isobar users` waits for room in the stream.
const DEFAULT_MAX_WAIT: Duration = Duration::from_mins(10);
/// How often the bar is updated.
const BAR_EVERY: Duration = Duration::from_millis(200);

#[derive(Debug, clap::Args)]
#[command(before_help = "Example: isobar produce --csv data/cities.csv")]
pub struct Args {
    /// Source of the rows [default: csv with --csv, else api if a URL is set, else gazetteer]
    #[arg(long, value_enum)]
    source: Option<From>,
    /// CSV file of cities, or - for standard input
    #[arg(long, value_name = "PATH")]
    csv: Option<PathBuf>,
    /// Run identifier; the same slot is produced once [default: the start second]
    #[arg(long, value_parser = clap::builder::NonEmptyStringValueParser::new())]
    slot: Option<String>,
    /// Read at most N rows
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    limit: Option<u64>,
    /// Fetch even if the stored value is current
    #[arg(long)]
    force: bool,
    /// Exit 3 when rows were rejected
    #[arg(long)]
    strict: bool,
    /// List rejected rows in this file
    #[arg(long, value_name = "PATH")]
    rejects: Option<PathBuf>,
    /// How long to wait for room in the stream (then exit 75)
    #[arg(long, default_value = "10m", value_parser = parse_duration, value_name = "DURATION")]
    max_wait: Duration,
    /// Show rows, tasks, first rejects, quota cost and duration; write nothing but --rejects
    #[arg(long)]
    dry_run: bool,
    /// Pipeline to produce for
    #[arg(long, default_value_t = PipelineName::Weather, value_parser = pipeline())]
    pipeline: PipelineName,
}

fn pipeline() -> impl clap::builder::TypedValueParser<Value = PipelineName> {
    use clap::builder::{PossibleValuesParser, TypedValueParser};
    PossibleValuesParser::new(PipelineName::ALL.map(PipelineName::as_str))
        .try_map(|name| name.parse::<PipelineName>())
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum From {
    Api,
    Csv,
    Gazetteer,
}

pub async fn run(args: Args, app: &App) -> anyhow::Result<Exit> {
    if let Some(flag_conflict) = flag_conflict(&args) {
        return Err(ExitError::usage(flag_conflict));
    }
    let settings = app.settings()?;
    app.stop_on_signals()?;
    if args.dry_run {
        return run_dry(args, settings, app).await;
    }
    create_data_dir(&settings)?;
    let broker = Broker::open(&settings)?;
    print_target(args.pipeline, &settings, &broker, app);
    check_broker(&broker).await?;
    let (strict, pipeline) = (args.strict, args.pipeline);
    let order = match order(args, &settings, &settings.data_file("spool")).await {
        Ok(order) => order,
        Err(error) => {
            let failure = Failure::new(Remedy::GiveUp, format!("{error:#}"));
            last_run::record(pipeline, Err(&failure), None, &broker).await;
            return Err(error);
        }
    };
    let tools =
        Tools { store: store_for(pipeline, &settings).await?, ..tools(settings, broker, app) };
    let report = match Box::pin(with_bar(produce(order, &tools), &tools.progress, app)).await {
        Ok(report) => report,
        Err(failure) => {
            if let Some(report) = &failure.report
                && app.global.json
            {
                app.print(report, String::new)?;
            }
            return Err(exit_error(failure));
        }
    };
    app.print(&report, || describe(&report))?;
    Ok(match after(pipeline, &report) {
        Exit::Done if strict && report.rejected > 0 => Exit::SomeFailed,
        exit => exit,
    })
}

/// A city source that lists no cities is a fault that cron should report. A sync of users or an
/// enrichment may find nothing to do.
pub fn after(pipeline: PipelineName, report: &RunReport) -> Exit {
    let needs_rows = pipeline.spec().rows == RowKind::Cities && report.superseded.is_none();
    if !needs_rows || report.rows > 0 {
        return Exit::Done;
    }
    tracing::error!(
        source = report.source,
        slot = report.slot,
        "the source lists no cities; check ISOBAR_CITY_SOURCE_URL, and ISOBAR_PAGE_FIRST, the number of its first page"
    );
    Exit::Failed
}

/// Runs the default source of each pipeline, one after the other.
pub async fn run_all(
    pipelines: &[PipelineName],
    limit: Option<u64>,
    app: &App,
) -> anyhow::Result<Exit> {
    let settings = app.settings()?;
    app.stop_on_signals()?;
    create_data_dir(&settings)?;
    let broker = Broker::open(&settings)?;
    check_broker(&broker).await?;
    let mut reports = Vec::with_capacity(pipelines.len());
    for pipeline in pipelines.iter().copied() {
        print_target(pipeline, &settings, &broker, app);
        let order = RunOrder::of(pipeline, &settings, DEFAULT_MAX_WAIT);
        let spec = JobSpec::of(pipeline, &settings, limit, false);
        let store = store_for(pipeline, &settings).await?;
        let tools = Tools { store, ..tools(settings.clone(), broker.clone(), app) };
        let order = RunOrder { spec, ..order };
        let run = Box::pin(with_bar(produce(order, &tools), &tools.progress, app));
        reports.push(run.await.map_err(exit_error)?);
    }
    let text = || reports.iter().map(describe).collect::<Vec<_>>().join("\n");
    match &reports[..] {
        [one] => app.print(one, text)?,
        several => app.print(&several, text)?,
    }
    Ok(Exit::Done)
}

fn print_target(pipeline: PipelineName, settings: &Settings, broker: &Broker, app: &App) {
    if !app.global.quiet {
        progress::print_status(&format!(
            "writing to {} at {}, stream {}, through the outbox {}",
            broker.kind(),
            broker.location(),
            Topic::of(pipeline, settings).stream,
            settings.outbox_of(pipeline).display()
        ));
    }
}

/// Refuses a Redis that never takes tasks. With a replica the run goes ahead as with a Redis that is
/// down: the rows of this tick are safe in the outbox, and the failover may end during the run.
async fn check_broker(broker: &Broker) -> anyhow::Result<()> {
    if let Some(obstacle) = refuse_wrong_server(broker).await? {
        tracing::warn!("{obstacle}; until then tasks are kept in the outbox");
    }
    Ok(())
}

/// The store, if it is the source.
async fn store_for(pipeline: PipelineName, settings: &Settings) -> anyhow::Result<Option<Store>> {
    Ok(match pipeline.spec().rows {
        RowKind::Cities | RowKind::Users => None,
        RowKind::Incomplete(_) => Some(open_store(settings).await?.0),
    })
}

/// Flags that contradict each other; checked before anything is created.
fn flag_conflict(args: &Args) -> Option<&'static str> {
    let real = |path: &Option<PathBuf>| path.as_ref().and_then(|path| path.canonicalize().ok());
    if real(&args.csv).is_some_and(|csv| real(&args.rejects) == Some(csv)) {
        return Some("--rejects would overwrite the file that --csv reads");
    }
    let takes_cities = args.pipeline.spec().rows == RowKind::Cities;
    if !takes_cities && (args.csv.is_some() || args.source.is_some()) {
        return Some("--csv and --source name cities: this pipeline does not take cities");
    }
    match (args.source, &args.csv) {
        (Some(From::Csv), None) => Some("--source csv needs --csv PATH"),
        (Some(From::Api | From::Gazetteer), Some(_)) => Some("--csv needs --source csv"),
        _ => None,
    }
}

pub fn tools(settings: Arc<Settings>, broker: Broker, app: &App) -> Tools {
    let shutdown = app.shutdown.clone();
    Tools { settings, broker, store: None, progress: Arc::default(), shutdown }
}

/// A failure of the producer as an exit code.
pub fn exit_error(failure: Failure) -> anyhow::Error {
    let exit = match failure.remedy {
        Remedy::TryAgain => Exit::TryAgain,
        Remedy::GiveUp => Exit::Failed,
        Remedy::Configure => Exit::BadConfig,
    };
    ExitError { exit, message: failure.message }.into()
}

async fn run_dry(args: Args, settings: Arc<Settings>, app: &App) -> anyhow::Result<Exit> {
    let store = store_for(args.pipeline, &settings).await?;
    let order = order(args, &settings, &std::env::temp_dir()).await?;
    let progress = Arc::default();
    let rejects = order.rejects.as_deref();
    let work = dry_run(order.spec, &settings, store.as_ref(), &progress, &app.shutdown, rejects);
    let planned = with_bar(work, &progress, app).await;
    if let Some(path) = order.spooled {
        isobar_producer::spool::remove_if_there(&path)?;
    }
    let planned = planned.map_err(exit_error)?;
    app.print(&planned, || describe_plan(&planned))?;
    Ok(Exit::Done)
}

async fn order(args: Args, settings: &Settings, spool: &Path) -> anyhow::Result<RunOrder> {
    let from = args.source.unwrap_or(match (&args.csv, &settings.city_source_url) {
        (Some(_), _) => From::Csv,
        (None, Some(_)) => From::Api,
        (None, None) => From::Gazetteer,
    });
    let mut spooled = None;
    let spec = match (from, args.csv) {
        _ if args.pipeline.spec().rows != RowKind::Cities => {
            JobSpec::of(args.pipeline, settings, args.limit, args.force)
        }
        (From::Csv, Some(path)) => {
            let (origin, copy) = csv_origin(path, spool.to_owned()).await?;
            spooled = copy;
            JobSpec { pipeline: args.pipeline, origin, limit: args.limit, force: args.force }
        }
        (From::Csv, None) | (_, Some(_)) => unreachable!("flag_conflict has refused it"),
        (From::Api, None) if settings.city_source_url.is_none() => {
            return Err(ExitError::config("--source api needs ISOBAR_CITY_SOURCE_URL"));
        }
        (From::Api, None) => JobSpec::configured(args.pipeline, settings, args.limit, args.force),
        (From::Gazetteer, None) => {
            JobSpec::gazetteer(args.pipeline, settings, args.limit, args.force)
        }
    };
    Ok(RunOrder {
        spec,
        kind: JobKind::Produce,
        slot: args.slot,
        rejects: args.rejects,
        spooled,
        max_wait: args.max_wait,
    })
}

/// A file is read in place. Standard input, a pipe or a device is copied, so it can be read twice.
async fn csv_origin(
    path: PathBuf,
    spool: PathBuf,
) -> anyhow::Result<(SourceSpec, Option<PathBuf>)> {
    tokio::task::spawn_blocking(move || {
        if path != Path::new("-") && path.metadata().is_ok_and(|data| data.is_dir()) {
            anyhow::bail!("{} is a folder", path.display());
        }
        if path != Path::new("-") && path.metadata().map_or(true, |data| data.is_file()) {
            let path =
                path.canonicalize().with_context(|| format!("cannot read {}", path.display()))?;
            let content =
                content(&path).with_context(|| format!("cannot read {}", path.display()))?;
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            return Ok((SourceSpec::csv(path, name, content), None));
        }
        let mut copy = Spool::open(&spool)
            .and_then(|spool| spool.create())
            .with_context(|| format!("cannot write to {}", spool.display()))?;
        if path == Path::new("-") {
            copy.write_all_of(std::io::stdin().lock()).context("cannot read standard input")?;
        } else {
            let file = std::fs::File::open(&path)
                .with_context(|| format!("cannot read {}", path.display()))?;
            copy.write_all_of(file).with_context(|| format!("cannot read {}", path.display()))?;
        }
        let (kept, content) = copy.keep().context("cannot keep standard input")?;
        Ok((SourceSpec::csv(kept.clone(), "standard input".to_owned(), content), Some(kept)))
    })
    .await?
}

/// Runs the work with a bar that counts finished rows.
pub async fn with_bar<T>(work: impl Future<Output = T>, progress: &RunProgress, app: &App) -> T {
    let mut bar = Bar::new("produce", "rows", app.global.quiet);
    tokio::pin!(work);
    loop {
        tokio::select! {
            done = &mut work => {
                bar.finish();
                return done;
            }
            () = tokio::time::sleep(BAR_EVERY) => {
                let reached = progress.snapshot();
                let finished = reached.published + reached.rejected + reached.duplicates;
                bar.set(finished, total(&reached), note(&reached));
            }
        }
    }
}

/// The number of rows, if known; else an estimate from the share of the file that is read.
fn total(reached: &ProgressSnapshot) -> Option<u64> {
    reached.rows_total.or_else(|| {
        let bytes = reached.bytes_total?;
        let estimate = u128::from(reached.rows) * u128::from(bytes);
        estimate.checked_div(u128::from(reached.bytes_done)).map(|rows| rows as u64)
    })
}

fn note(reached: &ProgressSnapshot) -> String {
    let mut notes = vec![format!("{} extracted", grouped(reached.rows))];
    if reached.rejected > 0 {
        notes.push(format!("{} rejected", grouped(reached.rejected)));
    }
    if reached.waiting {
        notes.push("the stream is full, waiting for the workers".to_owned());
    }
    notes.join(", ")
}

fn describe(report: &RunReport) -> String {
    let took = format_duration(Duration::from_millis(report.elapsed_ms));
    let mut lines = vec![format!(
        "job {} from {}, slot {}: {} rows, {} tasks, {} rejected, {} duplicates; {} published in {took}",
        report.job_id,
        report.source,
        report.slot,
        grouped(report.rows),
        grouped(report.tasks),
        grouped(report.rejected),
        grouped(report.duplicates),
        grouped(report.published),
    )];
    if let Some(why) = &report.superseded {
        lines.push(why.clone());
    } else if report.resumed && report.published == 0 {
        lines.push("this slot was already published: nothing to do".to_owned());
    }
    if report.rejected > 0 {
        lines.push(
            "the job's results list the rejected rows; --rejects PATH writes them to a file"
                .to_owned(),
        );
    }
    lines.join("\n")
}

fn describe_plan(plan: &DryRun) -> String {
    let time = match plan.eta_seconds {
        None => "no quota applies".to_owned(),
        Some(seconds) => {
            format!("at least {} because of the quota", rounded(seconds))
        }
    };
    let plan_line = format!(
        "{}: {} rows, {} tasks in {} batches, {} rejected, {} duplicates; {} units of quota, {time}; nothing was written",
        plan.source,
        grouped(plan.rows),
        grouped(plan.tasks),
        grouped(plan.batches),
        grouped(plan.rejected),
        grouped(plan.duplicates),
        grouped(plan.quota_cost),
    );
    let reasons = plan.first_rejects.iter().map(|reject| format!("\n  {reject}"));
    plan_line + &reasons.collect::<String>()
}

/// The two largest units: `3d 6m` says more than `4326m`.
fn rounded(seconds: u64) -> String {
    let units = [(86_400, "d"), (3_600, "h"), (60, "m"), (1, "s")];
    let mut left = seconds;
    let mut context = Vec::new();
    for (length, unit) in units {
        if left >= length {
            context.push(format!("{}{unit}", left / length));
            left %= length;
        }
    }
    context.truncate(2);
    if context.is_empty() { "less than a minute".to_owned() } else { context.join(" ") }
}

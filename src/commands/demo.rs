//! `isobar demo`: runs the whole pipeline with nothing installed.
//!
//! Simulator, embedded broker and store, API and worker run in this process, and the built-in list
//! of cities is imported like an upload.
//! Guarantees: settings that point elsewhere (`REDIS_URL`, `DATABASE_URL`, `.env`) are ignored, so
//! a demo never writes to a real installation. Its folder is temporary unless `--data-dir` names
//! one; the next demo removes what a killed demo left.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use chrono::Utc;
use isobar_model::gazetteer::CITIES_CSV;
use isobar_model::ids::JobId;
use isobar_model::pipeline::{PIPELINES, RowKind};
use isobar_producer::run::{RunOrder, Tools, run as produce};
use isobar_producer::{Imports, NewImport};
use isobar_settings::Environment;
use isobar_sqlite::private;
use isobar_store::{JobRow, NewJob, Store};
use isobar_upstream::wmo::condition;
use serde_json::json;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::app::App;
use crate::commands::produce::{exit_error, tools};
use crate::commands::{serve, up};
use crate::context::{Context, create_data_dir};
use crate::exit::Exit;
use crate::progress::{self, Bar};
use crate::roles::Roles;

/// Settings that could point a demo at a real installation.
const IGNORED: &[&str] = &[
    "REDIS_URL",
    "DATABASE_URL",
    "ISOBAR_BROKER",
    "ISOBAR_OUTBOX",
    "ISOBAR_QUOTA",
    "ISOBAR_WEATHER_PROVIDER",
    "ISOBAR_STREAM_HIGH_WATER",
];
const FOLDER_PREFIX: &str = "isobar-demo-";
const LOCK_FILE: &str = "demo.lock";
/// How long users wait for room in the stream.
const USERS_MAX_WAIT: Duration = Duration::from_mins(1);
/// How often progress is read.
const POLL_INTERVAL: Duration = Duration::from_millis(50);

#[derive(Debug, clap::Args)]
#[command(before_help = "Example: isobar demo --exit")]
pub struct Args {
    /// Exit after the summary instead of serving until Ctrl-C
    #[arg(long)]
    exit: bool,
    /// Import only the N most populous cities
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=34_006))]
    cities: Option<u32>,
    /// Folder for all data [default: a temporary folder, removed at exit]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
}

pub async fn run(args: Args, app: &App) -> anyhow::Result<Exit> {
    let began = Instant::now();
    let folder = DemoFolder::open(args.data_dir.as_deref())?;
    let (simulator, url) = up::sim_listener().await?;
    let environment = Environment::from_process_without(IGNORED);
    let environment =
        up::with_upstream(environment, &url).with("ISOBAR_DATA_DIR", folder.path.to_string_lossy());
    let quiet_logs = environment.get("ISOBAR_LOG").is_none();
    let environment = if quiet_logs { environment.with("ISOBAR_LOG", "warn") } else { environment };
    let settings = app.settings_from(&environment)?;
    create_data_dir(&settings)?;
    app.stop_on_signals()?;
    let listener = match serve::listen(&settings).await {
        Ok(listener) => listener,
        // The default port is in use.
        Err(_) if environment.get("ISOBAR_LISTEN").is_none() => {
            tokio::net::TcpListener::bind("127.0.0.1:0").await?
        }
        Err(error) => return Err(error),
    };
    let address = listener.local_addr()?;
    let context = Context::open(settings).await?;
    let mut roles = Roles::default();
    let imports = serve::start(&mut roles, listener, &context)?;
    up::start_worker(&mut roles, &context, app.trial_command(&environment));
    up::start_sim(&mut roles, simulator);

    let finished = CancellationToken::new();
    let background = async {
        let end = roles.run_until(&finished).await;
        // The import has no worker any more.
        app.shutdown.cancel();
        end
    };
    let show = async {
        let outcome = import(&args, app, &context, &imports, began).await;
        if outcome.is_ok() && !args.exit && !app.shutdown.is_cancelled() {
            progress::print_status(&format!(
                "dashboard: http://{address}; try http://{address}/weather?city=Paris; stop with Ctrl-C"
            ));
            app.shutdown.cancelled().await;
        }
        finished.cancel();
        outcome
    };
    let (background, outcome) = tokio::join!(background, show);
    background?;
    outcome
}

/// Imports the built-in list and prints the summary.
async fn import(
    args: &Args,
    app: &App,
    context: &Context,
    imports: &Imports,
    began: Instant,
) -> anyhow::Result<Exit> {
    let rows = args.cities.map_or(usize::MAX, |cities| cities as usize);
    let csv: String = CITIES_CSV.split_inclusive('\n').take(rows.saturating_add(1)).collect();
    let mut upload = imports.spool().await?;
    upload.write(csv.as_bytes()).await?;
    let import = NewImport { name: "cities.csv".to_owned(), ..NewImport::default() };
    let accepted = imports.accept(upload, import).await?;
    let job = NewJob::from(accepted);
    context.store.create_job(&job).await?;
    let total = csv.lines().count() as u64 - 1;
    let Some(job) = watch(app, &context.store, job.id, total, began).await? else {
        bail!("stopped before the import was finished");
    };
    let elapsed = began.elapsed();
    let users = sync_users(app, context).await?;
    let cities_per_s = (job.processed as f64 / elapsed.as_secs_f64()).round();
    let document = json!({
        "job_id": job.id,
        "rows": job.total,
        "succeeded": job.succeeded,
        "failed": job.failed,
        "skipped": job.skipped,
        "elapsed_ms": elapsed.as_millis() as u64,
        "cities_per_s": cities_per_s,
        "users": users.users,
        "addresses": users.addresses,
        "cards": users.cards,
        "broker": context.broker.kind(),
        "store": context.store.kind(),
    });
    app.print(&document, || {
        format!(
            "{} cities in {:.1} s ({cities_per_s} per second): {} stored, {} failed, {} skipped\n\
             {} users in {:.1} s, {} with an address, {} with a card",
            job.processed,
            elapsed.as_secs_f64(),
            job.succeeded,
            job.failed,
            job.skipped,
            users.users,
            users.took.as_secs_f64(),
            users.addresses,
            users.cards,
        )
    })?;
    Ok(if job.failed > 0 { Exit::SomeFailed } else { Exit::Done })
}

/// Counts of the users pipeline.
struct UserCounts {
    users: u64,
    addresses: u64,
    cards: u64,
    took: Duration,
}

/// Syncs users, then enriches them with addresses and cards, as the schedules would.
async fn sync_users(app: &App, context: &Context) -> anyhow::Result<UserCounts> {
    let began = Instant::now();
    let of_users = PIPELINES.into_iter().filter(|spec| spec.rows != RowKind::Cities);
    for pipeline in of_users.map(|spec| spec.name) {
        let order = RunOrder::of(pipeline, &context.settings, USERS_MAX_WAIT);
        let tools = Tools {
            store: Some(context.store.clone()),
            ..tools(context.settings.clone(), context.broker.clone(), app)
        };
        let report = Box::pin(produce(order, &tools)).await.map_err(exit_error)?;
        while !context.store.job(report.job_id).await?.is_some_and(|job| job.status.is_final()) {
            if app.shutdown.run_until_cancelled(tokio::time::sleep(POLL_INTERVAL)).await.is_none() {
                bail!("stopped before the users were finished");
            }
        }
    }
    let totals = context.store.totals().await?;
    Ok(UserCounts {
        users: totals.users,
        addresses: totals.addresses,
        cards: totals.cards,
        took: began.elapsed(),
    })
}

/// Waits for the end of the job; `None` if the process is stopped before.
async fn watch(
    app: &App,
    store: &Store,
    id: JobId,
    total: u64,
    began: Instant,
) -> anyhow::Result<Option<JobRow>> {
    let mut bar = Bar::new("demo", "cities", app.global.quiet);
    let mut shown_first = false;
    loop {
        let job = store.job(id).await?.context("the job was made")?;
        bar.set(job.processed, Some(total), String::new());
        if job.processed > 0 && !shown_first {
            shown_first = true;
            first_result(store, app, began).await?;
        }
        if job.status.is_final() {
            bar.finish();
            return Ok(Some(job));
        }
        if app.shutdown.run_until_cancelled(tokio::time::sleep(POLL_INTERVAL)).await.is_none() {
            bar.finish();
            return Ok(None);
        }
    }
}

async fn first_result(store: &Store, app: &App, began: Instant) -> anyhow::Result<()> {
    if app.global.quiet {
        return Ok(());
    }
    if let Some(row) = store.weather_page(None, 1).await?.first() {
        progress::print_status(&format!(
            "first result after {:.1} s: {} {:.1} °C, {}",
            began.elapsed().as_secs_f64(),
            row.city_name,
            row.temperature.unwrap_or(f64::NAN),
            condition(row.weathercode.unwrap_or(-1)),
        ));
    }
    Ok(())
}

/// The demo's folder. A temporary one is removed at exit.
struct DemoFolder {
    path: PathBuf,
    /// Held while the demo runs, so that the next demo removes only folders of ended demos.
    lock: Option<File>,
}

impl DemoFolder {
    fn open(named: Option<&Path>) -> anyhow::Result<Self> {
        if let Some(path) = named {
            return Ok(Self { path: path.to_owned(), lock: None });
        }
        let temporary = std::env::temp_dir();
        remove_stale_folders(&temporary);
        let path =
            temporary.join(format!("{FOLDER_PREFIX}{}-{}", Utc::now().timestamp(), Uuid::new_v4()));
        private::create_folder(&path)
            .with_context(|| format!("cannot create {}", path.display()))?;
        let lock = private::create_file(&path.join(LOCK_FILE))?;
        lock.lock().context("cannot lock the demo's folder")?;
        Ok(Self { path, lock: Some(lock) })
    }
}

impl Drop for DemoFolder {
    fn drop(&mut self) {
        if self.lock.take().is_some() {
            // The next demo removes what cannot be removed now.
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}

/// Removes the folders of killed demos: those without a lock.
fn remove_stale_folders(temporary: &Path) {
    let Ok(entries) = fs::read_dir(temporary) else { return };
    for entry in entries.flatten() {
        let is_demo = entry.file_name().to_string_lossy().starts_with(FOLDER_PREFIX);
        if is_demo
            && let Ok(lock) = File::open(entry.path().join(LOCK_FILE))
            && lock.try_lock().is_ok()
        {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

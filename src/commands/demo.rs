//! `isobar demo`: the whole pipeline with nothing installed.
//!
//! Simulator, embedded broker and store, API and worker in this process; the built-in list of
//! cities is imported as an upload would be. Configuration that points elsewhere (`REDIS_URL`,
//! `DATABASE_URL`, `.env`) is ignored, so that a demo can never write into a real installation.
//! Its folder is temporary unless one is named; what a killed demo left is swept by the next one.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use chrono::Utc;
use isobar_model::gazetteer::CITIES_CSV;
use isobar_model::ids::JobId;
use isobar_model::pipeline::PipelineName;
use isobar_producer::run::{Order, Tools, run as produce};
use isobar_producer::{Imports, NewImport};
use isobar_settings::Environment;
use isobar_store::{JobRow, NewJob, Store};
use isobar_upstream::wmo::condition;
use serde_json::json;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::app::App;
use crate::commands::produce::{stop, tools};
use crate::commands::{serve, up};
use crate::context::{Parts, create_data_dir};
use crate::exit::Exit;
use crate::progress::{self, Bar};
use crate::roles::Roles;

/// What would point a demo at something real.
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
const PEOPLE_MAX_WAIT: Duration = Duration::from_mins(1);
/// How often progress is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(50);

#[derive(Debug, clap::Args)]
#[command(before_help = "Example: isobar demo --exit")]
pub struct Args {
    /// End after the summary instead of keeping the API up until Ctrl-C
    #[arg(long)]
    exit: bool,
    /// Import only the N most populous cities
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=34_006))]
    cities: Option<u32>,
    /// Keep everything here [default: a temporary folder, removed at the end]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
}

pub async fn run(args: Args, app: &App) -> anyhow::Result<Exit> {
    let began = Instant::now();
    let folder = Folder::open(args.data_dir.as_deref())?;
    let (simulator, url) = up::sim_listener().await?;
    let environment = Environment::of_process_except(IGNORED);
    let environment =
        up::with_upstream(environment, &url).with("ISOBAR_DATA_DIR", folder.path.to_string_lossy());
    let quiet_logs = environment.get("ISOBAR_LOG").is_none();
    let environment = if quiet_logs { environment.with("ISOBAR_LOG", "warn") } else { environment };
    let settings = app.settings_from(&environment)?;
    create_data_dir(&settings)?;
    app.stop_on_signals()?;
    let listener = match serve::listen(&settings).await {
        Ok(listener) => listener,
        // Another demo, or something else, has the usual port.
        Err(_) if environment.get("ISOBAR_LISTEN").is_none() => {
            tokio::net::TcpListener::bind("127.0.0.1:0").await?
        }
        Err(error) => return Err(error),
    };
    let address = listener.local_addr()?;
    let parts = Parts::open(settings).await?;
    let mut roles = Roles::default();
    let imports = serve::start(&mut roles, listener, &parts)?;
    up::start_worker(&mut roles, &parts);
    up::start_sim(&mut roles, simulator);

    let finished = CancellationToken::new();
    let company = async {
        let end = roles.run_until(&finished).await;
        // Nobody works on the import any more.
        app.shutdown.cancel();
        end
    };
    let show = async {
        let outcome = import(&args, app, &parts, &imports, began).await;
        if outcome.is_ok() && !args.exit && !app.shutdown.is_cancelled() {
            progress::say(&format!(
                "still up at http://{address}, for example http://{address}/weather?city=Paris; Ctrl-C ends it"
            ));
            app.shutdown.cancelled().await;
        }
        finished.cancel();
        outcome
    };
    let (company, outcome) = tokio::join!(company, show);
    company?;
    outcome
}

/// Imports the built-in list and says how it went.
async fn import(
    args: &Args,
    app: &App,
    parts: &Parts,
    imports: &Imports,
    began: Instant,
) -> anyhow::Result<Exit> {
    let rows = args.cities.map_or(usize::MAX, |cities| cities as usize);
    let csv: String = CITIES_CSV.split_inclusive('\n').take(rows.saturating_add(1)).collect();
    let mut arriving = imports.spool().await?;
    arriving.write(csv.as_bytes()).await?;
    let import = NewImport { name: "cities.csv".to_owned(), ..NewImport::default() };
    let accepted = imports.accept(arriving, import).await?;
    let job = NewJob::from(accepted);
    parts.store.create_job(&job).await?;
    let total = csv.lines().count() as u64 - 1;
    let Some(job) = watch(app, &parts.store, job.id, total, began).await? else {
        bail!("stopped before the import was through");
    };
    let elapsed = began.elapsed();
    let people = people(app, parts).await?;
    let cities_per_s = (job.processed as f64 / elapsed.as_secs_f64()).round();
    let document = json!({
        "job_id": job.id,
        "rows": job.total,
        "succeeded": job.succeeded,
        "failed": job.failed,
        "skipped": job.skipped,
        "elapsed_ms": elapsed.as_millis() as u64,
        "cities_per_s": cities_per_s,
        "users": people.users,
        "addresses": people.addresses,
        "cards": people.cards,
        "broker": parts.broker.kind(),
        "store": parts.store.kind(),
    });
    app.print(&document, || {
        format!(
            "{} cities in {:.1} s ({cities_per_s} a second): {} stored, {} failed, {} skipped\n\
             {} users in {:.1} s, {} with an address, {} with a card",
            job.processed,
            elapsed.as_secs_f64(),
            job.succeeded,
            job.failed,
            job.skipped,
            people.users,
            people.took.as_secs_f64(),
            people.addresses,
            people.cards,
        )
    })?;
    Ok(if job.failed > 0 { Exit::SomeFailed } else { Exit::Done })
}

/// What came of the second pipeline.
struct People {
    users: u64,
    addresses: u64,
    cards: u64,
    took: Duration,
}

/// Syncs users, then finds them addresses and cards, as the schedules would.
async fn people(app: &App, parts: &Parts) -> anyhow::Result<People> {
    let began = Instant::now();
    for pipeline in [PipelineName::Users, PipelineName::Addresses, PipelineName::Cards] {
        let order = Order::of(pipeline, &parts.settings, PEOPLE_MAX_WAIT);
        let tools = Tools {
            store: Some(parts.store.clone()),
            ..tools(parts.settings.clone(), parts.broker.clone(), app)
        };
        let report = Box::pin(produce(order, &tools)).await.map_err(stop)?;
        while !parts.store.job(report.job_id).await?.is_some_and(|job| job.status.is_final()) {
            if app.shutdown.run_until_cancelled(tokio::time::sleep(LOOK_EVERY)).await.is_none() {
                bail!("stopped before the users were through");
            }
        }
    }
    let totals = parts.store.totals().await?;
    Ok(People {
        users: totals.users,
        addresses: totals.addresses,
        cards: totals.cards,
        took: began.elapsed(),
    })
}

/// Follows the job to its end; `None` if we are stopped before.
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
        if app.shutdown.run_until_cancelled(tokio::time::sleep(LOOK_EVERY)).await.is_none() {
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
        progress::say(&format!(
            "first result after {:.1} s: {} {:.1} °C, {}",
            began.elapsed().as_secs_f64(),
            row.city_name,
            row.temperature.unwrap_or(f64::NAN),
            condition(row.weathercode.unwrap_or(-1)),
        ));
    }
    Ok(())
}

/// The demo's folder; a temporary one goes with it.
struct Folder {
    path: PathBuf,
    /// Held while the demo lives, so that a sweep can tell the living from the dead.
    lock: Option<File>,
}

impl Folder {
    fn open(named: Option<&Path>) -> anyhow::Result<Self> {
        if let Some(path) = named {
            return Ok(Self { path: path.to_owned(), lock: None });
        }
        let temporary = std::env::temp_dir();
        sweep(&temporary);
        let path =
            temporary.join(format!("{FOLDER_PREFIX}{}-{}", Utc::now().timestamp(), Uuid::new_v4()));
        fs::create_dir(&path).with_context(|| format!("cannot create {}", path.display()))?;
        let lock = File::create(path.join(LOCK_FILE))?;
        lock.lock().context("cannot lock the demo's folder")?;
        Ok(Self { path, lock: Some(lock) })
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if self.lock.take().is_some() {
            // What cannot be removed now is swept by the next demo.
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}

/// Removes the folders of demos that were killed: those that nobody has locked.
fn sweep(temporary: &Path) {
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

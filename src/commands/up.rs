//! `isobar up`: everything in one process, on whatever `REDIS_URL` and `DATABASE_URL` say.
//!
//! With nothing set it needs nothing installed. If a schedule is set, it is fired here too. `--sim` brings the upstreams along; `--once` is
//! for cron: every configured producer once, then a drain, then the end.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use isobar_consumer::{Left, Until};
use isobar_producer::run::{Order, run as produce};
use isobar_settings::Environment;
use isobar_sim::Options;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::app::App;
use crate::commands::consume::host_name;
use crate::commands::produce::{stop, tools, with_bar};
use crate::commands::{schedule, serve};
use crate::context::Parts;
use crate::exit::{Exit, Stop};
use crate::progress;
use crate::roles::Roles;
use crate::workers::{Which, Workers};

/// How long `--once` waits for room in the stream, and for what falls due later.
const ONCE_MAX_WAIT: Duration = Duration::from_mins(10);

#[derive(Debug, clap::Args)]
#[command(before_help = "Example: isobar up --sim")]
pub struct Args {
    /// Bring the simulator along as the upstream
    #[arg(long)]
    sim: bool,
    /// Run every configured producer once, drain, and end
    #[arg(long)]
    once: bool,
    /// Where to listen (ISOBAR_LISTEN)
    #[arg(long, value_name = "ADDR")]
    listen: Option<SocketAddr>,
}

pub async fn run(args: Args, app: &App) -> anyhow::Result<Exit> {
    let mut environment = serve::with_listen(Environment::of_process(), args.listen);
    let mut roles = Roles::default();
    let mut simulator = None;
    if args.sim {
        let (listener, url) = sim_listener().await?;
        environment = with_upstream(environment, &url);
        simulator = Some(listener);
    }
    let settings = app.settings_from(&environment)?;
    app.stop_on_signals()?;
    if args.once {
        return Box::pin(once(app, settings, simulator)).await;
    }
    let listener = serve::listen(&settings).await?;
    let parts = Parts::open(settings).await?;
    serve::start(&mut roles, listener, &parts)?;
    // Before the worker stops: what a tick still puts into the stream is worked on.
    schedule::start(&mut roles, &parts, None);
    start_worker(&mut roles, &parts);
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

/// Every service that Isobar asks, at one address.
pub fn with_upstream(environment: Environment, url: &str) -> Environment {
    [
        "ISOBAR_OPEN_METEO_URL",
        "ISOBAR_GEOCODING_URL",
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

pub fn start_worker(roles: &mut Roles, parts: &Parts) {
    let parts = parts.clone();
    roles.start("the worker", |stop| async move {
        Workers::open(Which::All, &parts, &host_name(), &stop)?.run(Until::Stopped).await?;
        Ok(())
    });
}

async fn once(
    app: &App,
    settings: Arc<isobar_settings::Settings>,
    simulator: Option<TcpListener>,
) -> anyhow::Result<Exit> {
    let mut roles = Roles::default();
    if let Some(listener) = simulator {
        start_sim(&mut roles, listener);
    }
    let work_done = CancellationToken::new();
    let company = roles.run_until(&work_done);
    let work = async {
        let exit = Box::pin(produce_and_drain(app, settings)).await;
        work_done.cancel();
        exit
    };
    let (company, exit) = tokio::join!(company, work);
    company?;
    exit
}

async fn produce_and_drain(
    app: &App,
    settings: Arc<isobar_settings::Settings>,
) -> anyhow::Result<Exit> {
    let parts = Parts::open(Arc::clone(&settings)).await?;
    let order = Order::configured(&settings, ONCE_MAX_WAIT);
    let tools = tools(settings, parts.broker.clone(), app);
    // Together, or a source larger than the high-water mark would wait for a drain that never comes.
    let producing = CancellationToken::new();
    let workers = Workers::open(Which::All, &parts, &host_name(), &producing)?;
    let working = workers.run(Until::Stopped);
    let produced = async {
        let report = Box::pin(with_bar(produce(order, &tools), &tools.progress, app)).await;
        producing.cancel();
        report
    };
    let (report, working) = tokio::join!(produced, working);
    let report = report.map_err(stop)?;
    let begun = working?;
    let rest = Workers::open(Which::All, &parts, &host_name(), &app.shutdown)?
        .run(Until::Drained { max_wait: ONCE_MAX_WAIT })
        .await?;
    progress::say(&format!(
        "{} rows from {}: {} succeeded, {} failed, {} skipped",
        report.rows,
        report.source,
        begun.succeeded + rest.succeeded,
        begun.failed + rest.failed,
        begun.skipped + rest.skipped + report.duplicates,
    ));
    app.print(&report, String::new)?;
    match rest.left {
        Some(Left::Config(why)) => Err(Stop::config(why)),
        Some(Left::Later(why)) => {
            tracing::warn!("not drained: {why}; nothing is lost, run again later");
            Ok(Exit::TryAgain)
        }
        None if begun.failed + rest.failed > 0 => Ok(Exit::SomeFailed),
        None => Ok(Exit::Done),
    }
}

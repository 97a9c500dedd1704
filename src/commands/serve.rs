//! `isobar serve`: the API, and the relay of what is imported through it.

use std::net::SocketAddr;
use std::sync::Arc;

use isobar_producer::Imports;
use isobar_settings::{Environment, Settings};
use tokio::net::TcpListener;

use crate::app::App;
use crate::context::Parts;
use crate::exit::{Exit, Stop};
use crate::health_server::bind;
use crate::progress;
use crate::roles::Roles;

#[derive(Debug, clap::Args)]
#[command(before_help = "Example: isobar serve --listen 127.0.0.1:8000")]
pub struct Args {
    /// Where to listen (ISOBAR_LISTEN)
    #[arg(long, value_name = "ADDR")]
    listen: Option<SocketAddr>,
}

pub async fn run(args: Args, app: &App) -> anyhow::Result<Exit> {
    let settings = app.settings_from(&with_listen(Environment::of_process(), args.listen))?;
    app.stop_on_signals()?;
    let listener = listen(&settings).await?;
    let parts = Parts::open(settings).await?;
    let mut roles = Roles::default();
    start(&mut roles, listener, &parts)?;
    roles.run_until(&app.shutdown).await?;
    Ok(Exit::Done)
}

pub fn with_listen(environment: Environment, listen: Option<SocketAddr>) -> Environment {
    match listen {
        Some(address) => environment.with("ISOBAR_LISTEN", address.to_string()),
        None => environment,
    }
}

/// Binds, if it is safe to: nobody else can reach us, or they need a key.
pub async fn listen(settings: &Arc<Settings>) -> anyhow::Result<TcpListener> {
    if let Some(misfit) = settings.listen_misfit() {
        return Err(Stop::config(misfit));
    }
    bind(settings.listen).await
}

/// Starts the API and the imports; returns the imports for those who bring some themselves.
pub fn start(roles: &mut Roles, listener: TcpListener, parts: &Parts) -> anyhow::Result<Imports> {
    let imports = parts.imports()?;
    let api = isobar_api::Parts {
        settings: Arc::clone(&parts.settings),
        broker: parts.broker.clone(),
        store: parts.store.clone(),
        upstream: parts.upstream.clone(),
        imports: imports.clone(),
        metrics: parts.metrics.clone(),
        limits: isobar_api::Limits::default(),
    };
    progress::say(&format!("listening on http://{}", listener.local_addr()?));
    roles.start("the API", |stop| isobar_api::serve(listener, api, stop));
    let working = imports.clone();
    let counted = parts.metrics.clone();
    roles.start("the counters", |stop| async move {
        isobar_telemetry::tidy(counted, stop).await;
        Ok(())
    });
    roles.start("the import relay", |stop| async move { working.work(stop).await });
    Ok(imports)
}

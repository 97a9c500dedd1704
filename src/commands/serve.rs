//! `isobar serve`: the API, and the relay of its imports.

use std::sync::Arc;

use isobar_producer::Imports;
use isobar_settings::values::ListenAddress;
use isobar_settings::{Environment, Settings};
use tokio::net::TcpListener;

use crate::app::App;
use crate::context::Context;
use crate::exit::{Exit, ExitError};
use crate::health_server::bind;
use crate::progress;
use crate::roles::Roles;

#[derive(Debug, clap::Args)]
#[command(before_help = "Example: isobar serve --listen 127.0.0.1:8000")]
pub struct Args {
    /// Address to listen on (ISOBAR_LISTEN)
    #[arg(long, value_name = "ADDR")]
    listen: Option<ListenAddress>,
}

pub async fn run(args: Args, app: &App) -> anyhow::Result<Exit> {
    let settings = app.settings_from(&with_listen(Environment::from_process(), args.listen))?;
    app.stop_on_signals()?;
    let listener = listen(&settings).await?;
    let context = Context::open(settings).await?;
    context.check_broker().await?;
    context.check_store().await?;
    let mut roles = Roles::default();
    start(&mut roles, listener, &context)?;
    roles.run_until(&app.shutdown).await?;
    Ok(Exit::Done)
}

pub fn with_listen(environment: Environment, listen: Option<ListenAddress>) -> Environment {
    match listen {
        Some(address) => environment.with("ISOBAR_LISTEN", address.to_string()),
        None => environment,
    }
}

/// Binds the address, if only this host can reach it or a key is set.
pub async fn listen(settings: &Arc<Settings>) -> anyhow::Result<TcpListener> {
    if let Some(error) = settings.listen_error() {
        return Err(ExitError::config(error));
    }
    bind(settings.listen.0).await
}

/// Starts the API and the import relay; returns the imports, to which `demo` adds its own.
pub fn start(
    roles: &mut Roles,
    listener: TcpListener,
    context: &Context,
) -> anyhow::Result<Imports> {
    let imports = context.imports()?;
    let api = isobar_api::Parts {
        settings: Arc::clone(&context.settings),
        broker: context.broker.clone(),
        store: context.store.clone(),
        upstream: context.upstream.clone(),
        imports: imports.clone(),
        metrics: context.metrics.clone(),
        limits: isobar_api::ServerLimits::default(),
    };
    progress::print_status(&format!("listening on http://{}", listener.local_addr()?));
    roles.start("the API", |stop| isobar_api::serve(listener, api, stop));
    let working = imports.clone();
    let recorder = context.metrics.clone();
    roles.start("the counters", |stop| async move {
        isobar_telemetry::run_upkeep(recorder, stop).await;
        Ok(())
    });
    roles.start("the import relay", |stop| async move { working.work(stop).await });
    Ok(imports)
}

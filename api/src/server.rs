//! The server: accepts connections, limits them, and ends them in order.
//!
//! Guarantees: on shutdown `/readyz` answers 503 at once. Idle connections close, and requests in
//! progress get [`DRAIN_LIMIT`] to finish. New connections are still answered, one request each, so
//! that probes see why. Then the search history is written, and only then does [`serve`] return.
//!
//! Does not: bind, or listen to signals (the caller does).
//! Next: [`connection`] (one of them), `router.rs`.

use std::pin::pin;
use std::time::Duration;

use anyhow::{Context, bail};
use tokio::net::TcpListener;
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

use crate::context::Parts;
use crate::dashboard::refresh;
use crate::http::connection::{self, ConnectionConfig};
use crate::http::connection_slots::ConnectionSlots;
use crate::http::open_files;
use crate::router;
use crate::state::SharedState;

/// How long requests in progress may take after the shutdown began.
pub const DRAIN_LIMIT: Duration = Duration::from_secs(20);
/// How long the last searches may take to be written after that.
const SHUTDOWN_LIMIT: Duration = Duration::from_secs(5);
/// The pause after a failed accept (out of file descriptors), so that it does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Serves the API on `listener` until `shutdown` is cancelled and everything is drained.
pub async fn serve(
    listener: TcpListener,
    parts: Parts,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    let listen = listener.local_addr().context("the listener has no address")?;
    if !listen.ip().is_loopback() && parts.settings.api_key.is_none() {
        bail!("refusing to serve {listen} without ISOBAR_API_KEY: anyone could post imports");
    }
    let (app, writer) = parts.into_state(listen);
    let mut background = JoinSet::new();
    background.spawn(writer.run());
    background.spawn(refresh::refresh_loop(app.clone(), shutdown.clone()));

    tracing::info!(listen = %listen, "serving the API");
    accept(&listener, &app, &shutdown).await;
    drop(listener);

    let tasks = app.tasks.clone();
    // The history writer ends with its last sender, which the state holds.
    drop(app);
    let finished = async {
        while let Some(ended) = background.join_next().await {
            surface(ended);
        }
        // Weather that is being fetched for callers who have left is stored.
        tasks.close();
        tasks.wait().await;
    };
    if tokio::time::timeout(SHUTDOWN_LIMIT, finished).await.is_err() {
        tracing::warn!("the last searches could not be written in time");
    }
    tracing::info!("the API has ended");
    Ok(())
}

/// Accepts until `shutdown`, and then until every earlier connection has ended.
async fn accept(listener: &TcpListener, app: &SharedState, shutdown: &CancellationToken) {
    let config = ConnectionConfig {
        router: router::router(app),
        limits: app.limits.clone(),
        shutdown: shutdown.clone(),
        late: false,
    };
    // The other half is for files, the store, the broker, the upstream and the reserved slots.
    let connections = app.limits.connections.min(open_files::raise_limit() / 2);
    let slots = ConnectionSlots::new(connections, app.limits.connections_per_client);
    let mut connections = JoinSet::new();
    let mut latecomers = JoinSet::new();
    let mut drain_limit = pin!(async {
        shutdown.cancelled().await;
        tokio::time::sleep(DRAIN_LIMIT).await;
    });
    loop {
        if shutdown.is_cancelled() {
            app.phase.drain();
            if connections.is_empty() {
                break;
            }
        }
        let draining = app.phase.is_draining();
        tokio::select! {
            biased;
            () = shutdown.cancelled(), if !draining => {}
            () = &mut drain_limit => {
                tracing::warn!(connections = connections.len(), "requests were cut at the drain limit");
                break;
            }
            Some(ended) = connections.join_next(), if !connections.is_empty() => surface(ended),
            Some(ended) = latecomers.join_next(), if !latecomers.is_empty() => surface(ended),
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => {
                    let slot = slots.take(peer.ip());
                    let config = ConnectionConfig { late: draining, ..config.clone() };
                    let set = if draining { &mut latecomers } else { &mut connections };
                    set.spawn(connection::serve(stream, slot, config));
                }
                Err(error) => {
                    tracing::warn!(%error, "accepting a connection failed");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
        }
    }
    let late = async {
        while let Some(ended) = latecomers.join_next().await {
            surface(ended);
        }
    };
    tokio::select! {
        () = late => {}
        () = drain_limit => {}
    }
    connections.shutdown().await;
    latecomers.shutdown().await;
}

/// The gate catches panics of handlers, so a panic here is an error of the server itself.
fn surface(ended: Result<(), JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        std::panic::resume_unwind(error.into_panic());
    }
}

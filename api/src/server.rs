//! Connections: accepts them, limits them, and ends them in good order.
//!
//! On shutdown `/readyz` says 503 at once. Connections that are idle close, requests in flight get
//! [`DRAIN_LIMIT`] to finish, and meanwhile new connections are still answered, one request each,
//! so that whoever watches sees why. Then the history is written, and only then does [`serve`]
//! return. It binds nothing and listens to no signals: both are its caller's.
//!
//! Next: [`connection`] (one of them), `router`.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

use crate::dashboard;
use crate::http::connection::{self, Serving};
use crate::resources::history::History;
use crate::router;
use crate::state::{App, Parts, Shared};

/// How long requests in flight may take once the server is to end.
pub const DRAIN_LIMIT: Duration = Duration::from_secs(20);
/// How long the last searches may take to be written after that.
const FAREWELL_LIMIT: Duration = Duration::from_secs(5);
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
    let (history, writer) = History::new(parts.store.clone());
    let app = App::new(parts, history, listen);
    let mut background = JoinSet::new();
    background.spawn(writer.run());
    background.spawn(dashboard::keep_looking(app.clone(), shutdown.clone()));

    tracing::info!(listen = %listen, "serving the API");
    accept(&listener, &app, &shutdown).await;
    drop(listener);

    let tasks = app.tasks.clone();
    // The writer ends with the last sender, which is the app's.
    drop(app);
    let farewell = async {
        while let Some(ended) = background.join_next().await {
            surface(ended);
        }
        // What was being fetched for callers who left is stored all the same.
        tasks.close();
        tasks.wait().await;
    };
    if tokio::time::timeout(FAREWELL_LIMIT, farewell).await.is_err() {
        tracing::warn!("the last searches could not be written in time");
    }
    tracing::info!("the API has ended");
    Ok(())
}

/// Accepts until `shutdown`, and then until every connection from before has ended.
async fn accept(listener: &TcpListener, app: &Shared, shutdown: &CancellationToken) {
    let serving = Serving {
        router: router::router(app),
        limits: app.limits.clone(),
        shutdown: shutdown.clone(),
        late: false,
    };
    let places = Arc::new(Semaphore::new(app.limits.connections));
    let mut connections = JoinSet::new();
    let mut latecomers = JoinSet::new();
    let mut give_up = pin!(async {
        shutdown.cancelled().await;
        tokio::time::sleep(DRAIN_LIMIT).await;
    });
    loop {
        if shutdown.is_cancelled() {
            app.drain();
            if connections.is_empty() {
                break;
            }
        }
        let draining = app.is_draining();
        let next = async {
            let place = Arc::clone(&places).acquire_owned().await;
            (place, listener.accept().await)
        };
        tokio::select! {
            biased;
            () = shutdown.cancelled(), if !draining => {}
            () = &mut give_up => {
                tracing::warn!(connections = connections.len(), "requests were cut at the drain limit");
                break;
            }
            Some(ended) = connections.join_next(), if !connections.is_empty() => surface(ended),
            Some(ended) = latecomers.join_next(), if !latecomers.is_empty() => surface(ended),
            (place, accepted) = next => match accepted {
                Ok((stream, _)) => {
                    let serving = Serving { late: draining, ..serving.clone() };
                    let set = if draining { &mut latecomers } else { &mut connections };
                    set.spawn(async move {
                        let _place = place;
                        connection::serve(stream, serving).await;
                    });
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
        () = give_up => {}
    }
    connections.shutdown().await;
    latecomers.shutdown().await;
}

/// Handlers catch their own panics: one here is a defect of the server itself.
fn surface(ended: Result<(), JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        std::panic::resume_unwind(error.into_panic());
    }
}

//! Server: accepts connections and serves HTTP/1.1 with keep-alive.
//!
//! Guarantees: [`serve`] returns only when every connection is closed. On shutdown, idle
//! connections close at once. Busy ones close after their answer, or after the grace period.
//! Does not: bind a port or handle signals; the caller does both.
//! Next: [`crate::dispatch`], which answers a request.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::dispatch::{NoAnswer, answer};
use crate::options::Options;
use crate::simulator::Simulator;

/// How long a busy connection may continue after shutdown begins.
const GRACE: Duration = Duration::from_secs(5);

/// The pause after a failed accept. Without it, a lack of file descriptors would make a busy loop.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Serves the upstreams on `listener` until `shutdown` is cancelled.
pub async fn serve(
    listener: TcpListener,
    options: Options,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    let simulator = Arc::new(Simulator::new(options, shutdown.clone()));
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            () = shutdown.cancelled() => break,
            Some(ended) = connections.join_next(), if !connections.is_empty() => resume_panic(ended),
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(connection(stream, Arc::clone(&simulator)));
                }
                Err(error) => {
                    tracing::warn!(%error, "accepting a connection failed");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
        }
    }
    drop(listener);
    let drained = async {
        while let Some(ended) = connections.join_next().await {
            resume_panic(ended);
        }
    };
    if tokio::time::timeout(GRACE, drained).await.is_err() {
        connections.shutdown().await;
    }
    Ok(())
}

/// A panic in a connection ends the simulator, so a test cannot miss it.
fn resume_panic(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        std::panic::resume_unwind(error.into_panic());
    }
}

async fn connection(stream: TcpStream, simulator: Arc<Simulator>) {
    // Fails only if the socket is already closed; then serving ends at once.
    let _ = stream.set_nodelay(true);
    let service = service_fn(|request| {
        let simulator = Arc::clone(&simulator);
        async move { answer(&simulator, request).await }
    });
    let mut serving =
        http1::Builder::new().pipeline_flush(true).serve_connection(TokioIo::new(stream), service);
    let ended = tokio::select! {
        ended = &mut serving => ended,
        () = simulator.shutdown.cancelled() => {
            std::pin::Pin::new(&mut serving).graceful_shutdown();
            (&mut serving).await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "connection ended");
        let no_answer = error.source().and_then(|source| source.downcast_ref::<NoAnswer>());
        if no_answer.is_some_and(|no_answer| no_answer.with_reset) {
            // If this fails, the client still sees a fault: an orderly end without an answer.
            let _ = serving.into_parts().io.into_inner().set_zero_linger();
        }
    }
}

//! Connections: accepts them, serves HTTP/1.1 with keep-alive, ends them in good order.
//!
//! [`serve`] returns only when every connection is closed: on shutdown idle ones at once, busy ones
//! after their answer or the grace time, whichever is first. It binds nothing and listens to no
//! signals; both are its caller's. What is answered stands in [`crate::dispatch`].

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::dispatch::{Cut, answer};
use crate::options::Options;
use crate::simulator::Simulator;

/// How long a busy connection may go on after shutdown was asked for.
const GRACE: Duration = Duration::from_secs(5);

/// The pause after a failed accept (out of file descriptors), so that it does not spin.
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
            Some(ended) = connections.join_next(), if !connections.is_empty() => surface(ended),
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
            surface(ended);
        }
    };
    if tokio::time::timeout(GRACE, drained).await.is_err() {
        connections.shutdown().await;
    }
    Ok(())
}

/// A panic in a connection is a panic of the simulator.
fn surface(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        std::panic::resume_unwind(error.into_panic());
    }
}

async fn connection(stream: TcpStream, simulator: Arc<Simulator>) {
    // Refused only for a socket that is already closed; serving it then ends by itself.
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
        let cut = error.source().and_then(|source| source.downcast_ref::<Cut>());
        if cut.is_some_and(|cut| cut.with_reset) {
            // If it cannot be set the client sees an orderly end without an answer: a fault as well.
            let _ = serving.into_parts().io.into_inner().set_zero_linger();
        }
    }
}

//! One connection: its addresses on every request, its limits, and its orderly end.
//!
//! Guarantees: on shutdown a request in progress is answered, an unused connection closes at once.

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::body::Body;
use axum::extract::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;
use tower::Service;

use crate::http::connection_slots::{ConnectionSlot, ProbesOnly};
use crate::http::limits::ServerLimits;
use crate::http::write_timeout::WriteTimeout;

/// A request head that is larger is refused (431); one read may exceed it by as much again.
const MAX_HEAD_BYTES: usize = 32 * 1024;

/// The two addresses of the connection that a request came through.
#[derive(Clone, Copy, Debug)]
pub struct ConnectionAddrs {
    pub local: SocketAddr,
    pub peer: SocketAddr,
}

/// What all connections of a server share.
#[derive(Clone)]
pub struct ConnectionConfig {
    pub router: axum::Router,
    pub limits: ServerLimits,
    pub shutdown: CancellationToken,
    /// Accepted after the shutdown began: it gets one answer.
    pub late: bool,
}

/// Serves one connection until its client, the shutdown or the loss of its slot ends it.
pub async fn serve(stream: TcpStream, slot: ConnectionSlot, config: ConnectionConfig) {
    let ConnectionConfig { router, limits, shutdown, late } = config;
    // Fails only for a socket that is already closed; serving it then ends by itself.
    let _ = stream.set_nodelay(true);
    let addrs = match (stream.local_addr(), stream.peer_addr()) {
        (Ok(local), Ok(peer)) => ConnectionAddrs { local, peer },
        // Closed before it was served.
        _ => return,
    };
    let reserved = slot.is_reserved();
    let used = Arc::new(AtomicBool::new(false));
    let in_use = Arc::clone(&used);
    let service = service_fn(move |request: Request<Incoming>| {
        in_use.store(true, Ordering::Relaxed);
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(addrs);
        if reserved {
            request.extensions_mut().insert(ProbesOnly);
        }
        router.clone().call(request)
    });
    let stream = WriteTimeout::new(stream, limits.progress);
    let mut serving = pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(limits.head)
            .max_buf_size(MAX_HEAD_BYTES)
            .keep_alive(!late && !reserved)
            .serve_connection(TokioIo::new(stream), service)
    );
    let ended = tokio::select! {
        ended = serving.as_mut() => ended,
        () = slot.displaced() => return,
        () = shutdown.cancelled(), if !late => {
            if !used.load(Ordering::Relaxed) {
                // Opened in advance: hyper would wait for its first request.
                return;
            }
            serving.as_mut().graceful_shutdown();
            serving.await
        }
    };
    if let Err(error) = ended {
        // Clients disconnect at any time; that is not an error of the server.
        tracing::debug!(%error, "connection ended");
    }
}

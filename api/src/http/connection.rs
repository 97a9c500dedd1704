//! One connection: its two ends noted on each request, its limits, and its good end.

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

use crate::http::limits::Limits;
use crate::http::write_timeout::SlowReader;

/// A head that is still unfinished at this size is refused (431); one more read may have doubled it.
const MAX_HEAD_BYTES: usize = 32 * 1024;

/// The two ends of the connection that a request came through.
#[derive(Clone, Copy, Debug)]
pub struct Ends {
    pub local: SocketAddr,
    pub peer: SocketAddr,
}

/// How connections are served, the same for all of a server.
#[derive(Clone)]
pub struct Serving {
    pub router: axum::Router,
    pub limits: Limits,
    pub shutdown: CancellationToken,
    /// It came after the shutdown and gets one answer.
    pub late: bool,
}

/// Serves one connection until its client or the shutdown ends it.
pub async fn serve(stream: TcpStream, serving: Serving) {
    let Serving { router, limits, shutdown, late } = serving;
    // Refused only for a socket that is already gone; serving it then ends by itself.
    let _ = stream.set_nodelay(true);
    let ends = match (stream.local_addr(), stream.peer_addr()) {
        (Ok(local), Ok(peer)) => Ends { local, peer },
        // Gone before it was served.
        _ => return,
    };
    let used = Arc::new(AtomicBool::new(false));
    let in_use = Arc::clone(&used);
    let service = service_fn(move |request: Request<Incoming>| {
        in_use.store(true, Ordering::Relaxed);
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(ends);
        router.clone().call(request)
    });
    let stream = SlowReader::new(stream, limits.progress);
    let mut serving = pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(limits.head)
            .max_buf_size(MAX_HEAD_BYTES)
            .keep_alive(!late)
            .serve_connection(TokioIo::new(stream), service)
    );
    let ended = tokio::select! {
        ended = serving.as_mut() => ended,
        () = shutdown.cancelled(), if !late => {
            if !used.load(Ordering::Relaxed) {
                // Opened ahead of need: hyper would wait for its first request.
                return;
            }
            serving.as_mut().graceful_shutdown();
            serving.await
        }
    };
    if let Err(error) = ended {
        // Clients come and go as they like.
        tracing::debug!(%error, "connection ended");
    }
}

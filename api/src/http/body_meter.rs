//! Body meter: limits what a client sends around the content that a handler takes.
//!
//! A multipart parser keeps what it reads until it has found the next boundary or the end of a head.
//! Without a limit of their own, a preamble and a head may be as long as a whole upload.
//!
//! Guarantees: a body that exceeds its [`BodyLimits`] ends with an error at once, so at most
//! `around` of it wait in memory. The meter then has the answer for the client.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use axum::body::Body;
use bytes::Bytes;
use futures::StreamExt;
use isobar_settings::values::ByteSize;

use crate::http::problem::Problem;

#[derive(Clone, Copy, Debug)]
pub struct BodyLimits {
    /// The whole body.
    pub whole: ByteSize,
    /// Everything but the content that was [taken](BodyMeter::take).
    pub around: ByteSize,
}

/// Counts one body. Clones count together.
#[derive(Clone)]
pub struct BodyMeter(Arc<Counts>);

struct Counts {
    limits: BodyLimits,
    read_bytes: AtomicU64,
    taken_bytes: AtomicU64,
    exceeded: OnceLock<Problem>,
}

/// The same body with its limits, and its meter.
pub fn metered(body: Body, limits: BodyLimits) -> (Body, BodyMeter) {
    let meter = BodyMeter(Arc::new(Counts {
        limits,
        read_bytes: AtomicU64::new(0),
        taken_bytes: AtomicU64::new(0),
        exceeded: OnceLock::new(),
    }));
    let counts = Arc::clone(&meter.0);
    let pieces = body.into_data_stream().map(move |piece| match piece {
        Ok(piece) => counts.read(piece),
        Err(error) => Err(io::Error::other(error)),
    });
    (Body::from_stream(pieces), meter)
}

impl BodyMeter {
    /// The handler has this much of the content.
    pub fn take(&self, bytes: usize) {
        self.0.taken_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// The answer if the body has exceeded a limit.
    pub fn problem(&self) -> Option<Problem> {
        self.0.exceeded.get().cloned()
    }
}

impl Counts {
    fn read(&self, piece: Bytes) -> io::Result<Bytes> {
        let bytes = piece.len() as u64;
        let read = self.read_bytes.fetch_add(bytes, Ordering::Relaxed) + bytes;
        let around = read.saturating_sub(self.taken_bytes.load(Ordering::Relaxed));
        let problem = if read > self.limits.whole.0 {
            Problem::too_large(self.limits.whole)
        } else if around > self.limits.around.0 {
            let mut problem = Problem::too_large(self.limits.around);
            problem.detail.push_str(" around its content: preamble, heads and boundaries");
            problem
        } else {
            return Ok(piece);
        };
        Err(io::Error::other(self.exceeded.get_or_init(|| problem).detail.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::stream;

    const LIMITS: BodyLimits = BodyLimits { whole: ByteSize(1_000), around: ByteSize(100) };

    /// How much of a body of so many tens of bytes arrives, if the handler takes this share of each.
    async fn arrived(tens: usize, taken: usize) -> (usize, Option<Problem>) {
        let pieces =
            stream::iter(0..tens).map(|_| Ok::<_, io::Error>(Bytes::from_static(&[b'x'; 10])));
        let (body, meter) = metered(Body::from_stream(pieces), LIMITS);
        let mut stream = body.into_data_stream();
        let mut arrived = 0;
        while let Some(Ok(piece)) = stream.next().await {
            arrived += piece.len();
            meter.take(taken);
        }
        (arrived, meter.problem())
    }

    #[tokio::test]
    async fn content_and_what_surrounds_it_have_limits_of_their_own() {
        let (all, problem) = arrived(100, 10).await;
        assert!(all == 1_000 && problem.is_none());
        let (some, problem) = arrived(101, 10).await;
        assert_eq!((some, problem.expect("too large").status.as_u16()), (1_000, 413));
        let (some, problem) = arrived(101, 0).await;
        let problem = problem.expect("too large");
        assert_eq!((some, problem.code), (100, "payload_too_large"));
        assert!(problem.detail.contains("around its content"), "{}", problem.detail);
        // The piece under way counts as surroundings until the handler takes its content.
        assert_eq!(arrived(91, 9).await.0, 910, "a tenth of it surrounds the content");
    }
}

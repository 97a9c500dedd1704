//! Reply: a complete answer, and a response body that can pause or break off.
//!
//! Guarantees: the announced length is always that of the whole body, so a client can detect a
//! truncated answer.
//! Next: [`crate::dispatch`], which chooses the kind of body.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Frame, SizeHint};
use hyper::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use hyper::{Response, StatusCode};
use tokio::time::{Sleep, sleep};

/// The answer of an upstream, before a fault can damage it.
#[derive(Debug)]
pub struct Reply {
    pub status: StatusCode,
    pub headers: Vec<(HeaderName, HeaderValue)>,
    pub body: Bytes,
    /// Records in the answer, for the counters.
    pub locations: u64,
    /// The weight that the limiter charges.
    pub weight: f64,
}

impl Reply {
    pub fn json(status: StatusCode, body: impl Into<Bytes>) -> Self {
        let json = HeaderValue::from_static("application/json; charset=utf-8");
        Self {
            status,
            headers: vec![(CONTENT_TYPE, json)],
            body: body.into(),
            locations: 0,
            weight: 1.0,
        }
    }

    pub fn ok(body: impl Into<Bytes>) -> Self {
        Self::json(StatusCode::OK, body)
    }

    /// An error of any Open-Meteo service.
    pub fn reason(status: StatusCode, reason: &str) -> Self {
        Self::json(status, serde_json::json!({"error": true, "reason": reason}).to_string())
    }

    pub fn bad_request(reason: &str) -> Self {
        Self::reason(StatusCode::BAD_REQUEST, reason)
    }

    #[must_use]
    pub fn with_locations(self, locations: usize) -> Self {
        Self { locations: locations as u64, ..self }
    }

    pub fn into_response(self) -> Response<Body> {
        self.respond(usize::MAX, Gap::None)
    }

    /// Half of the body; then the connection closes.
    pub fn into_truncated_response(self) -> Response<Body> {
        let half = self.body.len() / 2;
        self.respond(half, Gap::Cut { flushed: false })
    }

    /// Half of the body, a pause, the other half.
    pub fn into_slow_response(self, pause: Duration) -> Response<Body> {
        let half = self.body.len() / 2;
        self.respond(half, Gap::Pause(Box::pin(sleep(pause))))
    }

    fn respond(mut self, gap_at: usize, gap: Gap) -> Response<Body> {
        let first = self.body.split_to(gap_at.min(self.body.len()));
        let rest = Some(self.body).filter(|rest| !rest.is_empty());
        let body = Body { first: Some(first).filter(|first| !first.is_empty()), gap, rest };
        let mut response = Response::new(body);
        *response.status_mut() = self.status;
        // `insert` instead of `append`: the content type of a fault replaces the usual one.
        for (name, value) in self.headers {
            response.headers_mut().insert(name, value);
        }
        response
    }
}

/// A body in two parts, with a gap between them.
#[derive(Debug)]
pub struct Body {
    first: Option<Bytes>,
    gap: Gap,
    rest: Option<Bytes>,
}

#[derive(Debug)]
enum Gap {
    None,
    Pause(Pin<Box<Sleep>>),
    /// The rest is announced and never sent.
    Cut {
        flushed: bool,
    },
}

/// The error that makes the server close a connection in the middle of an answer.
#[derive(Debug)]
pub struct AbortedBody;

impl fmt::Display for AbortedBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("connection closed by the fault plan")
    }
}

impl std::error::Error for AbortedBody {}

impl hyper::body::Body for Body {
    type Data = Bytes;
    type Error = AbortedBody;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, AbortedBody>>> {
        let frame = |bytes| Poll::Ready(Some(Ok(Frame::data(bytes))));
        let body = self.get_mut();
        if let Some(first) = body.first.take() {
            return frame(first);
        }
        match &mut body.gap {
            Gap::Cut { flushed: true } => return Poll::Ready(Some(Err(AbortedBody))),
            Gap::Cut { flushed } => {
                // Pending once, so that the head and the first half are sent before the close.
                *flushed = true;
                context.waker().wake_by_ref();
                return Poll::Pending;
            }
            Gap::Pause(pause) if body.rest.is_some() => ready!(pause.as_mut().poll(context)),
            Gap::Pause(_) | Gap::None => {}
        }
        body.rest.take().map_or(Poll::Ready(None), frame)
    }

    fn is_end_stream(&self) -> bool {
        self.first.is_none() && self.rest.is_none() && !matches!(self.gap, Gap::Cut { .. })
    }

    fn size_hint(&self) -> SizeHint {
        let left = |bytes: &Option<Bytes>| bytes.as_ref().map_or(0, Bytes::len) as u64;
        SizeHint::with_exact(left(&self.first) + left(&self.rest))
    }
}

//! What is sent back: a finished answer, and a body that can be slow or break off.
//!
//! A provider returns a whole [`Reply`]; only a fault makes its body slow or broken. The promised
//! length is always the whole body's, so that breaking off is visible to a client as what it is.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Frame, SizeHint};
use hyper::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use hyper::{Response, StatusCode};
use tokio::time::{Sleep, sleep};

/// One upstream's answer before it is put on the wire.
#[derive(Debug)]
pub struct Reply {
    pub status: StatusCode,
    pub headers: Vec<(HeaderName, HeaderValue)>,
    pub body: Bytes,
    /// Locations answered, for the counters.
    pub locations: u64,
    /// What the free-tier limiter charges for it.
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

    /// The error body shared by everything of Open-Meteo.
    pub fn reason(status: StatusCode, reason: &str) -> Self {
        Self::json(
            status,
            serde_json::json!({"error": true, "reason": reason}).to_string(),
        )
    }

    pub fn bad_request(reason: &str) -> Self {
        Self::reason(StatusCode::BAD_REQUEST, reason)
    }

    #[must_use]
    pub fn with_locations(self, locations: usize) -> Self {
        Self {
            locations: locations as u64,
            ..self
        }
    }

    pub fn into_response(self) -> Response<Body> {
        let body = Body::Whole(self.body);
        respond(self.status, self.headers, body)
    }

    /// Half of the body, then the connection is cut.
    pub fn into_broken_response(self) -> Response<Body> {
        let promised_bytes = self.body.len() as u64;
        let first = self.body.slice(..self.body.len() / 2);
        let body = Body::Broken {
            first: Some(first),
            flushed: false,
            promised_bytes,
        };
        respond(self.status, self.headers, body)
    }

    /// Half of the body, a pause, the other half.
    pub fn into_slow_response(self, pause: Duration) -> Response<Body> {
        let half = self.body.len() / 2;
        let body = Body::Slow {
            first: Some(self.body.slice(..half)),
            pause: Box::pin(sleep(pause)),
            rest: Some(self.body.slice(half..)),
        };
        respond(self.status, self.headers, body)
    }
}

fn respond(
    status: StatusCode,
    headers: Vec<(HeaderName, HeaderValue)>,
    body: Body,
) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    // Inserted, not appended: a fault's own content type replaces the usual one.
    for (name, value) in headers {
        response.headers_mut().insert(name, value);
    }
    response
}

#[derive(Debug)]
pub enum Body {
    Whole(Bytes),
    Slow {
        first: Option<Bytes>,
        pause: Pin<Box<Sleep>>,
        rest: Option<Bytes>,
    },
    Broken {
        first: Option<Bytes>,
        flushed: bool,
        promised_bytes: u64,
    },
}

/// The error that makes the server cut a connection in the middle of an answer.
#[derive(Debug)]
pub struct BrokenOff;

impl fmt::Display for BrokenOff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("connection cut by the fault plan")
    }
}

impl std::error::Error for BrokenOff {}

impl hyper::body::Body for Body {
    type Data = Bytes;
    type Error = BrokenOff;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BrokenOff>>> {
        let frame = |bytes| Poll::Ready(Some(Ok(Frame::data(bytes))));
        match self.get_mut() {
            Self::Whole(bytes) if bytes.is_empty() => Poll::Ready(None),
            Self::Whole(bytes) => frame(std::mem::take(bytes)),
            Self::Slow { first, pause, rest } => {
                if let Some(bytes) = first.take() {
                    return frame(bytes);
                }
                if rest.is_some() && pause.as_mut().poll(context).is_pending() {
                    return Poll::Pending;
                }
                rest.take().map_or(Poll::Ready(None), frame)
            }
            Self::Broken { first, flushed, .. } => {
                if let Some(bytes) = first.take() {
                    return frame(bytes);
                }
                if !*flushed {
                    // Pending once, so that the head and the first half are sent before the cut.
                    *flushed = true;
                    context.waker().wake_by_ref();
                    return Poll::Pending;
                }
                Poll::Ready(Some(Err(BrokenOff)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(bytes) => bytes.is_empty(),
            Self::Slow { first, rest, .. } => first.is_none() && rest.is_none(),
            Self::Broken { .. } => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        let left = |bytes: &Option<Bytes>| bytes.as_ref().map_or(0, Bytes::len) as u64;
        SizeHint::with_exact(match self {
            Self::Whole(bytes) => bytes.len() as u64,
            Self::Slow { first, rest, .. } => left(first) + left(rest),
            Self::Broken { promised_bytes, .. } => *promised_bytes,
        })
    }
}

//! Dispatch: takes one request through fault plan, limiter, latency, provider and counters.
//!
//! Guarantees: every upstream request passes these steps in this order. A fault that replaces the
//! answer comes before the limiter and is not charged. An answer that a fault only damages (slow,
//! truncated, null) is charged. A request keeps its limiter permit during the latency.
//! Does not: decide which fault applies (see [`crate::faults`]) or what a right answer is (see
//! [`crate::providers`]).

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};

use crate::control;
use crate::endpoint::Endpoint;
use crate::faults::{Fault, Kind, ResponseFault};
use crate::providers::{self, Call};
use crate::query::Query;
use crate::reply::{AbortedBody, Body, Reply};
use crate::request_window::WindowUsage;
use crate::simulator::Simulator;

/// The largest body of a POST. Open-Meteo has the same limit for forms.
const MAX_FORM_BYTES: usize = 128 * 1024;

/// The connection is reset if the URL is longer, as at Open-Meteo. Above 65,534 bytes the HTTP
/// library answers 414 before this check.
const MAX_TARGET_BYTES: usize = 64_000;

/// The pause of a slow body if the fault has no `delay_ms`.
const SLOW_PAUSE: Duration = Duration::from_secs(30);

const HTML_PAGE: &str = "<!DOCTYPE html><html><head><title>502 Bad Gateway</title></head>\
    <body><center><h1>502 Bad Gateway</h1></center></body></html>\n";

/// Closes the connection without an answer.
#[derive(Debug)]
pub struct NoAnswer {
    /// With a TCP reset instead of an orderly end.
    pub with_reset: bool,
}

impl std::fmt::Display for NoAnswer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        AbortedBody.fmt(f)
    }
}

impl std::error::Error for NoAnswer {}

pub async fn answer(
    simulator: &Simulator,
    request: Request<Incoming>,
) -> Result<Response<Body>, NoAnswer> {
    let (head, body) = request.into_parts();
    if head.uri.path_and_query().is_some_and(|target| target.as_str().len() > MAX_TARGET_BYTES) {
        return Err(NoAnswer { with_reset: true });
    }
    let form = if head.method == Method::POST {
        let Ok(collected) = Limited::new(body, MAX_FORM_BYTES).collect().await else {
            return Ok(
                Reply::reason(StatusCode::PAYLOAD_TOO_LARGE, "Payload Too Large").into_response()
            );
        };
        collected.to_bytes()
    } else {
        Bytes::new()
    };
    let path = head.uri.path();
    if path.starts_with("/_sim") {
        let query = Query::parse(head.uri.query().unwrap_or_default(), b"");
        return Ok(control::answer(simulator, &head.method, path, &query, &form).into_response());
    }
    match Endpoint::at(path).filter(|endpoint| endpoint.allows(&head.method)) {
        Some(endpoint) => {
            let query = &Query::parse(head.uri.query().unwrap_or_default(), &form);
            let item = endpoint.item(path);
            upstream(
                simulator,
                Call { endpoint, item, query, nth: 0, fault: ResponseFault::default() },
            )
            .await
        }
        None => Ok(Reply::reason(StatusCode::NOT_FOUND, "Not Found").into_response()),
    }
}

async fn upstream(simulator: &Simulator, call: Call<'_>) -> Result<Response<Body>, NoAnswer> {
    let endpoint = call.endpoint;
    let in_flight = simulator.counters.request(endpoint);
    let mut call = Call { nth: in_flight.nth, ..call };
    let Some(fault) = simulator.faults.next(endpoint, call.query) else {
        return Ok(serve(simulator, call).await.into_response());
    };
    simulator.counters.fault(endpoint);
    match fault.kind {
        Kind::Hang => {
            simulator.shutdown.cancelled().await;
            return Err(NoAnswer { with_reset: false });
        }
        Kind::Reset => {
            delay(simulator).await;
            return Err(NoAnswer { with_reset: true });
        }
        Kind::Status | Kind::Html => {
            delay(simulator).await;
            return Ok(replacement(endpoint, fault).into_response());
        }
        _ => call.fault = fault.response_fault(),
    }
    let mut reply = serve(simulator, call).await;
    reply.headers.extend(headers(&fault));
    Ok(match fault.kind {
        Kind::Truncate => reply.into_truncated_response(),
        Kind::Slow => {
            let pause = fault.delay_ms.map_or(SLOW_PAUSE, Duration::from_millis);
            reply.into_slow_response(pause)
        }
        Kind::StreamedError => {
            let mut body = reply.body[..reply.body.len() / 2].to_vec();
            body.extend_from_slice(b"Unexpected error while streaming data: timeoutReached");
            Reply { body: body.into(), ..reply }.into_response()
        }
        _ => reply.into_response(),
    })
}

/// The right answer, or a refusal by the limits of the service.
async fn serve(simulator: &Simulator, call: Call<'_>) -> Reply {
    let Call { endpoint, .. } = call;
    let clock = &simulator.options.now;
    let usage = call.is_dummyjson().then(|| simulator.request_window.enter(clock.unix_seconds()));
    if let Some(usage) = usage.filter(|usage| usage.is_refused()) {
        delay(simulator).await;
        let mut reply = providers::usual_error(Endpoint::DummyJson, StatusCode::TOO_MANY_REQUESTS);
        reply.headers.extend(usage.headers());
        return reply;
    }
    let limiter = simulator.limiter(endpoint);
    let permit = match limiter {
        None => None,
        Some(limiter) => match limiter.enter(clock.unix_seconds()).await {
            Ok(permit) => Some(permit),
            Err(reason) => {
                delay(simulator).await;
                return Reply::reason(StatusCode::TOO_MANY_REQUESTS, reason);
            }
        },
    };
    delay(simulator).await;
    let mut reply = providers::answer(call, &simulator.options);
    reply.headers.extend(usage.into_iter().flat_map(WindowUsage::headers));
    if let Some(limiter) = limiter {
        limiter.charge(clock.unix_seconds(), reply.weight);
    }
    drop(permit);
    simulator.counters.locations(endpoint, reply.locations);
    reply
}

async fn delay(simulator: &Simulator) {
    if !simulator.options.latency.is_zero() {
        tokio::time::sleep(simulator.options.latency).await;
    }
}

/// The answer of a `status` or `html` fault. The upstream supplies the parts that the fault omits.
fn replacement(endpoint: Endpoint, fault: Fault) -> Reply {
    let usual_status = if fault.kind == Kind::Html || fault.body.is_some() { 200 } else { 503 };
    let status = StatusCode::from_u16(fault.status.unwrap_or(usual_status))
        .unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers: Vec<_> = headers(&fault).collect();
    let mut reply = match (fault.body, fault.kind) {
        (Some(serde_json::Value::String(text)), _) => Reply::json(status, text),
        (Some(body), _) => Reply::json(status, body.to_string()),
        (None, Kind::Html) => Reply::json(status, HTML_PAGE),
        (None, _) => providers::usual_error(endpoint, status),
    };
    if fault.kind == Kind::Html {
        reply.headers.push((CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8")));
    }
    reply.headers.extend(headers);
    reply
}

/// The headers of the fault. They were validated when the fault was added.
fn headers(fault: &Fault) -> impl Iterator<Item = (HeaderName, HeaderValue)> {
    fault.headers.iter().filter_map(|(name, value)| {
        Some((HeaderName::try_from(name).ok()?, HeaderValue::try_from(value).ok()?))
    })
}

//! The gate around every route: what happens to a request before and after its handler.
//!
//! Before: request id → slot of the connection → rate limit → Host, Origin, key → names of parameters
//! → limit on concurrent requests → time limit. After: panics caught → problems rendered → headers → one log event. It is
//! one middleware, so that the order can be read here and a cached answer costs little.
//!
//! Guarantees: every answer has `X-Request-Id`, every error is a problem, and a panic is a 500 without
//! details. A full server answers 503 with `Retry-After` at once instead of queueing.

use std::panic::AssertUnwindSafe;
use std::time::{Duration, Instant};

use axum::extract::{Request, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderName, HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures::FutureExt;

use crate::http::access::RequestFacts;
use crate::http::connection::ConnectionAddrs;
use crate::http::connection_slots::ProbesOnly;
use crate::http::drain_body::drain_on_drop;
use crate::http::known_params::KnownParams;
use crate::http::problem::Problem;
use crate::http::request_log::{REQUEST_ID_HEADER, RequestEvent, request_id};
use crate::http::security_headers::add_security_headers;
use crate::openapi::resource::TimeLimit;
use crate::resources::login;
use crate::state::SharedState;

const SHED_PAUSE: Duration = Duration::from_secs(1);
/// How long a handler may take, unless an upstream attempt may take longer.
const REQUEST_LIMIT: Duration = Duration::from_secs(30);
/// The time for the rest of a handler beside its upstream attempt.
const REQUEST_SLACK: Duration = Duration::from_secs(5);

/// A route's row as the gate needs it.
#[derive(Clone)]
pub struct RequestGate {
    pub app: SharedState,
    /// For logs and metrics.
    pub route: &'static str,
    /// Needs no key.
    pub public: bool,
    pub costs_quota: bool,
    pub time_limit: TimeLimit,
    pub params: KnownParams,
}

pub async fn gate(State(gate): State<RequestGate>, request: Request, next: Next) -> Response {
    let request = request.map(|body| drain_on_drop(body, &gate.app.tasks));
    let started = Instant::now();
    let request_id = request_id(request.headers());
    let method = request.method().clone();
    let uri = request.uri().clone();

    let response = match admit(&gate, &request) {
        Ok(()) => run(&gate, request, next).await,
        Err(problem) => login::login_instead_of(problem, &request),
    };

    let mut response = finish(response, &request_id, &method);
    let problem = response.extensions_mut().remove::<Problem>();
    RequestEvent {
        request_id: &request_id,
        method: &method,
        route: gate.route,
        path: uri.path(),
        status: response.status(),
        latency: started.elapsed(),
        problem: problem.as_ref(),
        quiet: gate.time_limit == TimeLimit::Probe,
    }
    .record();
    response
}

fn admit(gate: &RequestGate, request: &Request) -> Result<(), Problem> {
    if gate.time_limit != TimeLimit::Probe && request.extensions().get::<ProbesOnly>().is_some() {
        let detail = "too many connections; close some, or try again";
        return Err(Problem::unavailable("too_many_connections", detail, SHED_PAUSE));
    }
    let addrs = request.extensions().get::<ConnectionAddrs>();
    if let Some(addrs) = addrs
        && gate.time_limit != TimeLimit::Probe
    {
        let admitted = gate.app.rate_limiter.admit(addrs.peer.ip(), Instant::now());
        admitted.map_err(Problem::rate_limited)?;
    }
    gate.app.access.check(&RequestFacts {
        method: request.method(),
        uri: request.uri(),
        headers: request.headers(),
        addrs: addrs.copied(),
        public: gate.public,
        costs_quota: gate.costs_quota,
    })?;
    // After the key: who has none learns nothing of a route.
    gate.params.check(request.method(), request.uri().query())
}

/// Runs the handler within its time limit.
async fn run(gate: &RequestGate, request: Request, next: Next) -> Response {
    if gate.time_limit == TimeLimit::Probe {
        return guarded(next.run(request)).await;
    }
    let Ok(_permit) = gate.app.permits.try_acquire() else {
        let detail = "too many requests at once; nothing was done, try again";
        return Problem::unavailable("overloaded", detail, SHED_PAUSE).into_response();
    };
    if gate.time_limit == TimeLimit::Long {
        return guarded(next.run(request)).await;
    }
    let limit = REQUEST_LIMIT.max(gate.app.settings.max_attempt_time() + REQUEST_SLACK);
    tokio::time::timeout(limit, guarded(next.run(request))).await.unwrap_or_else(|_| {
        let detail = "the request timed out";
        Problem::unavailable("timeout", detail, SHED_PAUSE).into_response()
    })
}

/// A panic becomes a 500; the connection stays open.
async fn guarded(handler: impl Future<Output = Response>) -> Response {
    match AssertUnwindSafe(handler).catch_unwind().await {
        Ok(response) => response,
        Err(panic) => {
            let message = panic
                .downcast_ref::<&str>()
                .map(|text| (*text).to_owned())
                .or_else(|| panic.downcast_ref::<String>().cloned());
            let message = message.unwrap_or_else(|| "no message".to_owned());
            Problem::internal(anyhow::anyhow!("a handler panicked: {message}")).into_response()
        }
    }
}

/// Renders a problem and adds the headers that every answer has.
fn finish(response: Response, request_id: &str, method: &Method) -> Response {
    let mut response = with_body(response, request_id, method);
    let headers = response.headers_mut();
    add_security_headers(headers);
    if let Ok(id) = HeaderValue::from_str(request_id) {
        headers.insert(HeaderName::from_static(REQUEST_ID_HEADER), id);
    }
    response
}

fn with_body(mut response: Response, request_id: &str, method: &Method) -> Response {
    let problem = match response.extensions_mut().remove::<Problem>() {
        Some(problem) => problem,
        None => match stray_error(&response) {
            Some(problem) => problem,
            None => return response,
        },
    };
    let mut rendered = problem.render(request_id);
    for (name, value) in response.headers() {
        // Keeps for example `Allow` of a 405. Headers of the body come from the problem.
        if !rendered.headers().contains_key(name) && !name.as_str().starts_with("content-") {
            rendered.headers_mut().insert(name, value.clone());
        }
    }
    if *method == Method::HEAD {
        *rendered.body_mut() = axum::body::Body::empty();
    }
    rendered.extensions_mut().insert(problem);
    rendered
}

/// The problem for an error that the framework answered in plain text.
fn stray_error(response: &Response) -> Option<Problem> {
    let status = response.status();
    let plain = response
        .headers()
        .get(CONTENT_TYPE)
        .is_none_or(|kind| kind.as_bytes().starts_with(b"text/plain"));
    if !plain || !(status.is_client_error() || status.is_server_error()) {
        return None;
    }
    let (code, detail) = match status {
        StatusCode::PAYLOAD_TOO_LARGE => ("payload_too_large", "the body is too large"),
        StatusCode::UNSUPPORTED_MEDIA_TYPE => {
            ("unsupported_media_type", "unsupported content type")
        }
        StatusCode::NOT_FOUND => ("not_found", "not found"),
        StatusCode::METHOD_NOT_ALLOWED => ("method_not_allowed", "method not allowed; see Allow"),
        status if status.is_client_error() => ("bad_request", "malformed request"),
        _ => ("internal", "internal error"),
    };
    Some(Problem::new(status, code, detail))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_is_a_500_without_details() {
        let response = guarded(async { panic!("password=hunter2") }).await;
        let response = finish(response, "r-1", &Method::GET);
        assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
        let problem = response.extensions().get::<Problem>().cloned();
        let cause = problem.and_then(|problem| problem.cause).expect("a cause");
        assert!(cause.to_string().contains("hunter2"));
        let body = axum::body::to_bytes(response.into_body(), 10_000).await;
        let body = String::from_utf8(body.expect("a body").to_vec()).expect("UTF-8");
        assert!(!body.contains("hunter2") && body.contains("\"request_id\":\"r-1\""));
    }

    #[test]
    fn a_framework_error_becomes_a_problem() {
        let stray = (StatusCode::METHOD_NOT_ALLOWED, [("allow", "GET,HEAD")], "no").into_response();
        let response = finish(stray, "r-2", &Method::POST);
        assert_eq!(response.headers()["content-type"], "application/problem+json");
        assert_eq!(response.headers()["allow"], "GET,HEAD");
        let fine = (StatusCode::NOT_FOUND, axum::Json(1)).into_response();
        assert!(stray_error(&fine).is_none());
    }
}

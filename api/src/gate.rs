//! The gate around every route: what happens to a request before and after its handler.
//!
//! In this order: request id → the client's rate → Host, Origin, key → limit on requests at once →
//! time limit around the handler, panics caught → problems rendered → headers → one log event. It is one middleware
//! rather than a stack of them so that the order can be read here and a cached answer costs little.
//!
//! Guarantees: every answer carries `X-Request-Id`, every error is a problem, a panic is a 500
//! that shows nothing, and a full server says 503 with `Retry-After` at once instead of queueing.

use std::panic::AssertUnwindSafe;
use std::time::{Duration, Instant};

use axum::extract::{Request, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderName, HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures::FutureExt;

use crate::http::access::Asked;
use crate::http::connection::Ends;
use crate::http::drain_body::heard_out;
use crate::http::problem::Problem;
use crate::http::request_log::{Answered, REQUEST_ID_HEADER, request_id};
use crate::http::security_headers;
use crate::resources::login;
use crate::state::Shared;

const SHED_PAUSE: Duration = Duration::from_secs(1);
/// How long a handler may take, if an upstream attempt may not take longer.
const REQUEST_LIMIT: Duration = Duration::from_secs(30);
/// What a handler does beside its upstream attempt.
const REQUEST_SLACK: Duration = Duration::from_secs(5);

/// How long a route may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// The usual limit.
    Quick,
    /// Uploads and streams, which have limits of their own on each piece.
    Long,
    /// Probes and scrapes: never limited nor shed, logged at debug.
    Probe,
}

/// What the table says of a route, and the app it belongs to.
#[derive(Clone)]
pub struct Gate {
    pub app: Shared,
    pub route: &'static str,
    /// Needs no key.
    pub open: bool,
    pub pace: Pace,
}

pub async fn gate(State(gate): State<Gate>, request: Request, next: Next) -> Response {
    let request = request.map(|body| heard_out(body, &gate.app.tasks));
    let started = Instant::now();
    let request_id = request_id(request.headers());
    let method = request.method().clone();
    let uri = request.uri().clone();

    let response = match admit(&gate, &request) {
        Ok(()) => run(&gate, request, next).await,
        Err(problem) => login::in_place_of(problem, &request),
    };

    let mut response = finish(response, &request_id, &method);
    let problem = response.extensions_mut().remove::<Problem>();
    Answered {
        request_id: &request_id,
        method: &method,
        route: gate.route,
        path: uri.path(),
        status: response.status(),
        latency: started.elapsed(),
        problem: problem.as_ref(),
        quiet: gate.pace == Pace::Probe,
    }
    .record();
    response
}

fn admit(gate: &Gate, request: &Request) -> Result<(), Problem> {
    let ends = request.extensions().get::<Ends>();
    if let Some(ends) = ends
        && gate.pace != Pace::Probe
    {
        gate.app.rates.admit(ends.peer.ip(), Instant::now()).map_err(Problem::too_often)?;
    }
    gate.app.access.check(&Asked {
        method: request.method(),
        uri: request.uri(),
        headers: request.headers(),
        local: ends.map(|ends| ends.local),
        open: gate.open,
    })
}

/// The handler, within the limits of its pace.
async fn run(gate: &Gate, request: Request, next: Next) -> Response {
    if gate.pace == Pace::Probe {
        return guarded(next.run(request)).await;
    }
    let Ok(_permit) = gate.app.permits.try_acquire() else {
        let detail = "too many requests at once; nothing was done, try again";
        return Problem::unavailable("overloaded", detail, SHED_PAUSE).into_response();
    };
    if gate.pace == Pace::Long {
        return guarded(next.run(request)).await;
    }
    let limit = REQUEST_LIMIT.max(gate.app.settings.worst_attempt() + REQUEST_SLACK);
    tokio::time::timeout(limit, guarded(next.run(request))).await.unwrap_or_else(|_| {
        let detail = "this took too long and was given up";
        Problem::unavailable("timeout", detail, SHED_PAUSE).into_response()
    })
}

/// A panic is ours to answer for, and no reason to cut the connection.
async fn guarded(handler: impl Future<Output = Response>) -> Response {
    match AssertUnwindSafe(handler).catch_unwind().await {
        Ok(response) => response,
        Err(panic) => {
            let said = panic
                .downcast_ref::<&str>()
                .map(|text| (*text).to_owned())
                .or_else(|| panic.downcast_ref::<String>().cloned());
            let said = said.unwrap_or_else(|| "no message".to_owned());
            Problem::internal(anyhow::anyhow!("a handler panicked: {said}")).into_response()
        }
    }
}

/// Problems get their body, and everything gets the headers that all answers have.
fn finish(response: Response, request_id: &str, method: &Method) -> Response {
    let mut response = with_body(response, request_id, method);
    let headers = response.headers_mut();
    security_headers::guard(headers);
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
        // `Allow` of a 405 and the like; the body's own headers are the problem's.
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

/// An error that the framework answered by itself, in plain text.
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
            ("unsupported_media_type", "this content type is not understood here")
        }
        StatusCode::NOT_FOUND => ("not_found", "there is nothing here"),
        StatusCode::METHOD_NOT_ALLOWED => ("method_not_allowed", "this method has no meaning here"),
        status if status.is_client_error() => ("bad_request", "the request cannot be understood"),
        _ => ("internal", "something went wrong here"),
    };
    Some(Problem::new(status, code, detail))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_is_a_500_that_shows_nothing_and_is_logged_whole() {
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
    fn an_error_of_the_framework_becomes_a_problem_and_keeps_its_headers() {
        let stray = (StatusCode::METHOD_NOT_ALLOWED, [("allow", "GET,HEAD")], "no").into_response();
        let response = finish(stray, "r-2", &Method::POST);
        assert_eq!(response.headers()["content-type"], "application/problem+json");
        assert_eq!(response.headers()["allow"], "GET,HEAD");
        let fine = (StatusCode::NOT_FOUND, axum::Json(1)).into_response();
        assert!(stray_error(&fine).is_none());
    }
}

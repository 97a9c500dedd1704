//! One event per request: the log line and the counters, written together so that they agree.
//!
//! Guarantees: the line holds the path without its query, never a header or a body. The counter's
//! label is the route as the table spells it, so random paths make no new series. Probes and scrapes
//! are logged at debug, because they come every few seconds.

use std::time::Duration;

use axum::http::{HeaderMap, Method, StatusCode};
use isobar_telemetry::error_chain;
use isobar_telemetry::metric::{Label, Metric};
use uuid::Uuid;

use crate::http::problem::Problem;

pub const REQUEST_ID_HEADER: &str = "x-request-id";
const MAX_REQUEST_ID_BYTES: usize = 64;

const REQUESTS: Metric = Metric::counter("isobar_http_requests_total", "HTTP requests answered.")
    .with_labels(&[Label::dynamic("method"), ROUTE, Label::dynamic("status")]);
const SECONDS: Metric = Metric::histogram(
    "isobar_http_request_seconds",
    "Time from a request's head to the head of its answer.",
)
.with_labels(&[ROUTE]);
const ROUTE: Label = Label::dynamic("route");

pub const METRICS: &[Metric] = &[REQUESTS, SECONDS];

/// An answered request.
pub struct RequestEvent<'a> {
    pub request_id: &'a str,
    pub method: &'a Method,
    pub route: &'static str,
    pub path: &'a str,
    pub status: StatusCode,
    pub latency: Duration,
    pub problem: Option<&'a Problem>,
    /// Log at debug.
    pub quiet: bool,
}

impl RequestEvent<'_> {
    pub fn record(&self) {
        let labels = [
            ("method", method_label(self.method).into()),
            ("route", self.route.into()),
            ("status", self.status.as_str().to_owned().into()),
        ];
        let labels: [(&'static str, metrics::SharedString); 3] = labels;
        metrics::counter!(REQUESTS.name, &labels).increment(1);
        metrics::histogram!(SECONDS.name, "route" => self.route).record(self.latency.as_secs_f64());

        let request_id = self.request_id;
        let method = self.method.as_str();
        let path = self.path;
        let status = self.status.as_u16();
        let latency_ms = self.latency.as_secs_f64() * 1000.0;
        let cause = self.problem.and_then(|problem| problem.cause.as_ref());
        if let Some(cause) = cause {
            let error = error_chain(cause.as_ref().as_ref());
            if self.status == StatusCode::INTERNAL_SERVER_ERROR {
                tracing::error!(request_id, method, path, status, latency_ms, error, "answered");
            } else {
                tracing::warn!(request_id, method, path, status, latency_ms, error, "answered");
            }
        } else if self.quiet {
            tracing::debug!(request_id, method, path, status, latency_ms, "answered");
        } else {
            tracing::info!(request_id, method, path, status, latency_ms, "answered");
        }
    }
}

/// The caller's id if it is usable, else a new one.
pub fn request_id(headers: &HeaderMap) -> String {
    headers
        .get(REQUEST_ID_HEADER)
        .and_then(|value| value.to_str().ok())
        .filter(|id| usable(id))
        .map_or_else(|| Uuid::new_v4().to_string(), str::to_owned)
}

/// Short, and safe in a log line, a header and a shell.
fn usable(id: &str) -> bool {
    (1..=MAX_REQUEST_ID_BYTES).contains(&id.len())
        && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte))
}

/// Unknown methods share one series.
fn method_label(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::DELETE => "DELETE",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unusable_request_id_is_replaced() {
        let with = |id: &str| {
            let value = id.parse().expect("a header value");
            request_id(&HeaderMap::from_iter([(
                axum::http::HeaderName::from_static(REQUEST_ID_HEADER),
                value,
            )]))
        };
        assert_eq!(with("trace-1.a:b_c"), "trace-1.a:b_c");
        for unusable in ["", "a b", "<script>", &"x".repeat(65)] {
            assert!(with(unusable).parse::<Uuid>().is_ok(), "{unusable}");
        }
        assert_ne!(request_id(&HeaderMap::new()), request_id(&HeaderMap::new()));
    }
}

//! The only error of the API: `application/problem+json` (RFC 9457) with a stable `code`.
//!
//! Guarantees: `detail` is written for the caller; `cause` is logged once by the gate and never sent.
//! Handlers return a [`Problem`]. The gate (`gate.rs`) renders it, because only the gate knows the
//! request id. Nothing else in this crate writes an error response.

use std::sync::Arc;
use std::time::Duration;

use axum::http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use isobar_broker::BrokerError;
use isobar_producer::disk;
use isobar_store::StoreError;
use serde::Serialize;
use utoipa::ToSchema;

/// How long a caller should wait for a store or broker that does not answer.
const DEPENDENCY_PAUSE: Duration = Duration::from_secs(5);
/// The same for a disk, which a person must clear.
const DISK_PAUSE: Duration = Duration::from_mins(1);

/// An error, for the caller and for the log.
#[derive(Clone, Debug)]
pub struct Problem {
    pub status: StatusCode,
    pub code: &'static str,
    pub detail: String,
    pub errors: Vec<FieldError>,
    pub retry_after: Option<Duration>,
    /// Logged, never sent.
    pub cause: Option<Arc<anyhow::Error>>,
}

/// An error in one part of the input.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct FieldError {
    /// The parameter or field as a JSON pointer, for example `/limit`.
    pub pointer: String,
    pub detail: String,
}

/// The body as it is sent.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Problem)]
pub struct ProblemBody<'a> {
    pub r#type: &'static str,
    pub title: &'static str,
    pub status: u16,
    pub detail: &'a str,
    pub code: &'a str,
    pub request_id: &'a str,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub errors: &'a [FieldError],
}

impl Problem {
    pub fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        Self {
            status,
            code,
            detail: detail.into(),
            errors: Vec::new(),
            retry_after: None,
            cause: None,
        }
    }

    /// An invalid query parameter: 400.
    pub fn parameter(name: &str, detail: impl Into<String>) -> Self {
        Self::field(StatusCode::BAD_REQUEST, "invalid_parameter", name, detail)
    }

    /// A well-formed body with an invalid value: 422.
    pub fn body(name: &str, detail: impl Into<String>) -> Self {
        Self::field(StatusCode::UNPROCESSABLE_ENTITY, "unprocessable", name, detail)
    }

    /// A body that does not parse: 400.
    pub fn malformed(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_body", detail)
    }

    pub fn unauthorized(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "unauthorized", detail)
    }

    pub fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", detail)
    }

    pub fn too_large(limit: impl std::fmt::Display) -> Self {
        let detail = format!("the body is larger than {limit}");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "payload_too_large", detail)
    }

    pub fn rate_limited(retry_after: Duration) -> Self {
        let detail = "rate limit exceeded (ISOBAR_RATE_LIMIT)";
        Self {
            retry_after: Some(retry_after),
            ..Self::new(StatusCode::TOO_MANY_REQUESTS, "rate_limited", detail)
        }
    }

    pub fn too_many_guesses(retry_after: Duration) -> Self {
        let detail = "too many wrong keys from this address; wait, then send the right one";
        Self {
            retry_after: Some(retry_after),
            ..Self::new(StatusCode::TOO_MANY_REQUESTS, "too_many_guesses", detail)
        }
    }

    pub fn unavailable(
        code: &'static str,
        detail: impl Into<String>,
        retry_after: Duration,
    ) -> Self {
        Self {
            retry_after: Some(retry_after),
            ..Self::new(StatusCode::SERVICE_UNAVAILABLE, code, detail)
        }
    }

    /// An internal error, or an unexpected one of a dependency: 500. The log has the cause.
    pub fn internal(cause: impl Into<anyhow::Error>) -> Self {
        let detail = "internal error; the server log has the cause under this request_id";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", detail).with_cause(cause)
    }

    /// The disk of the server has no room: 503.
    pub fn disk_full(cause: impl Into<anyhow::Error>) -> Self {
        let detail =
            "the disk of the server is full; nothing was changed, try again when it has room";
        Self::unavailable("disk_full", detail, DISK_PAUSE).with_cause(cause)
    }

    #[must_use]
    pub fn with_cause(mut self, cause: impl Into<anyhow::Error>) -> Self {
        self.cause = Some(Arc::new(cause.into()));
        self
    }

    fn field(
        status: StatusCode,
        code: &'static str,
        name: &str,
        detail: impl Into<String>,
    ) -> Self {
        let detail = detail.into();
        let errors = vec![FieldError { pointer: format!("/{name}"), detail: detail.clone() }];
        Self { errors, ..Self::new(status, code, format!("{name}: {detail}")) }
    }

    /// The whole answer; the gate calls it with the request id.
    pub fn render(&self, request_id: &str) -> Response {
        let body = ProblemBody {
            r#type: "about:blank",
            title: self.status.canonical_reason().unwrap_or("Error"),
            status: self.status.as_u16(),
            detail: &self.detail,
            code: self.code,
            request_id,
            errors: &self.errors,
        };
        let body = serde_json::to_vec(&body).expect("a problem is plain data");
        let mut response = (self.status, body).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(pause) = self.retry_after {
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds_up(pause)));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

/// Carries the problem to the gate, which renders it.
impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        Arc::new(error).into()
    }
}

/// An error that concurrent callers share.
impl From<Arc<StoreError>> for Problem {
    fn from(error: Arc<StoreError>) -> Self {
        if disk::is_full(&*error) {
            Self::disk_full(error)
        } else if error.is_transient() {
            let detail = "store unavailable; nothing was changed, try again";
            Self::unavailable("store_unavailable", detail, DEPENDENCY_PAUSE).with_cause(error)
        } else {
            Self::internal(error)
        }
    }
}

impl From<BrokerError> for Problem {
    fn from(error: BrokerError) -> Self {
        if disk::is_full(&error) {
            Self::disk_full(error)
        } else if error.is_transient() {
            let detail = "broker unavailable; nothing was changed, try again";
            Self::unavailable("broker_unavailable", detail, DEPENDENCY_PAUSE).with_cause(error)
        } else {
            Self::internal(error)
        }
    }
}

/// Whole seconds, rounded up, at least 1.
pub fn seconds_up(pause: Duration) -> u64 {
    (pause.as_millis().div_ceil(1000) as u64).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_caller_never_sees_the_cause() {
        let problem = Problem::internal(anyhow::anyhow!("password=hunter2"));
        let body = ProblemBody {
            r#type: "about:blank",
            title: "Internal Server Error",
            status: 500,
            detail: &problem.detail,
            code: problem.code,
            request_id: "r-1",
            errors: &problem.errors,
        };
        let text = serde_json::to_string(&body).expect("serialises");
        assert!(!text.contains("hunter2") && text.contains("\"request_id\":\"r-1\""));
        assert!(!text.contains("errors"));
    }

    #[test]
    fn a_pause_is_rounded_up_to_whole_seconds() {
        assert_eq!(seconds_up(Duration::ZERO), 1);
        assert_eq!(seconds_up(Duration::from_millis(1_001)), 2);
        let problem = Problem::unavailable("x", "y", Duration::from_secs(3));
        assert_eq!(problem.render("r").headers()[RETRY_AFTER], "3");
    }
}

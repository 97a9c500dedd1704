//! The selection of replay and discard: `code`, `job_id` and `id`, from the query or a JSON body.
//!
//! Guarantees: a request without a filter selects all dead letters, but never by accident. A
//! misspelt name, an empty value or a value of another type is refused, unlike in other routes,
//! because discarding cannot be undone.

use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use isobar_model::ids::JobId;
use isobar_store::DeadLetterFilter;
use serde::Deserialize;
use serde_json::{Map, Value};
use tokio::time::timeout;
use utoipa::{IntoParams, ToSchema};

use crate::http::problem::Problem;

/// How long a client may take to send the body.
const BODY_LIMIT: Duration = Duration::from_secs(10);

/// The filters as the document describes them; query and body have the same names.
#[derive(Deserialize, IntoParams, ToSchema)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "only the document reads its fields")]
pub struct DeadSelection {
    /// Filter by error code.
    #[schema(nullable = false, min_length = 1)]
    #[param(nullable = false, min_length = 1)]
    code: Option<String>,
    /// Filter by job.
    #[schema(nullable = false)]
    #[param(nullable = false)]
    job_id: Option<uuid::Uuid>,
    /// One dead letter.
    #[schema(nullable = false)]
    #[param(nullable = false)]
    id: Option<i64>,
    /// Count and change nothing.
    #[schema(nullable = false, default = false)]
    #[param(nullable = false, default = false)]
    dry_run: Option<bool>,
}

#[derive(Debug, Default, PartialEq, Eq)]
pub struct Selection {
    pub filter: DeadLetterFilter,
    pub dry_run: bool,
}

/// Where a value was sent, which decides how it is refused.
#[derive(Clone, Copy)]
enum ValueSource {
    Query,
    Body,
}

impl<S: Send + Sync> FromRequest<S> for Selection {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let query = request.uri().query().unwrap_or_default().to_owned();
        let kind = request.headers().get(CONTENT_TYPE).cloned();
        let body =
            timeout(BODY_LIMIT, Bytes::from_request(request, state)).await.map_err(|_| {
                let detail = "the request body timed out; nothing was changed";
                Problem::new(StatusCode::REQUEST_TIMEOUT, "request_timeout", detail)
            })?;
        let body = body.map_err(|refused| {
            if refused.status() == StatusCode::PAYLOAD_TOO_LARGE {
                Problem::too_large("this server accepts")
            } else {
                Problem::malformed(refused.body_text())
            }
        })?;
        let is_json = kind.is_none_or(|kind| {
            let essence = kind.as_bytes().split(|byte| *byte == b';').next().unwrap_or_default();
            essence.trim_ascii().eq_ignore_ascii_case(b"application/json")
        });
        if !body.is_empty() && !is_json {
            let detail = "name the dead letters in the query or in a JSON body";
            return Err(Problem::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "unsupported_media_type",
                detail,
            ));
        }
        Self::read(&query, &body)
    }
}

impl Selection {
    fn read(query: &str, body: &[u8]) -> Result<Self, Problem> {
        let mut values = Map::new();
        for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
            add(&mut values, ValueSource::Query, &name, typed(&name, value.trim()))?;
        }
        let mut selection = Self::default();
        for (name, value) in &values {
            selection.take(ValueSource::Query, name, value)?;
        }
        if body.is_empty() {
            return Ok(selection);
        }
        let given: Value = serde_json::from_slice(body)
            .map_err(|error| Problem::malformed(format!("not valid JSON: {error}")))?;
        let Value::Object(given) = given else {
            return Err(Problem::body("", "must be a JSON object"));
        };
        for (name, value) in given {
            selection.take(ValueSource::Body, &name, &value)?;
            add(&mut values, ValueSource::Body, &name, value)?;
        }
        Ok(selection)
    }

    fn take(&mut self, from: ValueSource, name: &str, value: &Value) -> Result<(), Problem> {
        let invalid = |expected: &str| Err(from.refuse(name, format!("must be {expected}")));
        match (name, value) {
            ("code", Value::String(code)) if !code.trim().is_empty() => {
                self.filter.code = Some(code.trim().to_owned());
            }
            ("code", _) => return invalid("a non-empty string"),
            ("job_id", Value::String(id)) if id.parse::<JobId>().is_ok() => {
                self.filter.job_id = id.parse().ok();
            }
            ("job_id", _) => return invalid("a job id (UUID)"),
            ("id", Value::Number(id)) if id.as_i64().is_some() => self.filter.id = id.as_i64(),
            ("id", _) => return invalid("a dead letter id"),
            ("dry_run", Value::Bool(dry_run)) => self.dry_run = *dry_run,
            ("dry_run", _) => return invalid("true or false"),
            _ => {
                let detail = "unknown filter; known: code, job_id, id, dry_run";
                return Err(from.refuse(name, detail));
            }
        }
        Ok(())
    }
}

impl ValueSource {
    fn refuse(self, name: &str, detail: impl Into<String>) -> Problem {
        match self {
            Self::Query => Problem::parameter(name, detail),
            Self::Body => Problem::body(name, detail),
        }
    }
}

/// A query has only strings. A string that is not a number or flag stays one and is refused later.
fn typed(name: &str, text: &str) -> Value {
    match name {
        "id" => text.parse::<i64>().map_or_else(|_| text.into(), Value::from),
        "dry_run" => text.parse::<bool>().map_or_else(|_| text.into(), Value::from),
        _ => text.into(),
    }
}

fn add(
    values: &mut Map<String, Value>,
    from: ValueSource,
    name: &str,
    value: Value,
) -> Result<(), Problem> {
    match values.insert(name.to_owned(), value) {
        None => Ok(()),
        Some(_) => Err(from.refuse(name, "named twice")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const JOB: &str = "6fa1c1f0-52c4-4c39-9a55-0000000000aa";

    #[test]
    fn query_and_body_have_the_same_filters() {
        let whole = Selection {
            filter: DeadLetterFilter {
                code: Some("crash_loop".into()),
                job_id: JOB.parse().ok(),
                id: Some(7),
            },
            dry_run: true,
        };
        let query = format!("code=crash_loop&job_id={JOB}&id=7&dry_run=true");
        assert_eq!(Selection::read(&query, b"").expect("valid"), whole);
        let body = format!(r#"{{"code":"crash_loop","job_id":"{JOB}","id":7,"dry_run":true}}"#);
        assert_eq!(Selection::read("", body.as_bytes()).expect("valid"), whole);
        let half = format!(r#"{{"job_id":"{JOB}","id":7}}"#);
        let both = Selection::read("code=crash_loop&dry_run=true", half.as_bytes());
        assert_eq!(both.expect("valid"), whole);
        for all in [&b""[..], b"{}"] {
            assert_eq!(Selection::read("", all).expect("valid"), Selection::default());
        }
    }

    #[test]
    fn an_invalid_filter_never_selects_all() {
        for query in [
            "codes=x",
            "code=",
            "job_id=",
            "job_id=7",
            "id=x",
            "id=",
            "dry_run=",
            "dry_run=1",
            "all",
            "code=a&code=b",
        ] {
            let problem = Selection::read(query, b"").expect_err(query);
            assert_eq!(
                (problem.status, problem.code),
                (StatusCode::BAD_REQUEST, "invalid_parameter")
            );
        }
        for body in [
            r#"{"codes":"x"}"#,
            r#"{"code":""}"#,
            r#"{"code":null}"#,
            r#"{"code":7}"#,
            r#"{"job_id":"x"}"#,
            r#"{"job_id":null}"#,
            r#"{"id":"7"}"#,
            r#"{"id":1.5}"#,
            r#"{"id":null}"#,
            r#"{"dry_run":"true"}"#,
            r#"{"dry_run":1}"#,
            "[]",
            "null",
            "\"x\"",
        ] {
            let problem = Selection::read("", body.as_bytes()).expect_err(body);
            assert_eq!(problem.status, StatusCode::UNPROCESSABLE_ENTITY, "{body}");
        }
        let twice = Selection::read("code=a", br#"{"code":"b"}"#).expect_err("twice");
        assert_eq!(twice.status, StatusCode::UNPROCESSABLE_ENTITY);
        assert_eq!(
            Selection::read("", b"{").expect_err("not JSON").status,
            StatusCode::BAD_REQUEST
        );
    }
}

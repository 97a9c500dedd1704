//! Which dead letters a request means: `code`, `job_id` and `id`, from the query or from a JSON body.
//!
//! What is not named restricts nothing, so a request without any means all. It is never meant by
//! accident: a name that is misspelt, a value that is empty or of another type is refused, here
//! alone of all routes, because what these requests throw away is not got back.

use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use isobar_model::ids::JobId;
use isobar_store::DeadFilter;
use serde::Deserialize;
use serde_json::{Map, Value};
use tokio::time::timeout;
use utoipa::{IntoParams, ToSchema};

use crate::http::problem::Problem;

/// How long a client may take for its few bytes.
const BODY_WAIT: Duration = Duration::from_secs(10);

/// The same names in the query and in the body; for the document, they are read one by one.
#[derive(Deserialize, IntoParams, ToSchema)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "its fields are what the document says of them")]
pub struct DeadSelection {
    /// Only those of this code.
    #[schema(nullable = false, min_length = 1)]
    #[param(nullable = false, min_length = 1)]
    code: Option<String>,
    /// Only those of this job.
    #[schema(nullable = false)]
    #[param(nullable = false)]
    job_id: Option<uuid::Uuid>,
    /// Only this one.
    #[schema(nullable = false)]
    #[param(nullable = false)]
    id: Option<i64>,
    /// Count, and change nothing.
    #[schema(nullable = false, default = false)]
    #[param(nullable = false, default = false)]
    dry_run: Option<bool>,
}

/// What was asked for.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Selection {
    pub filter: DeadFilter,
    pub dry_run: bool,
}

/// Where a value stood, and so how it is refused.
#[derive(Clone, Copy)]
enum Place {
    Query,
    Body,
}

impl<S: Send + Sync> FromRequest<S> for Selection {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let query = request.uri().query().unwrap_or_default().to_owned();
        let kind = request.headers().get(CONTENT_TYPE).cloned();
        let body = timeout(BODY_WAIT, Bytes::from_request(request, state)).await.map_err(|_| {
            let detail = "the body stopped coming; nothing was changed";
            Problem::new(StatusCode::REQUEST_TIMEOUT, "request_timeout", detail)
        })?;
        let body = body.map_err(|refused| {
            if refused.status() == StatusCode::PAYLOAD_TOO_LARGE {
                Problem::too_large("this server takes")
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
        Self::of(&query, &body)
    }
}

impl Selection {
    fn of(query: &str, body: &[u8]) -> Result<Self, Problem> {
        let mut named = Map::new();
        for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
            add(&mut named, Place::Query, &name, typed(&name, value.trim()))?;
        }
        let mut selection = Self::default();
        for (name, value) in &named {
            selection.take(Place::Query, name, value)?;
        }
        if body.is_empty() {
            return Ok(selection);
        }
        let given: Value = serde_json::from_slice(body)
            .map_err(|error| Problem::malformed(format!("this is no JSON: {error}")))?;
        let Value::Object(given) = given else {
            return Err(Problem::body("", "it must be an object"));
        };
        for (name, value) in given {
            selection.take(Place::Body, &name, &value)?;
            add(&mut named, Place::Body, &name, value)?;
        }
        Ok(selection)
    }

    fn take(&mut self, place: Place, name: &str, value: &Value) -> Result<(), Problem> {
        let wrong = |what: &str| Err(place.refuse(name, format!("it must be {what}")));
        match (name, value) {
            ("code", Value::String(code)) if !code.trim().is_empty() => {
                self.filter.code = Some(code.trim().to_owned());
            }
            ("code", _) => return wrong("a text that is not empty"),
            ("job_id", Value::String(id)) if id.parse::<JobId>().is_ok() => {
                self.filter.job_id = id.parse().ok();
            }
            ("job_id", _) => return wrong("the id of a job"),
            ("id", Value::Number(id)) if id.as_i64().is_some() => self.filter.id = id.as_i64(),
            ("id", _) => return wrong("the number of a dead letter"),
            ("dry_run", Value::Bool(dry_run)) => self.dry_run = *dry_run,
            ("dry_run", _) => return wrong("true or false"),
            _ => {
                let known = "there is no such filter; code, job_id, id and dry_run are known";
                return Err(place.refuse(name, known));
            }
        }
        Ok(())
    }
}

impl Place {
    fn refuse(self, name: &str, detail: impl Into<String>) -> Problem {
        match self {
            Self::Query => Problem::parameter(name, detail),
            Self::Body => Problem::body(name, detail),
        }
    }
}

/// A query knows texts alone; what is no number or flag stays a text and is refused as one.
fn typed(name: &str, text: &str) -> Value {
    match name {
        "id" => text.parse::<i64>().map_or_else(|_| text.into(), Value::from),
        "dry_run" => text.parse::<bool>().map_or_else(|_| text.into(), Value::from),
        _ => text.into(),
    }
}

fn add(
    named: &mut Map<String, Value>,
    place: Place,
    name: &str,
    value: Value,
) -> Result<(), Problem> {
    match named.insert(name.to_owned(), value) {
        None => Ok(()),
        Some(_) => Err(place.refuse(name, "say it once")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const JOB: &str = "6fa1c1f0-52c4-4c39-9a55-0000000000aa";

    #[test]
    fn query_and_body_name_the_same_things() {
        let whole = Selection {
            filter: DeadFilter {
                code: Some("crash_loop".into()),
                job_id: JOB.parse().ok(),
                id: Some(7),
            },
            dry_run: true,
        };
        let query = format!("code=crash_loop&job_id={JOB}&id=7&dry_run=true");
        assert_eq!(Selection::of(&query, b"").expect("fits"), whole);
        let body = format!(r#"{{"code":"crash_loop","job_id":"{JOB}","id":7,"dry_run":true}}"#);
        assert_eq!(Selection::of("", body.as_bytes()).expect("fits"), whole);
        let half = format!(r#"{{"job_id":"{JOB}","id":7}}"#);
        let both = Selection::of("code=crash_loop&dry_run=true", half.as_bytes());
        assert_eq!(both.expect("fits"), whole);
        for all in [&b""[..], b"{}"] {
            assert_eq!(Selection::of("", all).expect("fits"), Selection::default());
        }
    }

    #[test]
    fn what_is_misspelt_empty_or_of_another_type_never_means_all() {
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
            let problem = Selection::of(query, b"").expect_err(query);
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
            let problem = Selection::of("", body.as_bytes()).expect_err(body);
            assert_eq!(problem.status, StatusCode::UNPROCESSABLE_ENTITY, "{body}");
        }
        let twice = Selection::of("code=a", br#"{"code":"b"}"#).expect_err("twice");
        assert_eq!(twice.status, StatusCode::UNPROCESSABLE_ENTITY);
        assert_eq!(Selection::of("", b"{").expect_err("no JSON").status, StatusCode::BAD_REQUEST);
    }
}

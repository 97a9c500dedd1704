//! Dead letters as operators see them: one with its payload, and groups of one error code.
//!
//! Guarantees: the payload is lossless: text where it is UTF-8, Base64 where it is not.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Utc};
use isobar_model::ids::{CityId, JobId, TaskId};
use isobar_store::{DeadLetter, DeadLetterGroup};
use serde::Serialize;
use utoipa::ToSchema;

#[derive(Debug, Serialize, ToSchema)]
pub struct DeadLetterView {
    pub id: i64,
    /// `null` if the entry could not be decoded so far.
    #[schema(value_type = Option<String>, format = Uuid)]
    pub task_id: Option<TaskId>,
    #[schema(value_type = Option<String>, format = Uuid)]
    pub job_id: Option<JobId>,
    #[schema(value_type = Option<i64>)]
    pub city_id: Option<CityId>,
    pub code: String,
    pub reason: String,
    /// The entry as received; `null` if it is not UTF-8.
    pub payload: Option<String>,
    /// The bytes of an entry that is not UTF-8.
    pub payload_base64: Option<String>,
    pub deliveries: u32,
    pub attempts: u32,
    pub first_seen: DateTime<Utc>,
    pub last_seen: DateTime<Utc>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct DeadGroupItem {
    pub code: String,
    pub count: u64,
    /// One of the reasons.
    pub sample: String,
    pub oldest: DateTime<Utc>,
    pub newest: DateTime<Utc>,
}

impl From<DeadLetter> for DeadLetterView {
    fn from(letter: DeadLetter) -> Self {
        let (payload, payload_base64) = match String::from_utf8(letter.payload) {
            Ok(text) => (Some(text), None),
            Err(bytes) => (None, Some(STANDARD.encode(bytes.as_bytes()))),
        };
        Self {
            id: letter.id,
            task_id: letter.task_id,
            job_id: letter.job_id,
            city_id: letter.city_id,
            code: letter.code,
            reason: letter.reason,
            payload,
            payload_base64,
            deliveries: letter.deliveries,
            attempts: letter.attempts,
            first_seen: letter.first_seen,
            last_seen: letter.last_seen,
        }
    }
}

impl From<DeadLetterGroup> for DeadGroupItem {
    fn from(group: DeadLetterGroup) -> Self {
        Self {
            code: group.code,
            count: group.count,
            sample: group.sample,
            oldest: group.oldest,
            newest: group.newest,
        }
    }
}

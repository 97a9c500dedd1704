//! Control messages, which travel beside the tasks: a job's open, its rejects and its seal.
//!
//! Guarantees: they may arrive in any order, and each more than once. A kind that this version does
//! not know is `None`, so the entry can wait for a newer worker.

use serde::{Deserialize, Serialize};

use super::fields::{DecodeError, Fields, text};
use super::job::{JobOpen, JobSeal};
use crate::ids::{JobId, TaskId};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum ControlMessage {
    Open(JobOpen),
    Reject(Reject),
    Seal(JobSeal),
}

/// A source row that could not become a task.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Reject {
    pub job_id: JobId,
    pub task_id: TaskId,
    pub row: u64,
    pub code: String,
    pub reason: String,
    /// The city's name in the row, where it can be shown.
    pub city: Option<String>,
    /// Absent in messages of older producers, and for sources that are not files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub record: Option<Box<SourceRecord>>,
}

/// A rejected row as its file has it, to be corrected and imported again.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SourceRecord {
    /// The line in which it begins, from 1; `None` in a job that an older version began.
    pub line: Option<u64>,
    /// The text for which it was rejected.
    pub value: Option<String>,
    /// All fields. None if the record is too long to be kept.
    pub fields: Vec<String>,
    /// The fields that a task has, with their positions.
    pub known: Vec<(String, usize)>,
    /// The number of columns of the header; fields beyond belong to no column.
    pub width: Option<usize>,
}

impl SourceRecord {
    /// A field by the name that it has in a task.
    pub fn field(&self, name: &str) -> Option<&str> {
        let (_, at) = self.known.iter().find(|(known, _)| known == name)?;
        self.fields.get(*at).map(String::as_str)
    }

    /// The fields that no column of the header has.
    pub fn surplus(&self) -> &[String] {
        self.width.and_then(|width| self.fields.get(width..)).unwrap_or_default()
    }
}

impl ControlMessage {
    /// The kinds that this version knows.
    pub const KINDS: [&str; 3] = ["open", "reject", "seal"];

    pub fn job_id(&self) -> JobId {
        match self {
            Self::Open(open) => open.job_id,
            Self::Reject(reject) => reject.job_id,
            Self::Seal(seal) => seal.job_id,
        }
    }

    /// `Ok(None)` is a kind that this version does not know.
    pub fn from_fields(fields: &Fields) -> Result<Option<Self>, DecodeError> {
        let kind = text(fields, "kind")?.ok_or_else(|| DecodeError::new("kind is missing"))?;
        if !Self::KINDS.contains(&kind) {
            return Ok(None);
        }
        let body = fields.get("body").ok_or_else(|| DecodeError::new("body is missing"))?;
        serde_json::from_slice(body)
            .map(Some)
            .map_err(|error| DecodeError::new(format!("a {kind} message does not parse: {error}")))
    }

    pub fn to_wire(&self) -> Vec<(&'static str, String)> {
        let kind = match self {
            Self::Open(_) => "open",
            Self::Reject(_) => "reject",
            Self::Seal(_) => "seal",
        };
        let body = serde_json::to_string(self).expect("control messages are plain data");
        vec![("kind", kind.to_owned()), ("job_id", self.job_id().to_string()), ("body", body)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::{JobError, SealOutcome};

    fn fields(wire: &[(&str, String)]) -> Fields {
        Fields(wire.iter().map(|(k, v)| (k.as_bytes().to_vec(), v.as_bytes().to_vec())).collect())
    }

    #[test]
    fn a_control_message_survives_the_wire() {
        let seal = ControlMessage::Seal(JobSeal {
            job_id: JobId::derive("a", "b"),
            rows: 10,
            rejected: 1,
            duplicates: 2,
            outcome: SealOutcome::Failed,
            error: Some(JobError::new("file_missing", "the file is missing")),
        });
        assert_eq!(ControlMessage::from_fields(&fields(&seal.to_wire())), Ok(Some(seal)));
    }

    #[test]
    fn a_seal_of_an_earlier_version_is_read() {
        let job_id = JobId::derive("a", "b");
        let body = format!(
            r#"{{"kind":"seal","job_id":"{job_id}","rows":3,"rejected":0,"duplicates":0,"outcome":"failed"}}"#
        );
        let read = ControlMessage::from_fields(&fields(&[("kind", "seal".into()), ("body", body)]));
        let Ok(Some(ControlMessage::Seal(seal))) = read else { panic!("{read:?}") };
        assert_eq!((seal.rows, seal.error), (3, None));
    }

    #[test]
    fn a_newer_kind_is_not_an_error() {
        let newer = fields(&[("kind", "from-the-future".to_owned())]);
        assert_eq!(ControlMessage::from_fields(&newer), Ok(None));
    }
}

//! The header of a task: what every task has, whatever its pipeline.

use super::fields::{DecodeError, Fields, number, parsed, text};
use crate::ids::{JobId, TaskId};

#[derive(Clone, Debug, PartialEq)]
pub struct TaskHeader {
    pub task_id: TaskId,
    /// Only tasks of Isobar's own producers belong to a job; other tasks are stored without
    /// counting.
    pub job_id: Option<JobId>,
    /// The source row, from 1.
    pub row: Option<u64>,
    /// The number of its batch.
    pub batch: Option<u64>,
    /// 1 for the first run; a retry of a failed row publishes it with the next number.
    pub try_number: u32,
    /// Fetch even if the snapshot is still current.
    pub force: bool,
}

impl TaskHeader {
    pub fn from_fields(fields: &Fields) -> Result<Self, DecodeError> {
        Ok(Self {
            task_id: parsed(fields, "task_id", "UUID")?
                .ok_or_else(|| DecodeError::new("task_id is missing"))?,
            job_id: parsed(fields, "job_id", "UUID")?,
            row: number(fields, "row")?,
            batch: number(fields, "batch")?,
            try_number: number(fields, "try")?.unwrap_or(1),
            force: matches!(text(fields, "force")?, Some("1" | "true" | "True" | "TRUE")),
        })
    }

    /// Adds all header fields except `task_id`, which comes first in a wire form.
    pub(super) fn write_to(&self, wire: &mut Vec<(&'static str, String)>) {
        if let Some(id) = self.job_id {
            wire.push(("job_id", id.to_string()));
        }
        if let Some(row) = self.row {
            wire.push(("row", row.to_string()));
        }
        if let Some(batch) = self.batch {
            wire.push(("batch", batch.to_string()));
        }
        if self.try_number > 1 {
            wire.push(("try", self.try_number.to_string()));
        }
        if self.force {
            wire.push(("force", "1".to_owned()));
        }
    }
}

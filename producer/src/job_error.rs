//! The reason that a failed job carries, made from the error of its source.
//!
//! Guarantees: an upload is named as its sender named it. The path of its stored copy is not shown.
//! Next: [`extract`](crate::extract), which puts the reason into the seal.

use isobar_model::human::plural;
use isobar_model::task::{JobError, JobKind};
use isobar_telemetry::error_chain;

use crate::outbox::OutboxJob;
use crate::source::SourceError;

pub fn job_error(job: &OutboxJob, error: &SourceError) -> JobError {
    let upload = job.spec.path().filter(|_| job.kind == JobKind::Import);
    let code = match error {
        SourceError::Unusable { code, .. } => code,
        SourceError::Changed { .. } => "file_changed",
        SourceError::Unreadable { source, .. } if source.kind() == std::io::ErrorKind::NotFound => {
            "file_missing"
        }
        _ => "source_failed",
    };
    let Some(path) = upload else { return JobError::new(code, &error_chain(error)) };
    let what = match code {
        "file_changed" => "was truncated or changed",
        "file_missing" => "is missing",
        _ => {
            let reason = error_chain(error).replace(&path.display().to_string(), &job.source);
            return JobError::new(code, &reason);
        }
    };
    let rows = plural(job.rows, "row");
    let detail = format!(
        "the stored copy of {} {what}; {rows} of it had been read, the others were not; import the file again",
        job.source
    );
    JobError::new(code, &detail)
}

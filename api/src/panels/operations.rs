//! The audit log: the last operator actions with time, actor, action and subject.
//!
//! Next: `resources/operations.rs` (the complete log).

use askama::Template;
use isobar_store::Operation;

use super::format::TimeTag;
use super::snapshot::DashboardSnapshot;

#[derive(Template)]
#[template(path = "panels/operations.html")]
pub struct OperationsPanel {
    operations: Vec<OperationRow>,
}

struct OperationRow {
    at: TimeTag,
    actor: String,
    action: String,
    subject: String,
    detail: String,
}

impl OperationsPanel {
    pub fn from_snapshot(snapshot: &DashboardSnapshot) -> Self {
        let jobs = snapshot.jobs.value.as_deref().unwrap_or_default();
        // A recent job is shown by its source.
        let subject = |subject: &String| {
            let job = jobs.iter().find(|job| job.job_id.to_string() == *subject);
            job.map_or(subject, |job| &job.source).clone()
        };
        let row = |operation: &Operation| OperationRow {
            at: TimeTag::age(operation.at),
            actor: operation.actor.clone(),
            action: action_label(&operation.action),
            subject: operation.subject.as_ref().map(subject).unwrap_or_default(),
            detail: operation.detail.clone().unwrap_or_default(),
        };
        Self { operations: snapshot.operations.value.iter().flatten().map(row).collect() }
    }
}

/// An action of a newer version is shown as it is.
fn action_label(action: &str) -> String {
    let label = match action {
        "job.cancel" => "cancelled a job",
        "job.retry" => "retried a job",
        "job.pause" => "paused a job",
        "job.resume" => "resumed a job",
        "dead.replay" => "replayed dead letters",
        "dead.discard" => "discarded dead letters",
        "stream.pause" => "paused the workers",
        "stream.resume" => "resumed the workers",
        "breaker.reset" => "reset the breaker",
        "history.clear" => "cleared the history",
        other => other,
    };
    label.to_owned()
}

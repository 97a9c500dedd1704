//! What operators did last: who, what, to what, when.

use askama::Template;
use isobar_store::Operation;

use crate::panels::format::When;
use crate::panels::snapshot::Look;

#[derive(Template)]
#[template(path = "panels/operations.html")]
pub struct Operations {
    operations: Vec<Shown>,
}

struct Shown {
    at: When,
    actor: String,
    did: String,
    subject: String,
    detail: String,
}

impl Operations {
    pub fn of(look: &Look) -> Self {
        let jobs = look.jobs.value.as_deref().unwrap_or_default();
        // A job that is known is told by its source.
        let subject = |subject: &String| {
            let named = jobs.iter().find(|job| job.job_id.to_string() == *subject);
            named.map_or(subject, |job| &job.source).clone()
        };
        let shown = |operation: &Operation| Shown {
            at: When::age(operation.at),
            actor: operation.actor.clone(),
            did: words(&operation.action),
            subject: operation.subject.as_ref().map(subject).unwrap_or_default(),
            detail: operation.detail.clone().unwrap_or_default(),
        };
        Self { operations: look.operations.value.iter().flatten().map(shown).collect() }
    }
}

/// An action of a newer version is shown as it is.
fn words(action: &str) -> String {
    let words = match action {
        "job.cancel" => "cancelled a job",
        "job.retry" => "retried a job",
        "job.pause" => "paused a job",
        "job.resume" => "resumed a job",
        "dead.replay" => "replayed dead letters",
        "dead.discard" => "discarded dead letters",
        "stream.pause" => "paused reading",
        "stream.resume" => "resumed reading",
        "breaker.reset" => "reset the breaker",
        "history.clear" => "cleared the history",
        other => other,
    };
    words.to_owned()
}

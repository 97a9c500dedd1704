//! `isobar jobs retry ID`: publishes the failed rows of a job again.

use std::time::Duration;

use anyhow::bail;
use isobar_model::human::plural;
use isobar_model::ids::JobId;
use isobar_store::{NewOperation, OperatorAction};
use serde_json::json;

use super::unknown;
use crate::app::App;
use crate::exit::Exit;
use crate::operator::Operator;
use crate::republish::{self, RepublishReport};

pub async fn run(id: JobId, max_wait: Duration, app: &App) -> anyhow::Result<Exit> {
    app.stop_on_signals()?;
    let operator = Operator::open(app).await?;
    let store = &operator.context.store;
    let job = store.job(id).await?.ok_or_else(|| unknown(id))?;
    if job.status.skips_tasks() {
        bail!("job {id} was cancelled: its tasks would be skipped again");
    }
    let imports = operator.context.imports()?;
    store
        .record_operation(&NewOperation::now(operator.actor(), OperatorAction::JobRetry).about(&id))
        .await?;
    let retry = imports.retry(id).await?;
    let published_by =
        republish::publish_pending(&imports, &operator.context, max_wait, app).await?;
    let document = RepublishReport {
        request: json!({ "job_id": id, "retry_id": retry.retry_id, "tasks": retry.tasks }),
        done: published_by.clone(),
    };
    app.print(&document, || match retry.tasks {
        0 => format!("job {id} has no failed rows to retry"),
        tasks => {
            let rows = plural(tasks, "failed row");
            format!("retry {}: {rows}; {published_by}", retry.retry_id)
        }
    })?;
    Ok(Exit::Done)
}

//! `isobar jobs retry ID`: publishes the failed rows of a job again.

use std::time::Duration;

use anyhow::bail;
use isobar_model::human::plural;
use isobar_model::ids::JobId;
use isobar_store::{Action, NewOperation};
use serde_json::json;

use super::unknown;
use crate::app::App;
use crate::exit::Exit;
use crate::operator::Operator;
use crate::republish::{self, Again};

pub async fn run(id: JobId, max_wait: Duration, app: &App) -> anyhow::Result<Exit> {
    app.stop_on_signals()?;
    let operator = Operator::open(app).await?;
    let store = &operator.parts.store;
    let job = store.job(id).await?.ok_or_else(|| unknown(id))?;
    if job.status.skips_tasks() {
        bail!("job {id} was cancelled: its tasks would only be skipped again");
    }
    let imports = operator.parts.imports()?;
    store.record_operation(&NewOperation::now(operator.actor(), Action::JobRetry).on(&id)).await?;
    let retry = imports.retry(id).await?;
    let done = republish::work_off(&imports, &operator.parts, max_wait, app).await?;
    let document = Again {
        asked: json!({ "job_id": id, "retry_id": retry.retry_id, "tasks": retry.tasks }),
        done: done.clone(),
    };
    app.print(&document, || match retry.tasks {
        0 => format!("job {id} has no failed row that was a task"),
        tasks => {
            let rows = plural(tasks, "failed row");
            format!("retry {}: {rows}; {done}", retry.retry_id)
        }
    })?;
    Ok(Exit::Done)
}

//! `isobar jobs pause | resume ID`.

use anyhow::bail;
use isobar_broker::Flag;
use isobar_model::ids::JobId;
use serde_json::json;

use super::unknown;
use crate::app::App;
use crate::exit::Exit;
use crate::operator::Operator;

pub async fn pause(id: JobId, app: &App) -> anyhow::Result<Exit> {
    let operator = Operator::open(app).await?;
    let job = operator.context.store.job(id).await?.ok_or_else(|| unknown(id))?;
    if job.status.is_final() {
        bail!("job {id} has already ended: {}", job.status.as_str());
    }
    if job.status.skips_tasks() {
        bail!("job {id} is being cancelled; its remaining tasks are skipped");
    }
    let paused = operator.desk().set(&Flag::JobPaused(id)).await?;
    app.print(&json!({ "job_id": id, "paused": true, "by": paused.by, "at": paused.at }), || {
        format!("job {id} is paused by {paused}; resume it with `isobar jobs resume {id}`")
    })?;
    Ok(Exit::Done)
}

pub async fn resume(id: JobId, app: &App) -> anyhow::Result<Exit> {
    let operator = Operator::open(app).await?;
    operator.context.store.job(id).await?.ok_or_else(|| unknown(id))?;
    let was_paused = operator.desk().clear(&Flag::JobPaused(id)).await?;
    app.print(&json!({ "job_id": id, "paused": false, "was_paused": was_paused }), || {
        if was_paused { format!("job {id} resumed") } else { format!("job {id} was not paused") }
    })?;
    Ok(Exit::Done)
}

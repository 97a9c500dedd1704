//! `isobar resume`: resumes workers after `isobar pause`.

use isobar_broker::Flag;
use serde_json::json;

use crate::app::App;
use crate::exit::Exit;
use crate::operator::Operator;

#[derive(Debug, clap::Args)]
#[command(before_help = "Example: isobar resume")]
pub struct Args {}

pub async fn run(_: Args, app: &App) -> anyhow::Result<Exit> {
    let operator = Operator::open(app).await?;
    let was_paused = operator.desk().clear(&Flag::WorkersPaused).await?;
    app.print(&json!({ "paused": false, "was_paused": was_paused }), || {
        let text = if was_paused { "workers resumed" } else { "workers were not paused" };
        text.to_owned()
    })?;
    Ok(Exit::Done)
}

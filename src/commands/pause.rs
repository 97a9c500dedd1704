//! `isobar pause`: pauses all workers until `isobar resume`.

use isobar_broker::Flag;
use serde_json::json;

use crate::app::App;
use crate::exit::Exit;
use crate::operator::Operator;

#[derive(Debug, clap::Args)]
#[command(before_help = "Example: isobar pause")]
pub struct Args {}

pub async fn run(_: Args, app: &App) -> anyhow::Result<Exit> {
    let operator = Operator::open(app).await?;
    let paused = operator.desk().set(&Flag::WorkersPaused).await?;
    app.print(&json!({ "paused": true, "by": paused.by, "at": paused.at }), || {
        format!(
            "workers paused by {paused}; they finish what is in flight; resume them with `isobar resume`"
        )
    })?;
    Ok(Exit::Done)
}

//! `isobar pause`: no worker reads anything until `isobar resume`.

use isobar_broker::Switch;
use serde_json::json;

use crate::app::App;
use crate::exit::Exit;
use crate::operator::Operator;

#[derive(Debug, clap::Args)]
#[command(before_help = "Example: isobar pause")]
pub struct Args {}

pub async fn run(_: Args, app: &App) -> anyhow::Result<Exit> {
    let operator = Operator::open(app).await?;
    let thrown = operator.desk().throw(&Switch::Reading).await?;
    app.print(&json!({ "paused": true, "by": thrown.by, "at": thrown.at }), || {
        format!(
            "reading is paused by {thrown}; workers finish what they hold, `isobar resume` lets them go on"
        )
    })?;
    Ok(Exit::Done)
}

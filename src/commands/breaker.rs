//! `isobar breaker reset`: closes the circuit breakers of the weather service in every process.

use isobar_broker::Flag;
use serde_json::json;

use crate::app::App;
use crate::exit::Exit;
use crate::operator::Operator;

#[derive(Debug, clap::Args)]
#[command(before_help = "Example: isobar breaker reset")]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Reset the circuit breakers of the weather service and its geocoder
    #[command(before_help = "Example: isobar breaker reset")]
    Reset,
}

pub async fn run(args: Args, app: &App) -> anyhow::Result<Exit> {
    let Action::Reset = args.action;
    let operator = Operator::open(app).await?;
    let hosts = operator.context.upstream.hosts();
    for host in &hosts {
        operator.desk().set(&Flag::BreakerReset((*host).to_owned())).await?;
    }
    app.print(&json!({ "reset": hosts }), || {
        format!(
            "every process closes its circuit breaker of {} within a second",
            hosts.join(" and ")
        )
    })?;
    Ok(Exit::Done)
}

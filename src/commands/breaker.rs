//! `isobar breaker reset`: closes the circuit breakers of the weather service in every process, and
//! those of the sources on this host.

use isobar_broker::Flag;
use isobar_producer::source::reset_sources;
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
    /// Reset the circuit breakers of the weather service, its geocoder and the sources
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
    let sources = reset_sources(&operator.context.settings).await?;
    app.print(&json!({ "reset": hosts, "sources": sources }), || {
        let weather = format!(
            "every process closes its circuit breaker of {} within a second",
            hosts.join(" and ")
        );
        match &sources[..] {
            [] => weather,
            sources => format!(
                "{weather}\nthe producers of this host request {} again",
                sources.join(" and ")
            ),
        }
    })?;
    Ok(Exit::Done)
}

//! `isobar sim`: simulates all upstreams offline, with planned faults.

use std::time::Duration;

use isobar_model::duration::parse_duration;
use isobar_settings::values::ListenAddress;
use isobar_sim::{Options, Quota};

use crate::app::{App, warn_about_names};
use crate::exit::Exit;
use crate::health_server::bind;
use crate::progress;

#[derive(Debug, clap::Args)]
#[command(
    before_help = "Example: isobar sim --listen 127.0.0.1:8090 --latency 20ms --quota open-meteo"
)]
pub struct Args {
    #[arg(long, default_value = "127.0.0.1:8090", value_name = "ADDR")]
    listen: ListenAddress,
    /// Cities that the city service lists; those above 34,006 are invented
    #[arg(long, default_value_t = 34_006, value_name = "N")]
    cities: usize,
    /// Seed of the simulated weather
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Latency of each answer
    #[arg(long, default_value = "0ms", value_parser = parse_duration)]
    latency: Duration,
    /// Request limits: none, or those of the provider's free tier
    #[arg(long, value_enum, default_value_t = SimQuota::None)]
    quota: SimQuota,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum SimQuota {
    None,
    OpenMeteo,
}

pub async fn run(args: Args, app: &App) -> anyhow::Result<Exit> {
    warn_about_names();
    app.stop_on_signals()?;
    let listener = bind(args.listen.0).await?;
    let address = listener.local_addr()?;
    if !app.global.quiet {
        progress::print_status(&format!(
            "simulating on http://{address}: /cities/, /v1/forecast, /v1/air-quality, /v1/search, \
             /data/2.5/weather, /users, /dummyjson/users, /api/v2/addresses, /api/v2/credit_cards; faults and counters under /_sim/"
        ));
    }
    let quota = match args.quota {
        SimQuota::None => Quota::None,
        SimQuota::OpenMeteo => Quota::OpenMeteo,
    };
    let options = Options {
        cities: args.cities,
        seed: args.seed,
        latency: args.latency,
        quota,
        ..Options::default()
    };
    isobar_sim::serve(listener, options, app.shutdown.clone()).await?;
    Ok(Exit::Done)
}

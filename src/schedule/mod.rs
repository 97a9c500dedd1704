//! `isobar schedule`: built-in cron. Any number may run, on any hosts; each tick fires once.
//!
//! Who fires a tick is decided by the store, one row for each tick, and a tick is a slot, so that
//! even a run that is repeated is the same job. `isobar up` fires what is configured as well.
//!
//! [`watch`] waits for what is due and claims it, [`fire`] runs it and keeps the lease, [`list`]
//! only says what will come. When a tick is due is decided in `shared/src/schedule/`.

mod events;
mod fire;
mod list;
mod watch;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Once};
use std::time::Duration;

use chrono::{SecondsFormat, Utc};
use isobar_producer::run::Order;
use isobar_shared::config::Settings;
use isobar_shared::config::values::duration;
use isobar_shared::pipelines::PipelineName;
use isobar_shared::schedule::{SYNC, Schedule};
use isobar_shared::telemetry;
use tokio::sync::Mutex;
use uuid::Uuid;

use crate::app::App;
use crate::commands::consume::host_name;
use crate::context::Parts;
use crate::exit::{Exit, Stop};
use crate::health_server;
use crate::progress;
use crate::roles::Roles;

/// A scheduler that is silent for so long has lost its tick to the next one.
pub const LEASE: Duration = Duration::from_mins(1);
/// A shorter one would be lost to any pause of the machine.
const SHORTEST_LEASE: Duration = Duration::from_secs(1);
/// How long a tick's run waits for room in the stream, as that of `isobar produce`.
const MAX_WAIT: Duration = Duration::from_mins(10);
const NOTHING_SET: &str = "no schedule is set: give ISOBAR_SYNC_CRON or ISOBAR_USERS_CRON an expression, \
     for example `5 */3 * * *` or `@every 300s`";

#[derive(Debug, clap::Args)]
#[command(before_help = "Example: isobar schedule --list")]
pub struct Args {
    /// Print the next ticks of each schedule and end
    #[arg(long)]
    list: bool,
    /// After so long a silence of its scheduler another one takes a tick over
    #[arg(long, default_value = "60s", value_parser = lease, value_name = "DURATION")]
    lease: Duration,
    /// Answer /livez and /metrics here
    #[arg(long, value_name = "ADDR")]
    listen: Option<SocketAddr>,
}

/// One schedule, and all that it takes to fire it.
struct Post {
    schedule: Schedule,
    /// What every tick of it is, but for its slot.
    order: Order,
    /// Who we are to the other schedulers.
    owner: String,
    lease: Duration,
    parts: Parts,
    /// Runs of a process that share an outbox take turns.
    outbox: Arc<Mutex<()>>,
    /// That another scheduler goes by another expression is said once.
    strange: Once,
}

pub async fn run(args: Args, app: &App) -> anyhow::Result<Exit> {
    let settings = app.settings()?;
    let schedules = settings.schedules();
    if schedules.is_empty() {
        return Err(Stop::config(NOTHING_SET));
    }
    if args.list {
        return list::print(&schedules, app);
    }
    app.stop_on_signals()?;
    if let Some(address) = args.listen {
        health_server::check(address, &settings)?;
    }
    let parts = Parts::open(settings).await?;
    let mut roles = Roles::default();
    start(&mut roles, &parts, args.lease);
    if let Some(address) = args.listen {
        let listener = health_server::bind(address).await?;
        let (counted, upstream) = (parts.metrics.clone(), parts.upstream.clone());
        roles.start("the health page", |stop| {
            health_server::serve(listener, counted, upstream, stop)
        });
    }
    let counted = parts.metrics.clone();
    roles.start("the counters", |stop| async move {
        telemetry::tidy(counted, stop).await;
        Ok(())
    });
    roles.run_until(&app.shutdown).await?;
    Ok(Exit::Done)
}

/// Starts a role for each schedule that is set; that may be none.
pub fn start(roles: &mut Roles, parts: &Parts, lease: Duration) {
    let outboxes: HashMap<PipelineName, Arc<Mutex<()>>> =
        PipelineName::STREAMS.map(|pipeline| (pipeline, Arc::default())).into();
    let owner = format!("{}-{}", host_name(), Uuid::new_v4());
    for schedule in parts.settings.schedules() {
        if let Some(next) = schedule.next(Utc::now()) {
            let next = next.to_rfc3339_opts(SecondsFormat::Secs, true);
            progress::say(&format!(
                "schedule {} ({}, {}) fires next at {next}",
                schedule.name, schedule.expression, schedule.timezone
            ));
        }
        let order = order(&schedule, &parts.settings);
        let post = Post {
            outbox: Arc::clone(&outboxes[&order.spec.pipeline.stream()]),
            order,
            schedule,
            owner: owner.clone(),
            lease,
            parts: parts.clone(),
            strange: Once::new(),
        };
        roles.start("the schedule", |stop| async move {
            watch::watch(post, stop).await;
            Ok(())
        });
    }
}

/// What a schedule fires.
fn order(schedule: &Schedule, settings: &Settings) -> Order {
    match schedule.name {
        SYNC => Order::configured(settings, MAX_WAIT),
        // Named after what they produce.
        pipeline => {
            let pipeline = pipeline.parse().expect("there is no other schedule");
            Order::of(pipeline, settings, MAX_WAIT)
        }
    }
}

fn lease(text: &str) -> Result<Duration, String> {
    let lease = duration(text)?;
    if lease < SHORTEST_LEASE {
        return Err("it must be 1s at least".to_owned());
    }
    Ok(lease)
}

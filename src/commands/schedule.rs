//! `isobar schedule`: the built-in cron. `isobar up` runs what is configured as well.
//!
//! Does not: fire anything itself (see [`isobar_producer::scheduler`]); `--list` asks no server.

use std::time::Duration;

use chrono::{SecondsFormat, Utc};
use isobar_model::duration::parse_duration;
use isobar_model::schedule::Schedule;
use isobar_producer::scheduler::{LEASE, runners, watch};
use isobar_settings::values::ListenAddress;
use isobar_telemetry::host_name;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::app::App;
use crate::context::Context;
use crate::exit::{Exit, ExitError};
use crate::health_server;
use crate::progress;
use crate::roles::Roles;

/// A shorter lease would be lost in any pause of the machine.
const SHORTEST_LEASE: Duration = Duration::from_secs(1);
const NOTHING_SET: &str = "no schedule is set: set ISOBAR_SYNC_CRON or ISOBAR_USERS_CRON, \
     for example `5 */3 * * *` or `@every 300s`";

#[derive(Debug, clap::Args)]
#[command(before_help = "Example: isobar schedule --list")]
pub struct Args {
    /// Print upcoming ticks and exit
    #[arg(long)]
    list: bool,
    /// Another scheduler takes a tick over after this silence
    #[arg(long, default_value = "60s", value_parser = lease, value_name = "DURATION")]
    lease: Duration,
    /// Serve /livez and /metrics on this address
    #[arg(long, value_name = "ADDR")]
    listen: Option<ListenAddress>,
}

pub async fn run(args: Args, app: &App) -> anyhow::Result<Exit> {
    let settings = app.settings()?;
    let schedules = settings.schedules();
    if schedules.is_empty() {
        return Err(ExitError::config(NOTHING_SET));
    }
    if args.list {
        return print_ticks(&schedules, app);
    }
    app.stop_on_signals()?;
    if let Some(address) = args.listen {
        health_server::check(address.0, &settings)?;
    }
    let context = Context::open(settings).await?;
    context.check_broker().await?;
    let mut roles = Roles::default();
    start(&mut roles, &context, Some(args.lease));
    if let Some(address) = args.listen {
        let listener = health_server::bind(address.0).await?;
        let (recorder, upstream) = (context.metrics.clone(), context.upstream.clone());
        roles.start("the health page", |stop| {
            health_server::serve(listener, recorder, upstream, stop)
        });
    }
    let recorder = context.metrics.clone();
    roles.start("the counters", |stop| async move {
        isobar_telemetry::run_upkeep(recorder, stop).await;
        Ok(())
    });
    roles.run_until(&app.shutdown).await?;
    Ok(Exit::Done)
}

/// Starts a role for each schedule that is set; there may be none.
pub fn start(roles: &mut Roles, context: &Context, lease: Option<Duration>) {
    let owner = format!("{}-{}", host_name(), Uuid::new_v4());
    let lease = lease.unwrap_or(LEASE);
    for runner in runners(&context.settings, &context.broker, &context.store, &owner, lease) {
        let schedule = &runner.schedule;
        if let Some(next) = schedule.next(Utc::now()) {
            let next = next.to_rfc3339_opts(SecondsFormat::Secs, true);
            progress::print_status(&format!(
                "schedule {} ({}, {}) fires next at {next}",
                schedule.name, schedule.expression, schedule.timezone
            ));
        }
        roles.start("the schedule", |stop| async move {
            watch(runner, stop).await;
            Ok(())
        });
    }
}

fn lease(text: &str) -> Result<Duration, String> {
    let lease = parse_duration(text)?;
    if lease < SHORTEST_LEASE {
        return Err("must be at least 1s".to_owned());
    }
    Ok(lease)
}

/// Ticks shown for each schedule.
const NEXT: usize = 10;

fn print_ticks(schedules: &[Schedule], app: &App) -> anyhow::Result<Exit> {
    let now = Utc::now();
    let next = |schedule: &Schedule| {
        let ticks = std::iter::successors(schedule.next(now), |tick| schedule.next(*tick));
        ticks.take(NEXT).collect::<Vec<_>>()
    };
    let items: Vec<Value> = schedules
        .iter()
        .map(|schedule| {
            json!({
                "name": schedule.name,
                "expression": schedule.expression.to_string(),
                "timezone": schedule.timezone.name(),
                "misfire": schedule.misfire.to_string(),
                "overlap": schedule.overlap.to_string(),
                "next": next(schedule),
            })
        })
        .collect();
    app.print(&json!({ "items": items }), || {
        let mut lines = Vec::new();
        for schedule in schedules {
            lines.push(format!(
                "{}: {} in {}, misfire {}, overlap {}",
                schedule.name,
                schedule.expression,
                schedule.timezone,
                schedule.misfire,
                schedule.overlap
            ));
            lines.extend(next(schedule).into_iter().map(|tick| {
                let local = tick.with_timezone(&schedule.timezone);
                format!("  {}", local.to_rfc3339_opts(SecondsFormat::Secs, true))
            }));
        }
        lines.join("\n")
    })?;
    Ok(Exit::Done)
}

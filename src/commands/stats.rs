//! `isobar stats`: row counts by table, and backlog and jobs by pipeline.

use std::fmt::Write;

use isobar_admin::stats::{Stats, StatsInput};
use isobar_model::human::grouped;

use crate::app::App;
use crate::context::Context;
use crate::exit::Exit;

#[derive(Debug, clap::Args)]
#[command(before_help = "Example: isobar stats --json")]
pub struct Args {}

pub async fn run(_: Args, app: &App) -> anyhow::Result<Exit> {
    let context = Context::open_existing(app.settings()?).await?;
    let standing = StatsInput {
        totals: context.store.totals().await?,
        pipelines: context.store.pipeline_totals().await?,
        depths: context.broker.depths(&context.settings).await?,
    };
    let stats = Stats::of(&context.settings, &standing);
    app.print(&stats, || describe(&stats))?;
    Ok(Exit::Done)
}

fn describe(stats: &Stats) -> String {
    let mut text = String::new();
    let mut row = |name: &str, number: u64| {
        writeln!(text, "{name:<24} {:>14}", grouped(number))
            .expect("writing to a string never fails");
    };
    for (table, rows) in &stats.totals {
        row(table, *rows);
    }
    for (name, pipeline) in &stats.pipelines {
        row(&format!("{name} backlog"), pipeline.backlog);
        for (status, jobs) in &pipeline.jobs {
            row(&format!("{name} jobs {status}"), *jobs);
        }
    }
    text
}

//! `isobar stats`: how much there is in each table, and how each pipeline stands.

use std::fmt::Write;

use isobar_admin::stats::{Standing, Stats};
use isobar_producer::thousands;

use crate::app::App;
use crate::context::Parts;
use crate::exit::Exit;

#[derive(Debug, clap::Args)]
#[command(before_help = "Example: isobar stats --json")]
pub struct Args {}

pub async fn run(_: Args, app: &App) -> anyhow::Result<Exit> {
    let parts = Parts::open(app.settings()?).await?;
    let standing = Standing {
        totals: parts.store.totals().await?,
        pipelines: parts.store.pipeline_totals().await?,
        depths: parts.broker.depths(&parts.settings).await?,
    };
    let stats = Stats::of(&parts.settings, &standing);
    app.print(&stats, || describe(&stats))?;
    Ok(Exit::Done)
}

fn describe(stats: &Stats) -> String {
    let mut text = String::new();
    let mut row = |name: &str, number: u64| {
        writeln!(text, "{name:<24} {:>14}", thousands(number))
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

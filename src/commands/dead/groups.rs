//! `isobar dead groups`: dead letters by code, the most frequent first.

use isobar_admin::dead_letter_view::DeadGroupItem;
use isobar_model::human::grouped;
use isobar_model::ids::JobId;
use serde_json::json;

use crate::age::{age, seconds_since};
use crate::app::App;
use crate::context::Context;
use crate::exit::Exit;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Only of this job
    #[arg(long, value_name = "JOB_ID")]
    job: Option<JobId>,
}

pub async fn run(args: &Args, app: &App) -> anyhow::Result<Exit> {
    let context = Context::open_existing(app.settings()?).await?;
    let found = context.store.dead_letter_groups(args.job).await?;
    let groups: Vec<DeadGroupItem> = found.into_iter().map(DeadGroupItem::from).collect();
    app.print(&json!({ "items": groups }), || match groups.as_slice() {
        [] => "no dead letters".to_owned(),
        groups => groups.iter().map(line).collect::<Vec<_>>().join("\n"),
    })?;
    Ok(Exit::Done)
}

fn line(group: &DeadGroupItem) -> String {
    format!(
        "{:>8}  {}  newest {} ago, oldest {} ago, for example: {}",
        grouped(group.count),
        group.code,
        age(seconds_since(group.newest)),
        age(seconds_since(group.oldest)),
        group.sample
    )
}

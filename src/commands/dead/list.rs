//! `isobar dead list`: the newest dead letters.

use isobar_admin::dead_letter_view::DeadLetterView;
use isobar_store::DeadLetterFilter;
use serde_json::json;

use super::DeadLetterArgs;
use crate::age::{age, seconds_since};
use crate::app::App;
use crate::context::Context;
use crate::exit::Exit;

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    filter: DeadLetterArgs,
    /// Number of dead letters to show; `isobar dead export` writes all
    #[arg(long, default_value_t = 20, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=500))]
    limit: u32,
}

pub async fn run(args: &Args, app: &App) -> anyhow::Result<Exit> {
    let context = Context::open_existing(app.settings()?).await?;
    let found =
        context.store.dead_letters(&DeadLetterFilter::from(&args.filter), None, args.limit).await?;
    let items: Vec<DeadLetterView> = found.into_iter().map(DeadLetterView::from).collect();
    app.print(&json!({ "items": items }), || match items.as_slice() {
        [] => "no dead letters".to_owned(),
        items => items.iter().map(line).collect::<Vec<_>>().join("\n"),
    })?;
    Ok(Exit::Done)
}

fn line(item: &DeadLetterView) -> String {
    let city = item.city_id.map_or_else(|| "-".to_owned(), |id| id.to_string());
    format!(
        "{:>8}  {}  city {city}  {} ago  {}",
        item.id,
        item.code,
        age(seconds_since(item.last_seen)),
        item.reason
    )
}

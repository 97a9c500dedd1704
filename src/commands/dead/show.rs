//! `isobar dead show ID`: one dead letter with its payload.

use anyhow::Context as _;
use isobar_admin::dead_letter_view::DeadLetterView;
use isobar_store::DeadLetterFilter;

use crate::age::time;
use crate::app::App;
use crate::context::Context;
use crate::exit::Exit;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Its id, as `isobar dead list` shows it
    id: i64,
}

pub async fn run(args: &Args, app: &App) -> anyhow::Result<Exit> {
    let context = Context::open_existing(app.settings()?).await?;
    let filter = DeadLetterFilter { id: Some(args.id), ..DeadLetterFilter::default() };
    let found = context.store.dead_letters(&filter, None, 1).await?.pop();
    let letter = found.with_context(|| {
        format!("dead letter {} does not exist; `isobar dead list` shows the newest", args.id)
    })?;
    let item = DeadLetterView::from(letter);
    app.print(&item, || describe(&item))?;
    Ok(Exit::Done)
}

fn describe(item: &DeadLetterView) -> String {
    fn or_none(value: Option<impl ToString>) -> String {
        value.map_or_else(|| "-".to_owned(), |value| value.to_string())
    }
    let (what, payload) = match (&item.payload, &item.payload_base64) {
        (Some(text), _) => ("payload", text.as_str()),
        (None, bytes) => ("base64", bytes.as_deref().unwrap_or_default()),
    };
    [
        format!("letter      {}", item.id),
        format!("code        {}", item.code),
        format!("reason      {}", item.reason),
        format!("task        {}", or_none(item.task_id)),
        format!("job         {}", or_none(item.job_id)),
        format!("city        {}", or_none(item.city_id)),
        format!("deliveries  {}", item.deliveries),
        format!("attempts    {}", item.attempts),
        format!("first seen  {}", time(Some(item.first_seen))),
        format!("last seen   {}", time(Some(item.last_seen))),
        format!("{what:<10}  {payload}"),
    ]
    .join("\n")
}

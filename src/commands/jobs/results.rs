//! `isobar jobs results ID`: the result of each row, in row order.
//!
//! Guarantees: one page is in memory at a time, so a job of a million rows is written while it is
//! read. `--json` is one document.

use isobar_admin::job_view::JobErrorView;
use isobar_admin::row_view::RowView;
use isobar_model::ids::JobId;
use isobar_store::{LedgerCursor, RowStatus};

use super::unknown;
use crate::app::App;
use crate::context::Context;
use crate::exit::Exit;
use crate::list_output::{ListOutput, PAGE};

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    one: super::One,
    /// Only rows with this result: success, failed or skipped
    #[arg(long, value_parser = status)]
    status: Option<RowStatus>,
}

pub async fn run(args: &Args, app: &App) -> anyhow::Result<Exit> {
    let id: JobId = args.one.id;
    let context = Context::open_existing(app.settings()?).await?;
    let job = context.store.job(id).await?.ok_or_else(|| unknown(id))?;
    let mut items = ListOutput::begin(app)?;
    let mut after = None;
    loop {
        let rows = context.store.ledger(id, args.status, after, PAGE).await?;
        let Some(last) = rows.last() else { break };
        after = Some(LedgerCursor { row: last.row, task_id: last.task_id });
        for row in rows {
            let item = RowView::from(row);
            items.put(&item, || line(&item))?;
        }
    }
    let error = job.error().map(JobErrorView::from);
    let line = error.as_ref().map(|error| format!("the job failed: {}", error.detail));
    items.end("error", &error, line)?;
    Ok(Exit::Done)
}

fn status(text: &str) -> Result<RowStatus, String> {
    RowStatus::parse(text).ok_or_else(|| "expected success, failed or skipped".to_owned())
}

fn line(item: &RowView) -> String {
    let row = item.row.map_or_else(|| "-".to_owned(), |row| row.to_string());
    let city = match (&item.city, item.city_id) {
        (Some(city), _) => city.clone(),
        (None, Some(id)) => id.to_string(),
        (None, None) => "-".to_owned(),
    };
    let mut line = format!("{row:>9}  {:<7}  {city}", item.status.as_str());
    if let Some(code) = &item.error_code {
        line.push_str("  ");
        line.push_str(code);
    }
    if let Some(error) = &item.last_error {
        line.push_str(": ");
        line.push_str(error);
    }
    line
}

//! `isobar dead discard`: discards dead letters.

use isobar_model::human::plural;
use isobar_store::{NewOperation, OperatorAction};
use serde_json::json;

use super::DeadLetterSelection;
use crate::app::App;
use crate::exit::Exit;
use crate::operator::Operator;

pub async fn run(selection: DeadLetterSelection, app: &App) -> anyhow::Result<Exit> {
    let filter = selection.filter()?;
    let operator = Operator::open(app).await?;
    let store = &operator.context.store;
    let dry_run = selection.dry_run;
    let discarded = if dry_run {
        store.count_dead_letters(&filter).await?
    } else {
        let operation = NewOperation::now(operator.actor(), OperatorAction::DeadDiscard);
        store.record_operation(&operation.with_detail(filter.to_string())).await?;
        store.discard_dead_letters(&filter).await?
    };
    app.print(&json!({ "dry_run": dry_run, "discarded": discarded }), || {
        let letters = plural(discarded, "dead letter");
        if dry_run {
            format!("{letters} would be discarded; nothing was changed")
        } else {
            format!("{letters} discarded")
        }
    })?;
    Ok(Exit::Done)
}

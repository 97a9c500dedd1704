//! `isobar dead replay`: publishes dead letters again, each with the next try.

use std::time::Duration;

use isobar_model::duration::parse_duration;
use isobar_model::human::{grouped, plural};
use isobar_store::{NewOperation, OperatorAction};
use serde_json::json;

use super::DeadLetterSelection;
use crate::app::App;
use crate::exit::Exit;
use crate::operator::Operator;
use crate::republish::{self, RepublishReport};

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    selection: DeadLetterSelection,
    /// How long to wait for room in the stream (then exit 75)
    #[arg(long, default_value = "10m", value_parser = parse_duration, value_name = "DURATION")]
    max_wait: Duration,
}

pub async fn run(args: Args, app: &App) -> anyhow::Result<Exit> {
    let filter = args.selection.filter()?;
    app.stop_on_signals()?;
    let operator = Operator::open(app).await?;
    let imports = operator.context.imports()?;
    if args.selection.dry_run {
        let found = imports.letters(&filter).await?;
        let document = json!({
            "dry_run": true, "matched": found.matched, "replayable": found.replayable,
        });
        app.print(&document, || {
            format!(
                "{}, {} of them can be replayed; nothing was changed",
                plural(found.matched, "dead letter"),
                grouped(found.replayable)
            )
        })?;
        return Ok(Exit::Done);
    }
    let operation = NewOperation::now(operator.actor(), OperatorAction::DeadReplay);
    operator.context.store.record_operation(&operation.with_detail(filter.to_string())).await?;
    let replay = imports.replay(&filter).await?;
    let letters = replay.letters;
    let published_by =
        republish::publish_pending(&imports, &operator.context, args.max_wait, app).await?;
    let document = RepublishReport {
        request: json!({
            "replay_id": replay.replay_id,
            "matched": letters.matched,
            "replayable": letters.replayable,
        }),
        done: published_by.clone(),
    };
    app.print(&document, || match letters.replayable {
        0 => format!("{}, none of them can be replayed", plural(letters.matched, "dead letter")),
        replayable => format!(
            "replay {}: {} of {}; {published_by}",
            replay.replay_id,
            grouped(replayable),
            plural(letters.matched, "dead letter")
        ),
    })?;
    Ok(Exit::Done)
}

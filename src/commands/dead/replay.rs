//! `isobar dead replay`: publishes dead letters again.

use std::time::Duration;

use isobar_model::duration::duration;
use isobar_model::human::{grouped, plural};
use isobar_store::{Action, NewOperation};
use serde_json::json;

use super::Which;
use crate::app::App;
use crate::exit::Exit;
use crate::operator::Operator;
use crate::republish::{self, Again};

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    which: Which,
    /// How long to wait for room in the stream (exit code 75 then)
    #[arg(long, default_value = "10m", value_parser = duration, value_name = "DURATION")]
    max_wait: Duration,
}

pub async fn run(args: Args, app: &App) -> anyhow::Result<Exit> {
    let filter = args.which.filter()?;
    app.stop_on_signals()?;
    let operator = Operator::open(app).await?;
    let imports = operator.parts.imports()?;
    if args.which.dry_run {
        let found = imports.letters(&filter).await?;
        let document = json!({
            "dry_run": true, "matched": found.matched, "replayable": found.replayable,
        });
        app.print(&document, || {
            format!(
                "{}, {} of them fit to be published again; nothing was changed",
                plural(found.matched, "dead letter"),
                grouped(found.replayable)
            )
        })?;
        return Ok(Exit::Done);
    }
    let operation = NewOperation::now(operator.actor(), Action::DeadReplay);
    operator.parts.store.record_operation(&operation.saying(filter.to_string())).await?;
    let replay = imports.replay(&filter).await?;
    let letters = replay.letters;
    let done = republish::work_off(&imports, &operator.parts, args.max_wait, app).await?;
    let document = Again {
        asked: json!({
            "replay_id": replay.replay_id,
            "matched": letters.matched,
            "replayable": letters.replayable,
        }),
        done: done.clone(),
    };
    app.print(&document, || match letters.replayable {
        0 => format!(
            "{}, none of them fit to be published again",
            plural(letters.matched, "dead letter")
        ),
        replayable => format!(
            "replay {}: {} of {}; {done}",
            replay.replay_id,
            grouped(replayable),
            plural(letters.matched, "dead letter")
        ),
    })?;
    Ok(Exit::Done)
}

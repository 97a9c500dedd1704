//! `isobar dead export`: dead letters as JSON lines, newest first.
//!
//! The output is the same with and without `--json`. Dead letters that arrive during the export are
//! not in it.

use std::io::{self, BufWriter, Write};

use isobar_admin::dead_letter_view::DeadLetterView;
use isobar_store::DeadLetterFilter;

use super::DeadLetterArgs;
use crate::app::App;
use crate::context::Context;
use crate::exit::Exit;
use crate::list_output::PAGE;

pub async fn run(filter: &DeadLetterArgs, app: &App) -> anyhow::Result<Exit> {
    let context = Context::open_existing(app.settings()?).await?;
    let filter = DeadLetterFilter::from(filter);
    let mut out = BufWriter::new(io::stdout());
    let mut before = None;
    loop {
        let letters = context.store.dead_letters(&filter, before, PAGE).await?;
        let Some(last) = letters.last() else { break };
        before = Some(last.id);
        for letter in letters {
            serde_json::to_writer(&mut out, &DeadLetterView::from(letter))
                .map_err(io::Error::from)?;
            out.write_all(b"\n")?;
        }
    }
    out.flush()?;
    Ok(Exit::Done)
}

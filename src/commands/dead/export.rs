//! `isobar dead export`: all dead letters of a filter as JSON lines.
//!
//! It is for files and other programs, so it looks the same with and without `--json`. Letters that
//! come while it runs are not in it: it goes from the newest down.

use std::io::{self, BufWriter, Write};

use isobar_admin::dead_letter_view::DeadItem;
use isobar_store::DeadFilter;

use super::Filter;
use crate::app::App;
use crate::context::Parts;
use crate::exit::Exit;
use crate::list_output::PAGE;

pub async fn run(filter: &Filter, app: &App) -> anyhow::Result<Exit> {
    let parts = Parts::open(app.settings()?).await?;
    let filter = DeadFilter::from(filter);
    let mut out = BufWriter::new(io::stdout());
    let mut before = None;
    loop {
        let letters = parts.store.dead_letters(&filter, before, PAGE).await?;
        let Some(last) = letters.last() else { break };
        before = Some(last.id);
        for letter in letters {
            serde_json::to_writer(&mut out, &DeadItem::from(letter)).map_err(io::Error::from)?;
            out.write_all(b"\n")?;
        }
    }
    out.flush()?;
    Ok(Exit::Done)
}

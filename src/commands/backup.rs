//! `isobar backup`: a checked copy of the SQLite store, while everything runs.
//!
//! Guarantees: see [`isobar_sqlite::backup`]. The command creates the copy and nothing else, and it
//! does not upgrade the store. A stopped copy leaves no file.
//! Does not: copy PostgreSQL; it says which command does.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use isobar_model::duration::format_duration;
use isobar_model::human::{grouped, plural};
use isobar_settings::values::DatabaseUrl;
use isobar_sqlite::backup::back_up;
use serde_json::json;

use crate::app::App;
use crate::context::require_installation;
use crate::exit::{Exit, ExitError};
use crate::progress::Bar;

const WITH_POSTGRES: &str = "the store is PostgreSQL, and `isobar backup` copies SQLite files only; \
     run `pg_dump --format=custom --file=isobar.dump \"$DATABASE_URL\"`";

#[derive(Debug, clap::Args)]
#[command(before_help = "Example: isobar backup /backup/isobar-monday.db")]
pub struct Args {
    /// The new file; an existing one is not replaced
    path: PathBuf,
}

pub async fn run(args: Args, app: &App) -> anyhow::Result<Exit> {
    let settings = app.settings()?;
    let source = match settings.database() {
        DatabaseUrl::Postgres(_) => return Err(ExitError::config(WITH_POSTGRES)),
        DatabaseUrl::Sqlite(path) => path,
    };
    require_installation(&settings)?;
    app.stop_on_signals()?;
    let began = Instant::now();
    let (target, shutdown) = (args.path.clone(), app.shutdown.clone());
    let mut bar = Bar::new("backup", "pages", app.global.quiet);
    let copied = tokio::task::spawn_blocking(move || {
        let copied = back_up(&source, &target, |done, pages| {
            bar.set(done, Some(pages), String::new());
            !shutdown.is_cancelled()
        });
        bar.finish();
        copied
    });
    let report = copied.await??;
    let took = Duration::from_millis(began.elapsed().as_millis() as u64);
    let rows: u64 = report.rows.values().sum();
    let document = json!({
        "path": args.path,
        "bytes": report.bytes,
        "schema": report.schema,
        "rows": report.rows,
        "elapsed_ms": took.as_millis() as u64,
    });
    app.print(&document, || {
        format!(
            "{} is a complete copy of the store: {} in {}, {} bytes, schema {}; checked in {}",
            args.path.display(),
            plural(rows, "row"),
            plural(report.rows.len() as u64, "table"),
            grouped(report.bytes),
            report.schema,
            format_duration(took),
        )
    })?;
    Ok(Exit::Done)
}

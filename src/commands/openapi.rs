//! `isobar openapi`: prints the API's OpenAPI document, as in `api/openapi.json`.

use std::io::Write;

use crate::app::{App, warn_about_names};
use crate::exit::Exit;

#[derive(Debug, clap::Args)]
#[command(before_help = "Example: isobar openapi > api/openapi.json")]
pub struct Args {}

#[expect(clippy::unused_async, reason = "commands share one shape")]
pub async fn run(_: Args, _: &App) -> anyhow::Result<Exit> {
    warn_about_names();
    std::io::stdout().lock().write_all(isobar_api::openapi().as_bytes())?;
    Ok(Exit::Done)
}

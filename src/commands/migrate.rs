//! `isobar migrate`: creates or upgrades the schema of the store.
//!
//! Every role does the same when it starts, under a lock. A release step that runs it first lets
//! all other roles use an account without the right to change tables.

use isobar_store::Store;
use serde_json::json;

use crate::app::App;
use crate::context::create_data_dir;
use crate::exit::Exit;

#[derive(Debug, clap::Args)]
#[command(before_help = "Example: isobar migrate")]
pub struct Args {}

pub async fn run(_: Args, app: &App) -> anyhow::Result<Exit> {
    let settings = app.settings()?;
    create_data_dir(&settings)?;
    let store = Store::open(&settings).await?;
    let (kind, location) = (store.kind(), store.location());
    app.print(&json!({ "store": kind, "location": location }), || {
        format!("the {kind} store at {location} has the schema of this version")
    })?;
    Ok(Exit::Done)
}

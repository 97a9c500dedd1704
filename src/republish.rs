//! What `isobar jobs retry` and `isobar dead replay` share: the work, and what to say of it.
//!
//! Whoever holds the outbox of imports does the work (`serve`, `up`); if nobody does, the command
//! does it to its end and then all tasks are in the stream.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use isobar_model::human::plural;
use isobar_producer::run::Tools;
use isobar_producer::{Imports, WorkedOff};
use serde::Serialize;
use serde_json::Value;

use crate::app::App;
use crate::commands::produce::{stop, tools, with_bar};
use crate::context::Parts;

/// One document: what was asked for, and what came of it.
#[derive(Debug, Serialize)]
pub struct Again {
    #[serde(flatten)]
    pub asked: Value,
    #[serde(flatten)]
    pub done: Done,
}

/// Who did the work.
#[derive(Clone, Debug, Serialize)]
pub struct Done {
    /// Tasks that this process put into the stream, of whatever the outbox held.
    published: u64,
    /// Who does it instead.
    left_to: Option<String>,
}

pub async fn work_off(
    imports: &Imports,
    parts: &Parts,
    max_wait: Duration,
    app: &App,
) -> anyhow::Result<Done> {
    let tools: Tools = tools(Arc::clone(&parts.settings), parts.broker.clone(), app);
    let work = imports.work_off(max_wait, &tools);
    let (published, left_to) = match with_bar(work, &tools.progress, app).await.map_err(stop)? {
        WorkedOff::Here { published } => (published, None),
        WorkedOff::Elsewhere { holder } => (0, Some(holder)),
    };
    Ok(Done { published, left_to })
}

impl fmt::Display for Done {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.left_to {
            Some(holder) => write!(f, "{holder} publishes what there is"),
            None => write!(f, "{} put into the stream", plural(self.published, "task")),
        }
    }
}

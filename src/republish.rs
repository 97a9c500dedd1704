//! What `isobar jobs retry` and `isobar dead replay` share: publishing, and the report of it.
//!
//! The process that holds the import outbox (`serve`, `up`) publishes the tasks. If no process
//! holds it, the command publishes them itself before it ends.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use isobar_model::human::plural;
use isobar_producer::run::Tools;
use isobar_producer::{Imports, PublishedBy};
use serde::Serialize;
use serde_json::Value;

use crate::app::App;
use crate::commands::produce::{exit_error, tools, with_bar};
use crate::context::Context;

/// One document: the request, and who published it.
#[derive(Debug, Serialize)]
pub struct RepublishReport {
    #[serde(flatten)]
    pub request: Value,
    #[serde(flatten)]
    pub done: PublishSummary,
}

/// The process that published the tasks.
#[derive(Clone, Debug, Serialize)]
pub struct PublishSummary {
    /// Tasks that this process published, including others that the outbox held.
    published: u64,
    /// The process that publishes them instead.
    left_to: Option<String>,
}

pub async fn publish_pending(
    imports: &Imports,
    context: &Context,
    max_wait: Duration,
    app: &App,
) -> anyhow::Result<PublishSummary> {
    let tools: Tools = tools(Arc::clone(&context.settings), context.broker.clone(), app);
    let work = imports.publish_pending(max_wait, &tools);
    let (published, left_to) =
        match with_bar(work, &tools.progress, app).await.map_err(exit_error)? {
            PublishedBy::Here { published } => (published, None),
            PublishedBy::Elsewhere { holder } => (0, Some(holder)),
        };
    Ok(PublishSummary { published, left_to })
}

impl fmt::Display for PublishSummary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.left_to {
            Some(holder) => write!(f, "{holder} publishes them"),
            None => write!(f, "{} published", plural(self.published, "task")),
        }
    }
}

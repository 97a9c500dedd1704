//! `isobar adopt`: says that this store is now the one of the streams, after a move or a new database.

use isobar_broker::Topic;
use isobar_model::pipeline::PipelineName;
use serde_json::json;

use crate::app::App;
use crate::context::Context;
use crate::exit::Exit;

#[derive(Debug, clap::Args)]
#[command(before_help = "Example: isobar adopt --dry-run")]
pub struct Args {
    /// Say what would change, and change nothing
    #[arg(long)]
    dry_run: bool,
}

pub async fn run(args: Args, app: &App) -> anyhow::Result<Exit> {
    let context = Context::open(app.settings()?).await?;
    let mut adopted = Vec::new();
    for stream in PipelineName::streams() {
        let topic = Topic::of(stream, &context.settings);
        let before = context.broker.store(&topic).await?;
        if before.as_ref() == Some(&context.store_name) {
            continue;
        }
        if !args.dry_run {
            context.broker.set_store(&topic, &context.store_name, true).await?;
        }
        adopted.push(json!({ "stream": topic.stream, "before": before }));
    }
    let document = json!({
        "dry_run": args.dry_run,
        "store": context.store_name,
        "adopted": adopted,
    });
    app.print(&document, || {
        let does = if args.dry_run { "would belong" } else { "belongs" };
        let line = |stream: &serde_json::Value| {
            let before = stream["before"].as_str().unwrap_or("none");
            let name = stream["stream"].as_str().unwrap_or_default();
            format!("{name} {does} to this store; before: {before}")
        };
        if adopted.is_empty() {
            return format!("all streams belong to this store: {}", context.store_name);
        }
        let lines: Vec<String> = adopted.iter().map(line).collect();
        format!("this store: {}\n{}", context.store_name, lines.join("\n"))
    })?;
    Ok(Exit::Done)
}

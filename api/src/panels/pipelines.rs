//! Pipelines: one row each, and the number of stored rows by table.
//!
//! Guarantees: a new pipeline or table appears without code here.

use askama::Template;
use isobar_admin::stats::rows_by_table;
use isobar_model::pipeline::PipelineName;
use isobar_store::PipelineTotals;

use super::format::Count;
use super::snapshot::DashboardSnapshot;

/// Tables that hold no result of a pipeline.
const BOOKKEEPING: [&str; 6] =
    ["jobs", "job_tasks", "dead_letters", "search_history", "operations", "schedule_ticks"];
/// Tables that have a page for browsers.
const PAGES: [(&str, &str); 3] = [
    ("users", "/users/ui"),
    ("addresses", "/users/ui?has_address=true"),
    ("credit_cards", "/users/ui?has_card=true"),
];

#[derive(Template)]
#[template(path = "panels/pipelines.html")]
pub struct PipelinesPanel {
    rows: Vec<PipelineRow>,
    counters: Vec<Counter>,
    /// Why some of it may be old.
    error: Option<String>,
}

/// Numbers are `None` until their source has answered once.
struct PipelineRow {
    name: &'static str,
    unfinished: Option<Count>,
    jobs: Option<Count>,
    dead: Option<Count>,
    has_dead: bool,
}

struct Counter {
    name: String,
    count: Count,
    page: Option<&'static str>,
}

impl PipelinesPanel {
    pub fn from_snapshot(snapshot: &DashboardSnapshot) -> Self {
        let tables = snapshot.totals.value.iter().flat_map(rows_by_table);
        let errors = [&snapshot.totals.error, &snapshot.depths.error, &snapshot.pipelines.error];
        Self {
            rows: PipelineName::streams().map(|name| PipelineRow::new(name, snapshot)).collect(),
            counters: tables
                .filter(|(table, _)| !BOOKKEEPING.contains(table))
                .map(|(table, rows)| Counter::new(table, rows))
                .collect(),
            error: errors.into_iter().flatten().next().cloned(),
        }
    }
}

impl PipelineRow {
    fn new(name: PipelineName, snapshot: &DashboardSnapshot) -> Self {
        let depths = snapshot.depths.value.as_ref();
        let depth = depths.map(|depths| depths.get(&name).copied().unwrap_or_default());
        let totals = snapshot.pipelines.value.as_ref();
        let totals = totals.map(|totals| totals.get(&name).cloned().unwrap_or_default());
        let running = |totals: &PipelineTotals| {
            let running = totals.jobs.iter().filter(|(status, _)| !status.is_final());
            Count(running.map(|(_, jobs)| jobs).sum())
        };
        let dead = totals.as_ref().map(|totals| totals.dead_letters);
        Self {
            name: name.as_str(),
            unfinished: depth.map(|depth| Count(depth.undelivered + depth.pending)),
            jobs: totals.as_ref().map(running),
            dead: dead.map(Count),
            has_dead: dead.is_some_and(|dead| dead > 0),
        }
    }
}

impl Counter {
    fn new(table: &str, rows: u64) -> Self {
        let page = PAGES.into_iter().find(|(name, _)| *name == table);
        Self { name: table.replace('_', " "), count: Count(rows), page: page.map(|(_, path)| path) }
    }
}

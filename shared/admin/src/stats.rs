//! Row counts by table, and backlog, jobs and dead letters by pipeline.
//!
//! Guarantees: every pipeline that has a stream is listed, also one without a job.

use std::collections::{BTreeMap, HashMap};

use isobar_broker::{Depth, Topic};
use isobar_model::pipeline::PipelineName;
use isobar_settings::Settings;
use isobar_store::{JobStatus, PipelineTotals, TableCounts};
use serde::Serialize;
use utoipa::ToSchema;

#[derive(Debug, Serialize, ToSchema)]
pub struct Stats {
    /// Rows by table, at most a few seconds old.
    pub totals: BTreeMap<&'static str, u64>,
    pub pipelines: BTreeMap<&'static str, PipelineStats>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct PipelineStats {
    pub stream: String,
    /// Unfinished entries: undelivered and pending.
    pub backlog: u64,
    /// Jobs by status.
    pub jobs: BTreeMap<&'static str, u64>,
    pub dead_letters: u64,
}

/// The answers of store and broker that [`Stats`] are computed from.
#[derive(Debug)]
pub struct StatsInput {
    pub totals: TableCounts,
    pub pipelines: HashMap<PipelineName, PipelineTotals>,
    pub depths: HashMap<PipelineName, Depth>,
}

impl Stats {
    pub fn of(settings: &Settings, input: &StatsInput) -> Self {
        let pipelines = PipelineName::streams().map(|pipeline| {
            let totals = input.pipelines.get(&pipeline).cloned().unwrap_or_default();
            let depth = input.depths.get(&pipeline).copied().unwrap_or_default();
            let count = |status| totals.jobs.get(&status).copied().unwrap_or_default();
            let stats = PipelineStats {
                stream: Topic::of(pipeline, settings).stream,
                backlog: depth.undelivered + depth.pending,
                jobs: JobStatus::ALL.map(|status| (status.as_str(), count(status))).into(),
                dead_letters: totals.dead_letters,
            };
            (pipeline.as_str(), stats)
        });
        Self { totals: rows_by_table(&input.totals).into(), pipelines: pipelines.collect() }
    }
}

/// The counts under the names of their tables.
pub fn rows_by_table(totals: &TableCounts) -> [(&'static str, u64); 12] {
    [
        ("cities", totals.cities),
        ("weather", totals.snapshots),
        ("air_quality", totals.air_quality),
        ("users", totals.users),
        ("addresses", totals.addresses),
        ("credit_cards", totals.cards),
        ("jobs", totals.jobs),
        ("job_tasks", totals.ledger_rows),
        ("dead_letters", totals.dead_letters),
        ("search_history", totals.searches),
        ("operations", totals.operations),
        ("schedule_ticks", totals.ticks),
    ]
}

//! The dashboard snapshot: everything that the page shows, as plain data.
//!
//! Panels are pure functions of it. A component that does not answer keeps its last known value.
//!
//! Does not: ask (see `dashboard/refresh.rs`).

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use isobar_admin::job_view::JobView;
use isobar_admin::schedule_view::ScheduleState;
use isobar_broker::{ConsumerInfo, Depth, Flags};
use isobar_model::pipeline::PipelineName;
use isobar_model::quota::QuotaLimits;
use isobar_producer::outbox::OutboxDepth;
use isobar_store::{DeadLetterGroup, FailureGroup, Operation, PipelineTotals, TableCounts};
use isobar_upstream::UpstreamState;

use super::last_known::LastKnown;
use super::throughput::{Bucket, Heartbeat};

#[derive(Debug, Default)]
pub struct DashboardSnapshot {
    /// When it was last refreshed.
    pub at: DateTime<Utc>,
    pub store: Component,
    pub broker: Component,
    pub upstream: LastKnown<UpstreamState>,
    pub quota_limits: QuotaLimits,
    /// Of the weather stream.
    pub depth: LastKnown<Depth>,
    pub consumers: LastKnown<Vec<ConsumerInfo>>,
    pub heartbeats: LastKnown<Vec<Heartbeat>>,
    pub flags: LastKnown<Flags>,
    /// Of the imports of this process.
    pub outbox: LastKnown<OutboxDepth>,
    pub jobs: LastKnown<Vec<JobView>>,
    pub operations: LastKnown<Vec<Operation>>,
    pub schedules: LastKnown<Vec<ScheduleState>>,
    pub dead: LastKnown<Vec<DeadLetterGroup>>,
    pub failures: LastKnown<Vec<FailureGroup>>,
    pub totals: LastKnown<TableCounts>,
    /// Of every pipeline with a stream.
    pub depths: LastKnown<HashMap<PipelineName, Depth>>,
    pub pipelines: LastKnown<HashMap<PipelineName, PipelineTotals>>,
    pub throughput: Vec<Bucket>,
    /// When the expensive parts were last refreshed.
    pub expensive_at: Option<DateTime<Utc>>,
}

/// The store or the broker.
#[derive(Debug, Default)]
pub struct Component {
    pub kind: &'static str,
    pub location: String,
    /// Why it did not answer the last refresh.
    pub error: Option<String>,
}

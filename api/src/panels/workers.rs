//! Workers: each with its state and what it has done since it started.
//!
//! Guarantees: a worker that owns entries but sends no heartbeat is shown as silent.

use askama::Template;
use isobar_broker::ConsumerInfo;

use super::format::{Count, TimeTag};
use super::health_state::HealthState;
use super::snapshot::DashboardSnapshot;
use super::throughput::Heartbeat;

#[derive(Template)]
#[template(path = "panels/workers.html")]
pub struct WorkersPanel {
    workers: Vec<WorkerRow>,
    known: bool,
    error: Option<String>,
}

struct WorkerRow {
    name: String,
    health: HealthState,
    state: String,
    until: Option<TimeTag>,
    held: Count,
    succeeded: Count,
    failed: Count,
    skipped: Count,
}

impl WorkersPanel {
    pub fn from_snapshot(snapshot: &DashboardSnapshot) -> Self {
        let heartbeats = snapshot.heartbeats.value.iter().flatten();
        let mut workers: Vec<WorkerRow> =
            heartbeats.filter_map(WorkerRow::from_heartbeat).collect();
        // A worker that owns entries and is silent: its leases expire, and others take over.
        let silent = snapshot.consumers.value.iter().flatten().filter(|consumer| {
            consumer.pending > 0 && !workers.iter().any(|worker| worker.name == consumer.name)
        });
        let silent: Vec<WorkerRow> = silent.map(WorkerRow::silent).collect();
        workers.extend(silent);
        workers.sort_by(|a, b| a.name.cmp(&b.name));
        Self {
            workers,
            known: snapshot.heartbeats.value.is_some(),
            error: snapshot.heartbeats.error.clone(),
        }
    }
}

impl WorkerRow {
    /// `None` for other roles.
    fn from_heartbeat(heartbeat: &Heartbeat) -> Option<Self> {
        let state = &heartbeat.state;
        let (health, text) = match &state.paused_reason {
            Some(reason) => (HealthState::Warn, format!("waiting: {reason}")),
            None => (HealthState::Good, "running".to_owned()),
        };
        Some(Self {
            name: heartbeat.worker()?.to_owned(),
            health,
            state: text,
            until: state.paused_until.filter(|_| state.paused_reason.is_some()).map(TimeTag::until),
            held: Count(state.held),
            succeeded: Count(state.succeeded),
            failed: Count(state.failed),
            skipped: Count(state.skipped),
        })
    }

    fn silent(consumer: &ConsumerInfo) -> Self {
        Self {
            name: consumer.name.clone(),
            health: HealthState::Bad,
            state: "silent".to_owned(),
            until: None,
            held: Count(consumer.pending),
            succeeded: Count(0),
            failed: Count(0),
            skipped: Count(0),
        }
    }
}

//! The backlog as one row of numbers that adds up: outbox → undelivered → pending → dead letters.
//!
//! Guarantees: each task is counted in one place, so the unfinished tasks are the sum of the first
//! three. Each number shows the age of its oldest task where the source knows it.

use askama::Template;
use chrono::TimeDelta;

use super::format::{Count, TimeTag};
use super::snapshot::DashboardSnapshot;
use super::throughput::Heartbeat;

#[derive(Template)]
#[template(path = "panels/backlog.html")]
pub struct BacklogPanel {
    stages: Vec<Stage>,
    unfinished: Option<Count>,
    /// How many of them mark the start or the end of a job.
    control: Option<Count>,
    cities: Option<Count>,
    snapshots: Option<Count>,
    /// Why some of it may be old.
    error: Option<String>,
}

struct Stage {
    name: &'static str,
    meaning: &'static str,
    /// `None` until its source has answered once.
    count: Option<Count>,
    oldest: Option<TimeTag>,
    note: Option<String>,
    /// An operator should act.
    alarming: bool,
}

impl BacklogPanel {
    pub fn from_snapshot(snapshot: &DashboardSnapshot) -> Self {
        let depth = snapshot.depth.value.as_ref();
        let unsent = unsent(snapshot);
        let undelivered = depth.map(|depth| depth.undelivered);
        let pending = depth.map(|depth| depth.pending);
        let dead = snapshot.dead.value.as_ref();
        let dead_count = dead.map(|groups| groups.iter().map(|group| group.count).sum());
        let ago = |age: TimeDelta| TimeTag::age(snapshot.at - age);
        let since = |count: Option<u64>, age_ms: Option<u64>| {
            let age_ms = count.filter(|count| *count > 0).and(age_ms)?;
            Some(ago(TimeDelta::milliseconds(age_ms as i64)))
        };
        let oldest_unsent = snapshot.outbox.value.and_then(|outbox| outbox.oldest_unsent_seconds);
        let parked = depth.map_or(0, |depth| depth.parked);
        let stages = vec![
            Stage {
                name: "Outbox",
                meaning: "safe on disk, not yet sent",
                count: unsent.map(Count),
                oldest: oldest_unsent.map(|seconds| ago(TimeDelta::seconds(seconds as i64))),
                note: None,
                alarming: false,
            },
            Stage {
                name: "Undelivered",
                meaning: "queued, not yet picked up",
                count: undelivered.map(Count),
                oldest: since(undelivered, depth.map(|depth| depth.oldest_undelivered_ms)),
                note: None,
                alarming: false,
            },
            Stage {
                name: "Pending",
                meaning: "in progress or waiting to retry",
                count: pending.map(Count),
                oldest: since(pending, depth.map(|depth| depth.oldest_pending_ms)),
                note: (parked > 0).then(|| format!("{} paused", Count(parked))),
                alarming: false,
            },
            Stage {
                name: "Dead letters",
                meaning: "gave up; can be replayed",
                count: dead_count.map(Count),
                oldest: dead
                    .and_then(|groups| groups.iter().map(|group| group.oldest).min())
                    .map(TimeTag::age),
                note: None,
                alarming: dead_count.is_some_and(|count: u64| count > 0),
            },
        ];
        let unfinished = unsent.zip(undelivered).zip(pending);
        let totals = snapshot.totals.value.as_ref();
        let errors = [&snapshot.depth.error, &snapshot.outbox.error, &snapshot.dead.error];
        Self {
            error: errors.into_iter().flatten().next().cloned(),
            stages,
            control: depth.map(|depth| depth.control).filter(|n| *n > 0).map(Count),
            unfinished: unfinished.map(|((unsent, new), pending)| Count(unsent + new + pending)),
            cities: totals.map(|totals| Count(totals.cities)),
            snapshots: totals.map(|totals| Count(totals.snapshots)),
        }
    }
}

/// The unsent tasks of all known outboxes: imports of this process and of other servers, and the
/// outbox of the last producer run.
fn unsent(snapshot: &DashboardSnapshot) -> Option<u64> {
    let own = snapshot.outbox.value?;
    let heartbeats = || snapshot.heartbeats.value.iter().flatten();
    let unsent = |heartbeat: &Heartbeat| {
        heartbeat.state.outbox.as_ref().map_or(0, |outbox| outbox.unsent_tasks)
    };
    let relays = heartbeats().filter(|heartbeat| heartbeat.name.starts_with("imports:"));
    // The only relay is this process, whose own number is newer.
    let imports =
        if relays.clone().count() > 1 { relays.map(unsent).sum() } else { own.unsent_tasks };
    let producer: u64 =
        heartbeats().filter(|heartbeat| heartbeat.name == "producer:last").map(unsent).sum();
    Some(imports + producer)
}

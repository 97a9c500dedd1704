//! The backlog as one row of numbers that adds up: outbox → undelivered → pending → dead.
//!
//! Each task is in one place only, so what is unfinished is the sum of the first three. Each number
//! says since when the oldest in it is there, as far as its keeper knows.

use askama::Template;
use chrono::TimeDelta;

use crate::panels::format::{Count, When};
use crate::panels::snapshot::Look;

#[derive(Template)]
#[template(path = "panels/backlog.html")]
pub struct Backlog {
    stages: Vec<Stage>,
    unfinished: Option<Count>,
    /// How many of them are no tasks but the start or the end of a job.
    control: Option<Count>,
    cities: Option<Count>,
    snapshots: Option<Count>,
    /// Why some of it may be old.
    trouble: Option<String>,
}

struct Stage {
    name: &'static str,
    meaning: &'static str,
    /// `None` where its keeper has never answered.
    count: Option<Count>,
    oldest: Option<When>,
    /// What of it is special.
    note: Option<String>,
    /// What it holds needs somebody.
    alarming: bool,
}

impl Backlog {
    pub fn of(look: &Look) -> Self {
        let depth = look.depth.value.as_ref();
        let unsent = unsent(look);
        let undelivered = depth.map(|depth| depth.undelivered);
        let pending = depth.map(|depth| depth.pending);
        let dead = look.dead.value.as_ref();
        let dead_count = dead.map(|groups| groups.iter().map(|group| group.count).sum());
        let ago = |age: TimeDelta| When::age(look.at - age);
        let since = |count: Option<u64>, age_ms: Option<u64>| {
            let age_ms = count.filter(|count| *count > 0).and(age_ms)?;
            Some(ago(TimeDelta::milliseconds(age_ms as i64)))
        };
        let oldest_unsent = look.outbox.value.and_then(|outbox| outbox.oldest_unsent_seconds);
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
                meaning: "in the stream, nobody has had them",
                count: undelivered.map(Count),
                oldest: since(undelivered, depth.map(|depth| depth.oldest_undelivered_ms)),
                note: None,
                alarming: false,
            },
            Stage {
                name: "Pending",
                meaning: "with a worker, or due again later",
                count: pending.map(Count),
                oldest: since(pending, depth.map(|depth| depth.oldest_pending_ms)),
                note: (parked > 0).then(|| format!("{} set aside", Count(parked))),
                alarming: false,
            },
            Stage {
                name: "Dead",
                meaning: "given up, kept for replay",
                count: dead_count.map(Count),
                oldest: dead
                    .and_then(|groups| groups.iter().map(|group| group.oldest).min())
                    .map(When::age),
                note: None,
                alarming: dead_count.is_some_and(|count: u64| count > 0),
            },
        ];
        let unfinished = unsent.zip(undelivered).zip(pending);
        let totals = look.totals.value.as_ref();
        let troubles = [&look.depth.trouble, &look.outbox.trouble, &look.dead.trouble];
        Self {
            trouble: troubles.into_iter().flatten().next().cloned(),
            stages,
            control: depth.map(|depth| depth.control).filter(|n| *n > 0).map(Count),
            unfinished: unfinished.map(|((unsent, new), pending)| Count(unsent + new + pending)),
            cities: totals.map(|totals| Count(totals.cities)),
            snapshots: totals.map(|totals| Count(totals.snapshots)),
        }
    }
}

/// What all outboxes hold that are known of: our own imports, those of other servers, and what the
/// last producer run left.
fn unsent(look: &Look) -> Option<u64> {
    let own = look.outbox.value?;
    let beats = || look.beats.value.iter().flatten();
    let unsent = |beat: &crate::panels::throughput::Beat| {
        beat.state.outbox.as_ref().map_or(0, |outbox| outbox.unsent_tasks)
    };
    let relays = beats().filter(|beat| beat.name.starts_with("imports:"));
    // The only relay there is says what we know better ourselves.
    let imports =
        if relays.clone().count() > 1 { relays.map(unsent).sum() } else { own.unsent_tasks };
    let producer: u64 = beats().filter(|beat| beat.name == "producer:last").map(unsent).sum();
    Some(imports + producer)
}

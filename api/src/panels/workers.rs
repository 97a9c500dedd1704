//! Who works: each worker that was heard lately, and what it has done since it started.

use askama::Template;
use isobar_broker::ConsumerInfo;

use super::Lamp;
use crate::panels::format::{Count, When};
use crate::panels::snapshot::Look;
use crate::panels::throughput::Beat;

#[derive(Template)]
#[template(path = "panels/workers.html")]
pub struct Workers {
    shown: Vec<Worker>,
    known: bool,
    trouble: Option<String>,
}

struct Worker {
    name: String,
    lamp: Lamp,
    word: String,
    until: Option<When>,
    held: Count,
    succeeded: Count,
    failed: Count,
    skipped: Count,
}

impl Workers {
    pub fn of(look: &Look) -> Self {
        let beats = look.beats.value.iter().flatten();
        let mut workers: Vec<Worker> = beats.filter_map(Worker::heard).collect();
        // One that owns entries and says nothing: its leases run out, and others take over.
        let silent = look.consumers.value.iter().flatten().filter(|consumer| {
            consumer.pending > 0 && !workers.iter().any(|worker| worker.name == consumer.name)
        });
        let silent: Vec<Worker> = silent.map(Worker::silent).collect();
        workers.extend(silent);
        workers.sort_by(|a, b| a.name.cmp(&b.name));
        Self {
            shown: workers,
            known: look.beats.value.is_some(),
            trouble: look.beats.trouble.clone(),
        }
    }
}

impl Worker {
    fn heard(beat: &Beat) -> Option<Self> {
        let state = &beat.state;
        let (lamp, word) = match &state.paused_reason {
            Some(reason) => (Lamp::Warn, format!("waits: {reason}")),
            None => (Lamp::Good, "reads".to_owned()),
        };
        Some(Self {
            name: beat.worker()?.to_owned(),
            lamp,
            word,
            until: state.paused_until.filter(|_| state.paused_reason.is_some()).map(When::until),
            held: Count(state.held),
            succeeded: Count(state.succeeded),
            failed: Count(state.failed),
            skipped: Count(state.skipped),
        })
    }

    fn silent(consumer: &ConsumerInfo) -> Self {
        Self {
            name: consumer.name.clone(),
            lamp: Lamp::Bad,
            word: "silent".to_owned(),
            until: None,
            held: Count(consumer.pending),
            succeeded: Count(0),
            failed: Count(0),
            skipped: Count(0),
        }
    }
}

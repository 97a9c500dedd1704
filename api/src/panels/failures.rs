//! Failures by error code: dead letters, which can be replayed, and failed rows of jobs.
//!
//! Next: `resources/dead_letters/` (the routes behind the buttons).

use askama::Template;

use super::format::{Count, TimeTag};
use super::snapshot::DashboardSnapshot;

#[derive(Template)]
#[template(path = "panels/failures.html")]
pub struct FailuresPanel {
    dead: Vec<DeadRow>,
    failed: Vec<FailedRow>,
    known: bool,
}

struct DeadRow {
    code: String,
    count: Count,
    sample: String,
    oldest: TimeTag,
    newest: TimeTag,
}

struct FailedRow {
    code: String,
    count: Count,
    sample: String,
}

impl FailuresPanel {
    pub fn from_snapshot(snapshot: &DashboardSnapshot) -> Self {
        let dead = snapshot.dead.value.iter().flatten().map(|group| DeadRow {
            code: group.code.clone(),
            count: Count(group.count),
            sample: group.sample.clone(),
            oldest: TimeTag::age(group.oldest),
            newest: TimeTag::age(group.newest),
        });
        let failed = snapshot.failures.value.iter().flatten().map(|group| FailedRow {
            code: group.code.clone(),
            count: Count(group.count),
            sample: group.sample.clone(),
        });
        Self {
            dead: dead.collect(),
            failed: failed.collect(),
            known: snapshot.dead.value.is_some() && snapshot.failures.value.is_some(),
        }
    }
}

//! What failed, by code: tasks given up, which can be tried again, and rows of jobs.

use askama::Template;

use crate::panels::format::{Count, When};
use crate::panels::snapshot::Look;

#[derive(Template)]
#[template(path = "panels/failures.html")]
pub struct Failures {
    dead: Vec<Dead>,
    failed: Vec<Failed>,
    known: bool,
}

struct Dead {
    code: String,
    count: Count,
    sample: String,
    oldest: When,
    newest: When,
}

struct Failed {
    code: String,
    count: Count,
    sample: String,
}

impl Failures {
    pub fn of(look: &Look) -> Self {
        let dead = look.dead.value.iter().flatten().map(|group| Dead {
            code: group.code.clone(),
            count: Count(group.count),
            sample: group.sample.clone(),
            oldest: When::age(group.oldest),
            newest: When::age(group.newest),
        });
        let failed = look.failures.value.iter().flatten().map(|group| Failed {
            code: group.code.clone(),
            count: Count(group.count),
            sample: group.sample.clone(),
        });
        Self {
            dead: dead.collect(),
            failed: failed.collect(),
            known: look.dead.value.is_some() && look.failures.value.is_some(),
        }
    }
}

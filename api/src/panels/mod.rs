//! The panels: each a template over a [`Look`], and nothing else.
//!
//! A panel decides here what its template says, so that templates hold no rules and panels can be
//! tested as values. A panel's HTML changes only when what it says does: times stand in it as
//! moments, and the browser makes ages of them.

mod backlog;
mod chart;
mod failures;
pub mod format;
mod health;
mod jobs;
pub mod last_known;
mod operations;
mod quota;
mod schedules;
pub mod snapshot;
pub mod throughput;
mod users;
mod workers;

use std::collections::BTreeMap;
use std::sync::Arc;

use askama::Template;

use snapshot::Look;

/// HTML by the panel's name.
pub type Panels = BTreeMap<&'static str, Arc<str>>;

pub fn render(look: &Look) -> Result<Panels, askama::Error> {
    let panels = [
        ("health", health::Health::of(look).render()?),
        ("backlog", backlog::Backlog::of(look).render()?),
        ("chart", chart::Chart::of(look).render()?),
        ("quota", quota::Quota::of(look).render()?),
        ("jobs", jobs::Jobs::of(look).render()?),
        ("failures", failures::Failures::of(look).render()?),
        ("schedules", schedules::Schedules::of(look).render()?),
        ("users", users::Users::of(look).render()?),
        ("workers", workers::Workers::of(look).render()?),
        ("operations", operations::Operations::of(look).render()?),
    ];
    Ok(panels.into_iter().map(|(name, html)| (name, Arc::from(html))).collect())
}

/// How something is, as a light with a shape and a word of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lamp {
    Good,
    Warn,
    Bad,
    Idle,
}

impl Lamp {
    /// The class that colours it.
    pub fn class(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Warn => "warn",
            Self::Bad => "bad",
            Self::Idle => "idle",
        }
    }

    /// A shape for those who do not tell the colours apart.
    pub fn shape(self) -> &'static str {
        match self {
            Self::Good => "●",
            Self::Warn => "▲",
            Self::Bad => "■",
            Self::Idle => "○",
        }
    }
}

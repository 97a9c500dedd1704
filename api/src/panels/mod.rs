//! The panels of the dashboard: each a template over a [`DashboardSnapshot`].
//!
//! Guarantees: a panel decides what its template shows, so templates hold no rules. A panel's HTML
//! changes only when its content does: it holds times, and the browser turns them into ages.
//! Next: [`snapshot`] (the data), [`format`] (how numbers and times are written).

mod backlog;
mod chart;
mod failures;
pub mod format;
mod health;
pub mod health_state;
mod jobs;
pub mod last_known;
mod operations;
mod pipelines;
mod quota;
mod schedules;
pub mod snapshot;
pub mod throughput;
mod workers;

use std::collections::BTreeMap;
use std::sync::Arc;

use askama::Template;

use snapshot::DashboardSnapshot;

/// HTML by panel name.
pub type Panels = BTreeMap<&'static str, Arc<str>>;

pub fn render(snapshot: &DashboardSnapshot) -> Result<Panels, askama::Error> {
    let panels = [
        ("health", health::HealthPanel::from_snapshot(snapshot).render()?),
        ("backlog", backlog::BacklogPanel::from_snapshot(snapshot).render()?),
        ("chart", chart::ChartPanel::from_snapshot(snapshot).render()?),
        ("quota", quota::QuotaPanel::from_snapshot(snapshot).render()?),
        ("jobs", jobs::JobsPanel::from_snapshot(snapshot).render()?),
        ("failures", failures::FailuresPanel::from_snapshot(snapshot).render()?),
        ("schedules", schedules::SchedulesPanel::from_snapshot(snapshot).render()?),
        ("pipelines", pipelines::PipelinesPanel::from_snapshot(snapshot).render()?),
        ("workers", workers::WorkersPanel::from_snapshot(snapshot).render()?),
        ("operations", operations::OperationsPanel::from_snapshot(snapshot).render()?),
    ];
    Ok(panels.into_iter().map(|(name, html)| (name, Arc::from(html))).collect())
}

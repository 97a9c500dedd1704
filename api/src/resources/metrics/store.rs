//! Gauges from the store: how many rows it has.
//!
//! Counting reads whole tables, so all scrapes within a few seconds share one count
//! ([`AppState::totals`]). Whether the store answers is checked at each scrape.

use isobar_store::TableCounts;
use isobar_telemetry::exposition::{Exposition, bool_value};
use isobar_telemetry::metric::Metric;

use super::within_limit::within_limit;
use crate::state::AppState;

const UP: Metric = Metric::gauge("isobar_store_up", "1 if the store answered this scrape.");
const CITIES: Metric = Metric::gauge("isobar_stored_cities", "Cities in the store.");
const SNAPSHOTS: Metric =
    Metric::gauge("isobar_stored_snapshots", "Cities with a snapshot in the store.");
const UNFINISHED: Metric =
    Metric::gauge("isobar_unfinished_jobs", "Jobs that are queued, running or being cancelled.");
const DEAD_LETTERS: Metric =
    Metric::gauge("isobar_stored_dead_letters", "Dead letters in the store.");

pub const METRICS: &[Metric] = &[UP, CITIES, SNAPSHOTS, UNFINISHED, DEAD_LETTERS];

/// What the store answered within the limit.
pub struct StoreAnswers {
    up: bool,
    totals: Option<TableCounts>,
}

pub async fn fetch(app: &AppState) -> StoreAnswers {
    let (up, totals) = tokio::join!(within_limit(app.store.ping()), within_limit(app.totals()));
    StoreAnswers { up: up.is_some(), totals }
}

impl StoreAnswers {
    pub fn add_to(&self, page: &mut Exposition) {
        page.add(&UP, bool_value(self.up));
        // Counts from before the store went down would be stale.
        if let Some(totals) = self.totals.filter(|_| self.up) {
            page.add(&CITIES, totals.cities as f64);
            page.add(&SNAPSHOTS, totals.snapshots as f64);
            page.add(&UNFINISHED, totals.unfinished_jobs as f64);
            page.add(&DEAD_LETTERS, totals.dead_letters as f64);
        }
    }
}

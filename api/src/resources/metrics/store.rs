//! What only the store knows: how much is in it.
//!
//! Counting reads whole tables, so it is done once in a while, however many scrape ([`App::totals`]).
//! Whether the store answers at all is asked each time.

use isobar_store::Totals;
use isobar_telemetry::exposition::{Page, one_if};
use isobar_telemetry::metric::Metric;

use super::answered;
use crate::state::App;

const UP: Metric = Metric::gauge("isobar_store_up", "1 if the store answered this scrape.");
const CITIES: Metric = Metric::gauge("isobar_stored_cities", "Cities in the store.");
const SNAPSHOTS: Metric =
    Metric::gauge("isobar_stored_snapshots", "Cities of which the store has a snapshot.");
const UNFINISHED: Metric =
    Metric::gauge("isobar_unfinished_jobs", "Jobs that are queued, running or being cancelled.");
const DEAD_LETTERS: Metric =
    Metric::gauge("isobar_stored_dead_letters", "Dead letters in the store.");

pub const METRICS: &[Metric] = &[UP, CITIES, SNAPSHOTS, UNFINISHED, DEAD_LETTERS];

/// What the store said; nothing of what it did not say in time.
pub struct Said {
    up: bool,
    totals: Option<Totals>,
}

pub async fn ask(app: &App) -> Said {
    let (up, totals) = tokio::join!(answered(app.store.ping()), answered(app.totals()));
    Said { up: up.is_some(), totals }
}

impl Said {
    pub fn put(&self, page: &mut Page) {
        page.put(&UP, one_if(self.up));
        // A count from before the store went away is no answer of its.
        if let Some(totals) = self.totals.filter(|_| self.up) {
            page.put(&CITIES, totals.cities as f64);
            page.put(&SNAPSHOTS, totals.snapshots as f64);
            page.put(&UNFINISHED, totals.unfinished_jobs as f64);
            page.put(&DEAD_LETTERS, totals.dead_letters as f64);
        }
    }
}

//! Throughput and errors of the last fifteen minutes, as one bar chart.
//!
//! Finished tasks are above the axis, failed tasks below it, so that no colour is needed to
//! distinguish them. Both sides have one scale.

use std::fmt::Write;

use askama::Template;

use super::format::{Count, Rate};
use super::snapshot::DashboardSnapshot;
use super::throughput::{BUCKET_SECONDS, BUCKETS, Bucket};

/// Heights in the units of the drawing, where a bar is one wide.
const ABOVE: f64 = 44.0;
const BELOW: f64 = 12.0;

#[derive(Template)]
#[template(path = "panels/chart.html")]
pub struct ChartPanel {
    finished: Count,
    failed: Count,
    now: Rate,
    peak: Rate,
    width: usize,
    axis: f64,
    height: f64,
    bars: String,
    faults: String,
}

impl ChartPanel {
    pub fn from_snapshot(snapshot: &DashboardSnapshot) -> Self {
        let buckets = &snapshot.throughput;
        let rate = |bucket: &Bucket| bucket.finished() as f64 / BUCKET_SECONDS as f64;
        let max = buckets.iter().map(|bucket| bucket.finished()).max().unwrap_or(0);
        // The smallest bar is still visible.
        let height = |count: u64, room: f64| {
            if count == 0 { 0.0 } else { (count as f64 / max as f64 * room).max(1.0) }
        };
        let first = BUCKETS.saturating_sub(buckets.len());
        let (mut bars, mut faults) = (String::new(), String::new());
        for (column, bucket) in (first..).zip(buckets) {
            bar(&mut bars, column, -height(bucket.finished(), ABOVE));
            bar(&mut faults, column, height(bucket.failed, BELOW));
        }
        Self {
            finished: Count(buckets.iter().map(|bucket| bucket.finished()).sum()),
            failed: Count(buckets.iter().map(|bucket| bucket.failed).sum()),
            now: Rate(buckets.last().map_or(0.0, rate)),
            peak: Rate(max as f64 / BUCKET_SECONDS as f64),
            width: BUCKETS,
            axis: ABOVE,
            height: ABOVE + BELOW,
            bars,
            faults,
        }
    }
}

fn bar(path: &mut String, column: usize, height: f64) {
    if height != 0.0 {
        write!(path, "M{column} {ABOVE}v{height:.1}h.8v{:.1}z", -height)
            .expect("writing to a string never fails");
    }
}

//! Throughput and errors of the last fifteen minutes, as one chart of bars.
//!
//! Finished tasks stand above the axis, failed ones hang below it, so that no colour is needed to
//! tell them apart. Both sides have one scale.

use std::fmt::Write;

use askama::Template;

use crate::panels::format::{Count, Rate};
use crate::panels::snapshot::Look;
use crate::panels::throughput::{BUCKET_SECONDS, BUCKETS, Bucket};

/// The drawing, in units of its own: a bar is one wide.
const ABOVE: f64 = 44.0;
const BELOW: f64 = 12.0;

#[derive(Template)]
#[template(path = "panels/chart.html")]
pub struct Chart {
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

impl Chart {
    pub fn of(look: &Look) -> Self {
        let buckets = &look.pulse;
        let rate = |bucket: &Bucket| bucket.finished() as f64 / BUCKET_SECONDS as f64;
        let most = buckets.iter().map(|bucket| bucket.finished()).max().unwrap_or(0);
        // A bar that is there is seen, however small.
        let height = |count: u64, room: f64| {
            if count == 0 { 0.0 } else { (count as f64 / most as f64 * room).max(1.0) }
        };
        let first = BUCKETS.saturating_sub(buckets.len());
        let (mut bars, mut faults) = (String::new(), String::new());
        for (place, bucket) in (first..).zip(buckets) {
            bar(&mut bars, place, -height(bucket.finished(), ABOVE));
            bar(&mut faults, place, height(bucket.failed, BELOW));
        }
        Self {
            finished: Count(buckets.iter().map(|bucket| bucket.finished()).sum()),
            failed: Count(buckets.iter().map(|bucket| bucket.failed).sum()),
            now: Rate(buckets.last().map_or(0.0, rate)),
            peak: Rate(most as f64 / BUCKET_SECONDS as f64),
            width: BUCKETS,
            axis: ABOVE,
            height: ABOVE + BELOW,
            bars,
            faults,
        }
    }
}

fn bar(path: &mut String, place: usize, height: f64) {
    if height != 0.0 {
        write!(path, "M{place} {ABOVE}v{height:.1}h.8v{:.1}z", -height).expect("into a string");
    }
}

//! Throughput and errors of the last minutes: two curves over one axis, drawn as SVG.

use std::fmt::Write;

use askama::Template;

use crate::page::pulse::{BUCKET_SECONDS, BUCKETS, Bucket};
use crate::page::words::{Count, Rate, counted};

/// The drawing's height in units of its own; its width is one unit a bucket.
const HEIGHT: f64 = 48.0;

#[derive(Template)]
#[template(path = "panels/pulse.html")]
pub struct Chart {
    now: Rate,
    peak: Rate,
    finished: Count,
    failed: Count,
    minutes: u64,
    width: usize,
    area: String,
    failures: String,
    /// The same in words, for those who do not see it.
    sentence: String,
}

impl Chart {
    pub fn of(buckets: &[Bucket]) -> Self {
        let rate = |bucket: &Bucket| bucket.finished() as f64 / BUCKET_SECONDS as f64;
        let finished: u64 = buckets.iter().map(|bucket| bucket.finished()).sum();
        let failed: u64 = buckets.iter().map(|bucket| bucket.failed).sum();
        let now = buckets.last().map_or(0.0, rate);
        let peak = buckets.iter().map(rate).fold(0.0, f64::max);
        let minutes = BUCKETS as u64 * BUCKET_SECONDS / 60;
        Self {
            now: Rate(now),
            peak: Rate(peak),
            finished: Count(finished),
            failed: Count(failed),
            minutes,
            width: BUCKETS,
            area: columns(buckets, |bucket| bucket.finished(), HEIGHT),
            failures: columns(buckets, |bucket| bucket.failed, HEIGHT / 3.0),
            sentence: format!(
                "{} in the last {minutes} minutes, at most {} a second; {} failed.",
                counted(finished, "task was finished", "tasks were finished"),
                Rate(peak),
                Count(failed),
            ),
        }
    }
}

/// A path of one column a bucket, the newest at the right edge, the highest as high as the drawing.
fn columns(buckets: &[Bucket], value: impl Fn(&Bucket) -> u64, height: f64) -> String {
    let highest = buckets.iter().map(&value).max().unwrap_or(0).max(1) as f64;
    let first = BUCKETS - buckets.len().min(BUCKETS);
    let mut path = String::new();
    for (at, bucket) in buckets.iter().enumerate() {
        let value = value(bucket);
        if value > 0 {
            // One bad row among thousands is still to be seen.
            let high = (value as f64 / highest * height).max(1.0);
            let _ = write!(path, "M{} {HEIGHT}v-{high:.1}h1v{high:.1}z", first + at);
        }
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_is_at_the_right_edge_and_the_highest_fills_the_height() {
        let bucket = |succeeded| Bucket { succeeded, ..Bucket::default() };
        assert_eq!(columns(&[], |bucket| bucket.finished(), HEIGHT), "");
        let path = columns(&[bucket(10), bucket(0), bucket(100)], |b| b.finished(), HEIGHT);
        assert_eq!(path, "M177 48v-4.8h1v4.8zM179 48v-48.0h1v48.0z");
        let one_of_many = columns(&[bucket(1), bucket(1_000_000)], |b| b.finished(), HEIGHT);
        assert!(one_of_many.starts_with("M178 48v-1.0"), "{one_of_many}");
    }
}

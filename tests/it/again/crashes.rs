//! Killed between any two steps and asked again: every task is in the stream exactly once.

use isobar_shared::crash::{POINTS, VARIABLE};
use isobar_shared::ids::JobId;

use super::{CITIES, Place, on_both};
use crate::harness::isobar::Isobar;

on_both!(
    a_retry_killed_at_any_point_publishes_each_task_once,
    a_replay_killed_at_any_point_publishes_each_task_once,
);

/// 128 + SIGABRT.
const ABORTED: i32 = 134;

async fn a_retry_killed_at_any_point_publishes_each_task_once(place: Place) {
    killed(&place, |place, job| place.isobar(["jobs", "retry", &job.to_string()])).await;
}

async fn a_replay_killed_at_any_point_publishes_each_task_once(place: Place) {
    killed(&place, |place, job| place.isobar(["dead", "replay", "--job", &job.to_string()])).await;
}

async fn killed(place: &Place, ask: impl Fn(&Place, JobId) -> Isobar) {
    for point in POINTS.iter().filter(|point| point.starts_with("republish.")) {
        // The first passage, and one with a page behind it.
        for passage in ["", ":2"] {
            if passage == ":2" && (point.contains("open") || point.contains("end")) {
                continue;
            }
            let spec = format!("{point}{passage}");
            let job = place.failed_job(&spec).await;
            let first = ask(place, job).env(VARIABLE, &spec).run().await;
            assert_eq!(first.code, ABORTED, "{spec}: {}", first.stderr);
            ask(place, job).run().await.expect_code(0);
            assert_eq!(place.unfinished().await, CITIES, "{spec}");
            place.drain().await.expect_code(0);
            place.all_is_well(job).await;
        }
    }
}

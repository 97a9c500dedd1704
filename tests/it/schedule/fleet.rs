//! Many schedulers at once: each tick fires once, whoever was faster.

use std::collections::BTreeSet;

use chrono::Timelike;
use tempfile::TempDir;

use super::*;
use crate::harness::http::Http;
use crate::harness::port::free_port;
use crate::harness::stage::counts;

const CITIES: i64 = 40;
const SIM: [&str; 2] = ["--cities", "40"];

fn hosts(count: usize) -> Vec<TempDir> {
    (0..count).map(|_| tempfile::tempdir().expect("a folder")).collect()
}

#[tokio::test]
async fn five_schedulers_fire_each_tick_once_and_one_job_comes_of_it() {
    let stage = Stage::set(&SIM).await;
    let hosts = hosts(5);
    let every_second = |host: &TempDir| {
        stage
            .isobar_in(host.path(), ["schedule"])
            .env("ISOBAR_SYNC_CRON", "@every 1s")
            .env("ISOBAR_STREAM_HIGH_WATER", "1000000")
            .spawn()
    };
    let schedulers: Vec<Running> = hosts.iter().map(every_second).collect();
    until(PATIENCE, "six ticks are done", async || count(&ticks(&stage).await, "done") >= 6).await;
    for scheduler in schedulers {
        stop(scheduler).await;
    }
    finish_what_is_left(&stage).await;

    let ticks = ticks(&stage).await;
    let done: Vec<&Tick> = ticks.iter().filter(|tick| tick.is("done")).collect();
    let late = count(&ticks, "skipped_overlap") + count(&ticks, "missed");
    assert_eq!(done.len() + late, ticks.len(), "none failed: {ticks:#?}");
    assert!(ticks.iter().all(|tick| tick.at.nanosecond() == 0));
    let jobs: BTreeSet<Uuid> = done.iter().filter_map(|tick| tick.job_id).collect();
    assert_eq!(jobs.len(), done.len(), "each tick is a job of its own");
    all_is_stored(&stage, done.len() as i64, CITIES).await;
    let made = sqlx::query_scalar("SELECT job_id FROM jobs WHERE created_at = ANY($1)")
        .bind(done.iter().map(|tick| tick.at).collect::<Vec<_>>())
        .fetch_all(&mut stage.pg().await)
        .await
        .expect("the statement runs");
    assert_eq!(made.into_iter().collect::<BTreeSet<Uuid>>(), jobs, "it came to be with its tick");
    for host in &hosts {
        let verified = stage.isobar_in(host.path(), ["verify", "--json"]).run().await;
        let verified = verified.expect_code(0).json();
        assert_eq!(counts(&verified, ["missing", "unsent"]), [0, 0], "{verified}");
        let status = stage.isobar_in(host.path(), ["outbox", "status", "--json"]).run().await;
        assert!(!status.stdout.contains("conflicted"), "{}", status.stdout);
    }
}

#[tokio::test]
async fn schedulers_that_share_a_data_folder_do_not_get_into_each_others_way() {
    let stage = Stage::set(&SIM).await;
    let schedulers: Vec<Running> = (0..3)
        .map(|_| stage.isobar(["schedule"]).env("ISOBAR_SYNC_CRON", "@every 1s").spawn())
        .collect();
    until(PATIENCE, "four ticks are done", async || count(&ticks(&stage).await, "done") >= 4).await;
    for scheduler in schedulers {
        stop(scheduler).await;
    }
    finish_what_is_left(&stage).await;
    let ticks = ticks(&stage).await;
    assert_eq!(count(&ticks, "try_again") + count(&ticks, "failed"), 0, "{ticks:#?}");
    all_is_stored(&stage, count(&ticks, "done") as i64, CITIES).await;
}

#[tokio::test]
async fn two_hosts_whose_crontabs_name_the_same_slot_publish_one_job_and_no_conflict() {
    let stage = Stage::set(&SIM).await;
    let hosts = hosts(2);
    for host in &hosts {
        let args = ["produce", "--source", "api", "--slot", "2026-09-21T14:14Z", "--json"];
        let report = stage.isobar_in(host.path(), args).run().await.expect_code(0).json();
        assert_eq!(counts(&report, ["tasks", "unsent"]), [40, 0]);
    }
    assert_eq!(in_stream(&stage).await, 40);
    all_is_stored(&stage, 1, CITIES).await;
}

#[tokio::test]
async fn everything_in_one_process_fires_what_is_set_and_tells_of_it() {
    let dir = tempfile::tempdir().expect("a folder");
    let port = free_port();
    let listen = format!("127.0.0.1:{port}");
    let up = Isobar::new(dir.path())
        .env("ISOBAR_SYNC_CRON", "@every 1s")
        .env("ISOBAR_TIMEZONE", "Europe/Berlin")
        .env("ISOBAR_PAGE_LIMIT", "500")
        .args(["up", "--sim", "--listen", &listen])
        .spawn();
    let http = Http::new(format!("http://{listen}"));
    let schedules = eventually(PATIENCE, "two ticks are done", async || {
        let schedules = http.try_get("/schedules").await.ok()?.json();
        let ticks = schedules["items"][0]["ticks"].as_array()?;
        let done = ticks.iter().filter(|tick| tick["outcome"] == "done").count();
        (done >= 2).then_some(schedules)
    })
    .await;
    let sync = &schedules["items"][0];
    assert_eq!(
        (&sync["name"], &sync["expression"], &sync["timezone"], &sync["misfire"], &sync["overlap"]),
        (
            &"sync".into(),
            &"@every 1s".into(),
            &"Europe/Berlin".into(),
            &"once".into(),
            &"skip".into()
        )
    );
    assert!(sync["next_at"].is_string());
    let done =
        sync["ticks"].as_array().expect("ticks").iter().find(|tick| tick["outcome"] == "done");
    let job = done.expect("two").get("job_id").and_then(|id| id.as_str()).expect("an id");
    until(PATIENCE, "the job is done", async || {
        let job = http.get(&format!("/bulk/jobs/{job}")).await;
        job.status.is_success() && job.json()["status"] == "done"
    })
    .await;
    stop(up).await;
}

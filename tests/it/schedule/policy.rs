//! What is set is what happens: misfire, overlap, time zone, and what is refused.

use chrono::{NaiveTime, TimeDelta};
use chrono_tz::Europe::Berlin;
use serde_json::Value;

use super::*;

/// One batch that fills the stream, so that the second run has to wait.
const SIM: [&str; 2] = ["--cities", "20"];

fn every_second(stage: &Stage, overlap: &str) -> Isobar {
    stage
        .isobar(["schedule"])
        .env("ISOBAR_SYNC_CRON", "@every 1s")
        .env("ISOBAR_OVERLAP", overlap)
        .env("ISOBAR_BATCH_SIZE", "20")
        .env("ISOBAR_STREAM_HIGH_WATER", "20")
}

/// A tick whose run goes on while at least three more fall due; then the stream is emptied.
async fn a_long_run(stage: &Stage) -> (Tick, Running) {
    let long = tick_that(stage, "a run waits for room", |tick| {
        tick.done_at.is_none() && tick.at < Utc::now() - TimeDelta::milliseconds(3_200)
    })
    .await;
    let worker = stage.isobar(["consume"]).env("ISOBAR_FRESH_FOR", "auto").spawn();
    let done = tick_that(stage, "the long run has ended", |tick| {
        tick.at == long.at && tick.done_at.is_some()
    })
    .await;
    (done, worker)
}

#[tokio::test]
async fn what_falls_due_during_a_run_is_skipped_and_the_history_says_so() {
    let stage = Stage::set(&SIM).await;
    let scheduler = every_second(&stage, "skip").spawn();
    let (long, worker) = a_long_run(&stage).await;
    let passed = tick_that(&stage, "what was skipped is noted", |tick| {
        tick.is("skipped_overlap") && tick.at > long.at
    })
    .await;
    let detail = passed.detail.expect("a sentence");
    assert!(detail.contains(" ticks from ") && detail.contains("still working"), "{detail}");
    let ended = long.done_at.expect("it has ended");
    tick_that(&stage, "the next one is done", |tick| tick.is("done") && tick.at > ended).await;
    stop(scheduler).await;
    stop(worker).await;
    let meanwhile = ticks(&stage)
        .await
        .into_iter()
        .filter(|tick| tick.at > long.at && tick.at <= ended && !tick.is("skipped_overlap"));
    assert_eq!(meanwhile.count(), 0, "none of them ran");
}

#[tokio::test]
async fn what_falls_due_during_a_run_waits_its_turn_if_it_is_to() {
    let stage = Stage::set(&SIM).await;
    let scheduler = every_second(&stage, "queue").spawn();
    let (long, worker) = a_long_run(&stage).await;
    let third = long.at + TimeDelta::seconds(3);
    tick_that(&stage, "three more are done", |tick| tick.is("done") && tick.at == third).await;
    stop(scheduler).await;
    stop(worker).await;
    let after: Vec<Tick> = ticks(&stage).await.into_iter().filter(|t| t.at >= long.at).collect();
    for (number, tick) in (0..4).zip(&after) {
        assert_eq!(tick.at, long.at + TimeDelta::seconds(number), "each of them");
        assert!(tick.is("done"), "{tick:?}");
    }
    let one_by_one = after.windows(2).all(|pair| pair[0].done_at <= Some(pair[1].started_at));
    assert!(one_by_one, "never two at a time: {after:#?}");
}

#[tokio::test]
async fn one_run_makes_up_for_all_that_nobody_was_there_to_fire() {
    let stage = Stage::set(&SIM).await;
    last_fired_in_2024(&stage).await;
    let scheduler = stage.isobar(["schedule"]).env(YEARLY.0, YEARLY.1).spawn();
    let made_up =
        tick_that(&stage, "a run", |tick| tick.done_at.is_some() && tick.job_id.is_some());
    let made_up = made_up.await;
    stop(scheduler).await;
    assert_eq!((made_up.at, made_up.is("done")), (last_new_year(), true));
    let found = ticks(&stage).await;
    let missed: Vec<&Tick> = found.iter().filter(|tick| tick.is("missed")).collect();
    assert_eq!((missed.len(), count(&found, "done")), (1, 2));
    let detail = missed[0].detail.clone().expect("a sentence");
    assert!(detail.contains("2025-01-01") && detail.contains("replaces it"), "{detail}");
    all_is_stored(&stage, 1, 20).await;
}

#[tokio::test]
async fn what_nobody_was_there_to_fire_is_not_run_if_it_is_to_be_skipped() {
    let stage = Stage::set(&SIM).await;
    last_fired_in_2024(&stage).await;
    let scheduler =
        stage.isobar(["schedule"]).env(YEARLY.0, YEARLY.1).env("ISOBAR_MISFIRE", "skip").spawn();
    let missed = tick_that(&stage, "a tick is missed", |tick| tick.is("missed")).await;
    stop(scheduler).await;
    assert_eq!(missed.at, last_new_year());
    let detail = missed.detail.expect("a sentence");
    assert!(
        detail.starts_with("missed: no scheduler was running for ") && detail.contains(" ticks"),
        "{detail}"
    );
    assert_eq!((ticks(&stage).await.len(), in_stream(&stage).await), (2, 0));
}

#[tokio::test]
async fn the_time_of_day_is_that_of_the_time_zone() {
    let dir = tempfile::tempdir().expect("a folder");
    let list = Isobar::new(dir.path())
        .env("ISOBAR_SYNC_CRON", "30 5 * * *")
        .env("ISOBAR_TIMEZONE", "Europe/Berlin")
        .args(["schedule", "--list", "--json"]);
    let listed = list.run().await.expect_code(0).json();
    let item = &listed["items"][0];
    assert_eq!((&item["name"], &item["timezone"]), (&"sync".into(), &"Europe/Berlin".into()));
    let next: Vec<DateTime<Utc>> = item["next"]
        .as_array()
        .expect("ticks")
        .iter()
        .filter_map(|tick| tick.as_str()?.parse().ok())
        .collect();
    assert_eq!(next.len(), 10);
    let half_past_five = NaiveTime::from_hms_opt(5, 30, 0).expect("a time");
    for pair in next.windows(2) {
        let local = pair.iter().map(|tick| tick.with_timezone(&Berlin)).collect::<Vec<_>>();
        assert!(local.iter().all(|tick| tick.time() == half_past_five), "{local:?}");
        assert_eq!(local[1].date_naive() - local[0].date_naive(), TimeDelta::days(1));
    }
    let text =
        Isobar::new(dir.path()).env("ISOBAR_SYNC_CRON", "@hourly").args(["schedule", "--list"]);
    let text = text.run().await.expect_code(0);
    assert!(text.stdout.starts_with("sync: @hourly in UTC"), "{}", text.stdout);
    assert_eq!(text.stdout.lines().count(), 11);
}

#[tokio::test]
async fn what_makes_no_sense_is_refused_at_the_start_with_a_sentence() {
    let dir = tempfile::tempdir().expect("a folder");
    for (name, value, why) in [
        ("ISOBAR_SYNC_CRON", "often", "it has 1 fields"),
        ("ISOBAR_SYNC_CRON", "61 * * * *", "\"61\" is not a valid minute"),
        ("ISOBAR_SYNC_CRON", "0 0 30 2 *", "never fires"),
        ("ISOBAR_SYNC_CRON", "@every 1500ms", "whole seconds"),
        ("ISOBAR_SYNC_CRON", "@reboot", "unknown name"),
        ("ISOBAR_TIMEZONE", "Europe/Atlantis", "IANA"),
        ("ISOBAR_MISFIRE", "never", "once, skip"),
        ("ISOBAR_OVERLAP", "allow", "skip, queue"),
    ] {
        for command in ["schedule", "up", "serve", "produce"] {
            let refused = Isobar::new(dir.path()).env(name, value).args([command]).run().await;
            let refused = refused.expect_code(78);
            let says = refused.stderr.contains(name) && refused.stderr.contains(why);
            assert!(says, "{command} {value}: {}", refused.stderr);
        }
    }
    for args in [vec!["schedule"], vec!["schedule", "--list"]] {
        let nothing = Isobar::new(dir.path()).args(args).run().await.expect_code(78);
        assert!(nothing.stderr.contains("ISOBAR_SYNC_CRON"), "{}", nothing.stderr);
    }
    let left = std::fs::read_dir(dir.path()).expect("a folder").flatten();
    let files = left.filter(|entry| !entry.file_name().to_string_lossy().starts_with("it-"));
    assert_eq!(files.count(), 0, "nothing was made");
    let strangers = Isobar::new(dir.path())
        .env(YEARLY.0, YEARLY.1)
        .args(["schedule", "--listen", "0.0.0.0:0"])
        .run()
        .await
        .expect_code(78);
    assert!(strangers.stderr.contains("ISOBAR_API_KEY"), "{}", strangers.stderr);
    let short = Isobar::new(dir.path()).args(["schedule", "--lease", "10ms"]).run().await;
    short.expect_code(2);
}

#[tokio::test]
async fn the_history_comes_in_pages_also_from_a_process_that_knows_of_no_schedule() {
    let stage = Stage::set(&SIM).await;
    last_fired_in_2024(&stage).await;
    let more = "INSERT INTO schedule_ticks (schedule, tick, owner, lease_until, started_at, done_at, outcome) \
                SELECT 'sync', tick, 'a', tick, tick, tick, 'missed' \
                FROM generate_series('2025-01-01'::timestamptz, '2025-01-07', '1 day') AS tick";
    sqlx::raw_sql(more).execute(&mut stage.pg().await).await.expect("the statement runs");
    let mut serve = stage.isobar(["serve", "--listen", "127.0.0.1:0"]).spawn();
    let said = serve.wait_for_line(|line| line.starts_with("listening on http://"), PATIENCE).await;
    let http = crate::harness::http::Http::new(said.trim_start_matches("listening on "));
    let schedules = http.get("/schedules/?limit=2").await.json();
    let sync = &schedules["items"][0];
    assert_eq!((&sync["expression"], &sync["next_at"]), (&Value::Null, &Value::Null));
    assert_eq!(sync["ticks"].as_array().map(Vec::len), Some(2));
    let (mut cursor, mut seen) = (String::new(), Vec::new());
    loop {
        let page = http.get(&format!("/schedules/sync?limit=3&cursor={cursor}")).await.json();
        let ticks = page["ticks"].as_array().expect("ticks").iter();
        seen.extend(ticks.map(|tick| tick["tick"].as_str().expect("a time").to_owned()));
        match page["next_cursor"].as_str() {
            Some(next) => next.clone_into(&mut cursor),
            None => break,
        }
    }
    assert_eq!(seen.len(), 8);
    assert!(seen.is_sorted_by(|newer, older| newer > older), "{seen:?}");
    for (path, status) in [
        ("/schedules/nobody", 404),
        ("/schedules/sync?cursor=x", 400),
        ("/schedules?limit=501", 400),
    ] {
        assert_eq!(http.get(path).await.status, status, "{path}");
    }
    assert!(serve.is_running());
    stop(serve).await;
}

//! Scrapes of real processes: at work, with a broker or a store away, after runs that failed.

use std::collections::BTreeSet;

use serde_json::json;

use super::scrape::Scrape;
use super::{known, promtool};
use crate::harness::http::Http;
use crate::harness::isobar::{Isobar, Running};
use crate::harness::port::free_port;
use crate::harness::postgres::Postgres;
use crate::harness::redis::Redis;
use crate::harness::stage::Stage;
use crate::harness::wait::{PATIENCE, eventually, until};

#[tokio::test]
async fn an_api_and_a_worker_tell_all_that_there_is_and_promtool_finds_no_fault() {
    let stage = Stage::set(&["--cities", "50"]).await;
    let quota = |command: Isobar| command.env("ISOBAR_QUOTA", "100000/m,200000/h,300000/d");
    stage.isobar(["produce", "--source", "api"]).run().await.expect_code(0);
    let _: String =
        stage.redis.cli(&["XADD", crate::harness::stage::STREAM, "*", "no", "task"]).await;
    let address = format!("127.0.0.1:{}", free_port());
    let worker = quota(stage.isobar(["consume", "--listen", &address])).spawn();
    worker.wait_for_line(|line| line.contains("worker started"), PATIENCE).await;
    let (_api, http) = serve(quota(stage.isobar(["serve"]))).await;
    assert_eq!(http.get("/weather?city=Paris").await.status, 200);
    until(PATIENCE, "everything is finished", async || stage.unfinished().await == 0).await;

    let worker = Http::new(format!("http://{address}"));
    let told = eventually(PATIENCE, "the worker has told of its pauses", async || {
        let told = worker.get("/metrics").await;
        told.body.contains("isobar_reading_paused").then_some(told)
    })
    .await;
    let texts = [told, http.get("/metrics").await];
    let mut unseen: BTreeSet<&str> = known().into_keys().collect();
    for text in texts {
        assert_eq!(text.headers["content-type"], "text/plain; version=0.0.4; charset=utf-8");
        let said = promtool(&["check", "metrics"], &text.body).await;
        assert_eq!(said, Ok(String::new()), "{}", text.body);
        let scrape = Scrape::read(&text.body);
        for (name, (kind, help)) in &scrape.families {
            let metric = known().get(name.as_str()).copied();
            let metric = metric.unwrap_or_else(|| panic!("{name} is in no list of METRICS"));
            assert_eq!((kind.as_str(), help.as_str()), (metric.kind.as_str(), metric.help));
            let labels: BTreeSet<&str> = metric.labels.iter().map(|label| label.name).collect();
            let told = scrape.labels_of(name);
            assert!(told.is_empty() || told == labels, "{name}: {told:?}, not {labels:?}");
            if !told.is_empty() || labels.is_empty() {
                unseen.remove(name.as_str());
            }
        }
    }
    assert!(unseen.is_empty(), "never told: {unseen:?}");
}

#[tokio::test]
async fn what_a_broker_or_a_store_told_is_gone_while_it_is_away() {
    let mut redis = Redis::start().await;
    let mut postgres = Postgres::private().await;
    let database = postgres.fresh_database().await;
    let dir = tempfile::tempdir().expect("temporary folder");
    let told = [("REDIS_URL", redis.url()), ("DATABASE_URL", database.url)];
    let command =
        told.into_iter().fold(Isobar::new(dir.path()), |all, (name, value)| all.env(name, value));
    let (_api, http) = serve(command.args(["serve"])).await;
    let of_broker = ["isobar_stream_unfinished_tasks", "isobar_workers"];
    let of_store = ["isobar_stored_dead_letters", "isobar_unfinished_jobs"];
    let here = [(of_broker[0], 0.0), (of_broker[1], 0.0), (of_store[0], 0.0), (of_store[1], 0.0)];
    let is_up = async |broker: f64, store: f64| {
        let scrape = scraped(&http).await;
        let up = ["isobar_broker_up", "isobar_store_up"].map(|name| scrape.value(name, &[]));
        (up == [Some(broker), Some(store)]).then_some(scrape)
    };
    let scrape = eventually(PATIENCE, "both are there", async || is_up(1.0, 1.0).await).await;
    for (name, value) in here {
        assert_eq!(scrape.value(name, &[]), Some(value), "{name}");
    }

    redis.stop().await;
    let scrape = eventually(PATIENCE, "no broker", async || is_up(0.0, 1.0).await).await;
    assert_eq!(of_broker.map(|name| scrape.value(name, &[])), [None; 2]);
    assert_eq!(of_store.map(|name| scrape.value(name, &[])), [Some(0.0); 2]);
    postgres.stop().await;
    let scrape = eventually(PATIENCE, "neither", async || is_up(0.0, 0.0).await).await;
    assert_eq!(of_store.map(|name| scrape.value(name, &[])), [None; 2]);

    redis.start_again().await;
    postgres.start_again().await;
    eventually(PATIENCE, "both are back", async || is_up(1.0, 1.0).await).await;
}

#[tokio::test]
async fn a_run_leaves_its_outcome_and_a_failed_one_does_not_hide_the_last_that_was_good() {
    let dir = tempfile::tempdir().expect("temporary folder");
    let isobar = |args: &[&str]| Isobar::new(dir.path()).args(args.iter().copied());
    let (_api, http) = serve(isobar(&["serve"])).await;
    assert_eq!(outcome(&scraped(&http).await), None, "nobody has produced yet");

    let good = ["produce", "--source", "gazetteer", "--limit", "30"];
    isobar(&good).run().await.expect_code(0);
    let done = scraped(&http).await;
    assert_eq!(outcome(&done).as_deref(), Some("done"));
    let value = |scrape: &Scrape, name: &str| scrape.value(&format!("isobar_producer_{name}"), &[]);
    assert_eq!(["last_run_rows", "last_run_tasks"].map(|name| value(&done, name)), [Some(30.0); 2]);
    assert_eq!(done.value("isobar_outbox_unsent_tasks", &[("outbox", "producer")]), Some(0.0));
    let success = value(&done, "last_success_timestamp_seconds").expect("a time");

    std::fs::write(dir.path().join("none.csv"), "city,latitude\n,91\n").expect("a file");
    for bad in [vec!["produce", "--csv", "none.csv"], vec!["produce", "--csv", "nowhere.csv"]] {
        isobar(&bad).run().await.expect_code(1);
        let failed = scraped(&http).await;
        assert_eq!(outcome(&failed).as_deref(), Some("failed"), "{bad:?}");
        assert_eq!(value(&failed, "last_success_timestamp_seconds"), Some(success));
        assert!(value(&failed, "last_run_timestamp_seconds") >= Some(success));
    }
    let away = format!("http://127.0.0.1:{}", free_port());
    let command = isobar(&["produce", "--source", "api"]).env("ISOBAR_CITY_SOURCE_URL", away);
    command.env("ISOBAR_SOURCE_ATTEMPTS", "1").run().await.expect_code(75);
    assert_eq!(outcome(&scraped(&http).await).as_deref(), Some("try_again"));
}

async fn serve(command: Isobar) -> (Running, Http) {
    let api = command.env("ISOBAR_LISTEN", "127.0.0.1:0").spawn();
    let said = api.wait_for_line(|line| line.starts_with("listening on http://"), PATIENCE).await;
    let http = Http::new(said.trim_start_matches("listening on "));
    until(PATIENCE, "the API answers", async || http.try_get("/livez").await.is_ok()).await;
    (api, http)
}

async fn scraped(http: &Http) -> Scrape {
    Scrape::read(&http.get("/metrics").await.body)
}

/// How the last run ended: the one of all outcomes that is 1.
fn outcome(scrape: &Scrape) -> Option<String> {
    let name = "isobar_producer_last_run_outcome";
    let mut is = scrape.series.iter().filter(|series| series.name == name && series.value > 0.0);
    let outcome = is.next()?.labels["outcome"].clone();
    assert!(is.next().is_none(), "{}", json!(outcome));
    Some(outcome)
}

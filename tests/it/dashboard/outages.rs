//! What is down is said to be down, with what was last known of it, and is well again by itself or
//! by an operator.

use serde_json::json;

use super::{CSV, Visit};
use crate::harness::redis::Redis;

#[tokio::test]
async fn a_breaker_that_is_open_is_seen_and_reset() {
    let visit = Visit::begin(&[("ISOBAR_UPSTREAM_BREAKER", "2/30s/600s")]).await;
    let browser = &visit.browser;
    visit.sim.fault(&json!({"kind": "status", "status": 503})).await;
    visit.open("/").await;
    visit.is_live().await;
    visit.import(CSV).await;
    browser.sees("[data-panel=health]", "failing; next attempt").await;
    browser.sees(".job", "Waiting").await;
    visit.keep_picture("upstream-down").await;
    visit.sim.clear_faults().await;
    browser.click("form[action='/stream/breaker/reset'] button").await;
    browser.sees("#messages", "Breaker reset").await;
    browser.sees("[data-panel=operations]", "reset the breaker").await;
    browser.is_gone("form[action='/stream/breaker/reset']").await;
    browser.is_gone("[data-panel=health] .bad").await;
    visit.is_done().await;
    visit.end().await;
}

#[tokio::test]
async fn while_the_broker_is_away_the_page_shows_what_was_last_known() {
    let mut redis = Redis::start().await;
    let visit = Visit::begin(&[("REDIS_URL", &redis.url())]).await;
    let browser = &visit.browser;
    visit.open("/").await;
    visit.is_live().await;
    visit.import(CSV).await;
    visit.is_done().await;
    browser.sees("[data-panel=workers]", "running").await;
    redis.stop().await;
    browser.sees("[data-panel=health]", "down").await;
    browser.sees("[data-panel=backlog]", "last known value").await;
    browser.sees("[data-panel=workers]", "last known value").await;
    let backlog = browser.text("[data-panel=backlog]").await.expect("a backlog");
    assert!(backlog.contains("unfinished") && !backlog.contains("unknown"), "{backlog}");
    browser.sees("[data-panel=jobs] .ended", "some-cities.csv").await;
    visit.keep_picture("broker-away").await;
    redis.start_again().await;
    browser.is_gone("[data-panel=health] .bad").await;
    visit.is_live().await;
    visit.end().await;
}

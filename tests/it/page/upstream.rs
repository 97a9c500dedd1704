//! While the weather service is down the page says so, and an operator can have it tried again.

use serde_json::json;

use super::{CSV, Visit};

#[tokio::test]
async fn a_breaker_that_is_open_is_seen_and_reset() {
    let visit = Visit::begin(&[("ISOBAR_UPSTREAM_BREAKER", "2/30s/600s")]).await;
    let browser = &visit.browser;
    visit.sim.fault(&json!({"kind": "status", "status": 503})).await;
    visit.open("/").await;
    visit.is_live().await;
    visit.import(CSV).await;
    browser.sees("[data-panel=health]", "breaker open").await;
    browser.sees(".job", "stands still").await;
    visit.keep_picture("upstream-down").await;
    visit.sim.clear_faults().await;
    browser.click("form[action='/stream/breaker/reset'] button").await;
    browser.sees("#says", "The breaker is reset").await;
    browser.sees("[data-panel=operations]", "reset the breaker").await;
    browser.sees("[data-panel=health]", "breaker closed").await;
    visit.is_done().await;
    visit.end().await;
}

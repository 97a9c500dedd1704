//! What failed is seen by code, and is replayed, retried or thrown away from the page.

use serde_json::json;

use super::{CSV, Visit};

/// The simulator has nothing for Paris, for good.
async fn paris_fails(settings: &[(&str, &str)]) -> Visit {
    let visit = Visit::begin(settings).await;
    visit.sim.fault(&json!({"kind": "status", "status": 400, "match": "48.85341"})).await;
    visit.open("/").await;
    visit.is_live().await;
    visit.import(CSV).await;
    visit.browser.sees("[data-panel=failures]", "location_rejected").await;
    visit.browser.sees("[data-panel=backlog] .alarming", "1").await;
    visit
}

#[tokio::test]
async fn a_dead_letter_is_replayed_and_its_city_has_weather_then() {
    let visit = paris_fails(&[]).await;
    let browser = &visit.browser;
    visit.keep_picture("failures").await;
    visit.sim.clear_faults().await;
    browser.click("form[action^='/dead-letters/replay'] button").await;
    browser.sees("dialog", "Publish 1 task with location_rejected again?").await;
    browser.click("dialog button[value=yes]").await;
    browser.sees("#messages", "Replay started").await;
    browser.is_gone("form[action^='/dead-letters/replay']").await;
    browser.sees("[data-panel=operations]", "replayed dead letters").await;
    browser.sees("#map-note", "2 of 2 cities").await;
    // The job's accounts follow: of its failed rows only the one that never was a task is left.
    browser.sees("[data-panel=jobs] .ended", "4 2 1 1").await;
    visit.end().await;
}

#[tokio::test]
async fn failed_rows_are_retried_from_their_job() {
    let visit = paris_fails(&[]).await;
    let browser = &visit.browser;
    visit.sim.clear_faults().await;
    browser.click("form[action$='/retry'] button").await;
    browser.sees("dialog", "Publish 1 failed row of some-cities.csv again?").await;
    browser.click("dialog button[value=yes]").await;
    browser.sees("[data-panel=operations]", "retried a job").await;
    browser.sees("[data-panel=jobs] .ended", "4 2 1 1").await;
    browser.is_gone("form[action$='/retry']").await;
    visit.end().await;
}

#[tokio::test]
async fn dead_letters_are_thrown_away_only_after_a_yes() {
    let visit = paris_fails(&[]).await;
    let browser = &visit.browser;
    let discard = "form[data-method=DELETE] button";
    browser.click(discard).await;
    browser.sees("dialog", "Discard 1 dead letter with location_rejected?").await;
    browser.press("Escape").await;
    browser.is_gone("dialog").await;
    browser.sees("[data-panel=backlog] .alarming", "1").await;
    browser.click(discard).await;
    browser.click("dialog button[value=yes]").await;
    browser.is_gone(discard).await;
    browser.sees("[data-panel=operations]", "discarded dead letters").await;
    visit.end().await;
}

//! A file becomes a job, and its bar reaches the end; pauses, resumption and cancelling on the way.

use serde_json::json;

use super::{CSV, Visit};

#[tokio::test]
async fn a_file_is_imported_held_up_by_a_pause_and_its_bar_reaches_the_end_after_it() {
    let visit = Visit::begin(&[]).await;
    let browser = &visit.browser;
    visit.open("/").await;
    visit.is_live().await;
    browser.sees("[data-panel=jobs]", "No job yet").await;

    browser.click("form[action='/stream/pause'] button").await;
    browser.sees("[data-panel=health]", "paused").await;
    browser.sees("#messages", "Workers paused").await;
    browser.sees("[data-panel=workers]", "waiting").await;
    visit.import(CSV).await;
    browser.sees("#messages", "some-cities.csv uploaded").await;
    browser.sees(".job", "Waiting: workers paused by api 127.0.0.1").await;
    browser.sees("[data-panel=operations]", "paused the workers").await;
    visit.keep_picture("paused").await;

    browser.click("form[action='/stream/resume'] button").await;
    browser.is_there(".job [role=progressbar][aria-valuenow='100']").await;
    visit.is_done().await;
    let row = browser.text("[data-panel=jobs] .ended").await.expect("a finished job");
    assert!(row.contains("some-cities.csv") && row.contains("import"), "{row}");
    // Rows, stored, skipped (the repeated Paris), failed (no such latitude).
    assert!(row.contains("4 2 1 1"), "{row}");
    browser.sees("[data-panel=failures]", "Failed rows of jobs").await;
    browser.sees("#map-note", "2 of 2 cities").await;
    visit.end().await;
}

#[tokio::test]
async fn a_bar_moves_while_its_job_does() {
    let visit = Visit::begin(&[("ISOBAR_CONCURRENCY", "1")]).await;
    visit.open("/").await;
    visit.is_live().await;
    // Slow enough that the page must see some of the way.
    visit.sim.fault(&json!({"endpoint": "/v1/forecast", "kind": "slow", "delay_ms": 700})).await;
    let rows = (0..1_200).map(|n| format!("Place {n},{}.5,{}.25", n % 80, n % 170));
    let csv: Vec<String> = rows.collect();
    visit.import(&format!("city,latitude,longitude\n{}\n", csv.join("\n"))).await;
    let between = "return [...document.querySelectorAll('.job [role=progressbar]')]\
        .some((bar) => bar.ariaValueNow > 0 && bar.ariaValueNow < 100)";
    visit.browser.becomes(between, &json!(true)).await;
    visit.keep_picture("importing").await;
    visit.browser.is_there(".job [role=progressbar][aria-valuenow='100']").await;
    visit.browser.sees("[data-panel=chart]", "finished").await;
    visit.end().await;
}

#[tokio::test]
async fn a_file_that_is_dropped_on_the_page_is_imported() {
    let visit = Visit::begin(&[]).await;
    visit.open("/").await;
    visit.is_live().await;
    let drag = |kind: &str| {
        format!(
            "const carried = new DataTransfer();\
             carried.items.add(new File([{}], 'dropped.csv', {{ type: 'text/csv' }}));\
             document.body.dispatchEvent(new DragEvent('{kind}', {{ dataTransfer: carried, bubbles: true, cancelable: true }}));",
            json!(CSV)
        )
    };
    visit.browser.evaluate(&drag("dragenter")).await;
    visit.browser.sees("#drop", "Drop the CSV").await;
    visit.browser.evaluate(&drag("drop")).await;
    visit.browser.sees("#messages", "dropped.csv uploaded").await;
    visit.is_done().await;
    assert_eq!(visit.browser.evaluate("return document.getElementById('drop').hidden").await, true);
    visit.end().await;
}

#[tokio::test]
async fn a_job_is_paused_resumed_and_cancelled_after_a_question() {
    let visit = Visit::begin(&[]).await;
    let browser = &visit.browser;
    assert_eq!(visit.http.post("/stream/pause", &json!({})).await.status, 200);
    visit.open("/").await;
    visit.is_live().await;
    browser.sees("[data-panel=workers]", "waiting").await;
    visit.import(CSV).await;
    browser.click(".job form[action$='/pause'] button").await;
    browser.sees(".job", "job paused by api 127.0.0.1").await;
    browser.click(".job form[action$='/resume'] button").await;
    browser.sees(".job", "workers paused by api 127.0.0.1").await;

    browser.click(".job form[action$='/cancel'] button").await;
    browser.sees("dialog", "Cancel some-cities.csv?").await;
    browser.click("dialog button:first-child").await;
    browser.click(".job form[action$='/cancel'] button").await;
    browser.click("dialog button[value=yes]").await;
    browser.sees(".job", "cancelling").await;
    browser.click("form[action='/stream/resume'] button").await;
    browser.sees("[data-panel=jobs] .ended", "cancelled").await;
    visit.end().await;
}

#[tokio::test]
async fn names_that_look_like_html_are_text_on_the_page() {
    let visit = Visit::begin(&[]).await;
    let browser = &visit.browser;
    visit.open("/").await;
    visit.is_live().await;
    let name = "<img src=x onerror=document.title='owned'>";
    let csv = format!("city,latitude,longitude\n{name},1,2\n{name},91,2\n");
    visit.choose_file(&format!("{name}.csv"), &csv).await;
    browser.click("form.import button").await;
    visit.is_done().await;
    browser.sees("[data-panel=jobs] .ended", name).await;
    browser.type_into("#city", name).await;
    browser.click("form.search button").await;
    browser.sees("#h-found", name).await;
    assert_eq!(browser.evaluate("return document.querySelectorAll('main img').length").await, 0);
    assert_eq!(browser.evaluate("return document.title").await, "Isobar");
    visit.end().await;
}

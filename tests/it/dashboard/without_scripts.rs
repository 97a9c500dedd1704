//! Without scripts everything can be read, as it was when the page was loaded.

use reqwest::Method;
use serde_json::json;

use super::{CSV, Visit};
use crate::harness::http::send;
use crate::harness::wait::{PATIENCE, until};

#[tokio::test]
async fn without_scripts_the_page_is_whole_as_it_was_loaded() {
    let visit = Visit::begin(&[]).await;
    let body = format!(
        "--x\r\ncontent-disposition: form-data; name=\"file\"; filename=\"some-cities.csv\"\r\n\r\n{CSV}\r\n--x--\r\n"
    );
    let upload = visit.http.request(Method::POST, "/bulk/import").body(body);
    let taken = send(upload.header("content-type", "multipart/form-data; boundary=x")).await;
    let job = taken.expect("an answer").json()["job_id"].as_str().expect("an id").to_owned();
    until(PATIENCE, "the import is done", async || {
        visit.http.get(&format!("/bulk/jobs/{job}")).await.json()["status"] == "done"
    })
    .await;
    visit.browser.forbid_scripts().await;
    visit.open("/?city=Lima").await;
    for (selector, words) in [
        ("[data-panel=health]", "healthy"),
        ("[data-panel=jobs]", "some-cities.csv"),
        ("[data-panel=backlog]", "unfinished"),
        ("[data-panel=workers]", "running"),
        ("#found", "The last refresh succeeded"),
    ] {
        visit.browser.sees(selector, words).await;
    }
    // WebDriver takes whatever is in a noscript for hidden.
    let told = "return document.querySelector('noscript p').checkVisibility()";
    assert_eq!(visit.browser.evaluate(told).await, json!(true));
    visit.end().await;
}

//! The dashboard in a real Chromium, over `isobar up` with the simulator behind it.
//!
//! Each test is one visit: what a person does, and what the page must show then. Whatever the page
//! does, its console must have nothing to complain of and no request may leave this server; that is
//! looked at in the end of every visit.

use std::path::PathBuf;

use reqwest::Method;
use serde_json::json;
use tempfile::TempDir;

use crate::harness::browser::Browser;
use crate::harness::http::{Http, send};
use crate::harness::isobar::{Isobar, Running};
use crate::harness::wait::{PATIENCE, until};

/// Somebody in front of the page.
struct Visit {
    browser: Browser,
    http: Http,
    base: String,
    dir: TempDir,
    _up: Running,
}

impl Visit {
    async fn begin(settings: &[(&str, &str)]) -> Self {
        let dir = tempfile::tempdir().expect("temporary folder");
        let up = Isobar::new(dir.path()).env("ISOBAR_LISTEN", "127.0.0.1:0").args(["up", "--sim"]);
        let up = settings.iter().fold(up, |up, (name, value)| up.env(name, *value)).spawn();
        let browser = Browser::start().await;
        let said = up.wait_for_line(|line| line.starts_with("listening on"), PATIENCE).await;
        let base = said.trim_start_matches("listening on ").to_owned();
        let http = Http::new(&base);
        until(PATIENCE, "the API is ready", async || {
            http.try_get("/readyz").await.is_ok_and(|reply| reply.status.is_success())
        })
        .await;
        Self { browser, http, base, dir, _up: up }
    }

    async fn open(&self, path: &str) {
        self.browser.open(&format!("{}{path}", self.base)).await;
    }

    /// The page listens to its server.
    async fn is_live(&self) {
        self.browser.sees("#pulse", "live").await;
    }

    fn file(&self, name: &str, content: &str) -> PathBuf {
        let path = self.dir.path().join(name);
        std::fs::write(&path, content).expect("write the file");
        path
    }

    async fn import(&self, csv: &str) {
        let file = self.file("some-cities.csv", csv);
        self.browser.type_into("#file", &file.to_string_lossy()).await;
        self.browser.click("form.import button").await;
    }

    async fn end(self) {
        let complaints = self.browser.complaints().await;
        assert!(complaints.is_empty(), "{complaints:#?}");
        let requests = self.browser.requests().await;
        let foreign = |url: &&String| url.starts_with("http") && !url.starts_with(&self.base);
        let foreign: Vec<_> = requests.iter().filter(foreign).collect();
        assert!(foreign.is_empty(), "{foreign:?}");
    }
}

const CSV: &str = "city,latitude,longitude\nParis,48.85341,2.3488\nLima,-12.04318,-77.02824\n\
    Nowhere,91,0\nParis,48.85341,2.3488\n";

#[tokio::test]
async fn a_file_is_imported_held_up_by_a_pause_and_its_bar_reaches_the_end_after_it() {
    let visit = Visit::begin(&[]).await;
    let browser = &visit.browser;
    visit.open("/").await;
    visit.is_live().await;
    browser.sees("[data-panel=jobs]", "No job yet").await;

    browser.click("form[action='/stream/pause'] button").await;
    browser.sees("[data-panel=health]", "paused").await;
    browser.sees("#says", "Reading is paused").await;
    browser.sees("[data-panel=workers]", "waits").await;
    visit.import(CSV).await;
    browser.sees("#says", "some-cities.csv is safe here").await;
    browser.sees(".job", "stands still: reading was paused by api 127.0.0.1").await;
    browser.sees("[data-panel=operations]", "paused reading").await;

    browser.click("form[action='/stream/resume'] button").await;
    browser.sees("[data-panel=jobs] tbody tr", "done").await;
    let row = browser.text("[data-panel=jobs] tbody tr").await.expect("a finished job");
    assert!(row.contains("some-cities.csv") && row.contains("import"), "{row}");
    // Rows, stored, skipped (the repeated Paris), failed (no such latitude).
    assert!(row.contains("4 2 1 1"), "{row}");
    browser.sees("[data-panel=failures]", "Failed rows of jobs").await;
    browser.sees("#map-note", "2 of 2 cities").await;
    visit.end().await;
}

#[tokio::test]
async fn a_job_is_paused_resumed_and_cancelled_after_a_question() {
    let visit = Visit::begin(&[]).await;
    let browser = &visit.browser;
    assert_eq!(visit.http.post("/stream/pause", &json!({})).await.status, 200);
    visit.open("/").await;
    visit.is_live().await;
    browser.sees("[data-panel=workers]", "waits").await;
    visit.import(CSV).await;
    browser.click(".job form[action$='/pause'] button").await;
    browser.sees(".job", "it was paused by api 127.0.0.1").await;
    browser.click(".job form[action$='/resume'] button").await;
    browser.sees(".job", "reading was paused by api 127.0.0.1").await;

    browser.click(".job form[action$='/cancel'] button").await;
    browser.sees("dialog", "Cancel some-cities.csv?").await;
    browser.click("dialog button:first-child").await;
    browser.click(".job form[action$='/cancel'] button").await;
    browser.click("dialog button[value=yes]").await;
    browser.sees(".job", "is being cancelled").await;
    browser.click("form[action='/stream/resume'] button").await;
    browser.sees("[data-panel=jobs] tbody tr", "cancelled").await;
    visit.end().await;
}

#[tokio::test]
async fn a_city_is_found_with_its_snapshot_and_what_became_of_it() {
    let visit = Visit::begin(&[]).await;
    let browser = &visit.browser;
    visit.open("/").await;
    visit.is_live().await;
    browser.type_into("#city", "paris").await;
    browser.click("form.search button").await;
    browser.sees("#found", "no job has asked for it yet").await;
    visit.import(CSV).await;
    browser.sees("[data-panel=jobs] tbody tr", "done").await;

    browser.click("form.search button").await;
    browser.sees("#found", "The last refresh succeeded").await;
    let found = browser.text("#found").await.expect("a story");
    assert!(found.contains("°C") && found.contains("some-cities.csv"), "{found}");
    assert!(browser.url().await.ends_with("/?city=paris"));
    browser.click("#found .close").await;
    assert!(browser.url().await.ends_with('/'));
    browser.evaluate("history.back()").await;
    browser.sees("#found", "The last refresh succeeded").await;
    visit.end().await;
}

#[tokio::test]
async fn the_page_fits_a_phone_and_is_dark_where_that_is_preferred() {
    let visit = Visit::begin(&[("ISOBAR_QUOTA", "600/m,5000/h,10000/d")]).await;
    let browser = &visit.browser;
    browser.resize(360, 740).await;
    visit.open("/?city=Paris").await;
    visit.is_live().await;
    visit.import(CSV).await;
    browser.sees("[data-panel=jobs] tbody tr", "done").await;
    let wide = "return [...document.querySelectorAll('body *')].filter((element) => \
        !element.closest('.scroll, .skip, .hidden') && element.getBoundingClientRect().right > innerWidth + 1)\
        .map((element) => element.outerHTML.slice(0, 120))";
    assert_eq!(browser.evaluate(wide).await, json!([]), "these are too wide");
    let ground = "return getComputedStyle(document.body).backgroundColor";
    browser.prefer("light").await;
    let light = browser.evaluate(ground).await;
    browser.prefer("dark").await;
    assert_ne!(browser.evaluate(ground).await, light);
    visit.end().await;
}

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
        ("[data-panel=health]", "answers"),
        ("[data-panel=jobs] tbody tr", "some-cities.csv"),
        ("[data-panel=backlog]", "0 unfinished"),
        ("[data-panel=workers]", "reads"),
        ("#found", "The last refresh succeeded"),
    ] {
        visit.browser.sees(selector, words).await;
    }
    // WebDriver takes whatever is in a noscript for hidden.
    let told = "return document.querySelector('noscript p').checkVisibility()";
    assert_eq!(visit.browser.evaluate(told).await, json!(true));
    visit.end().await;
}

#[tokio::test]
async fn who_has_not_signed_in_sees_nothing_and_who_signs_out_is_shown_out() {
    let visit = Visit::begin(&[("ISOBAR_API_KEY", "k3y")]).await;
    let browser = &visit.browser;
    visit.open("/").await;
    assert!(browser.url().await.ends_with("/login"));
    browser.type_into("#key", "wrong").await;
    browser.click("button").await;
    browser.sees("[role=alert]", "This is not the key").await;
    // The console notes the 401, as it should.
    let complaints = browser.complaints().await;
    assert!(complaints.iter().all(|complaint| complaint.contains("401")), "{complaints:#?}");
    browser.type_into("#key", "k3y").await;
    browser.click("button").await;
    visit.is_live().await;
    browser.sees("[data-panel=health]", "answers").await;
    browser.click("form[action='/logout'] button").await;
    browser.sees("h1", "Isobar").await;
    assert!(browser.url().await.ends_with("/login"));
    visit.end().await;
}

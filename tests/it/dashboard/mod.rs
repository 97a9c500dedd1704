//! The dashboard in a real Chromium, over `isobar up` with the simulator behind it.
//!
//! Each test is one visit: what a person does, and what the page must show then. Whatever the page
//! does, its console must have nothing to complain of and no request may leave this server; that is
//! looked at in the end of every visit. What the page looked like is in the target folder's
//! `tmp/screens` afterwards, for a person to look at too.

mod cities;
mod contrast;
mod failures;
mod imports;
mod keyboard;
mod layout;
mod outages;
mod sign_in;
mod users;
mod without_scripts;

use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::harness::browser::Browser;
use crate::harness::http::Http;
use crate::harness::isobar::{Isobar, Running};
use crate::harness::sim::Sim;
use crate::harness::wait::{PATIENCE, until};

/// Two cities, a row that is no city, and a city again.
const CSV: &str = "city,latitude,longitude\nParis,48.85341,2.3488\nLima,-12.04318,-77.02824\n\
    Nowhere,91,0\nParis,48.85341,2.3488\n";

/// Somebody in front of the page.
struct Visit {
    browser: Browser,
    http: Http,
    sim: Sim,
    base: String,
    dir: TempDir,
    _up: Running,
}

impl Visit {
    /// `{sim}` in a setting is the simulator's address.
    async fn begin(settings: &[(&str, &str)]) -> Self {
        let dir = tempfile::tempdir().expect("temporary folder");
        let sim = Sim::start(["--cities", "500"]).await;
        let up = Isobar::new(dir.path())
            .env("ISOBAR_LISTEN", "127.0.0.1:0")
            .env("ISOBAR_OPEN_METEO_URL", sim.url())
            .env("ISOBAR_GEOCODING_URL", sim.url())
            .env("ISOBAR_AIR_QUALITY_URL", sim.url())
            .args(["up"]);
        let up = settings
            .iter()
            .fold(up, |up, (name, value)| up.env(name, value.replace("{sim}", sim.url())));
        let up = up.spawn();
        let browser = Browser::start().await;
        let said = up.wait_for_line(|line| line.starts_with("listening on"), PATIENCE).await;
        let base = said.trim_start_matches("listening on ").to_owned();
        let http = Http::new(&base);
        until(PATIENCE, "the API is ready", async || {
            http.try_get("/readyz").await.is_ok_and(|reply| reply.status.is_success())
        })
        .await;
        Self { browser, http, sim, base, dir, _up: up }
    }

    async fn open(&self, path: &str) {
        self.browser.open(&format!("{}{path}", self.base)).await;
    }

    /// The page listens to its server.
    async fn is_live(&self) {
        self.browser.sees("#pulse", "live").await;
    }

    async fn choose_file(&self, name: &str, content: &str) {
        let path: PathBuf = self.dir.path().join(name);
        std::fs::write(&path, content).expect("write the file");
        self.browser.type_into("#file", &path.to_string_lossy()).await;
    }

    async fn import(&self, csv: &str) {
        self.choose_file("some-cities.csv", csv).await;
        self.browser.click("form.import button").await;
    }

    /// The newest job has ended.
    async fn is_done(&self) {
        self.browser.sees("[data-panel=jobs] .ended", "done").await;
    }

    async fn keep_picture(&self, name: &str) {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("screens");
        std::fs::create_dir_all(&folder).expect("a folder for pictures");
        let picture = self.browser.picture().await;
        assert!(picture.starts_with(b"\x89PNG"), "this is no picture");
        std::fs::write(folder.join(format!("{name}.png")), picture).expect("write the picture");
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

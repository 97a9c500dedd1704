//! What operators do to a living pipeline, and that every row still ends exactly once.
//!
//! Over Redis and PostgreSQL with a role in each process, and embedded with all in one: the same
//! promises. The upstream is slowed down, so that there is something to pause and to cancel.

mod adopt;
mod cancel;
mod failed;
mod pause;

use reqwest::Method;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::harness::http::{Http, Reply, send};
use crate::harness::isobar::{Isobar, Running};
use crate::harness::sim::Sim;
use crate::harness::stage::Stage;
use crate::harness::wait::{PATIENCE, eventually, until};

/// `promise` becomes `promise::on_servers` and `promise::embedded`.
macro_rules! on_both {
    ($($promise:ident),+ $(,)?) => {
        $(mod $promise {
            #[tokio::test]
            async fn on_servers() {
                super::$promise(crate::operate::Site::on_servers().await).await;
            }

            #[tokio::test]
            async fn embedded() {
                super::$promise(crate::operate::Site::embedded().await).await;
            }
        })+
    };
}
use on_both;

/// One request at a time, of a few cities, each of which takes this long.
const LATENCY: &str = "100ms";
const SLOW: [(&str, &str); 2] =
    [("ISOBAR_CONCURRENCY", "1"), ("ISOBAR_LOCATIONS_PER_REQUEST", "10")];

/// An installation at work.
struct Site {
    ground: Ground,
    http: Http,
    roles: Vec<Running>,
}

enum Ground {
    Servers(Box<Stage>),
    Embedded { dir: TempDir, sim: Box<Sim> },
}

impl Site {
    async fn on_servers() -> Self {
        let stage = Stage::set(&["--latency", LATENCY]).await;
        Self::start(Ground::Servers(Box::new(stage))).await
    }

    async fn embedded() -> Self {
        let sim = Box::new(Sim::start(["--latency", LATENCY]).await);
        let dir = tempfile::tempdir().expect("a folder");
        Self::start(Ground::Embedded { dir, sim }).await
    }

    async fn start(ground: Ground) -> Self {
        let mut site = Self { ground, http: Http::new(""), roles: Vec::new() };
        site.work().await;
        site
    }

    /// Starts every role; the API's address is a new one each time.
    async fn work(&mut self) {
        let api = match &self.ground {
            Ground::Servers(_) => ["serve", "--listen", "127.0.0.1:0"],
            Ground::Embedded { .. } => ["up", "--listen", "127.0.0.1:0"],
        };
        let api = self.isobar(&api).spawn();
        let said =
            api.wait_for_line(|line| line.starts_with("listening on http://"), PATIENCE).await;
        self.http = Http::new(said.trim_start_matches("listening on "));
        until(PATIENCE, "the API is ready", async || {
            self.http.try_get("/readyz").await.is_ok_and(|reply| reply.status == 200)
        })
        .await;
        self.roles.push(api);
        if matches!(self.ground, Ground::Servers(_)) {
            self.roles.push(self.isobar(&["consume"]).spawn());
        }
    }

    /// Kills every role and starts it again.
    async fn restart(&mut self) {
        for mut role in self.roles.drain(..) {
            role.kill9().await;
        }
        self.work().await;
    }

    fn isobar(&self, arguments: &[&str]) -> Isobar {
        let command = match &self.ground {
            Ground::Servers(stage) => stage.isobar([]),
            Ground::Embedded { dir, sim } => Isobar::new(dir.path())
                .env("ISOBAR_OPEN_METEO_URL", sim.url())
                .env("ISOBAR_GEOCODING_URL", sim.url())
                .env("ISOBAR_AIR_QUALITY_URL", sim.url())
                .env("ISOBAR_CLAIM_IDLE", "3s")
                .env("ISOBAR_REQUEST_TIMEOUT", "1s"),
        };
        let command = SLOW.iter().fold(command, |command, (name, value)| command.env(name, *value));
        command.env("ISOBAR_UPSTREAM_BREAKER", "5/30s/600s").args(arguments.iter().copied())
    }

    fn sim(&self) -> &Sim {
        match &self.ground {
            Ground::Servers(stage) => &stage.sim,
            Ground::Embedded { sim, .. } => sim,
        }
    }

    fn folder(&self) -> &std::path::Path {
        match &self.ground {
            Ground::Servers(stage) => stage.dir.path(),
            Ground::Embedded { dir, .. } => dir.path(),
        }
    }

    async fn post(&self, path: &str) -> Reply {
        self.http.post(path, &json!({})).await
    }

    /// Imports so many cities; the job's id.
    async fn import(&self, cities: usize) -> String {
        self.import_text(&format!("{cities}.csv"), &csv(cities)).await
    }

    async fn import_text(&self, name: &str, csv: &str) -> String {
        let boundary = "b0undary";
        let body = format!(
            "--{boundary}\r\ncontent-disposition: form-data; name=\"file\"; filename=\"{name}\"\r\n\r\n{csv}\r\n--{boundary}--\r\n"
        );
        let request = self
            .http
            .request(Method::POST, "/bulk/import")
            .header("content-type", format!("multipart/form-data; boundary={boundary}"))
            .body(body);
        let taken = send(request).await.expect("an answer");
        assert_eq!(taken.status, 202, "{}", taken.body);
        taken.json()["job_id"].as_str().expect("an id").to_owned()
    }

    async fn job(&self, id: &str) -> Value {
        self.http.get(&format!("/bulk/jobs/{id}")).await.json()
    }

    /// The job once it fits.
    async fn job_that(&self, id: &str, what: &str, fits: impl Fn(&Value) -> bool) -> Value {
        eventually(PATIENCE, what, async || {
            let job = self.http.try_get(&format!("/bulk/jobs/{id}")).await.ok()?.json();
            fits(&job).then_some(job)
        })
        .await
    }

    async fn job_is(&self, id: &str, status: &str) -> Value {
        self.job_that(id, status, |job| job["status"] == status).await
    }

    async fn has_begun(&self, id: &str) -> Value {
        self.job_that(id, "the job has begun", |job| job["processed"].as_u64() > Some(0)).await
    }

    /// Everything has ended, and ended once.
    async fn is_balanced(&self) {
        let verified = self.isobar(&["verify", "--json"]).run().await.expect_code(0).json();
        assert_eq!((&verified["missing"], &verified["balanced"]), (&json!(0), &json!(true)));
    }
}

fn csv(cities: usize) -> String {
    let row = |n| format!("City {n} of {cities},{}.5,{}.25\n", n % 90, n % 180);
    let rows = (1..=cities).map(row);
    std::iter::once("city,latitude,longitude\n".to_owned()).chain(rows).collect()
}

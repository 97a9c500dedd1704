//! The upstreams for one test: `isobar sim` as a child on a free port.
//!
//! Its answers are a pure function of city, seed and hour, so that a test computes what it expects
//! from `expected` instead of writing it down. Faults are planned by `fault` and counted in `stats`.
//! What the simulator simulates is the business of the crate `isobar-sim`.

use std::ops::RangeInclusive;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::http::Http;
use super::isobar::{Isobar, Running};
use super::port::free_port;
use super::wait::{PATIENCE, eventually};

/// How often another port is tried when somebody else was faster.
const PORT_ATTEMPTS: usize = 5;

#[derive(Debug)]
pub struct Sim {
    url: String,
    http: Http,
    child: Running,
    _dir: TempDir,
}

impl Sim {
    /// With the options of `isobar sim`, such as `["--cities", "2000", "--quota", "open-meteo"]`.
    pub async fn start<A: Into<String> + Clone>(options: impl IntoIterator<Item = A>) -> Self {
        let options: Vec<String> = options.into_iter().map(Into::into).collect();
        for _ in 0..PORT_ATTEMPTS {
            let dir = tempfile::tempdir().expect("temporary folder");
            let listen = format!("127.0.0.1:{}", free_port());
            let command =
                Isobar::new(dir.path()).args(["sim", "--listen", &listen]).args(options.clone());
            let url = format!("http://{listen}");
            let mut sim = Self { http: Http::new(&url), url, child: command.spawn(), _dir: dir };
            if sim.is_ready().await {
                return sim;
            }
            assert!(
                sim.child.stderr_so_far().to_lowercase().contains("in use"),
                "isobar sim does not start: {}",
                sim.child.stderr_so_far()
            );
        }
        panic!("no free port for isobar sim");
    }

    /// The base address of every simulated service.
    pub fn url(&self) -> &str {
        &self.url
    }

    pub async fn stats(&self) -> Value {
        self.http.get("/_sim/stats").await.json()
    }

    /// Plans a fault, e.g. `json!({"endpoint":"/v1/forecast","status":503,"count":10})`.
    pub async fn fault(&self, plan: &Value) {
        let reply = self.http.post("/_sim/faults", plan).await;
        assert!(reply.status.is_success(), "{plan} was refused: {reply:?}");
    }

    /// The source lists these cities from now on, and has no other fault.
    pub async fn list(&self, cities: RangeInclusive<usize>) {
        let city = |n: usize| {
            json!({"city_id": n, "name": format!("City {n}"), "country_code": "FR",
                "latitude_deg": 10.5, "longitude_deg": 20.25})
        };
        let total = cities.clone().count();
        let cities: Vec<Value> = cities.map(city).collect();
        let page = json!({"cities": cities, "page": 0, "limit": 100, "total_count": total});
        self.clear_faults().await;
        self.fault(&json!({"endpoint": "/cities/", "body": page})).await;
    }

    pub async fn clear_faults(&self) {
        let reply = self.http.delete("/_sim/faults").await;
        assert!(reply.status.is_success(), "{reply:?}");
    }

    /// What the simulator reports for this city now.
    pub async fn expected(&self, city_id: i64) -> Value {
        self.http.get(&format!("/_sim/expected?city_id={city_id}")).await.json()
    }

    async fn is_ready(&mut self) -> bool {
        eventually(PATIENCE, "isobar sim answers", async || {
            if !self.child.is_running() {
                return Some(false);
            }
            self.http.try_get("/_sim/stats").await.ok().map(|reply| reply.status.is_success())
        })
        .await
    }
}

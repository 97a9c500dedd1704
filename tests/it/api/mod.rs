//! The API over real HTTP: in this process, over a real store, broker and simulator of its own.
//!
//! The server is the one that `isobar serve` runs; only the binary around it is missing, so that a
//! test may also look into the store and the broker behind the API, and put things there.

mod air_quality;
mod cities;
mod events;
mod export;
mod guards;
mod imports;
mod limits;
mod lists;
mod live;
mod openapi;
mod operations;
mod schemathesis;
mod security;
mod weather;

use std::sync::{Arc, OnceLock};

use anyhow::Result;
use isobar_api::{Parts, ServerLimits};
use isobar_broker::Broker;
use isobar_producer::Imports;
use isobar_settings::{Environment, Settings};
use isobar_store::Store;
use isobar_telemetry::metric;
use isobar_upstream::WeatherClient;
use serde_json::Value;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::harness::http::{Http, Reply};

/// One server with everything behind it; gone when the test is.
struct Api {
    http: Http,
    base: String,
    sim: Http,
    settings: Arc<Settings>,
    store: Store,
    broker: Broker,
    shutdown: CancellationToken,
    servers: JoinSet<Result<()>>,
    _sim: JoinSet<Result<()>>,
    dir: TempDir,
}

impl Api {
    async fn start() -> Self {
        Self::with(&[]).await
    }

    async fn with(settings: &[(&str, &str)]) -> Self {
        let dir = tempfile::tempdir().expect("temporary folder");
        Self::within(dir, settings).await
    }

    /// On the data that `dir` holds already.
    async fn within(dir: TempDir, settings: &[(&str, &str)]) -> Self {
        Self::limited(dir, settings, ServerLimits::default()).await
    }

    /// With limits that a test can reach.
    async fn limited(dir: TempDir, settings: &[(&str, &str)], limits: ServerLimits) -> Self {
        let (sim_listener, sim_base) = listen().await;
        let mut sims = JoinSet::new();
        let options = isobar_sim::Options::default();
        sims.spawn(isobar_sim::serve(sim_listener, options, CancellationToken::new()));

        let data_dir = dir.path().to_string_lossy().into_owned();
        let given = [
            ("ISOBAR_DATA_DIR", data_dir.as_str()),
            ("ISOBAR_OPEN_METEO_URL", &sim_base),
            ("ISOBAR_OPENWEATHER_URL", &sim_base),
            ("ISOBAR_GEOCODING_URL", &sim_base),
            ("ISOBAR_AIR_QUALITY_URL", &sim_base),
        ];
        let environment = given
            .iter()
            .chain(settings)
            .fold(Environment::empty(), |env, (name, value)| env.with(name, *value));
        let http = Http::new(&sim_base);
        let settings = Arc::new(Settings::load(&environment).expect("settings that fit"));
        let store = Store::open(&settings).await.expect("open the store");
        let broker = Broker::open(&settings).expect("open the broker");
        let parts = Parts {
            settings: settings.clone(),
            broker: broker.clone(),
            store: store.clone(),
            upstream: WeatherClient::new(settings.clone(), broker.clone()).expect("an upstream"),
            imports: Imports::open(settings.clone(), broker.clone(), store.clone())
                .expect("open the imports"),
            metrics: metrics(),
            limits,
        };
        let (listener, base) = listen().await;
        let shutdown = CancellationToken::new();
        let mut servers = JoinSet::new();
        servers.spawn(isobar_api::serve(listener, parts, shutdown.clone()));
        Self {
            http: Http::new(&base),
            base,
            sim: http,
            settings,
            store,
            broker,
            shutdown,
            servers,
            _sim: sims,
            dir,
        }
    }

    async fn get(&self, path: &str) -> Reply {
        self.http.get(path).await
    }

    /// Ends the server as SIGTERM would, and returns once it has drained.
    async fn stop(&mut self) {
        self.shutdown.cancel();
        let ended = self.servers.join_next().await.expect("one server");
        ended.expect("no panic").expect("a good end");
    }

    /// How many locations of the forecast have been asked for.
    async fn forecasts(&self) -> u64 {
        let stats = self.sim.get("/_sim/stats").await.json();
        stats["endpoints"]["/v1/forecast"]["requests"].as_u64().unwrap_or(0)
    }

    async fn fault(&self, plan: &Value) {
        let reply = self.sim.post("/_sim/faults", plan).await;
        assert!(reply.status.is_success(), "{plan}: {reply:?}");
    }
}

/// The status, and the code of a problem that has everything a problem must have.
fn problem(reply: &Reply) -> (u16, String) {
    let kind = &reply.headers["content-type"];
    assert_eq!(kind, "application/problem+json", "{reply:?}");
    let body = reply.json();
    assert_eq!(body["status"], reply.status.as_u16(), "{body}");
    for name in ["type", "title", "detail", "code"] {
        assert!(body[name].is_string(), "{name}: {body}");
    }
    assert_eq!(body["request_id"].as_str(), reply.headers["x-request-id"].to_str().ok());
    let code = body["code"].as_str().expect("a string").to_owned();
    (reply.status.as_u16(), code)
}

fn is_problem(reply: &Reply, status: u16, code: &str) {
    assert_eq!(problem(reply), (status, code.to_owned()), "{}", reply.body);
}

async fn listen() -> (TcpListener, String) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("bind");
    let base = format!("http://{}", listener.local_addr().expect("address"));
    (listener, base)
}

/// One recorder for the process: all tests count into it.
fn metrics() -> metrics_exporter_prometheus::PrometheusHandle {
    static HANDLE: OnceLock<metrics_exporter_prometheus::PrometheusHandle> = OnceLock::new();
    let start = || {
        let counted = isobar_telemetry::install_recorder().expect("the first recorder");
        metric::describe(isobar_api::METRICS.iter().copied().flatten());
        counted
    };
    HANDLE.get_or_init(start).clone()
}

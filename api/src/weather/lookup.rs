//! Weather lookup: front cache → broker's cache → current snapshot in the store → upstream → stale
//! snapshot.
//!
//! Guarantees: nothing is fetched twice at once. Callers share one lookup per query and one fetch per
//! city, because two spellings may mean one city. A broker or a store that is down counts as a miss
//! and is logged once. Weather is served as long as the upstream answers. An unknown name is
//! remembered for a minute, so a repeated typo costs one geocoding request.
//!
//! Next: [`super::city`] (which city a name means), [`super::answer`] (how long an answer is kept).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use axum::http::StatusCode;
use chrono::Utc;
use isobar_broker::Broker;
use isobar_model::city::City;
use isobar_model::freshness::is_current;
use isobar_settings::Settings;
use isobar_store::{Commit, Records, SnapshotRow, Store, WeatherSnapshot};
use isobar_telemetry::error_chain;
use isobar_telemetry::metric::{Label, Metric};
use isobar_upstream::cities::{DatedAhead, snapshot};
use isobar_upstream::wmo::condition;
use isobar_upstream::{Answer, Priority, WeatherClient};
use tokio_util::task::TaskTracker;

use super::answer::{Cached, Origin, PreparedAnswer, WeatherAnswer, ttl};
use super::city::{CityMatch, CityQuery, match_city};
use super::single_flight::SingleFlight;
use crate::cache::Cache;
use crate::http::problem::Problem;

/// How long this process answers from memory before it reads the shared cache again.
const FRONT_TTL: Duration = Duration::from_secs(5);
/// Answers kept in memory: about a kilobyte each.
const FRONT_ENTRIES: u64 = 10_000;
/// How long an unknown name is not looked up again.
const UNKNOWN_TTL: Duration = Duration::from_mins(1);
const UNKNOWN_ENTRIES: u64 = 10_000;
/// The pause before the next request if the upstream names no time.
const UPSTREAM_PAUSE: Duration = Duration::from_secs(30);

const REQUESTS: Metric =
    Metric::counter("isobar_weather_requests_total", "Answers of GET /weather by origin.")
        .with_labels(&[Label::with_values("cache", &["hit", "miss", "stale", "error"])]);

pub const METRICS: &[Metric] = &[REQUESTS];

type Found = (Arc<PreparedAnswer>, Origin);

/// One per server.
pub struct WeatherLookup {
    inner: Arc<Inner>,
    lookups: SingleFlight<Found>,
}

struct Inner {
    settings: Arc<Settings>,
    broker: Broker,
    store: Store,
    upstream: WeatherClient,
    front: Cache<Arc<PreparedAnswer>>,
    /// Names that are not known, and the city whose name begins so.
    unknown: Cache<Option<String>>,
    fetches: SingleFlight<(Arc<SnapshotRow>, Origin)>,
    hits: AtomicU64,
    misses: AtomicU64,
    broker_down: AtomicBool,
    store_down: AtomicBool,
}

impl WeatherLookup {
    pub fn new(
        settings: &Arc<Settings>,
        broker: &Broker,
        store: &Store,
        upstream: &WeatherClient,
        tasks: &TaskTracker,
    ) -> Self {
        Self {
            lookups: SingleFlight::new(tasks.clone()),
            inner: Arc::new(Inner {
                settings: Arc::clone(settings),
                broker: broker.clone(),
                store: store.clone(),
                upstream: upstream.clone(),
                front: Cache::new(FRONT_ENTRIES, FRONT_TTL),
                unknown: Cache::new(UNKNOWN_ENTRIES, UNKNOWN_TTL),
                fetches: SingleFlight::new(tasks.clone()),
                hits: AtomicU64::new(0),
                misses: AtomicU64::new(0),
                broker_down: AtomicBool::new(false),
                store_down: AtomicBool::new(false),
            }),
        }
    }

    pub async fn find(&self, query: CityQuery) -> Result<Found, Problem> {
        let found = if let Some(prepared) = self.inner.in_front(&query).await {
            Ok((prepared, Origin::Hit))
        } else {
            let inner = Arc::clone(&self.inner);
            self.lookups.run(query.key.clone(), inner.look_up(query)).await
        };
        self.inner.count(&found);
        found
    }

    /// The city that a query means.
    pub async fn resolve(&self, query: &CityQuery) -> Result<CityMatch, Problem> {
        self.inner.resolve(query).await
    }

    pub fn hits_and_misses(&self) -> (u64, u64) {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        (read(&self.inner.hits), read(&self.inner.misses))
    }
}

impl Inner {
    async fn look_up(self: Arc<Self>, query: CityQuery) -> Result<Found, Problem> {
        // Another lookup may have ended since the caller checked.
        if let Some(prepared) = self.in_front(&query).await {
            return Ok((prepared, Origin::Hit));
        }
        if let Some(nearest) = self.unknown.get(&query.key).await {
            return Err(unknown_city(&query, nearest.as_deref()));
        }
        if let Some(cached) = self.in_broker(&query).await {
            let prepared = Arc::new(PreparedAnswer::new(cached));
            self.front.insert(query.key, Arc::clone(&prepared)).await;
            return Ok((prepared, Origin::Hit));
        }
        let found = self.resolve(&query).await?;
        let fetch = Arc::clone(&self).snapshot(found.city.clone());
        let (row, origin) = self.fetches.run(found.city.id.to_string(), fetch).await?;
        let now = Utc::now();
        let ttl = ttl(self.settings.cache_ttl.0, row.fresh_until, now);
        let cached = Cached { answer: answer(&self.settings, &found, &row), expires_at: now + ttl };
        if origin != Origin::Stale {
            self.keep(&query, &cached, ttl).await;
        }
        let prepared = Arc::new(PreparedAnswer::new(cached));
        if origin != Origin::Stale {
            self.front.insert(query.key, Arc::clone(&prepared)).await;
        }
        Ok((prepared, origin))
    }

    async fn in_front(&self, query: &CityQuery) -> Option<Arc<PreparedAnswer>> {
        let prepared = self.front.get(&query.key).await?;
        prepared.is_alive(Utc::now()).then_some(prepared)
    }

    async fn in_broker(&self, query: &CityQuery) -> Option<Cached> {
        let value = self.broker.cache_get(&query.key).await;
        log_transition(&self.broker_down, "the broker", &value);
        let (bytes, _) = value.ok()??;
        // An answer that another version wrote is a miss.
        let cached: Cached = serde_json::from_slice(&bytes).ok()?;
        (Utc::now() < cached.expires_at).then_some(cached)
    }

    async fn keep(&self, query: &CityQuery, cached: &Cached, ttl: Duration) {
        let bytes = serde_json::to_vec(cached).expect("an answer is plain data");
        let kept = self.broker.cache_set(&query.key, &bytes, ttl).await;
        log_transition(&self.broker_down, "the broker", &kept);
    }

    /// Asks the geocoder only for names that neither the store nor the list knows.
    async fn resolve(&self, query: &CityQuery) -> Result<CityMatch, Problem> {
        let country = query.country_code.as_deref();
        let stored = self.store.find_cities(&query.folded, country).await;
        log_transition(&self.store_down, "the store", &stored);
        if let Some(found) = match_city(query, &stored.unwrap_or_default()) {
            return Ok(found);
        }
        let answer = self.upstream.geocode(&query.name, country, Priority::Interactive).await;
        let named = match answer {
            Answer::Ok(named) => named,
            failed => return Err(failure(&failed)),
        };
        let candidates = named.cities.len();
        let Some(city) = named.cities.into_iter().next() else {
            let problem = unknown_city(query, named.nearest.as_deref());
            self.unknown.insert(query.key.clone(), named.nearest).await;
            return Err(problem);
        };
        let kept = self.store.save_city(&query.folded, country, &city).await;
        log_transition(&self.store_down, "the store", &kept);
        Ok(CityMatch { city, candidates })
    }

    /// The stored snapshot while it is current, else a new one, else the stored one as stale.
    async fn snapshot(self: Arc<Self>, city: City) -> Result<(Arc<SnapshotRow>, Origin), Problem> {
        let stored = self.store.weather(city.id).await;
        log_transition(&self.store_down, "the store", &stored);
        let stored = stored.ok().flatten();
        let now = Utc::now();
        let current = |row: &&SnapshotRow| is_current(self.settings.fresh_for, row.times(), now);
        if let Some(row) = stored.as_ref().filter(current) {
            return Ok((Arc::new(row.clone()), Origin::Hit));
        }
        let locations = [city.coordinates];
        let answer = self.upstream.weather(&locations, Priority::Interactive).await;
        let or_stale = |failed: &Answer<()>| match stored {
            Some(row) => Ok((Arc::new(row), Origin::Stale)),
            None => Err(failure(failed)),
        };
        let observation = match answer.into_result() {
            Ok(observations) => observations.into_iter().next(),
            Err(failed) => return or_stale(&failed),
        };
        let Some(observation) = observation else {
            let cause = anyhow::anyhow!("the answer for one location has no observation");
            return Err(Problem::internal(cause));
        };
        let snapshot = match snapshot(city.clone(), observation, Utc::now()) {
            Ok(snapshot) => snapshot,
            Err(error) => return or_stale(&bad_response(&error)),
        };
        let row = row_of(&city, &snapshot);
        let commit = Commit { records: Records::Weather(vec![snapshot]), ..Commit::default() };
        let stored = self.store.commit(&commit).await;
        log_transition(&self.store_down, "the store", &stored);
        Ok((Arc::new(row), Origin::Miss))
    }

    fn count(&self, found: &Result<Found, Problem>) {
        let origin = match found {
            Ok((_, origin)) => origin.as_str(),
            Err(_) => "error",
        };
        let counter = if origin == Origin::Hit.as_str() { &self.hits } else { &self.misses };
        counter.fetch_add(1, Ordering::Relaxed);
        metrics::counter!(REQUESTS.name, "cache" => origin).increment(1);
    }
}

/// Logs that a component went down or came back, each once.
fn log_transition<T, E: std::error::Error>(
    down: &AtomicBool,
    component: &'static str,
    result: &Result<T, E>,
) {
    match result {
        Ok(_) => {
            if down.load(Ordering::Relaxed) && down.swap(false, Ordering::Relaxed) {
                tracing::info!("{component} answers again");
            }
        }
        Err(error) => {
            if !down.swap(true, Ordering::Relaxed) {
                let error = error_chain(error);
                tracing::warn!(error, "{component} is not used for /weather until it answers");
            }
        }
    }
}

/// The answer in place of a value that must not be used.
pub fn bad_response(error: &DatedAhead) -> Answer<()> {
    tracing::warn!(error = %error, "an answer of the upstream is not used");
    Answer::Retry { code: "bad_response", reason: error.to_string() }
}

fn unknown_city(query: &CityQuery, nearest: Option<&str>) -> Problem {
    let detail = match &query.country_code {
        Some(code) => format!("no city named {:?} is known in {code}", query.name),
        None => format!("no city named {:?} is known", query.name),
    };
    let hint = nearest.map(|nearest| format!("; do you mean {nearest}?")).unwrap_or_default();
    Problem::new(StatusCode::NOT_FOUND, "city_not_found", detail + &hint)
}

/// The problem for the caller. The reasons go only to the log, because they name hosts and plans.
pub fn failure<T>(answer: &Answer<T>) -> Problem {
    let failed = |reason: &str| {
        let detail = "the weather service failed, and no snapshot of this city is stored";
        Problem::new(StatusCode::BAD_GATEWAY, "upstream_error", detail)
            .with_cause(anyhow::anyhow!("{reason}"))
    };
    match answer {
        Answer::Ok(_) => Problem::internal(anyhow::anyhow!("a success was treated as a failure")),
        Answer::Wait { until, why } => {
            let detail =
                "the weather service cannot be used at the moment; try again after Retry-After";
            let pause = (*until - Utc::now()).to_std().unwrap_or_default();
            Problem::unavailable("upstream_unavailable", detail, pause)
                .with_cause(anyhow::anyhow!("waiting: {}", why.as_str()))
        }
        Answer::Misconfigured { reason } => {
            let detail =
                "the weather service rejects the requests of this server; run `isobar doctor`";
            Problem::unavailable("upstream_unavailable", detail, UPSTREAM_PAUSE)
                .with_cause(anyhow::anyhow!("{reason}"))
        }
        Answer::Retry { code, reason } | Answer::BadLocation { code, reason } => {
            failed(&format!("{code}: {reason}"))
        }
        Answer::TooLarge { reason } => failed(reason),
    }
}

/// The row that the store makes of a snapshot, so that the answer need not read it back.
fn row_of(city: &City, snapshot: &WeatherSnapshot) -> SnapshotRow {
    SnapshotRow {
        city_id: city.id,
        city_name: city.name.clone(),
        latitude: city.coordinates.latitude(),
        longitude: city.coordinates.longitude(),
        temperature: snapshot.temperature,
        windspeed: snapshot.windspeed,
        winddirection: snapshot.winddirection,
        weathercode: snapshot.weathercode,
        humidity: snapshot.humidity,
        time: snapshot.time.clone(),
        observed_at: snapshot.observed_at,
        fresh_until: snapshot.fresh_until,
        synced_at: snapshot.synced_at,
        raw_payload: None,
    }
}

fn answer(settings: &Settings, found: &CityMatch, row: &SnapshotRow) -> WeatherAnswer {
    WeatherAnswer {
        city: found.city.name.clone(),
        city_id: found.city.id,
        country_code: found.city.country_code.clone(),
        latitude: found.city.coordinates.latitude(),
        longitude: found.city.coordinates.longitude(),
        temperature: row.temperature,
        condition: row.weathercode.map(|code| condition(code).to_owned()),
        humidity: row.humidity,
        windspeed: row.windspeed,
        winddirection: row.winddirection,
        weathercode: row.weathercode,
        observed_at: row.observed_at,
        fetched_at: row.synced_at,
        source: settings.weather_provider.to_string(),
        candidates: found.candidates,
    }
}

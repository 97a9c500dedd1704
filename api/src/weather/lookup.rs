//! The order in which the weather is looked for: front cache → broker's cache → current snapshot in
//! the store → upstream → stale snapshot.
//!
//! Two single flights make sure that nothing is fetched twice at once: one by what was asked, one
//! by the city that it means, since two spellings may mean one city. A broker or a store that is
//! away is a miss, said once in the log: the weather is served as long as the upstream answers.
//! A name that nobody knows is remembered for a minute, so that a typo in a loop costs one lookup.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use axum::http::StatusCode;
use chrono::Utc;
use isobar_broker::Broker;
use isobar_model::city::Place;
use isobar_model::freshness::is_current;
use isobar_model::ids::CityId;
use isobar_settings::Settings;
use isobar_store::{Commit, Records, Snapshot, Store, WeatherRow};
use isobar_telemetry::chain;
use isobar_telemetry::metric::{Label, Metric};
use isobar_upstream::cities::snapshot;
use isobar_upstream::wmo::condition;
use isobar_upstream::{Answer, Priority, Upstream};
use moka::future::Cache;
use tokio_util::task::TaskTracker;

use super::Origin;
use super::answer::{Cached, Prepared, WeatherAnswer, ttl};
use super::city::{Asked, Meant, meant};
use super::single_flight::Flights;

use crate::http::problem::Problem;
use crate::state::Parts;

/// How long this process answers from memory before it looks into the shared cache again.
const FRONT_LIFE: Duration = Duration::from_secs(5);
/// Answers kept in memory: about a kilobyte each.
const FRONT_ENTRIES: u64 = 10_000;
/// How long a name that nobody knows is not looked up again.
const UNKNOWN_LIFE: Duration = Duration::from_mins(1);
const UNKNOWN_ENTRIES: u64 = 10_000;
/// What an upstream that says no time is given before the next try.
const UPSTREAM_PAUSE: Duration = Duration::from_secs(30);

const REQUESTS: Metric = Metric::counter(
    "isobar_weather_requests_total",
    "Answers of GET /weather by where they came from.",
)
.by(&[Label::of("cache", &["hit", "miss", "stale", "error"])]);

pub const METRICS: &[Metric] = &[REQUESTS];

type Found = (Arc<Prepared>, Origin);

/// Finds the weather. One per server.
pub struct Weather {
    inner: Arc<Inner>,
    lookups: Flights<String, Result<Found, Problem>>,
}

struct Inner {
    settings: Arc<Settings>,
    broker: Broker,
    store: Store,
    upstream: Upstream,
    front: Cache<String, Arc<Prepared>>,
    unknown: Cache<String, ()>,
    fetches: Flights<CityId, Result<(Arc<WeatherRow>, Origin), Problem>>,
    hits: AtomicU64,
    misses: AtomicU64,
    broker_away: AtomicBool,
    store_away: AtomicBool,
}

impl Weather {
    pub fn new(parts: &Parts, tasks: &TaskTracker) -> Self {
        Self {
            lookups: Flights::new(tasks.clone()),
            inner: Arc::new(Inner {
                settings: Arc::clone(&parts.settings),
                broker: parts.broker.clone(),
                store: parts.store.clone(),
                upstream: parts.upstream.clone(),
                front: Cache::builder()
                    .max_capacity(FRONT_ENTRIES)
                    .time_to_live(FRONT_LIFE)
                    .build(),
                unknown: Cache::builder()
                    .max_capacity(UNKNOWN_ENTRIES)
                    .time_to_live(UNKNOWN_LIFE)
                    .build(),
                fetches: Flights::new(tasks.clone()),
                hits: AtomicU64::new(0),
                misses: AtomicU64::new(0),
                broker_away: AtomicBool::new(false),
                store_away: AtomicBool::new(false),
            }),
        }
    }

    pub async fn find(&self, asked: Asked) -> Result<Found, Problem> {
        let found = if let Some(prepared) = self.inner.in_front(&asked).await {
            Ok((prepared, Origin::Hit))
        } else {
            let inner = Arc::clone(&self.inner);
            self.lookups
                .join(asked.key.clone(), || async move { inner.look_up(asked).await })
                .await
                .unwrap_or_else(|| Err(Problem::internal(anyhow::anyhow!("a lookup panicked"))))
        };
        self.inner.count(&found);
        found
    }

    pub fn hits_and_misses(&self) -> (u64, u64) {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        (read(&self.inner.hits), read(&self.inner.misses))
    }
}

impl Inner {
    async fn look_up(self: Arc<Self>, asked: Asked) -> Result<Found, Problem> {
        // It may have been answered between the caller's look and this flight's start.
        if let Some(prepared) = self.in_front(&asked).await {
            return Ok((prepared, Origin::Hit));
        }
        if self.unknown.contains_key(&asked.key) {
            return Err(unknown_city(&asked));
        }
        if let Some(cached) = self.in_broker(&asked).await {
            let prepared = Arc::new(Prepared::new(cached));
            self.front.insert(asked.key, Arc::clone(&prepared)).await;
            return Ok((prepared, Origin::Hit));
        }
        let meant = self.resolve(&asked).await?;
        let inner = Arc::clone(&self);
        let place = meant.place.clone();
        let (row, origin) = self
            .fetches
            .join(place.id, || async move { inner.snapshot(place).await })
            .await
            .unwrap_or_else(|| Err(Problem::internal(anyhow::anyhow!("a fetch panicked"))))?;
        let now = Utc::now();
        let ttl = ttl(self.settings.cache_ttl.0, row.fresh_until, now);
        let cached = Cached { answer: answer(&self.settings, &meant, &row), expires_at: now + ttl };
        if origin != Origin::Stale {
            self.keep(&asked, &cached, ttl).await;
        }
        let prepared = Arc::new(Prepared::new(cached));
        if origin != Origin::Stale {
            self.front.insert(asked.key, Arc::clone(&prepared)).await;
        }
        Ok((prepared, origin))
    }

    async fn in_front(&self, asked: &Asked) -> Option<Arc<Prepared>> {
        let prepared = self.front.get(&asked.key).await?;
        prepared.is_alive(Utc::now()).then_some(prepared)
    }

    async fn in_broker(&self, asked: &Asked) -> Option<Cached> {
        let value = self.broker.cache_get(&asked.key).await;
        noted(&self.broker_away, "the broker", &value);
        let (bytes, _) = value.ok()??;
        // What another version wrote is a miss.
        let cached: Cached = serde_json::from_slice(&bytes).ok()?;
        (Utc::now() < cached.expires_at).then_some(cached)
    }

    async fn keep(&self, asked: &Asked, cached: &Cached, ttl: Duration) {
        let bytes = serde_json::to_vec(cached).expect("an answer is plain data");
        let kept = self.broker.cache_set(&asked.key, &bytes, ttl).await;
        noted(&self.broker_away, "the broker", &kept);
    }

    /// The city that is meant; the geocoder is asked only for names that nobody knows.
    async fn resolve(&self, asked: &Asked) -> Result<Meant, Problem> {
        let country = asked.country_code.as_deref();
        let stored = self.store.cities_named(&asked.folded, country).await;
        noted(&self.store_away, "the store", &stored);
        if let Some(meant) = meant(asked, &stored.unwrap_or_default()) {
            return Ok(meant);
        }
        let answer = self.upstream.geocode(&asked.name, country, Priority::Interactive).await;
        let places = match answer {
            Answer::Ok(places) => places,
            failed => return Err(failure(&failed)),
        };
        let candidates = places.len();
        let Some(place) = places.into_iter().next() else {
            self.unknown.insert(asked.key.clone(), ()).await;
            return Err(unknown_city(asked));
        };
        let kept = self.store.remember_city(&asked.folded, country, &place).await;
        noted(&self.store_away, "the store", &kept);
        Ok(Meant { place, candidates })
    }

    /// The city's snapshot: the stored one while it is current, else a new one, else the old one.
    async fn snapshot(self: Arc<Self>, place: Place) -> Result<(Arc<WeatherRow>, Origin), Problem> {
        let stored = self.store.weather(place.id).await;
        noted(&self.store_away, "the store", &stored);
        let stored = stored.ok().flatten();
        let now = Utc::now();
        let current = |row: &&WeatherRow| {
            is_current(self.settings.fresh_for, row.fresh_until, row.synced_at, now)
        };
        if let Some(row) = stored.as_ref().filter(current) {
            return Ok((Arc::new(row.clone()), Origin::Hit));
        }
        let locations = [place.coordinates];
        let answer = self.upstream.weather(&locations, Priority::Interactive).await;
        let observation = match answer {
            Answer::Ok(observations) => observations.into_iter().next(),
            failed => {
                let problem = failure(&failed);
                return match stored {
                    Some(row) => Ok((Arc::new(row), Origin::Stale)),
                    None => Err(problem),
                };
            }
        };
        let Some(observation) = observation else {
            let cause = anyhow::anyhow!("no observation came for one location");
            return Err(Problem::internal(cause));
        };
        let snapshot = snapshot(place.clone(), observation, Utc::now());
        let row = row_of(&place, &snapshot);
        let commit = Commit { records: Records::Weather(vec![snapshot]), ..Commit::default() };
        let stored = self.store.commit(&commit).await;
        noted(&self.store_away, "the store", &stored);
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

/// Says that something went away, and that it came back, each once.
fn noted<T, E: std::error::Error>(away: &AtomicBool, what: &'static str, result: &Result<T, E>) {
    match result {
        Ok(_) => {
            if away.load(Ordering::Relaxed) && away.swap(false, Ordering::Relaxed) {
                tracing::info!("{what} answers again");
            }
        }
        Err(error) => {
            if !away.swap(true, Ordering::Relaxed) {
                let error = chain(error);
                tracing::warn!(error, "{what} is not used for /weather until it answers");
            }
        }
    }
}

fn unknown_city(asked: &Asked) -> Problem {
    let detail = match &asked.country_code {
        Some(code) => format!("no city called {:?} is known in {code}", asked.name),
        None => format!("no city called {:?} is known", asked.name),
    };
    Problem::new(StatusCode::NOT_FOUND, "city_not_found", detail)
}

/// What the caller is told of an upstream that did not answer as it should. The reasons are for
/// the log: they name hosts and plans.
fn failure<T>(answer: &Answer<T>) -> Problem {
    let failed = |reason: &str| {
        let detail = "the weather service failed; nothing of this city is stored to fall back on";
        Problem::new(StatusCode::BAD_GATEWAY, "upstream_error", detail)
            .because(anyhow::anyhow!("{reason}"))
    };
    match answer {
        Answer::Ok(_) => Problem::internal(anyhow::anyhow!("a success was taken for a failure")),
        Answer::Wait { until, why } => {
            let detail = "the weather service cannot be asked at the moment; Retry-After says when";
            let pause = (*until - Utc::now()).to_std().unwrap_or_default();
            Problem::unavailable("upstream_unavailable", detail, pause)
                .because(anyhow::anyhow!("waiting: {}", why.as_str()))
        }
        Answer::Config { reason } => {
            let detail = "the weather service refuses us; isobar doctor says why";
            Problem::unavailable("upstream_unavailable", detail, UPSTREAM_PAUSE)
                .because(anyhow::anyhow!("{reason}"))
        }
        Answer::Retry { code, reason } | Answer::Location { code, reason } => {
            failed(&format!("{code}: {reason}"))
        }
        Answer::Split { reason } => failed(reason),
    }
}

/// The row that the store makes of a snapshot; used as it is, or the answer would have to wait for
/// the store to read it back.
fn row_of(place: &Place, snapshot: &Snapshot) -> WeatherRow {
    WeatherRow {
        city_id: place.id,
        city_name: place.name.clone(),
        latitude: place.coordinates.latitude(),
        longitude: place.coordinates.longitude(),
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

fn answer(settings: &Settings, meant: &Meant, row: &WeatherRow) -> WeatherAnswer {
    WeatherAnswer {
        city: meant.place.name.clone(),
        city_id: meant.place.id,
        country_code: meant.place.country_code.clone(),
        latitude: meant.place.coordinates.latitude(),
        longitude: meant.place.coordinates.longitude(),
        temperature: row.temperature,
        condition: row.weathercode.map(|code| condition(code).to_owned()),
        humidity: row.humidity,
        windspeed: row.windspeed,
        winddirection: row.winddirection,
        weathercode: row.weathercode,
        observed_at: row.observed_at,
        fetched_at: row.synced_at,
        source: settings.weather_provider.to_string(),
        candidates: meant.candidates,
    }
}

//! The weather services, for worker and API alike, and the providers of addresses and cards.
//!
//! Order per attempt: quota → breaker → timeout → request ([`client`]). Every answer becomes one
//! [`Answer`], by the outcome table in [`classify`]: what is transient, what waits and until when,
//! what only a person can mend. Nothing here sleeps for a quota or an open breaker, and nothing
//! retries beyond two tries of one request (connect, reset, 408, 5xx): the caller gives entries
//! back instead. Redirects are off, bodies are limited, and neither secrets nor query strings
//! reach a log or an error (OpenWeather's key is in its URL).
//!
//! Next: [`open_meteo`], [`openweather`], [`geocoding`] (what is asked and how it is read),
//! [`enrichment`] (addresses and cards), [`gauges`] (what a scrape is told).

mod breaker;
pub mod card_key;
mod classify;
mod client;
mod enrichment;
mod gauges;
mod geocoding;
mod host;
mod open_meteo;
mod openweather;
pub mod wmo;

use std::sync::Arc;

use chrono::{DateTime, Utc};

use self::client::Client;
use isobar_broker::{Broker, Switches};
use isobar_model::city::{Coordinates, Place};
use isobar_model::quota::{QuotaLimits, QuotaUse};
use isobar_model::quota_forecast::{Cost, used_up_at};
use isobar_settings::Settings;
use isobar_settings::values::Provider;

pub use client::install_tls;
pub use enrichment::{LARGEST_REQUEST, Providers};
pub use gauges::{METRICS, Quotas};

/// A client of the configured provider. Cheap to clone; clones share breaker and connections.
#[derive(Clone, Debug)]
pub struct Upstream {
    client: Arc<Client>,
}

/// What one location's weather is, in the units of CONTRACT: °C, km/h, degrees, WMO code, percent.
#[derive(Clone, Debug, PartialEq)]
pub struct Observation {
    pub temperature: Option<f64>,
    pub windspeed: Option<f64>,
    pub winddirection: Option<i32>,
    pub weathercode: Option<i32>,
    pub humidity: Option<i32>,
    /// The provider's text, or its equivalent where it gives seconds: `2026-01-16T05:00`, UTC.
    pub time: String,
    pub observed_at: DateTime<Utc>,
    /// Observation time + interval: before this there is nothing newer.
    pub fresh_until: DateTime<Utc>,
    /// This location's own JSON, without the constant units.
    pub raw_payload: String,
}

/// What became of one request.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer<T> {
    Ok(T),
    /// It may pass: give back, counting an attempt.
    Retry {
        code: &'static str,
        reason: String,
    },
    /// The request was too large: cut it in two.
    Split {
        reason: String,
    },
    /// A location is at fault. Of several, bisect until it stands alone; alone, it has failed.
    Location {
        code: &'static str,
        reason: String,
    },
    /// Not now, and nobody's fault (I7): stop reading until then.
    Wait {
        until: DateTime<Utc>,
        why: Waiting,
    },
    /// Only a person can mend it (key, plan, address): stop reading, be degraded, say why.
    Config {
        reason: String,
    },
}

/// Why there is nothing to do but wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waiting {
    Quota,
    Breaker,
    /// All of the fleet's places at this host are taken, or the provider said so.
    Concurrency,
    /// What is known of cities cannot be asked for.
    Store,
}

impl Waiting {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Quota => "quota",
            Self::Breaker => "breaker",
            Self::Concurrency => "concurrency",
            Self::Store => "store",
        }
    }

    /// The same for people.
    pub fn describe(self) -> &'static str {
        match self {
            Self::Quota => "the upstream's quota is used up",
            Self::Breaker => "the upstream is failing; its breaker is open",
            Self::Concurrency => "all places at the upstream are taken",
            Self::Store => "the store does not answer",
        }
    }
}

/// Who asks: a tenth of each quota window is kept for interactive requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Priority {
    Interactive,
    Batch,
}

/// What health checks and dashboards show.
#[derive(Clone, Debug, serde::Serialize)]
pub struct UpstreamState {
    pub host: String,
    /// `closed`, `open` or `half_open`.
    pub breaker: &'static str,
    pub breaker_until: Option<DateTime<Utc>>,
    pub quota: QuotaUse,
    /// The last configuration error, until a request succeeds.
    pub config_error: Option<String>,
}

/// A quota as it stands.
#[derive(Clone, Debug)]
pub struct Quota {
    limits: QuotaLimits,
    used: QuotaUse,
    a_request: u64,
}

impl Quota {
    /// Whether a worker's next request, of so many units at most, has to wait.
    pub fn is_shut(&self, units: u64, now: DateTime<Utc>) -> bool {
        self.used_up_at(units.min(self.a_request), now).is_none_or(|at| at > now)
    }

    /// When the last of so many units may be asked for at the earliest, if that can be told.
    pub fn used_up_at(&self, units: u64, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let begin = self.used.shut_until.map_or(now, |until| until.max(now));
        let cost = Cost { units, a_request: self.a_request };
        let used = self.used.later(now, begin);
        let at = used_up_at(&self.limits, &used, cost, begin.timestamp_millis())?;
        DateTime::from_timestamp_millis(at)
    }
}

impl UpstreamState {
    /// The states of a breaker.
    pub const BREAKER: [&'static str; 3] = ["closed", "open", "half_open"];
}

impl Upstream {
    pub fn new(settings: Arc<Settings>, broker: Broker) -> anyhow::Result<Self> {
        Ok(Self { client: Arc::new(Client::new(settings, broker)?) })
    }

    /// The weather at each of `locations`, in their order. At most
    /// [`Settings::locations_per_request`] of them.
    pub async fn weather(
        &self,
        locations: &[Coordinates],
        priority: Priority,
    ) -> Answer<Vec<Observation>> {
        match self.client.settings().weather_provider {
            Provider::OpenMeteo => open_meteo::weather(&self.client, locations, priority).await,
            Provider::OpenWeather => openweather::weather(&self.client, locations, priority).await,
        }
    }

    /// Places called so, most populous first; empty when there is none.
    pub async fn geocode(
        &self,
        name: &str,
        country_code: Option<&str>,
        priority: Priority,
    ) -> Answer<Vec<Place>> {
        geocoding::search(&self.client, name, country_code, priority).await
    }

    /// Until when it makes no sense to read tasks, if it does not now (open breaker, shut quota).
    /// Never uses up the breaker's probe.
    pub fn shut_until(&self) -> Option<(DateTime<Utc>, Waiting)> {
        self.client.forecast().shut_until()
    }

    /// The hosts that have a breaker of their own: forecasts, then geocoding.
    pub fn hosts(&self) -> [&str; 2] {
        [self.client.forecast(), self.client.geocoder()].map(|host| host.name.as_str())
    }

    /// Closes the breakers that operators have had reset since this was called last.
    pub fn obey(&self, switches: &Switches) {
        for host in [self.client.forecast(), self.client.geocoder()] {
            if let Some(reset) = switches.breaker(&host.name) {
                host.reset_breaker(reset);
            }
        }
    }

    /// The quota of forecasts as it stands; none where there is none, or nobody tells.
    pub async fn quota(&self) -> Option<Quota> {
        let limits = self.client.settings().quota_limits();
        let used = self.client.forecast().quota(self.client.broker()).await.ok()?;
        let a_request = self.client.settings().locations_per_request() as u64;
        (!limits.is_none()).then_some(Quota { limits, used, a_request })
    }

    pub async fn state(&self) -> UpstreamState {
        self.client.forecast().state(self.client.broker()).await
    }
}

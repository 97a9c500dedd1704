//! Defaults that depend on other settings, and values computed from several settings.
//!
//! Next: `checks.rs`, `schedules.rs` and `outboxes.rs`.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use isobar_model::quota::QuotaLimits;
use url::Url;

use crate::rate_limit::RateSpec;
use crate::table::Settings;
use crate::values::{BrokerKind, DatabaseUrl, HttpUrl, WeatherProvider};

/// The public Open-Meteo service, which is free up to the limits of its terms.
pub const FREE_TIER_HOST: &str = "api.open-meteo.com";
/// Its geocoder, which has a quota of its own.
pub const GEOCODING_HOST: &str = "geocoding-api.open-meteo.com";
/// Its air quality service, which also counts separately.
pub const AIR_QUALITY_HOST: &str = "air-quality-api.open-meteo.com";
const OPENWEATHER_HOST: &str = "api.openweathermap.org";
const OPEN_METEO_FREE: QuotaLimits =
    QuotaLimits { minute: Some(600), hour: Some(5_000), day: Some(10_000) };
const OPENWEATHER_FREE: QuotaLimits = QuotaLimits { minute: Some(60), hour: None, day: None };
/// Public services with invented users, addresses and cards.
const USERS_URL: &str = "https://jsonplaceholder.typicode.com/users";
const ADDRESSES_URL: &str = "https://random-data-api.com/api/v2/addresses";
const CARDS_URL: &str = "https://random-data-api.com/api/v2/credit_cards";
const DEFAULT_HIGH_WATER: u64 = 100_000;
/// The default off loopback: enough for a few people with the page behind one address.
const OPEN_RATE: RateSpec = RateSpec::Limited { requests: 6_000, window: Duration::from_mins(1) };
/// Tries of one request inside a process (connect, reset, 408, 5xx).
pub const REQUEST_TRIES: u32 = 2;
/// The pause between these tries.
pub const REQUEST_RETRY_PAUSE: Duration = Duration::from_millis(500);

impl Settings {
    /// A file in the data folder.
    pub fn data_file(&self, name: &str) -> PathBuf {
        self.data_dir.0.join(name)
    }

    pub fn outbox_path(&self) -> PathBuf {
        self.outbox.as_ref().map_or_else(|| self.data_file("outbox.db"), |path| path.0.clone())
    }

    pub fn imports_path(&self) -> PathBuf {
        self.data_file("imports.db")
    }

    pub fn database(&self) -> DatabaseUrl {
        self.database_url
            .clone()
            .unwrap_or_else(|| DatabaseUrl::Sqlite(self.data_file("isobar.db")))
    }

    /// Whether the broker is the file in the data folder.
    pub fn embedded_broker(&self) -> bool {
        self.redis_url.is_none() || self.broker == Some(BrokerKind::Embedded)
    }

    pub fn users_url(&self) -> Url {
        url_or_default(self.users_url.as_ref(), USERS_URL)
    }

    pub fn addresses_url(&self) -> Url {
        url_or_default(self.addresses_url.as_ref(), ADDRESSES_URL)
    }

    pub fn cards_url(&self) -> Url {
        url_or_default(self.cards_url.as_ref(), CARDS_URL)
    }

    /// The base URL of the weather service in use.
    pub fn upstream_url(&self) -> &Url {
        match self.weather_provider {
            WeatherProvider::OpenMeteo => &self.open_meteo_url.0,
            WeatherProvider::OpenWeather => &self.openweather_url.0,
        }
    }

    pub fn quota_limits(&self) -> QuotaLimits {
        self.quota_limits_at(self.upstream_url())
    }

    /// The quota of one host: what is set, else what the provider grants without a key.
    pub fn quota_limits_at(&self, url: &Url) -> QuotaLimits {
        if let Some(quota) = self.quota {
            return quota.0;
        }
        match url.host_str() {
            Some(FREE_TIER_HOST | AIR_QUALITY_HOST) => OPEN_METEO_FREE,
            Some(OPENWEATHER_HOST) => OPENWEATHER_FREE,
            _ => QuotaLimits::default(),
        }
    }

    /// Open-Meteo's free tier serves one request at a time per client address, so all processes
    /// share one slot.
    pub fn is_free_tier(&self) -> bool {
        self.upstream_url().host_str() == Some(FREE_TIER_HOST)
    }

    pub fn concurrency(&self) -> usize {
        self.concurrency.unwrap_or(if self.is_free_tier() { 1 } else { 8 })
    }

    pub fn locations_per_request(&self) -> usize {
        match self.weather_provider {
            WeatherProvider::OpenMeteo => self.locations_per_request,
            WeatherProvider::OpenWeather => 1,
        }
    }

    pub fn high_water(&self) -> u64 {
        self.stream_high_water.unwrap_or_else(|| {
            self.quota_limits().hour.map_or(DEFAULT_HIGH_WATER, |hour| hour.min(DEFAULT_HIGH_WATER))
        })
    }

    /// The longest time of one attempt at a request.
    pub fn max_attempt_time(&self) -> Duration {
        self.request_timeout.0 * REQUEST_TRIES + REQUEST_RETRY_PAUSE
    }

    /// A lease is renewed four times before it would expire.
    pub fn lease_renewal_interval(&self) -> Duration {
        self.claim_idle.0 / 4
    }

    /// A commit starts no later than this after the last renewal: 50 s of the default lease of 60 s.
    pub fn commit_window(&self) -> Duration {
        self.claim_idle.0 * 5 / 6
    }

    /// The rate limit per client of a server at this address; by default none on loopback.
    pub fn rate_limit_at(&self, listen: IpAddr) -> RateSpec {
        let unset = if listen.is_loopback() { RateSpec::None } else { OPEN_RATE };
        self.rate_limit.unwrap_or(unset)
    }
}

fn url_or_default(url: Option<&HttpUrl>, default: &str) -> Url {
    url.map_or_else(|| default.parse().expect("the default is a URL"), |url| url.0.clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::environment::Environment;

    fn load(pairs: &[(&str, &str)]) -> Settings {
        let environment =
            pairs.iter().fold(Environment::empty(), |env, (name, value)| env.with(name, *value));
        Settings::load(&environment).expect("fits")
    }

    #[test]
    fn the_free_tier_has_its_own_limits() {
        let free = Settings::defaults();
        assert_eq!((free.concurrency(), free.high_water()), (1, 5_000));
        let own = load(&[("ISOBAR_OPEN_METEO_URL", "http://127.0.0.1:8090")]);
        assert_eq!((own.concurrency(), own.high_water()), (8, 100_000));
        assert!(own.quota_limits().is_unlimited());
    }

    #[test]
    fn clients_are_limited_off_loopback() {
        let of = |settings: Settings, listen: &str| {
            settings.rate_limit_at(listen.parse().expect("an address")).to_string()
        };
        assert_eq!(of(Settings::defaults(), "127.0.0.1"), "none");
        assert_eq!(of(Settings::defaults(), "0.0.0.0"), "6000/m");
        let limited = || load(&[("ISOBAR_RATE_LIMIT", "20/s")]);
        assert_eq!(
            (of(limited(), "::1"), of(limited(), "0.0.0.0")),
            ("20/s".into(), "20/s".into())
        );
    }
}

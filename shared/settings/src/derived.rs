//! Defaults that depend on other settings, and the checks that tie settings together.
//!
//! Each check's message holds both numbers, so that the reader need not look either of them up.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use url::Url;

use super::values::{BrokerChoice, DatabaseUrl, HttpUrl, Provider};
use super::{RateSpec, Settings};
use isobar_model::pipeline::{PIPELINES, PipelineName, PipelineSpec};
use isobar_model::quota::QuotaLimits;
use isobar_model::schedule::{Expression, Schedule};

/// The public Open-Meteo service: free, and limited as its terms say.
pub const FREE_TIER_HOST: &str = "api.open-meteo.com";
/// Its geocoder, which counts by itself.
pub const GEOCODING_HOST: &str = "geocoding-api.open-meteo.com";
const OPENWEATHER_HOST: &str = "api.openweathermap.org";
const OPEN_METEO_FREE: QuotaLimits =
    QuotaLimits { minute: Some(600), hour: Some(5_000), day: Some(10_000) };
const OPENWEATHER_FREE: QuotaLimits = QuotaLimits { minute: Some(60), hour: None, day: None };
/// Public services that make people up.
const USERS_URL: &str = "https://jsonplaceholder.typicode.com/users";
const ADDRESSES_URL: &str = "https://random-data-api.com/api/v2/addresses";
const CARDS_URL: &str = "https://random-data-api.com/api/v2/credit_cards";
const DEFAULT_HIGH_WATER: u64 = 100_000;
/// Where others can reach the API: ample for a person and a page, and for a few behind one address.
const OPEN_RATE: RateSpec = RateSpec::Limited { requests: 6_000, window: Duration::from_mins(1) };
/// Tries of one request inside a process (connect, reset, 408, 5xx), and the pause between them.
pub const REQUEST_TRIES: u32 = 2;
pub const REQUEST_RETRY_PAUSE: Duration = Duration::from_millis(500);
/// More arguments than this make one script hold Redis up for others.
const MAX_BATCH: usize = 5_000;

impl Settings {
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

    /// Whether the broker is the one in the data dir.
    pub fn embedded_broker(&self) -> bool {
        self.redis_url.is_none() || self.broker == Some(BrokerChoice::Embedded)
    }

    /// Where users come from.
    pub fn users_url(&self) -> Url {
        configured(self.users_url.as_ref(), USERS_URL)
    }

    pub fn addresses_url(&self) -> Url {
        configured(self.addresses_url.as_ref(), ADDRESSES_URL)
    }

    pub fn cards_url(&self) -> Url {
        configured(self.cards_url.as_ref(), CARDS_URL)
    }

    /// Base URL of the weather provider in use.
    pub fn upstream_url(&self) -> &url::Url {
        match self.weather_provider {
            Provider::OpenMeteo => &self.open_meteo_url.0,
            Provider::OpenWeather => &self.openweather_url.0,
        }
    }

    pub fn quota_limits(&self) -> QuotaLimits {
        if let Some(quota) = self.quota {
            return quota.0;
        }
        match self.upstream_url().host_str() {
            Some(FREE_TIER_HOST) => OPEN_METEO_FREE,
            Some(OPENWEATHER_HOST) => OPENWEATHER_FREE,
            _ => QuotaLimits::default(),
        }
    }

    /// Open-Meteo's free tier runs one request at a time for an address, so the fleet shares one.
    pub fn is_free_tier(&self) -> bool {
        self.upstream_url().host_str() == Some(FREE_TIER_HOST)
    }

    pub fn concurrency(&self) -> usize {
        self.concurrency.unwrap_or(if self.is_free_tier() { 1 } else { 8 })
    }

    pub fn locations_per_request(&self) -> usize {
        match self.weather_provider {
            Provider::OpenMeteo => self.locations_per_request,
            Provider::OpenWeather => 1,
        }
    }

    pub fn high_water(&self) -> u64 {
        self.stream_high_water.unwrap_or_else(|| {
            self.quota_limits().hour.map_or(DEFAULT_HIGH_WATER, |hour| hour.min(DEFAULT_HIGH_WATER))
        })
    }

    /// The longest that one attempt at a request may take.
    pub fn worst_attempt(&self) -> Duration {
        self.request_timeout.0 * REQUEST_TRIES + REQUEST_RETRY_PAUSE
    }

    /// Leases are renewed four times in the silence that would lose them.
    pub fn renew_every(&self) -> Duration {
        self.claim_idle.0 / 4
    }

    /// How long a lease may be committed under: not in its last part, 10 s of the default 60 s.
    pub fn usable_lease(&self) -> Duration {
        self.claim_idle.0 * 5 / 6
    }

    /// The schedules that are set.
    pub fn schedules(&self) -> Vec<Schedule> {
        let schedule = |spec: &PipelineSpec| {
            let (cron, url) = self.cron_of(spec.name);
            let default = spec.default_cron.filter(|_| url.is_some());
            let default =
                || default.map(|cron| cron.parse().expect("the table holds an expression"));
            Some(Schedule {
                name: spec.schedule,
                expression: cron.clone().or_else(default)?,
                timezone: self.timezone.0,
                misfire: self.misfire,
                overlap: self.overlap,
            })
        };
        PIPELINES.iter().filter_map(schedule).collect()
    }

    /// When a pipeline is produced, and where its rows or results come from, as far as it is set.
    fn cron_of(&self, pipeline: PipelineName) -> (&Option<Expression>, &Option<HttpUrl>) {
        match pipeline {
            PipelineName::Weather => (&self.sync_cron, &self.city_source_url),
            PipelineName::Users => (&self.users_cron, &self.users_url),
            PipelineName::Addresses => (&self.addresses_cron, &self.addresses_url),
            PipelineName::Cards => (&self.cards_cron, &self.cards_url),
        }
    }

    pub(super) fn misfits(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        if self.claim_idle.0 <= self.worst_attempt() {
            wrong.push(format!(
                "ISOBAR_CLAIM_IDLE ({}) must exceed the worst attempt ({} s: {REQUEST_TRIES} × ISOBAR_REQUEST_TIMEOUT and a pause), or running tasks would be taken over",
                self.claim_idle,
                self.worst_attempt().as_secs_f32(),
            ));
        }
        if self.batch_size == 0 || self.batch_size > MAX_BATCH {
            wrong.push(format!(
                "ISOBAR_BATCH_SIZE ({}) must be from 1 to {MAX_BATCH}",
                self.batch_size
            ));
        }
        if self.batch_size as u64 > self.high_water() {
            wrong.push(format!(
                "ISOBAR_BATCH_SIZE ({}) must not exceed ISOBAR_STREAM_HIGH_WATER ({}), or no batch ever fits",
                self.batch_size,
                self.high_water()
            ));
        }
        if !(1..=1000).contains(&self.locations_per_request) {
            wrong.push(format!(
                "ISOBAR_LOCATIONS_PER_REQUEST ({}) must be from 1 to 1000",
                self.locations_per_request
            ));
        }
        for (name, value) in [
            ("ISOBAR_PAGE_LIMIT", u64::from(self.page_limit)),
            ("ISOBAR_SOURCE_ATTEMPTS", u64::from(self.source_attempts)),
            ("ISOBAR_MAX_ATTEMPTS", u64::from(self.max_attempts)),
            ("ISOBAR_MAX_DELIVERIES", u64::from(self.max_deliveries)),
            ("ISOBAR_DB_CONNECTIONS", u64::from(self.db_connections)),
            ("ISOBAR_CONCURRENCY", self.concurrency() as u64),
            ("ISOBAR_ENRICH_BATCH_SIZE", u64::from(self.enrich_batch_size)),
        ] {
            if value == 0 {
                wrong.push(format!("{name} must be at least 1"));
            }
        }
        for (name, stream) in
            [("ISOBAR_STREAM", &self.stream), ("ISOBAR_USER_STREAM", &self.user_stream)]
        {
            if stream.is_empty() || stream.contains(['{', '}']) {
                wrong.push(format!(
                    "{name} must not hold braces: they are the hash tag of the keys beside it"
                ));
            }
        }
        if self.stream == self.user_stream {
            wrong.push(format!(
                "ISOBAR_STREAM and ISOBAR_USER_STREAM are both {}: tasks for cities and for users would meet",
                self.stream
            ));
        }
        if self.broker == Some(BrokerChoice::Redis) && self.redis_url.is_none() {
            wrong.push("ISOBAR_BROKER=redis needs REDIS_URL".into());
        }
        if matches!(self.database_url, Some(DatabaseUrl::Postgres(_)))
            && self.redis_url.is_none()
            && self.broker != Some(BrokerChoice::Embedded)
        {
            wrong.push(
                "DATABASE_URL is PostgreSQL but REDIS_URL is unset: workers on other hosts would see no tasks. \
                 Set REDIS_URL, or ISOBAR_BROKER=embedded if one host is meant"
                    .into(),
            );
        }
        if self.weather_provider == Provider::OpenWeather && self.openweather_api_key.is_none() {
            wrong.push(
                "ISOBAR_WEATHER_PROVIDER=openweather needs ISOBAR_OPENWEATHER_API_KEY".into(),
            );
        }
        wrong
    }

    /// How often each client may ask a server that listens there: on loopback there is but one.
    pub fn rate_limit_at(&self, listen: IpAddr) -> RateSpec {
        let unset = if listen.is_loopback() { RateSpec::None } else { OPEN_RATE };
        self.rate_limit.unwrap_or(unset)
    }

    /// What only a listening role must have: a key, unless nobody else can reach it.
    pub fn listen_misfit(&self) -> Option<String> {
        (!self.listen.ip().is_loopback() && self.api_key.is_none()).then(|| {
            format!("ISOBAR_LISTEN ({}) is not loopback and ISOBAR_API_KEY is unset: anyone could post imports", self.listen)
        })
    }
}

fn configured(url: Option<&HttpUrl>, default: &str) -> Url {
    url.map_or_else(|| default.parse().expect("the default is a URL"), |url| url.0.clone())
}

#[cfg(test)]
mod tests {
    use super::super::{ConfigError, Environment};
    use super::*;

    fn load(pairs: &[(&str, &str)]) -> Result<Settings, ConfigError> {
        let environment =
            pairs.iter().fold(Environment::empty(), |env, (name, value)| env.with(name, *value));
        Settings::load(&environment)
    }

    #[test]
    fn the_free_tier_brings_its_own_limits() {
        let free = Settings::defaults();
        assert_eq!((free.concurrency(), free.high_water()), (1, 5_000));
        let own = load(&[("ISOBAR_OPEN_METEO_URL", "http://127.0.0.1:8090")]).expect("fits");
        assert_eq!((own.concurrency(), own.high_water()), (8, 100_000));
        assert!(own.quota_limits().is_none());
    }

    #[test]
    fn clients_are_limited_where_others_can_reach_us_unless_it_is_said() {
        let of = |settings: Settings, listen: &str| {
            settings.rate_limit_at(listen.parse().expect("an address")).to_string()
        };
        assert_eq!(of(Settings::defaults(), "127.0.0.1"), "none");
        assert_eq!(of(Settings::defaults(), "0.0.0.0"), "6000/m");
        let said = || load(&[("ISOBAR_RATE_LIMIT", "20/s")]).expect("fits");
        assert_eq!((of(said(), "::1"), of(said(), "0.0.0.0")), ("20/s".into(), "20/s".into()));
    }

    #[test]
    fn settings_that_do_not_fit_say_both_numbers() {
        let error = load(&[("ISOBAR_CLAIM_IDLE", "20s")]).expect_err("too short").to_string();
        assert!(error.contains("20s") && error.contains("20.5 s"), "{error}");
        let error = load(&[("ISOBAR_STREAM_HIGH_WATER", "100")]).expect_err("too low").to_string();
        assert!(error.contains("500") && error.contains("100"), "{error}");
    }

    #[test]
    fn postgresql_without_redis_must_be_meant() {
        let url = ("DATABASE_URL", "postgresql+asyncpg://u:p@db/isobar");
        assert!(load(&[url]).expect_err("refused").to_string().contains("REDIS_URL"));
        assert!(load(&[url, ("ISOBAR_BROKER", "embedded")]).is_ok());
    }

    #[test]
    fn a_schedule_is_there_once_it_has_an_expression() {
        let set = [("ISOBAR_SYNC_CRON", "30 2 * * *"), ("ISOBAR_TIMEZONE", "Europe/Berlin")];
        let schedules = load(&set).expect("fits").schedules();
        assert_eq!((schedules.len(), schedules[0].name), (1, "sync"));
        assert_eq!(schedules[0].timezone, chrono_tz::Europe::Berlin);
        assert_eq!(load(&set[1..]).expect("fits").schedules(), []);
    }

    #[test]
    fn people_are_synced_and_enriched_as_soon_as_it_is_said_from_where() {
        let named = |pairs: &[(&str, &str)]| {
            let schedules = load(pairs).expect("fits").schedules();
            let shown = |of: &Schedule| format!("{} {}", of.name, of.expression);
            schedules.iter().map(shown).collect::<Vec<_>>()
        };
        let cards = ("ISOBAR_CARDS_URL", "http://127.0.0.1:8090/api/v2/credit_cards");
        assert_eq!(named(&[cards]), ["cards @every 900s"]);
        assert_eq!(named(&[cards, ("ISOBAR_CARDS_CRON", "@every 5s")]), ["cards @every 5s"]);
        assert_eq!(named(&[("ISOBAR_USERS_CRON", "0 * * * *")]), ["users 0 * * * *"]);
    }

    #[test]
    fn everything_wrong_is_said_at_once() {
        let error =
            load(&[("ISOBAR_BATCH_SIZE", "many"), ("REDIS_URL", "http://x")]).expect_err("wrong");
        assert_eq!(error.0.len(), 2, "{error}");
    }
}

//! Every setting, once: name, type, default and meaning, and the checks that tie them together.
//!
//! The table below is the only definition; reading, `isobar doctor`, the README's table and
//! `.env.example` follow from it or are compared with it in a test. Order of precedence: flag,
//! environment, `.env`, default. A value that does not parse or does not fit another one ends
//! the start with exit code 78 and names both. `std::env` is read here and nowhere else.
//!
//! Next: [`values`] (the types), `derived.rs` (defaults that depend on other settings, checks).

mod derived;
mod environment;
mod outboxes;
mod rate_limit;
pub mod values;

use std::net::SocketAddr;
use std::path::PathBuf;

pub use derived::{FREE_TIER_HOST, GEOCODING_HOST, REQUEST_RETRY_PAUSE, REQUEST_TRIES};
pub use environment::Environment;
pub use rate_limit::RateSpec;
use values::{
    BreakerSpec, BrokerChoice, ByteSize, DatabaseUrl, HttpUrl, LogFormat, Provider, QuotaSpec,
    RedisUrl, Seconds, Secret,
};

use isobar_model::freshness::FreshFor;
use isobar_model::schedule::{Expression, Misfire, Overlap, TimeZone};

/// One row of the table: what `doctor` and the README show.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    pub name: &'static str,
    /// Empty where unset is the default.
    pub default: &'static str,
    pub meaning: &'static str,
}

/// What is wrong with the configuration, all of it at once.
#[derive(Debug, thiserror::Error)]
#[error("bad configuration: {}", .0.join("; "))]
pub struct ConfigError(pub Vec<String>);

/// `field: Type = "NAME", "default", "meaning";` — with an empty default the field is an `Option`.
macro_rules! settings {
    (
        required { $($field:ident: $type:ty = $name:literal, $default:literal, $meaning:literal;)* }
        optional { $($ofield:ident: $otype:ty = $oname:literal, $omeaning:literal;)* }
    ) => {
        /// The effective settings of this process.
        #[derive(Clone, Debug)]
        pub struct Settings {
            $(#[doc = $meaning] pub $field: $type,)*
            $(#[doc = $omeaning] pub $ofield: Option<$otype>,)*
        }

        /// The table, for people.
        pub const SETTINGS: &[Setting] = &[
            $(Setting { name: $name, default: $default, meaning: $meaning },)*
            $(Setting { name: $oname, default: "", meaning: $omeaning },)*
        ];

        impl Settings {
            fn read(environment: &Environment, wrong: &mut Vec<String>) -> Option<Self> {
                $(let $field = environment.parse::<$type>($name, Some($default), wrong);)*
                $(let $ofield = environment.parse::<$otype>($oname, None, wrong);)*
                wrong.is_empty().then_some(())?;
                Some(Self { $($field: $field?,)* $($ofield,)* })
            }

            /// Name and effective value, secrets masked; `None` is unset.
            pub fn effective(&self) -> Vec<(&'static str, Option<String>)> {
                vec![
                    $(($name, Some(self.$field.to_string())),)*
                    $(($oname, self.$ofield.as_ref().map(ToString::to_string)),)*
                ]
            }
        }
    };
}

settings! {
    required {
        data_dir: values::Folder = "ISOBAR_DATA_DIR", "./isobar-data", "outboxes, embedded files, spool";
        job_retention: Seconds = "ISOBAR_JOB_RETENTION", "30d", "how long the rows of finished jobs are kept (their totals stay)";
        history_retention: Seconds = "ISOBAR_HISTORY_RETENTION", "90d", "how long searches are kept";
        stream: String = "ISOBAR_STREAM", "owm-ingestion-stream", "the stream of weather tasks";
        group: String = "ISOBAR_GROUP", "ingestion-workers", "its consumer group";
        user_stream: String = "ISOBAR_USER_STREAM", "user-enrichment-stream", "the stream of users, addresses and cards";
        user_group: String = "ISOBAR_USER_GROUP", "enrichment-workers", "its consumer group";
        enrich_batch_size: u32 = "ISOBAR_ENRICH_BATCH_SIZE", "20", "users that one run finds addresses or cards for";
        batch_size: usize = "ISOBAR_BATCH_SIZE", "500", "tasks per atomic append";
        page_limit: u32 = "ISOBAR_PAGE_LIMIT", "100", "cities per page of the city source";
        page_first: u32 = "ISOBAR_PAGE_FIRST", "0", "number of its first page";
        source_attempts: u32 = "ISOBAR_SOURCE_ATTEMPTS", "5", "attempts per page, 4xx included";
        source_breaker: BreakerSpec = "ISOBAR_SOURCE_BREAKER", "20/600s/600s", "failures / window / open time of the city source; shared by cron runs";
        redis_retries: u32 = "ISOBAR_REDIS_RETRIES", "8", "attempts before the producer exits 75; workers go on";
        gazetteer_limit: usize = "ISOBAR_GAZETTEER_LIMIT", "1000", "the most populous cities, when no source is configured";
        weather_provider: Provider = "ISOBAR_WEATHER_PROVIDER", "open-meteo", "or openweather";
        open_meteo_url: HttpUrl = "ISOBAR_OPEN_METEO_URL", "https://api.open-meteo.com", "forecast service";
        geocoding_url: HttpUrl = "ISOBAR_GEOCODING_URL", "https://geocoding-api.open-meteo.com", "geocoding service";
        openweather_url: HttpUrl = "ISOBAR_OPENWEATHER_URL", "https://api.openweathermap.org", "OpenWeather service";
        locations_per_request: usize = "ISOBAR_LOCATIONS_PER_REQUEST", "100", "1-1000; OpenWeather always takes 1";
        request_timeout: Seconds = "ISOBAR_REQUEST_TIMEOUT", "10s", "per upstream request";
        upstream_breaker: BreakerSpec = "ISOBAR_UPSTREAM_BREAKER", "20/30s/15s", "failures / window / open time per upstream host; also at least half of the calls; open time doubles up to 600 s";
        claim_idle: Seconds = "ISOBAR_CLAIM_IDLE", "60s", "silence after which a worker's entries are taken over; must exceed the worst attempt";
        max_attempts: u32 = "ISOBAR_MAX_ATTEMPTS", "8", "failed attempts before a dead letter";
        max_deliveries: u32 = "ISOBAR_MAX_DELIVERIES", "5", "crashes while running alone before a dead letter";
        fresh_for: FreshFor = "ISOBAR_FRESH_FOR", "auto", "until the upstream has something newer; 0 = always fetch; or a duration";
        cache_ttl: Seconds = "ISOBAR_CACHE_TTL", "15m", "longest life of a cached answer; never beyond observation time + interval, never below 60 s";
        listen: SocketAddr = "ISOBAR_LISTEN", "127.0.0.1:8000", "address of the API";
        max_upload: ByteSize = "ISOBAR_MAX_UPLOAD", "256 MiB", "largest import file";
        db_connections: u32 = "ISOBAR_DB_CONNECTIONS", "8", "PostgreSQL pool size";
        timezone: TimeZone = "ISOBAR_TIMEZONE", "UTC", "IANA time zone in which schedules count the time of day";
        misfire: Misfire = "ISOBAR_MISFIRE", "once", "ticks that nobody was there to fire: once (one run makes up for all) or skip";
        overlap: Overlap = "ISOBAR_OVERLAP", "skip", "ticks that fall due during the run before them: skip or queue (up to 10 wait)";
        log: String = "ISOBAR_LOG", "info", "level, or filter directives";
    }
    optional {
        redis_url: RedisUrl = "REDIS_URL", "redis://, rediss:// or unix://; unset = embedded broker in the data dir";
        database_url: DatabaseUrl = "DATABASE_URL", "postgres://… or sqlite://path; unset = SQLite in the data dir";
        broker: BrokerChoice = "ISOBAR_BROKER", "redis or embedded; embedded beside PostgreSQL must be said";
        outbox: values::Folder = "ISOBAR_OUTBOX", "the producer's outbox file; unset = outbox.db in the data dir";
        stream_high_water: u64 = "ISOBAR_STREAM_HIGH_WATER", "unfinished entries before the producer waits; unset = 100000, or one hour of quota if that is less";
        city_source_url: HttpUrl = "ISOBAR_CITY_SOURCE_URL", "base of /cities/?page=&limit=";
        sync_cron: Expression = "ISOBAR_SYNC_CRON", "when `isobar schedule` and `isobar up` run the source of a bare `isobar produce`: five fields of cron, six with seconds, @hourly and the like, or @every 300s";
        users_url: HttpUrl = "ISOBAR_USERS_URL", "users as JSONPlaceholder, DummyJSON or our own /users lists them; unset = https://jsonplaceholder.typicode.com/users";
        users_api_key: Secret = "ISOBAR_USERS_API_KEY", "or …_FILE with a path: sent to ISOBAR_USERS_URL as X-API-Key";
        addresses_url: HttpUrl = "ISOBAR_ADDRESSES_URL", "where addresses come from; unset = https://random-data-api.com/api/v2/addresses";
        cards_url: HttpUrl = "ISOBAR_CARDS_URL", "where cards come from; unset = https://random-data-api.com/api/v2/credit_cards";
        users_cron: Expression = "ISOBAR_USERS_CRON", "when users are synced; unset = @every 300s once ISOBAR_USERS_URL is set";
        addresses_cron: Expression = "ISOBAR_ADDRESSES_CRON", "when users get addresses; unset = @every 600s once ISOBAR_ADDRESSES_URL is set";
        cards_cron: Expression = "ISOBAR_CARDS_CRON", "when users get cards; unset = @every 900s once ISOBAR_CARDS_URL is set";
        card_key: Secret = "ISOBAR_CARD_KEY", "or …_FILE with a path: key of the fingerprints of cards, the same on all hosts; unset = a random one in the data dir";
        openweather_api_key: Secret = "ISOBAR_OPENWEATHER_API_KEY", "or …_FILE with a path";
        quota: QuotaSpec = "ISOBAR_QUOTA", "600/m,5000/h,10000/d or none; unset = the free tier for public hosts, else none";
        concurrency: usize = "ISOBAR_CONCURRENCY", "requests in flight per worker; unset = 1 on the free tier, else 8";
        allowed_hosts: values::Names = "ISOBAR_ALLOWED_HOSTS", "names added to the Host allow-list, comma-separated";
        api_key: Secret = "ISOBAR_API_KEY", "or …_FILE with a path; needed off loopback";
        rate_limit: RateSpec = "ISOBAR_RATE_LIMIT", "requests of one client: 600/m, 20/s or none; unset = none on loopback, else 6000/m";
        import_dir: values::Folder = "ISOBAR_IMPORT_DIR", "the only folder from which path= imports may read";
        log_format: LogFormat = "ISOBAR_LOG_FORMAT", "pretty or json; unset = pretty on a terminal";
    }
}

impl Settings {
    /// Reads and checks everything; the error lists all that is wrong.
    pub fn load(environment: &Environment) -> Result<Self, ConfigError> {
        let mut wrong = environment.problems();
        let settings = Self::read(environment, &mut wrong);
        match settings {
            Some(settings) => {
                let misfits = settings.misfits();
                if misfits.is_empty() { Ok(settings) } else { Err(ConfigError(misfits)) }
            }
            None => Err(ConfigError(wrong)),
        }
    }

    /// The defaults alone, as if nothing were set.
    pub fn defaults() -> Self {
        Self::load(&Environment::empty()).expect("the defaults fit each other")
    }

    /// A file in the data dir.
    pub fn data_file(&self, name: &str) -> PathBuf {
        self.data_dir.0.join(name)
    }
}

//! The settings table: the name, type, default and description of every setting, once.
//!
//! Guarantees: reading, `isobar doctor`, the settings table of the documents and `.env.example`
//! follow from this table or are compared with it in a test. A new setting is one row here.

use isobar_model::freshness::FreshFor;
use isobar_model::schedule::{Expression, Misfire, Overlap, TimeZone};

use crate::environment::Environment;
use crate::rate_limit::RateSpec;
use crate::values::{
    BreakerSpec, BrokerKind, ByteSize, DatabaseUrl, HostNames, HttpUrl, ListenAddress,
    LogDirectives, LogFormat, PathSetting, PositiveDuration, QuotaSpec, RedisUrl, Secret,
    WeatherProvider,
};

/// One row of the table, as `doctor` and the documents show it.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    pub name: &'static str,
    /// Empty where the default is unset.
    pub default: &'static str,
    pub description: &'static str,
}

/// `field: Type = "NAME", "default", "description";` — an optional row has no default, and its field is
/// an `Option`.
macro_rules! settings {
    (
        required { $($field:ident: $type:ty = $name:literal, $default:literal, $description:literal;)* }
        optional { $($ofield:ident: $otype:ty = $oname:literal, $odescription:literal;)* }
    ) => {
        /// The effective settings of this process.
        #[derive(Clone, Debug)]
        pub struct Settings {
            $(#[doc = $description] pub $field: $type,)*
            $(#[doc = $odescription] pub $ofield: Option<$otype>,)*
        }

        /// The table as data, for `isobar doctor`, the tests and the documents.
        pub const SETTINGS: &[Setting] = &[
            $(Setting { name: $name, default: $default, description: $description },)*
            $(Setting { name: $oname, default: "", description: $odescription },)*
        ];

        impl Settings {
            pub(super) fn read(environment: &Environment, errors: &mut Vec<String>) -> Option<Self> {
                $(let $field = environment.parse::<$type>($name, Some($default), errors);)*
                $(let $ofield = environment.parse::<$otype>($oname, None, errors);)*
                errors.is_empty().then_some(())?;
                Some(Self { $($field: $field?,)* $($ofield,)* })
            }

            /// Name and effective value, with secrets masked; `None` is unset.
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
        data_dir: PathSetting = "ISOBAR_DATA_DIR", "./isobar-data", "folder of the outboxes, the embedded files and uploaded files";
        outbox_keep: PositiveDuration = "ISOBAR_OUTBOX_KEEP", "1h", "how long confirmed batches stay in the outbox, for `isobar verify --repair`; at most 1,000,000 tasks";
        job_retention: PositiveDuration = "ISOBAR_JOB_RETENTION", "30d", "how long the rows of finished jobs are kept; their totals stay";
        history_retention: PositiveDuration = "ISOBAR_HISTORY_RETENTION", "90d", "how long searches are kept";
        stream: String = "ISOBAR_STREAM", "owm-ingestion-stream", "stream of weather tasks";
        group: String = "ISOBAR_GROUP", "ingestion-workers", "consumer group of ISOBAR_STREAM";
        user_stream: String = "ISOBAR_USER_STREAM", "user-enrichment-stream", "stream of users, addresses and cards";
        user_group: String = "ISOBAR_USER_GROUP", "enrichment-workers", "consumer group of ISOBAR_USER_STREAM";
        enrich_batch_size: u32 = "ISOBAR_ENRICH_BATCH_SIZE", "20", "most users that one run gives addresses or cards";
        batch_size: usize = "ISOBAR_BATCH_SIZE", "500", "tasks per batch";
        page_limit: u32 = "ISOBAR_PAGE_LIMIT", "100", "cities per page of the city source";
        page_first: u32 = "ISOBAR_PAGE_FIRST", "0", "number of its first page";
        source_attempts: u32 = "ISOBAR_SOURCE_ATTEMPTS", "5", "attempts per page; a 4xx response is retried too";
        source_breaker: BreakerSpec = "ISOBAR_SOURCE_BREAKER", "20/600s/600s", "circuit breaker of the city source: failures / window / open time; cron runs share it";
        redis_retries: u32 = "ISOBAR_REDIS_RETRIES", "8", "attempts to reach Redis before the producer exits 75; workers keep trying";
        gazetteer_limit: usize = "ISOBAR_GAZETTEER_LIMIT", "1000", "number of built-in cities, most populous first, when no source is set";
        weather_provider: WeatherProvider = "ISOBAR_WEATHER_PROVIDER", "open-meteo", "open-meteo or openweather";
        open_meteo_url: HttpUrl = "ISOBAR_OPEN_METEO_URL", "https://api.open-meteo.com", "Open-Meteo forecast service";
        geocoding_url: HttpUrl = "ISOBAR_GEOCODING_URL", "https://geocoding-api.open-meteo.com", "Open-Meteo geocoding service";
        air_quality_url: HttpUrl = "ISOBAR_AIR_QUALITY_URL", "https://air-quality-api.open-meteo.com", "Open-Meteo air quality service";
        openweather_url: HttpUrl = "ISOBAR_OPENWEATHER_URL", "https://api.openweathermap.org", "OpenWeather service";
        locations_per_request: usize = "ISOBAR_LOCATIONS_PER_REQUEST", "100", "1 to 1000; always 1 for OpenWeather";
        request_timeout: PositiveDuration = "ISOBAR_REQUEST_TIMEOUT", "10s", "time limit of one upstream request";
        upstream_breaker: BreakerSpec = "ISOBAR_UPSTREAM_BREAKER", "20/30s/15s", "circuit breaker per upstream host: failures / window / open time; it opens if also half of the calls failed; the open time doubles up to 600 s";
        claim_idle: PositiveDuration = "ISOBAR_CLAIM_IDLE", "60s", "lease of a worker on its entries: after this silence another worker takes them over; must exceed the longest attempt";
        max_attempts: u32 = "ISOBAR_MAX_ATTEMPTS", "8", "failed attempts before a task becomes a dead letter";
        max_deliveries: u32 = "ISOBAR_MAX_DELIVERIES", "5", "crashes of a task, tried alone in a child process, before it becomes a dead letter";
        fresh_for: FreshFor = "ISOBAR_FRESH_FOR", "auto", "how long a snapshot counts as current: auto = until the upstream has newer data, 0 = never, or a duration";
        cache_ttl: PositiveDuration = "ISOBAR_CACHE_TTL", "15m", "how long the API caches an answer at most: not beyond observation time + interval, but at least 60 s";
        listen: ListenAddress = "ISOBAR_LISTEN", "127.0.0.1:8000", "address and port of the API";
        max_upload: ByteSize = "ISOBAR_MAX_UPLOAD", "256 MiB", "largest import file";
        db_connections: u32 = "ISOBAR_DB_CONNECTIONS", "8", "PostgreSQL connections per process";
        timezone: TimeZone = "ISOBAR_TIMEZONE", "UTC", "IANA time zone of the schedules";
        misfire: Misfire = "ISOBAR_MISFIRE", "once", "ticks missed while no scheduler was running: once (one run makes up for all of them) or skip";
        overlap: Overlap = "ISOBAR_OVERLAP", "skip", "ticks that fall due during the run before them: skip, or queue (up to 10 wait)";
        log: LogDirectives = "ISOBAR_LOG", "info", "log level, or filter directives per module";
    }
    optional {
        redis_url: RedisUrl = "REDIS_URL", "redis://, rediss:// or unix://; unset = embedded broker in the data folder";
        database_url: DatabaseUrl = "DATABASE_URL", "postgres://… or sqlite://path; unset = SQLite in the data folder";
        ca_file: PathSetting = "ISOBAR_CA_FILE", "PEM file of authorities to trust beside the system's, for Redis, PostgreSQL and HTTPS";
        redis_client_cert: PathSetting = "REDIS_CLIENT_CERT", "PEM file with the certificate that Redis asks for";
        redis_client_key: PathSetting = "REDIS_CLIENT_KEY", "PEM file with its key";
        broker: BrokerKind = "ISOBAR_BROKER", "redis or embedded; required (embedded) for PostgreSQL without Redis";
        outbox: PathSetting = "ISOBAR_OUTBOX", "the producer's outbox file; unset = outbox.db in the data folder";
        stream_high_water: u64 = "ISOBAR_STREAM_HIGH_WATER", "most unfinished entries before the producer waits; unset = 100000, or one hour of quota if that is less";
        city_source_url: HttpUrl = "ISOBAR_CITY_SOURCE_URL", "city service: base URL of /cities/?page=&limit=";
        sync_cron: Expression = "ISOBAR_SYNC_CRON", "when `isobar schedule` and `isobar up` produce cities: cron with five fields (six with seconds), a name such as @hourly, or @every 300s; unset = never";
        air_quality_cron: Expression = "ISOBAR_AIR_QUALITY_CRON", "when the air quality of cities is produced; unset = never";
        users_url: HttpUrl = "ISOBAR_USERS_URL", "user service: JSONPlaceholder, DummyJSON or the /users of Isobar; unset = https://jsonplaceholder.typicode.com/users";
        users_api_key: Secret = "ISOBAR_USERS_API_KEY", "sent to ISOBAR_USERS_URL as X-API-Key; or …_FILE with a path";
        addresses_url: HttpUrl = "ISOBAR_ADDRESSES_URL", "address service; unset = https://random-data-api.com/api/v2/addresses";
        cards_url: HttpUrl = "ISOBAR_CARDS_URL", "card service; unset = https://random-data-api.com/api/v2/credit_cards";
        users_cron: Expression = "ISOBAR_USERS_CRON", "when users are synced; unset = @every 300s once ISOBAR_USERS_URL is set";
        addresses_cron: Expression = "ISOBAR_ADDRESSES_CRON", "when users get addresses; unset = @every 600s once ISOBAR_ADDRESSES_URL is set";
        cards_cron: Expression = "ISOBAR_CARDS_CRON", "when users get cards; unset = @every 900s once ISOBAR_CARDS_URL is set";
        card_key: Secret = "ISOBAR_CARD_KEY", "key of card fingerprints, the same on all hosts; or …_FILE with a path; unset = a random key in the data folder";
        openweather_api_key: Secret = "ISOBAR_OPENWEATHER_API_KEY", "key of OpenWeather; or …_FILE with a path";
        quota: QuotaSpec = "ISOBAR_QUOTA", "requests per window, for example 600/m,5000/h,10000/d, or none; unset = the free tier for public hosts, else none";
        concurrency: usize = "ISOBAR_CONCURRENCY", "concurrent requests per worker; unset = 1 on the free tier, else 8";
        allowed_hosts: HostNames = "ISOBAR_ALLOWED_HOSTS", "further host names of the API, comma-separated";
        api_key: Secret = "ISOBAR_API_KEY", "key of the API; or …_FILE with a path; required unless ISOBAR_LISTEN is loopback";
        rate_limit: RateSpec = "ISOBAR_RATE_LIMIT", "requests per client: for example 600/m, 20/s or none; unset = none on loopback, else 6000/m";
        import_dir: PathSetting = "ISOBAR_IMPORT_DIR", "the only folder from which imports by path may read; unset = no such imports";
        log_format: LogFormat = "ISOBAR_LOG_FORMAT", "pretty or json; unset = pretty on a terminal, else json";
    }
}

//! Checks between settings.
//!
//! Guarantees: the message of a check names both values, so the reader does not look one up.

use std::time::Duration;

use crate::derived::REQUEST_TRIES;
use crate::table::{SETTINGS, Settings};
use crate::values::{BrokerKind, DatabaseUrl, WeatherProvider};

/// More arguments than this make one script block Redis for other clients.
const MAX_BATCH: u64 = 5_000;
const MAX_OUTBOX_KEEP: Duration = Duration::from_hours(7 * 24);

impl Settings {
    pub(super) fn validation_errors(&self) -> Vec<String> {
        let mut errors = Vec::new();
        if self.claim_idle.0 <= self.max_attempt_time() {
            errors.push(format!(
                "ISOBAR_CLAIM_IDLE ({}) must exceed the longest attempt ({} s: {REQUEST_TRIES} × ISOBAR_REQUEST_TIMEOUT and a pause); otherwise other workers take over running tasks",
                self.claim_idle,
                self.max_attempt_time().as_secs_f32(),
            ));
        }
        for (name, file) in
            [("ISOBAR_CA_FILE", &self.ca_file), ("REDIS_CLIENT_CERT", &self.redis_client_cert)]
        {
            let certificates = file.as_ref().map(|file| isobar_tls::read_certificates(&file.0));
            if let Some(Err(error)) = certificates {
                errors.push(format!("{name}: {error:#}"));
            }
        }
        if self.redis_client_cert.is_some() != self.redis_client_key.is_some() {
            errors.push("REDIS_CLIENT_CERT and REDIS_CLIENT_KEY must be set together".to_owned());
        }
        if self.outbox_keep.0 > MAX_OUTBOX_KEEP {
            errors.push(format!(
                "ISOBAR_OUTBOX_KEEP ({}) must not exceed 7d; the outbox forgets finished jobs after 30d",
                self.outbox_keep
            ));
        }
        if self.batch_size as u64 > self.high_water() {
            errors.push(format!(
                "ISOBAR_BATCH_SIZE ({}) must not exceed ISOBAR_STREAM_HIGH_WATER ({}); otherwise no batch ever fits",
                self.batch_size,
                self.high_water()
            ));
        }
        for (name, value, max) in [
            ("ISOBAR_BATCH_SIZE", self.batch_size as u64, Some(MAX_BATCH)),
            ("ISOBAR_LOCATIONS_PER_REQUEST", self.locations_per_request as u64, Some(1_000)),
            ("ISOBAR_PAGE_LIMIT", u64::from(self.page_limit), None),
            ("ISOBAR_SOURCE_ATTEMPTS", u64::from(self.source_attempts), None),
            ("ISOBAR_MAX_ATTEMPTS", u64::from(self.max_attempts), None),
            ("ISOBAR_MAX_DELIVERIES", u64::from(self.max_deliveries), None),
            ("ISOBAR_DB_CONNECTIONS", u64::from(self.db_connections), None),
            ("ISOBAR_CONCURRENCY", self.concurrency() as u64, None),
            ("ISOBAR_ENRICH_BATCH_SIZE", u64::from(self.enrich_batch_size), None),
        ] {
            let default = SETTINGS.iter().find(|known| known.name == name);
            let example = match default.map(|setting| setting.default) {
                None | Some("") => String::new(),
                Some(default) => format!(", for example {default}"),
            };
            match max {
                Some(max) if !(1..=max).contains(&value) => {
                    errors.push(format!("{name} ({value}) must be from 1 to {max}{example}"));
                }
                None if value == 0 => errors.push(format!("{name} must be at least 1{example}")),
                _ => {}
            }
        }
        for (name, stream) in
            [("ISOBAR_STREAM", &self.stream), ("ISOBAR_USER_STREAM", &self.user_stream)]
        {
            if stream.is_empty() || stream.contains(['{', '}']) {
                errors.push(format!(
                    "{name} must not be empty or contain braces, which mark the hash tag of its keys"
                ));
            }
        }
        if self.stream == self.user_stream {
            errors.push(format!(
                "ISOBAR_STREAM and ISOBAR_USER_STREAM are both {}: city tasks and user tasks need separate streams",
                self.stream
            ));
        }
        if self.broker == Some(BrokerKind::Redis) && self.redis_url.is_none() {
            errors.push("ISOBAR_BROKER=redis needs REDIS_URL".into());
        }
        if matches!(self.database_url, Some(DatabaseUrl::Postgres(_)))
            && self.redis_url.is_none()
            && self.broker != Some(BrokerKind::Embedded)
        {
            errors.push(
                "DATABASE_URL is PostgreSQL but REDIS_URL is unset: workers on other hosts would see no tasks. \
                 Set REDIS_URL, or set ISOBAR_BROKER=embedded to use one host only"
                    .into(),
            );
        }
        if self.weather_provider == WeatherProvider::OpenWeather
            && self.openweather_api_key.is_none()
        {
            errors.push(
                "ISOBAR_WEATHER_PROVIDER=openweather needs ISOBAR_OPENWEATHER_API_KEY".into(),
            );
        }
        errors
    }

    /// The check of a listening role: off loopback the API needs a key.
    pub fn listen_error(&self) -> Option<String> {
        (!self.listen.0.ip().is_loopback() && self.api_key.is_none()).then(|| {
            format!("ISOBAR_LISTEN ({}) is not loopback and ISOBAR_API_KEY is unset: every client could start imports", self.listen)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::environment::Environment;
    use crate::load::ConfigError;

    fn load(pairs: &[(&str, &str)]) -> Result<Settings, ConfigError> {
        let environment =
            pairs.iter().fold(Environment::empty(), |env, (name, value)| env.with(name, *value));
        Settings::load(&environment)
    }

    #[test]
    fn a_failed_check_names_both_numbers() {
        let error = load(&[("ISOBAR_CLAIM_IDLE", "20s")]).expect_err("too short").to_string();
        assert!(error.contains("20s") && error.contains("20.5 s"), "{error}");
        let error = load(&[("ISOBAR_STREAM_HIGH_WATER", "100")]).expect_err("too low").to_string();
        assert!(error.contains("500") && error.contains("100"), "{error}");
    }

    #[test]
    fn postgresql_without_redis_must_be_explicit() {
        let url = ("DATABASE_URL", "postgresql+asyncpg://u:p@db/isobar");
        assert!(load(&[url]).expect_err("refused").to_string().contains("REDIS_URL"));
        assert!(load(&[url, ("ISOBAR_BROKER", "embedded")]).is_ok());
    }
}

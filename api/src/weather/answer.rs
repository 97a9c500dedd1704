//! Weather answers: their JSON, how long they are kept, and the headers that follow from it.
//!
//! Guarantees: an answer is kept until the upstream has newer weather, at most `ISOBAR_CACHE_TTL`.
//! It is kept for at least [`MIN_TTL`], so that a late provider is not asked with every request. All
//! decisions are pure functions of snapshot, settings and `now`.

use std::sync::Arc;
use std::time::Duration;

use axum::http::HeaderValue;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use isobar_model::ids::CityId;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use utoipa::ToSchema;

/// The shortest life of a cached answer.
const MIN_TTL: Duration = Duration::from_mins(1);

/// Where an answer came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Origin {
    /// No upstream request was needed.
    Hit,
    Miss,
    /// The upstream failed; this is the last known weather.
    Stale,
}

impl Origin {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Hit => "hit",
            Self::Miss => "miss",
            Self::Stale => "stale",
        }
    }
}

/// The answer of `GET /weather`, without its origin.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct WeatherAnswer {
    pub city: String,
    #[schema(value_type = i64)]
    pub city_id: CityId,
    pub country_code: Option<String>,
    pub latitude: f64,
    pub longitude: f64,
    pub temperature: Option<f64>,
    /// The WMO code as text.
    pub condition: Option<String>,
    pub humidity: Option<i32>,
    pub windspeed: Option<f64>,
    pub winddirection: Option<i32>,
    pub weathercode: Option<i32>,
    pub observed_at: DateTime<Utc>,
    pub fetched_at: DateTime<Utc>,
    pub source: String,
    /// How many cities of this name there are.
    pub candidates: usize,
}

#[derive(Serialize, ToSchema)]
pub struct WeatherReply<'a> {
    #[serde(flatten)]
    answer: &'a WeatherAnswer,
    cache: Origin,
}

/// An answer and its expiry, as the broker's cache holds it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cached {
    pub answer: WeatherAnswer,
    pub expires_at: DateTime<Utc>,
}

/// An answer with everything that is equal for all requests.
#[derive(Debug)]
pub struct PreparedAnswer {
    pub city: Arc<str>,
    pub etag: HeaderValue,
    pub cache_control: HeaderValue,
    pub expires_at: DateTime<Utc>,
    fetched_at: DateTime<Utc>,
    answer: WeatherAnswer,
    hit: Bytes,
}

impl PreparedAnswer {
    pub fn new(cached: Cached) -> Self {
        let Cached { answer, expires_at } = cached;
        let lifetime = (expires_at - answer.fetched_at).num_seconds().max(0);
        let mut prepared = Self {
            city: answer.city.as_str().into(),
            etag: etag(&answer),
            cache_control: format!("max-age={lifetime}")
                .parse()
                .expect("digits are a header value"),
            expires_at,
            fetched_at: answer.fetched_at,
            answer,
            hit: Bytes::new(),
        };
        prepared.hit = prepared.render(Origin::Hit);
        prepared
    }

    pub fn body(&self, origin: Origin) -> Bytes {
        match origin {
            Origin::Hit => self.hit.clone(),
            other => self.render(other),
        }
    }

    pub fn is_alive(&self, now: DateTime<Utc>) -> bool {
        now < self.expires_at
    }

    pub fn age_seconds(&self, now: DateTime<Utc>) -> u64 {
        (now - self.fetched_at).num_seconds().max(0) as u64
    }

    fn render(&self, cache: Origin) -> Bytes {
        let body = WeatherReply { answer: &self.answer, cache };
        serde_json::to_vec(&body).expect("an answer is plain data").into()
    }
}

/// How long an answer may be kept; `max_ttl` is `ISOBAR_CACHE_TTL`.
pub fn ttl(max_ttl: Duration, fresh_until: DateTime<Utc>, now: DateTime<Utc>) -> Duration {
    let fresh = (fresh_until - now).to_std().unwrap_or_default();
    max_ttl.min(fresh).max(MIN_TTL)
}

/// Weak: the answers of one snapshot differ only in `cache`.
fn etag(answer: &WeatherAnswer) -> HeaderValue {
    let content = serde_json::to_vec(answer).expect("an answer is plain data");
    let digest = Sha256::digest(&content);
    let mut head = [0; 8];
    head.copy_from_slice(&digest[..8]);
    format!("W/\"{:016x}\"", u64::from_be_bytes(head))
        .parse()
        .expect("hexadecimal digits are a header value")
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;

    fn answer(at: DateTime<Utc>) -> WeatherAnswer {
        WeatherAnswer {
            city: "Paris".to_owned(),
            city_id: CityId(2_988_507),
            country_code: Some("FR".to_owned()),
            latitude: 48.85,
            longitude: 2.35,
            temperature: Some(7.5),
            condition: Some("overcast".to_owned()),
            humidity: Some(80),
            windspeed: Some(3.2),
            winddirection: Some(180),
            weathercode: Some(3),
            observed_at: at,
            fetched_at: at,
            source: "open-meteo".to_owned(),
            candidates: 2,
        }
    }

    #[test]
    fn answers_are_kept_until_newer_weather_is_due() {
        let now = Utc::now();
        let in_seconds = |seconds| now + TimeDelta::seconds(seconds);
        let max_ttl = Duration::from_mins(15);
        for (fresh_until, expected) in [(300, 300), (2_000, 900), (10, 60), (-500, 60)] {
            let found = ttl(max_ttl, in_seconds(fresh_until), now);
            assert_eq!(found.as_secs(), expected, "{fresh_until}");
        }
    }

    #[test]
    fn answers_of_one_snapshot_share_a_tag() {
        let at = Utc::now();
        let prepare = |answer| {
            PreparedAnswer::new(Cached { answer, expires_at: at + TimeDelta::seconds(90) })
        };
        let (first, newer) = (prepare(answer(at)), prepare(answer(at + TimeDelta::minutes(15))));
        assert_ne!(first.etag, newer.etag);
        assert_eq!(first.cache_control, "max-age=90");
        let miss: serde_json::Value =
            serde_json::from_slice(&first.body(Origin::Miss)).expect("JSON");
        assert_eq!((&miss["cache"], &miss["city"]), (&"miss".into(), &"Paris".into()));
        assert_eq!(first.age_seconds(at + TimeDelta::seconds(5)), 5);
        assert!(!first.is_alive(at + TimeDelta::seconds(90)));
    }
}

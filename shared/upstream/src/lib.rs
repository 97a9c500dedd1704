//! WeatherClient: the weather services for workers and API, and the providers of addresses and cards.
//!
//! Guarantees: one attempt passes quota → breaker → timeout → request ([`client`]) and ends in one
//! [`Answer`], by the table in [`classify`]. Neither secrets nor query strings reach a log or an
//! error. Does not: sleep for a quota or a breaker, or retry beyond two tries of one request
//! (connect, reset, 408, 5xx); the caller gives entries back.
//!
//! Next: [`weather_client`] (the entry point), [`open_meteo`] (requests and answers of its
//! services), [`forecast`], [`air_quality`], [`openweather`], [`geocoding`], [`cities`] (name to city),
//! [`enrichment`] (addresses and cards), [`gauges`] (values for a scrape).

mod air_quality;
mod answer;
mod breaker;
pub mod card_key;
pub mod cities;
mod classify;
mod client;
mod deadline;
mod enrichment;
mod forecast;
mod gauges;
mod geocoding;
mod host;
mod http;
mod json;
mod observation;
mod open_meteo;
mod openweather;
mod quota;
mod secrets;
mod weather_client;
mod weather_service;
pub mod wmo;

pub use air_quality::AirQuality;
pub use answer::{Answer, Priority, WaitReason};
pub use deadline::Deadline;
pub use enrichment::{EnrichmentClient, MAX_BATCH};
pub use gauges::{METRICS, Quotas};
pub use host::UpstreamState;
pub use observation::Observation;
pub use quota::QuotaState;
pub use weather_client::WeatherClient;
pub use weather_service::WeatherService;

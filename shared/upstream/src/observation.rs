//! Observation: the weather at one location, in the same units for every provider.
//!
//! Units: °C, km/h, degrees, WMO code, percent.

use chrono::{DateTime, Utc};

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
    /// Observation time + interval: before this the provider has nothing newer.
    pub fresh_until: DateTime<Utc>,
    /// This location's own JSON, without the units.
    pub raw_payload: String,
}

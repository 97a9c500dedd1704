//! Weather: the records of the weather pipeline, which are snapshots in the rows of `cities`.
//!
//! Units are those of the API: °C, km/h, degrees, WMO code, percent.
//!
//! Guarantees: a snapshot that is older than the stored one changes nothing (I4), unless the stored
//! one is from the future: such a one is replaced.
//! Next: [`crate::records`] (how a commit gets the records of each pipeline).

use std::collections::HashMap;

use chrono::{DateTime, Utc};

use crate::error::Result;
use crate::row::{FromRow, Row};
use crate::sql::Batch;
use crate::store::Store;
use isobar_model::city::{Coordinates, fold_name};
use isobar_model::freshness::ValueTimes;
use isobar_model::ids::CityId;

/// The weather of a city at a time.
#[derive(Clone, Debug, PartialEq)]
pub struct WeatherSnapshot {
    pub city_id: CityId,
    /// `None` keeps the stored name, or gives a new city its number as a name.
    pub name: Option<String>,
    pub country_code: Option<String>,
    pub admin1_code: Option<String>,
    pub coordinates: Coordinates,
    pub population: Option<i64>,
    pub temperature: Option<f64>,
    pub windspeed: Option<f64>,
    pub winddirection: Option<i32>,
    pub weathercode: Option<i32>,
    pub humidity: Option<i32>,
    /// The provider's own text, UTC without an offset: `2026-01-16T05:00`.
    pub time: String,
    pub observed_at: DateTime<Utc>,
    /// Before this time the upstream has nothing newer.
    pub fresh_until: DateTime<Utc>,
    /// This location's own JSON.
    pub raw_payload: String,
    pub synced_at: DateTime<Utc>,
}

/// A stored snapshot.
#[derive(Clone, Debug, PartialEq)]
pub struct SnapshotRow {
    pub city_id: CityId,
    pub city_name: String,
    pub latitude: f64,
    pub longitude: f64,
    pub temperature: Option<f64>,
    pub windspeed: Option<f64>,
    pub winddirection: Option<i32>,
    pub weathercode: Option<i32>,
    pub humidity: Option<i32>,
    pub time: String,
    pub observed_at: DateTime<Utc>,
    pub fresh_until: DateTime<Utc>,
    pub synced_at: DateTime<Utc>,
    /// Only for a query of one city.
    pub raw_payload: Option<String>,
}

sql! {
    /// The committer's speed depends on this statement. An empty key marks an unknown name; such a
    /// city has its number as a name. A value that the upstream does not know keeps the stored one.
    UPSERT(WeatherSnapshot) = r#"
INSERT INTO cities AS stored (
    id, name, name_key, country_code, admin1_code, latitude, longitude, population,
    last_refreshed_at, last_status, last_error, temperature, windspeed, winddirection,
    weathercode, humidity, "time", observed_at, fresh_until, synced_at, raw_payload)
SELECT id, coalesce(name, 'City ' || id), coalesce(name_key, ''), country_code,
    admin1_code, latitude, longitude, population, synced_at, 'success', NULL, temperature,
    windspeed, winddirection, weathercode, humidity, "time", observed_at, fresh_until, synced_at,
    raw_payload
FROM given WHERE true
ON CONFLICT (id) DO UPDATE SET
    name = CASE WHEN excluded.name_key = '' THEN stored.name ELSE excluded.name END,
    name_key = CASE WHEN excluded.name_key = '' THEN stored.name_key ELSE excluded.name_key END,
    country_code = coalesce(excluded.country_code, stored.country_code),
    admin1_code = coalesce(excluded.admin1_code, stored.admin1_code),
    latitude = excluded.latitude,
    longitude = excluded.longitude,
    population = coalesce(excluded.population, stored.population),
    last_refreshed_at = excluded.last_refreshed_at,
    last_status = 'success',
    last_error = NULL,
    temperature = coalesce(excluded.temperature, stored.temperature),
    windspeed = coalesce(excluded.windspeed, stored.windspeed),
    winddirection = coalesce(excluded.winddirection, stored.winddirection),
    weathercode = coalesce(excluded.weathercode, stored.weathercode),
    humidity = coalesce(excluded.humidity, stored.humidity),
    "time" = excluded."time",
    observed_at = excluded.observed_at,
    fresh_until = excluded.fresh_until,
    synced_at = excluded.synced_at,
    raw_payload = excluded.raw_payload
WHERE stored.observed_at IS NULL OR excluded.observed_at >= stored.observed_at
    OR stored.observed_at > excluded.synced_at + interval '1 hour'
"#;
    PAGE = r#"
SELECT id, name, latitude, longitude, temperature, windspeed, winddirection, weathercode, humidity,
    "time", observed_at, fresh_until, synced_at, NULL AS raw_payload
FROM cities WHERE observed_at IS NOT NULL AND id > $1
ORDER BY id LIMIT $2
"#;
    FRESHNESS = r"
SELECT id, observed_at, fresh_until, synced_at FROM cities
WHERE id = ANY($1::bigint[]) AND observed_at IS NOT NULL
";
}

given! { WeatherSnapshot as row {
    id: bigint = row.city_id,
    name: text = &row.name,
    name_key: text = row.name.as_deref().map(fold_name),
    country_code: text = &row.country_code,
    admin1_code: text = &row.admin1_code,
    latitude: float8 = row.coordinates.latitude(),
    longitude: float8 = row.coordinates.longitude(),
    population: bigint = row.population,
    temperature: float8 = row.temperature,
    windspeed: float8 = row.windspeed,
    winddirection: integer = row.winddirection,
    weathercode: integer = row.weathercode,
    humidity: integer = row.humidity,
    time: text = &row.time,
    observed_at: timestamptz = row.observed_at,
    fresh_until: timestamptz = row.fresh_until,
    synced_at: timestamptz = row.synced_at,
    raw_payload: text = &row.raw_payload,
} }

row! { SnapshotRow {
    city_id: "id", city_name: "name", latitude, longitude, temperature, windspeed, winddirection,
    weathercode, humidity, time, observed_at, fresh_until, synced_at, raw_payload,
} }

row! { ValueTimes { observed_at, fresh_until, synced_at } }

impl FromRow for (CityId, ValueTimes) {
    fn from_row<R: Row>(row: &R) -> std::result::Result<Self, R::Error> {
        Ok((row.get("id")?, ValueTimes::from_row(row)?))
    }
}

pub(crate) fn batches(snapshots: &[WeatherSnapshot]) -> Vec<Batch<'_>> {
    vec![Batch::sorted(&UPSERT, snapshots, |row| row.city_id)]
}

impl SnapshotRow {
    pub fn times(&self) -> ValueTimes {
        let Self { observed_at, fresh_until, synced_at, .. } = *self;
        ValueTimes { observed_at, fresh_until, synced_at }
    }
}

impl Store {
    /// Snapshots by ascending city id after `after`, without raw payloads.
    pub async fn weather_page(
        &self,
        after: Option<CityId>,
        limit: u32,
    ) -> Result<Vec<SnapshotRow>> {
        self.all(&PAGE, args![after.map_or(i64::MIN, |id| id.0), limit]).await
    }

    /// How current the snapshots of `cities` are; cities without a snapshot are absent.
    pub async fn freshness(&self, cities: &[CityId]) -> Result<HashMap<CityId, ValueTimes>> {
        Ok(self.all(&FRESHNESS, args![cities]).await?.into_iter().collect())
    }
}

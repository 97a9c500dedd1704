//! Cities: found by id, by name, and by the name under which the geocoder found them.
//!
//! Names find cities, they never are a key. What the geocoder answered is kept for ever, under the
//! name that was asked for, so that it is asked once.

use std::collections::HashMap;

use sqlx::Row;
use sqlx::postgres::PgRow;

use super::PostgresStore;
use crate::ledger::bounded;
use crate::nul::without_nul;
use crate::{CityRow, Freshness, MAX_CANDIDATES, MapPoint, Result, WeatherRow};
use isobar_model::city::{Coordinates, Place, fold_name};
use isobar_model::ids::CityId;

sql! {
    CITY = r#"
SELECT id, name, country_code, admin1_code, latitude, longitude, population, last_refreshed_at,
    last_status, last_error, temperature, windspeed, winddirection, weathercode, humidity, "time",
    observed_at, fresh_until, synced_at, raw_payload
FROM cities WHERE id = $1
"#;
    PAGE = r#"
SELECT id, name, latitude, longitude, temperature, windspeed, winddirection, weathercode, humidity,
    "time", observed_at, fresh_until, synced_at, NULL AS raw_payload
FROM cities WHERE observed_at IS NOT NULL AND id > $1
ORDER BY id LIMIT $2
"#;
    FRESHNESS = r"
SELECT id, fresh_until, synced_at FROM cities
WHERE id = ANY($1::bigint[]) AND observed_at IS NOT NULL
";
    NAMED = r#"
SELECT id, name, country_code, admin1_code, latitude, longitude, population, last_refreshed_at,
    last_status, last_error, temperature, windspeed, winddirection, weathercode, humidity, "time",
    observed_at, fresh_until, synced_at, NULL AS raw_payload
FROM cities
WHERE id IN (
    SELECT id FROM cities
    WHERE name_key = $1 AND ($2::text IS NULL OR country_code = $2)
    UNION
    SELECT city_id FROM city_names JOIN cities ON cities.id = city_names.city_id
    WHERE city_names.name_key = $1
        AND ($2::text IS NULL OR city_names.country_code = $2 OR cities.country_code = $2))
ORDER BY population DESC NULLS LAST, id
LIMIT $3
"#;
    BY_ID = r#"
SELECT id, name, country_code, admin1_code, latitude, longitude, population, last_refreshed_at,
    last_status, last_error, temperature, windspeed, winddirection, weathercode, humidity, "time",
    observed_at, fresh_until, synced_at, NULL AS raw_payload
FROM cities WHERE id = ANY($1::bigint[])
"#;
    /// By number of the row, since that is how city services are paged: it reads what it passes over.
    CITIES = r#"
SELECT id, name, country_code, admin1_code, latitude, longitude, population, last_refreshed_at,
    last_status, last_error, temperature, windspeed, winddirection, weathercode, humidity, "time",
    observed_at, fresh_until, synced_at, NULL AS raw_payload
FROM cities ORDER BY id LIMIT $1 OFFSET $2
"#;
    MAP = r"
SELECT id, name, latitude, longitude, temperature FROM cities
WHERE latitude IS NOT NULL AND longitude IS NOT NULL ORDER BY id
";
    RECENT = r#"
SELECT id, name, country_code, admin1_code, latitude, longitude, population, last_refreshed_at,
    last_status, last_error, temperature, windspeed, winddirection, weathercode, humidity, "time",
    observed_at, fresh_until, synced_at, NULL AS raw_payload
FROM cities WHERE last_refreshed_at IS NOT NULL ORDER BY last_refreshed_at DESC, id LIMIT $1
"#;
    /// A city that is known keeps what is known of it.
    REMEMBER = r"
INSERT INTO cities AS stored (id, name, name_key, country_code, admin1_code, latitude, longitude,
    population, last_status)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 'pending')
ON CONFLICT (id) DO UPDATE SET
    name = CASE WHEN stored.name_key = '' THEN excluded.name ELSE stored.name END,
    name_key = CASE WHEN stored.name_key = '' THEN excluded.name_key ELSE stored.name_key END,
    country_code = coalesce(stored.country_code, excluded.country_code),
    admin1_code = coalesce(stored.admin1_code, excluded.admin1_code),
    latitude = coalesce(stored.latitude, excluded.latitude),
    longitude = coalesce(stored.longitude, excluded.longitude),
    population = coalesce(stored.population, excluded.population)
";
    REMEMBER_NAME = r"
INSERT INTO city_names (name_key, country_code, city_id) VALUES ($1, coalesce($2, ''), $3)
ON CONFLICT DO NOTHING
";
}

impl PostgresStore {
    pub async fn city(&self, id: CityId) -> Result<Option<CityRow>> {
        sqlx::query(CITY)
            .bind(id.0)
            .fetch_optional(&self.pool)
            .await
            .and_then(|row| row.as_ref().map(city).transpose())
            .map_err(|error| self.failed(error))
    }

    pub async fn weather(&self, id: CityId) -> Result<Option<WeatherRow>> {
        Ok(self.city(id).await?.and_then(|city| city.weather))
    }

    pub async fn weather_page(&self, after: Option<CityId>, limit: u32) -> Result<Vec<WeatherRow>> {
        sqlx::query(PAGE)
            .bind(after.map_or(i64::MIN, |id| id.0))
            .bind(i64::from(limit))
            .fetch_all(&self.pool)
            .await
            .and_then(|rows| rows.iter().filter_map(|row| weather(row).transpose()).collect())
            .map_err(|error| self.failed(error))
    }

    pub async fn freshness(&self, cities: &[CityId]) -> Result<HashMap<CityId, Freshness>> {
        let ids: Vec<i64> = cities.iter().map(|id| id.0).collect();
        let read = |row: &PgRow| {
            let freshness = Freshness {
                fresh_until: row.try_get("fresh_until")?,
                synced_at: row.try_get("synced_at")?,
            };
            Ok((CityId(row.try_get("id")?), freshness))
        };
        sqlx::query(FRESHNESS)
            .bind(ids)
            .fetch_all(&self.pool)
            .await
            .and_then(|rows| rows.iter().map(read).collect())
            .map_err(|error| self.failed(error))
    }

    pub async fn cities_named(
        &self,
        folded_name: &str,
        country_code: Option<&str>,
    ) -> Result<Vec<CityRow>> {
        sqlx::query(NAMED)
            .bind(folded_name)
            .bind(country_code.map(str::to_ascii_uppercase))
            .bind(MAX_CANDIDATES)
            .fetch_all(&self.pool)
            .await
            .and_then(|rows| rows.iter().map(city).collect())
            .map_err(|error| self.failed(error))
    }

    pub async fn cities_by_id(&self, ids: &[CityId]) -> Result<Vec<CityRow>> {
        sqlx::query(BY_ID)
            .bind(ids.iter().map(|id| id.0).collect::<Vec<_>>())
            .fetch_all(&self.pool)
            .await
            .and_then(|rows| rows.iter().map(city).collect())
            .map_err(|error| self.failed(error))
    }

    pub async fn cities_page(&self, offset: u64, limit: u32) -> Result<Vec<CityRow>> {
        sqlx::query(CITIES)
            .bind(i64::from(limit))
            .bind(bounded(offset))
            .fetch_all(&self.pool)
            .await
            .and_then(|rows| rows.iter().map(city).collect())
            .map_err(|error| self.failed(error))
    }

    pub async fn map_points(&self) -> Result<Vec<MapPoint>> {
        let read = |row: &PgRow| {
            Ok(MapPoint {
                id: CityId(row.try_get("id")?),
                name: row.try_get("name")?,
                latitude: row.try_get("latitude")?,
                longitude: row.try_get("longitude")?,
                temperature: row.try_get("temperature")?,
            })
        };
        sqlx::query(MAP)
            .fetch_all(&self.pool)
            .await
            .and_then(|rows| rows.iter().map(read).collect())
            .map_err(|error| self.failed(error))
    }

    pub async fn recently_refreshed(&self, limit: u32) -> Result<Vec<CityRow>> {
        sqlx::query(RECENT)
            .bind(i64::from(limit))
            .fetch_all(&self.pool)
            .await
            .and_then(|rows| rows.iter().map(city).collect())
            .map_err(|error| self.failed(error))
    }

    pub async fn remember_city(
        &self,
        folded_name: &str,
        country_code: Option<&str>,
        place: &Place,
    ) -> Result<()> {
        self.remember(folded_name, country_code, place).await.map_err(|error| self.failed(error))
    }

    async fn remember(
        &self,
        folded_name: &str,
        country_code: Option<&str>,
        place: &Place,
    ) -> sqlx::Result<()> {
        let mut tx = self.pool.begin().await?;
        sqlx::query(REMEMBER)
            .bind(place.id.0)
            .bind(without_nul(&place.name))
            .bind(fold_name(&place.name))
            .bind(&place.country_code)
            .bind(&place.admin1_code)
            .bind(place.coordinates.latitude())
            .bind(place.coordinates.longitude())
            .bind(place.population)
            .execute(&mut *tx)
            .await?;
        sqlx::query(REMEMBER_NAME)
            .bind(folded_name)
            .bind(country_code.map(str::to_ascii_uppercase))
            .bind(place.id.0)
            .execute(&mut *tx)
            .await?;
        tx.commit().await
    }
}

fn city(row: &PgRow) -> sqlx::Result<CityRow> {
    let latitude: Option<f64> = row.try_get("latitude")?;
    let longitude: Option<f64> = row.try_get("longitude")?;
    Ok(CityRow {
        id: CityId(row.try_get("id")?),
        name: row.try_get("name")?,
        country_code: row.try_get("country_code")?,
        admin1_code: row.try_get("admin1_code")?,
        coordinates: latitude
            .zip(longitude)
            .and_then(|(latitude, longitude)| Coordinates::new(latitude, longitude).ok()),
        population: row.try_get("population")?,
        last_refreshed_at: row.try_get("last_refreshed_at")?,
        last_status: row.try_get("last_status")?,
        last_error: row.try_get("last_error")?,
        weather: weather(row)?,
    })
}

/// The snapshot of a city, if it has one.
fn weather(row: &PgRow) -> sqlx::Result<Option<WeatherRow>> {
    let Some(observed_at) = row.try_get("observed_at")? else {
        return Ok(None);
    };
    Ok(Some(WeatherRow {
        city_id: CityId(row.try_get("id")?),
        city_name: row.try_get("name")?,
        latitude: row.try_get("latitude")?,
        longitude: row.try_get("longitude")?,
        temperature: row.try_get("temperature")?,
        windspeed: row.try_get("windspeed")?,
        winddirection: row.try_get("winddirection")?,
        weathercode: row.try_get("weathercode")?,
        humidity: row.try_get("humidity")?,
        time: row.try_get("time")?,
        observed_at,
        fresh_until: row.try_get("fresh_until")?,
        synced_at: row.try_get("synced_at")?,
        raw_payload: row.try_get("raw_payload")?,
    }))
}

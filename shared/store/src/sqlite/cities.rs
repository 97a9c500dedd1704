//! Cities: found by id, by name, and by the name under which the geocoder found them.
//!
//! Names find cities, they never are a key. What the geocoder answered is kept for ever, under the
//! name that was asked for, so that it is asked once.

use std::collections::HashMap;

use rusqlite::{OptionalExtension, Row, params};

use super::SqliteStore;
use super::columns::Time;
use crate::ledger::bounded;
use crate::nul::without_nul;
use crate::{CityRow, Freshness, MAX_CANDIDATES, MapPoint, Result, WeatherRow};
use isobar_model::city::{Coordinates, Place, fold_name};
use isobar_model::ids::CityId;

sql! {
    CITY = "SELECT * FROM cities WHERE id = ?1";
    PAGE = r#"
SELECT id, name, latitude, longitude, temperature, windspeed, winddirection, weathercode, humidity,
    "time", observed_at, fresh_until, synced_at, NULL AS raw_payload
FROM cities WHERE observed_at IS NOT NULL AND id > ?1
ORDER BY id LIMIT ?2
"#;
    FRESHNESS = "SELECT fresh_until, synced_at FROM cities WHERE id = ?1 AND observed_at IS NOT NULL";
    NAMED = r#"
SELECT id, name, country_code, admin1_code, latitude, longitude, population, last_refreshed_at,
    last_status, last_error, temperature, windspeed, winddirection, weathercode, humidity, "time",
    observed_at, fresh_until, synced_at, NULL AS raw_payload
FROM cities
WHERE id IN (
    SELECT id FROM cities
    WHERE name_key = ?1 AND (?2 IS NULL OR country_code = ?2)
    UNION
    SELECT city_id FROM city_names JOIN cities ON cities.id = city_names.city_id
    WHERE city_names.name_key = ?1
        AND (?2 IS NULL OR city_names.country_code = ?2 OR cities.country_code = ?2))
ORDER BY population DESC NULLS LAST, id
LIMIT ?3
"#;
    BY_ID = r#"
SELECT id, name, country_code, admin1_code, latitude, longitude, population, last_refreshed_at,
    last_status, last_error, temperature, windspeed, winddirection, weathercode, humidity, "time",
    observed_at, fresh_until, synced_at, NULL AS raw_payload
FROM cities WHERE id = ?1
"#;
    /// By number of the row, since that is how city services are paged: it reads what it passes over.
    CITIES = r#"
SELECT id, name, country_code, admin1_code, latitude, longitude, population, last_refreshed_at,
    last_status, last_error, temperature, windspeed, winddirection, weathercode, humidity, "time",
    observed_at, fresh_until, synced_at, NULL AS raw_payload
FROM cities ORDER BY id LIMIT ?1 OFFSET ?2
"#;
    MAP = r"
SELECT id, name, latitude, longitude, temperature FROM cities
WHERE latitude IS NOT NULL AND longitude IS NOT NULL ORDER BY id
";
    RECENT = r#"
SELECT id, name, country_code, admin1_code, latitude, longitude, population, last_refreshed_at,
    last_status, last_error, temperature, windspeed, winddirection, weathercode, humidity, "time",
    observed_at, fresh_until, synced_at, NULL AS raw_payload
FROM cities WHERE last_refreshed_at IS NOT NULL ORDER BY last_refreshed_at DESC, id LIMIT ?1
"#;
    /// A city that is known keeps what is known of it.
    REMEMBER = r"
INSERT INTO cities AS stored (id, name, name_key, country_code, admin1_code, latitude, longitude,
    population, last_status)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, 'pending')
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
INSERT INTO city_names (name_key, country_code, city_id) VALUES (?1, coalesce(?2, ''), ?3)
ON CONFLICT DO NOTHING
";
}

impl SqliteStore {
    pub async fn city(&self, id: CityId) -> Result<Option<CityRow>> {
        self.read(move |db| db.prepare_cached(CITY)?.query_row([id.0], city).optional()).await
    }

    pub async fn weather(&self, id: CityId) -> Result<Option<WeatherRow>> {
        Ok(self.city(id).await?.and_then(|city| city.weather))
    }

    pub async fn weather_page(&self, after: Option<CityId>, limit: u32) -> Result<Vec<WeatherRow>> {
        let after = after.map_or(i64::MIN, |id| id.0);
        self.read(move |db| {
            db.prepare_cached(PAGE)?
                .query_map(params![after, limit], weather)?
                .filter_map(rusqlite::Result::transpose)
                .collect()
        })
        .await
    }

    pub async fn freshness(&self, cities: &[CityId]) -> Result<HashMap<CityId, Freshness>> {
        let cities = cities.to_vec();
        self.read(move |db| {
            let mut freshness = db.prepare_cached(FRESHNESS)?;
            let mut found = HashMap::with_capacity(cities.len());
            for id in cities {
                let known = freshness
                    .query_row([id.0], |row| {
                        Ok(Freshness {
                            fresh_until: row.get::<_, Time>(0)?.0,
                            synced_at: row.get::<_, Time>(1)?.0,
                        })
                    })
                    .optional()?;
                found.extend(known.map(|known| (id, known)));
            }
            Ok(found)
        })
        .await
    }

    pub async fn cities_named(
        &self,
        folded_name: &str,
        country_code: Option<&str>,
    ) -> Result<Vec<CityRow>> {
        let name = folded_name.to_owned();
        let country = country_code.map(str::to_ascii_uppercase);
        self.read(move |db| {
            db.prepare_cached(NAMED)?
                .query_map(params![name, country, MAX_CANDIDATES], city)?
                .collect()
        })
        .await
    }

    pub async fn cities_by_id(&self, ids: &[CityId]) -> Result<Vec<CityRow>> {
        let ids = ids.to_vec();
        self.read(move |db| {
            let mut by_id = db.prepare_cached(BY_ID)?;
            let mut found = Vec::with_capacity(ids.len());
            for id in ids {
                found.extend(by_id.query_row([id.0], city).optional()?);
            }
            Ok(found)
        })
        .await
    }

    pub async fn cities_page(&self, offset: u64, limit: u32) -> Result<Vec<CityRow>> {
        let offset = bounded(offset);
        self.read(move |db| {
            db.prepare_cached(CITIES)?.query_map(params![limit, offset], city)?.collect()
        })
        .await
    }

    pub async fn map_points(&self) -> Result<Vec<MapPoint>> {
        let read = |row: &Row<'_>| {
            Ok(MapPoint {
                id: CityId(row.get("id")?),
                name: row.get("name")?,
                latitude: row.get("latitude")?,
                longitude: row.get("longitude")?,
                temperature: row.get("temperature")?,
            })
        };
        self.read(move |db| db.prepare_cached(MAP)?.query_map([], read)?.collect()).await
    }

    pub async fn recently_refreshed(&self, limit: u32) -> Result<Vec<CityRow>> {
        self.read(move |db| db.prepare_cached(RECENT)?.query_map([limit], city)?.collect()).await
    }

    pub async fn remember_city(
        &self,
        folded_name: &str,
        country_code: Option<&str>,
        place: &Place,
    ) -> Result<()> {
        let asked = folded_name.to_owned();
        let country = country_code.map(str::to_ascii_uppercase);
        let place = place.clone();
        self.write(move |tx| {
            tx.prepare_cached(REMEMBER)?.execute(params![
                place.id.0,
                without_nul(&place.name),
                fold_name(&place.name),
                place.country_code,
                place.admin1_code,
                place.coordinates.latitude(),
                place.coordinates.longitude(),
                place.population,
            ])?;
            tx.prepare_cached(REMEMBER_NAME)?.execute(params![asked, country, place.id.0])?;
            Ok(())
        })
        .await
    }
}

fn city(row: &Row<'_>) -> rusqlite::Result<CityRow> {
    let latitude: Option<f64> = row.get("latitude")?;
    let longitude: Option<f64> = row.get("longitude")?;
    Ok(CityRow {
        id: CityId(row.get("id")?),
        name: row.get("name")?,
        country_code: row.get("country_code")?,
        admin1_code: row.get("admin1_code")?,
        coordinates: latitude
            .zip(longitude)
            .and_then(|(latitude, longitude)| Coordinates::new(latitude, longitude).ok()),
        population: row.get("population")?,
        last_refreshed_at: row.get::<_, Option<Time>>("last_refreshed_at")?.map(|time| time.0),
        last_status: row.get("last_status")?,
        last_error: row.get("last_error")?,
        weather: weather(row)?,
    })
}

/// The snapshot of a city, if it has one.
fn weather(row: &Row<'_>) -> rusqlite::Result<Option<WeatherRow>> {
    let Some(Time(observed_at)) = row.get("observed_at")? else {
        return Ok(None);
    };
    Ok(Some(WeatherRow {
        city_id: CityId(row.get("id")?),
        city_name: row.get("name")?,
        latitude: row.get("latitude")?,
        longitude: row.get("longitude")?,
        temperature: row.get("temperature")?,
        windspeed: row.get("windspeed")?,
        winddirection: row.get("winddirection")?,
        weathercode: row.get("weathercode")?,
        humidity: row.get("humidity")?,
        time: row.get("time")?,
        observed_at,
        fresh_until: row.get::<_, Time>("fresh_until")?.0,
        synced_at: row.get::<_, Time>("synced_at")?.0,
        raw_payload: row.get("raw_payload")?,
    }))
}

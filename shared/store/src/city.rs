//! Cities: rows, what finds them (id, name, the geocoder's answers), and failed refreshes.
//!
//! A name finds cities; it is never a key. A geocoder's answer is kept indefinitely under the name
//! of the query, so the geocoder is asked once. What a task does not know of its city never
//! replaces what is stored.
//!
//! Next: [`crate::weather`] (the snapshot of a city).

use chrono::{DateTime, Utc};

use crate::error::Result;
use crate::nul::strip_nul;
use crate::row::{FromRow, Row};
use crate::store::Store;
use crate::weather::SnapshotRow;
use isobar_model::city::{City, Coordinates, fold_name};
use isobar_model::ids::CityId;

/// The most cities of one name that a lookup returns; the built-in list has far fewer.
const MAX_CANDIDATES: i64 = 100;

/// A city and its state.
#[derive(Clone, Debug, PartialEq)]
pub struct CityRow {
    pub id: CityId,
    pub name: String,
    pub country_code: Option<String>,
    pub admin1_code: Option<String>,
    pub coordinates: Option<Coordinates>,
    pub population: Option<i64>,
    pub last_refreshed_at: Option<DateTime<Utc>>,
    pub last_status: Option<String>,
    pub last_error: Option<String>,
    pub weather: Option<SnapshotRow>,
}

/// A city that could not be refreshed: only its state changes, never its snapshot.
#[derive(Clone, Debug, PartialEq)]
pub struct CityFailure {
    pub city_id: CityId,
    pub name: Option<String>,
    pub country_code: Option<String>,
    pub coordinates: Option<Coordinates>,
    pub error: String,
    pub at: DateTime<Utc>,
}

/// A city as a point of the map.
#[derive(Clone, Debug, PartialEq)]
pub struct MapPoint {
    pub id: CityId,
    pub name: String,
    pub latitude: f64,
    pub longitude: f64,
    /// °C; `None` before the first snapshot.
    pub temperature: Option<f64>,
}

macro_rules! select {
    ($raw_payload:literal, $rest:literal) => {
        concat!(
            r#"
SELECT id, name, country_code, admin1_code, latitude, longitude, population, last_refreshed_at,
    last_status, last_error, temperature, windspeed, winddirection, weathercode, humidity, "time",
    observed_at, fresh_until, synced_at, "#,
            $raw_payload,
            $rest
        )
    };
}

sql! {
    CITY = select!("raw_payload", " FROM cities WHERE id = $1");
    BY_ID = select!("NULL AS raw_payload", " FROM cities WHERE id = ANY($1::bigint[])");
    NAMED = select!("NULL AS raw_payload", r"
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
");
    /// By row number, as city services page. It reads the rows that it skips.
    PAGE = select!("NULL AS raw_payload", " FROM cities ORDER BY id LIMIT $1 OFFSET $2");
    RECENT = select!("NULL AS raw_payload", r"
FROM cities WHERE last_refreshed_at IS NOT NULL ORDER BY last_refreshed_at DESC, id LIMIT $1
");
    MAP = r"
SELECT id, name, latitude, longitude, temperature FROM cities
WHERE latitude IS NOT NULL AND longitude IS NOT NULL ORDER BY id
";
    /// A known city keeps what is stored.
    SAVE = r"
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
    SAVE_NAME = r"
INSERT INTO city_names (name_key, country_code, city_id) VALUES ($1, coalesce($2, ''), $3)
ON CONFLICT DO NOTHING
";
    /// A city without a name gets its number as a name, and an empty key.
    FAIL(CityFailure) = r"
INSERT INTO cities AS stored (
    id, name, name_key, country_code, latitude, longitude, last_status, last_error)
SELECT id, coalesce(name, 'City ' || id), coalesce(name_key, ''), country_code,
    latitude, longitude, 'failed', error
FROM given WHERE true
ON CONFLICT (id) DO UPDATE SET last_status = 'failed', last_error = excluded.last_error
";
}

given! { CityFailure as row {
    id: bigint = row.city_id,
    name: text = &row.name,
    name_key: text = row.name.as_deref().map(fold_name),
    country_code: text = &row.country_code,
    latitude: float8 = row.coordinates.map(Coordinates::latitude),
    longitude: float8 = row.coordinates.map(Coordinates::longitude),
    error: text = strip_nul(&row.error),
} }

row! { MapPoint { id, name, latitude, longitude, temperature } }

impl FromRow for CityRow {
    fn from_row<R: Row>(row: &R) -> std::result::Result<Self, R::Error> {
        let latitude: Option<f64> = row.get("latitude")?;
        let longitude: Option<f64> = row.get("longitude")?;
        let observed_at: Option<DateTime<Utc>> = row.get("observed_at")?;
        Ok(Self {
            id: row.get("id")?,
            name: row.get("name")?,
            country_code: row.get("country_code")?,
            admin1_code: row.get("admin1_code")?,
            coordinates: latitude
                .zip(longitude)
                .and_then(|(latitude, longitude)| Coordinates::new(latitude, longitude).ok()),
            population: row.get("population")?,
            last_refreshed_at: row.get("last_refreshed_at")?,
            last_status: row.get("last_status")?,
            last_error: row.get("last_error")?,
            weather: observed_at.map(|_| SnapshotRow::from_row(row)).transpose()?,
        })
    }
}

impl Store {
    pub async fn city(&self, id: CityId) -> Result<Option<CityRow>> {
        self.one(&CITY, args![id]).await
    }

    /// The snapshot of a city, with its raw payload.
    pub async fn weather(&self, id: CityId) -> Result<Option<SnapshotRow>> {
        Ok(self.city(id).await?.and_then(|city| city.weather))
    }

    /// The cities with these ids, without raw payloads; unknown ids are absent.
    pub async fn cities_by_id(&self, ids: &[CityId]) -> Result<Vec<CityRow>> {
        self.all(&BY_ID, args![ids]).await
    }

    /// The cities with this folded name (and country, if given), most populous first. Cities that
    /// the geocoder found under this name are included.
    pub async fn find_cities(
        &self,
        folded_name: &str,
        country_code: Option<&str>,
    ) -> Result<Vec<CityRow>> {
        if folded_name.is_empty() {
            // The key of cities whose name is not known.
            return Ok(Vec::new());
        }
        let country = country_code.map(str::to_ascii_uppercase);
        self.all(&NAMED, args![folded_name, country, MAX_CANDIDATES]).await
    }

    /// Cities by ascending id from `offset` on, without raw payloads.
    pub async fn cities_page(&self, offset: u64, limit: u32) -> Result<Vec<CityRow>> {
        self.all(&PAGE, args![limit, offset]).await
    }

    /// All cities with known coordinates. Reads the whole table.
    pub async fn map_points(&self) -> Result<Vec<MapPoint>> {
        self.all(&MAP, args![]).await
    }

    /// The most recently refreshed cities, newest first. Reads the whole table: no index has a
    /// column that changes with each fetch.
    pub async fn recently_refreshed(&self, limit: u32) -> Result<Vec<CityRow>> {
        self.all(&RECENT, args![limit]).await
    }

    /// Keeps a geocoder's answer: the city, and the folded name of the query.
    pub async fn save_city(
        &self,
        folded_name: &str,
        country_code: Option<&str>,
        place: &City,
    ) -> Result<()> {
        let city = args![
            place.id,
            strip_nul(&place.name),
            fold_name(&place.name),
            &place.country_code,
            &place.admin1_code,
            place.coordinates.latitude(),
            place.coordinates.longitude(),
            place.population,
        ];
        let country = country_code.map(str::to_ascii_uppercase);
        let name = args![folded_name, country, place.id];
        self.run_together(vec![(&SAVE, city), (&SAVE_NAME, name)]).await
    }
}

//! Snapshots into `cities`, and the state of cities that could not be refreshed.
//!
//! I4: a snapshot that is older than the stored one changes nothing. What a task does not know of
//! its city (name, country, …) never replaces what is known. A failure leaves the snapshot alone.

use rusqlite::{Transaction, params};

use super::columns::Time;
use crate::nul::without_nul;
use crate::{CityFailure, Snapshot};
use isobar_model::city::{Coordinates, fold_name};

sql! {
    /// An empty key says that the name is not known; such a city is called by its number.
    UPSERT = r#"
INSERT INTO cities AS stored (
    id, name, name_key, country_code, admin1_code, latitude, longitude, population,
    temperature, windspeed, winddirection, weathercode, humidity, "time", observed_at,
    fresh_until, synced_at, raw_payload, last_refreshed_at, last_status, last_error)
VALUES (?1, coalesce(?2, 'City ' || ?1), coalesce(?3, ''), ?4, ?5, ?6, ?7, ?8, ?9, ?10,
    ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?17, 'success', NULL)
ON CONFLICT (id) DO UPDATE SET
    name = coalesce(?2, stored.name),
    name_key = coalesce(?3, stored.name_key),
    country_code = coalesce(excluded.country_code, stored.country_code),
    admin1_code = coalesce(excluded.admin1_code, stored.admin1_code),
    latitude = excluded.latitude,
    longitude = excluded.longitude,
    population = coalesce(excluded.population, stored.population),
    last_refreshed_at = excluded.last_refreshed_at,
    last_status = 'success',
    last_error = NULL,
    temperature = excluded.temperature,
    windspeed = excluded.windspeed,
    winddirection = excluded.winddirection,
    weathercode = excluded.weathercode,
    humidity = excluded.humidity,
    "time" = excluded."time",
    observed_at = excluded.observed_at,
    fresh_until = excluded.fresh_until,
    synced_at = excluded.synced_at,
    raw_payload = excluded.raw_payload
WHERE stored.observed_at IS NULL OR excluded.observed_at >= stored.observed_at
"#;

    FAIL = r"
INSERT INTO cities AS stored (
    id, name, name_key, country_code, latitude, longitude, last_status, last_error)
VALUES (?1, coalesce(?2, 'City ' || ?1), coalesce(?3, ''), ?4, ?5, ?6, 'failed', ?7)
ON CONFLICT (id) DO UPDATE SET last_status = 'failed', last_error = excluded.last_error
";
}

pub(super) fn write(
    tx: &Transaction<'_>,
    snapshots: &[Snapshot],
    failures: &[CityFailure],
) -> rusqlite::Result<()> {
    let mut upsert = tx.prepare_cached(UPSERT)?;
    // By key: pages of the file are then written one after the other, each once.
    let mut rows: Vec<&Snapshot> = snapshots.iter().collect();
    rows.sort_unstable_by_key(|row| row.city_id);
    for row in rows {
        upsert.execute(params![
            row.city_id.0,
            row.name,
            row.name.as_deref().map(fold_name),
            row.country_code,
            row.admin1_code,
            row.coordinates.latitude(),
            row.coordinates.longitude(),
            row.population,
            row.temperature,
            row.windspeed,
            row.winddirection,
            row.weathercode,
            row.humidity,
            row.time,
            Time(row.observed_at),
            Time(row.fresh_until),
            Time(row.synced_at),
            row.raw_payload,
        ])?;
    }
    let mut fail = tx.prepare_cached(FAIL)?;
    for row in failures {
        fail.execute(params![
            row.city_id.0,
            row.name,
            row.name.as_deref().map(fold_name),
            row.country_code,
            row.coordinates.map(Coordinates::latitude),
            row.coordinates.map(Coordinates::longitude),
            without_nul(&row.error),
        ])?;
    }
    Ok(())
}

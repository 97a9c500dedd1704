//! Snapshots into `cities`, and the state of cities that could not be refreshed.
//!
//! I4: a snapshot that is older than the stored one changes nothing. What a task does not know of
//! its city (name, country, …) never replaces what is known. A failure leaves the snapshot alone.

use sqlx::PgConnection;

use super::column;
use crate::nul::without_nul;
use crate::{CityFailure, Snapshot};
use isobar_model::city::{Coordinates, fold_name};

sql! {
    /// The statement that the committer's speed hangs on. An empty key says that the name is not
    /// known; such a city is called by its number.
    UPSERT = r#"
INSERT INTO cities AS stored (
    id, name, name_key, country_code, admin1_code, latitude, longitude, population,
    last_refreshed_at, last_status, last_error, temperature, windspeed, winddirection,
    weathercode, humidity, "time", observed_at, fresh_until, synced_at, raw_payload)
SELECT id, coalesce(name, 'City ' || id), coalesce(name_key, ''), country_code,
    admin1_code, latitude, longitude, population, synced_at, 'success', NULL, temperature,
    windspeed, winddirection, weathercode, humidity, "time", observed_at, fresh_until, synced_at,
    raw_payload
FROM unnest($1::bigint[], $2::text[], $3::text[], $4::text[], $5::text[], $6::double precision[],
    $7::double precision[], $8::bigint[], $9::double precision[], $10::double precision[],
    $11::integer[], $12::integer[], $13::integer[], $14::text[], $15::timestamptz[],
    $16::timestamptz[], $17::timestamptz[], $18::text[])
    AS given (id, name, name_key, country_code, admin1_code, latitude, longitude, population,
        temperature, windspeed, winddirection, weathercode, humidity, "time", observed_at,
        fresh_until, synced_at, raw_payload)
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
SELECT id, coalesce(name, 'City ' || id), coalesce(name_key, ''), country_code,
    latitude, longitude, 'failed', error
FROM unnest($1::bigint[], $2::text[], $3::text[], $4::text[], $5::double precision[],
    $6::double precision[], $7::text[])
    AS given (id, name, name_key, country_code, latitude, longitude, error)
ON CONFLICT (id) DO UPDATE SET last_status = 'failed', last_error = excluded.last_error
";

    /// Two statements write cities; where both have rows, this takes the locks in one order.
    LOCK = "SELECT id FROM cities WHERE id = ANY($1::bigint[]) ORDER BY id FOR NO KEY UPDATE";
}

pub(super) async fn write(
    tx: &mut PgConnection,
    snapshots: &[Snapshot],
    failures: &[CityFailure],
) -> sqlx::Result<()> {
    if !snapshots.is_empty() && !failures.is_empty() {
        let snapshots = snapshots.iter().map(|row| row.city_id.0);
        let failures = failures.iter().map(|row| row.city_id.0);
        sqlx::query(LOCK)
            .bind(snapshots.chain(failures).collect::<Vec<_>>())
            .execute(&mut *tx)
            .await?;
    }
    if !snapshots.is_empty() {
        upsert(tx, snapshots).await?;
    }
    if !failures.is_empty() {
        fail(tx, failures).await?;
    }
    Ok(())
}

async fn upsert(tx: &mut PgConnection, snapshots: &[Snapshot]) -> sqlx::Result<()> {
    let mut rows: Vec<&Snapshot> = snapshots.iter().collect();
    rows.sort_unstable_by_key(|row| row.city_id);
    sqlx::query(UPSERT)
        .bind(column(&rows, |row| row.city_id.0))
        .bind(column(&rows, |row| row.name.as_deref()))
        .bind(column(&rows, |row| row.name.as_deref().map(fold_name)))
        .bind(column(&rows, |row| row.country_code.as_deref()))
        .bind(column(&rows, |row| row.admin1_code.as_deref()))
        .bind(column(&rows, |row| row.coordinates.latitude()))
        .bind(column(&rows, |row| row.coordinates.longitude()))
        .bind(column(&rows, |row| row.population))
        .bind(column(&rows, |row| row.temperature))
        .bind(column(&rows, |row| row.windspeed))
        .bind(column(&rows, |row| row.winddirection))
        .bind(column(&rows, |row| row.weathercode))
        .bind(column(&rows, |row| row.humidity))
        .bind(column(&rows, |row| row.time.as_str()))
        .bind(column(&rows, |row| row.observed_at))
        .bind(column(&rows, |row| row.fresh_until))
        .bind(column(&rows, |row| row.synced_at))
        .bind(column(&rows, |row| row.raw_payload.as_str()))
        .execute(tx)
        .await?;
    Ok(())
}

async fn fail(tx: &mut PgConnection, failures: &[CityFailure]) -> sqlx::Result<()> {
    let mut rows: Vec<&CityFailure> = failures.iter().collect();
    rows.sort_unstable_by_key(|row| row.city_id);
    sqlx::query(FAIL)
        .bind(column(&rows, |row| row.city_id.0))
        .bind(column(&rows, |row| row.name.as_deref()))
        .bind(column(&rows, |row| row.name.as_deref().map(fold_name)))
        .bind(column(&rows, |row| row.country_code.as_deref()))
        .bind(column(&rows, |row| row.coordinates.map(Coordinates::latitude)))
        .bind(column(&rows, |row| row.coordinates.map(Coordinates::longitude)))
        .bind(column(&rows, |row| without_nul(&row.error)))
        .execute(tx)
        .await?;
    Ok(())
}

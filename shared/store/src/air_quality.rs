//! Air quality: the records of the air quality pipeline, one row a city.
//!
//! Units: µg/m³; the two indices have none.
//! Guarantees: a record that is older than the stored one changes nothing (I4), unless the stored
//! one is from the future: such a one is replaced.

use std::collections::HashMap;

use chrono::{DateTime, Utc};

use crate::error::Result;
use crate::sql::Batch;
use crate::store::Store;
use isobar_model::freshness::ValueTimes;
use isobar_model::ids::CityId;

/// The air quality of a city at a time.
#[derive(Clone, Debug, PartialEq)]
pub struct AirQualityRow {
    pub city_id: CityId,
    pub pm10: Option<f64>,
    pub pm2_5: Option<f64>,
    pub carbon_monoxide: Option<f64>,
    pub nitrogen_dioxide: Option<f64>,
    pub ozone: Option<f64>,
    pub european_aqi: Option<i32>,
    pub us_aqi: Option<i32>,
    pub observed_at: DateTime<Utc>,
    /// Before this time the upstream has nothing newer.
    pub fresh_until: DateTime<Utc>,
    pub synced_at: DateTime<Utc>,
}

sql! {
    /// A value that the upstream does not know keeps the stored one.
    UPSERT(AirQualityRow) = r"
INSERT INTO air_quality AS stored (
    city_id, pm10, pm2_5, carbon_monoxide, nitrogen_dioxide, ozone, european_aqi, us_aqi,
    observed_at, fresh_until, synced_at)
SELECT city_id, pm10, pm2_5, carbon_monoxide, nitrogen_dioxide, ozone, european_aqi, us_aqi,
    observed_at, fresh_until, synced_at
FROM given WHERE true
ON CONFLICT (city_id) DO UPDATE SET
    pm10 = coalesce(excluded.pm10, stored.pm10),
    pm2_5 = coalesce(excluded.pm2_5, stored.pm2_5),
    carbon_monoxide = coalesce(excluded.carbon_monoxide, stored.carbon_monoxide),
    nitrogen_dioxide = coalesce(excluded.nitrogen_dioxide, stored.nitrogen_dioxide),
    ozone = coalesce(excluded.ozone, stored.ozone),
    european_aqi = coalesce(excluded.european_aqi, stored.european_aqi),
    us_aqi = coalesce(excluded.us_aqi, stored.us_aqi),
    observed_at = excluded.observed_at, fresh_until = excluded.fresh_until,
    synced_at = excluded.synced_at
WHERE excluded.observed_at >= stored.observed_at
    OR stored.observed_at > excluded.synced_at + interval '1 hour'
";
    ONE = "SELECT * FROM air_quality WHERE city_id = $1";
    FRESHNESS = r"
SELECT city_id AS id, observed_at, fresh_until, synced_at FROM air_quality
WHERE city_id = ANY($1::bigint[])
";
}

given! { AirQualityRow as row {
    city_id: bigint = row.city_id,
    pm10: float8 = row.pm10,
    pm2_5: float8 = row.pm2_5,
    carbon_monoxide: float8 = row.carbon_monoxide,
    nitrogen_dioxide: float8 = row.nitrogen_dioxide,
    ozone: float8 = row.ozone,
    european_aqi: integer = row.european_aqi,
    us_aqi: integer = row.us_aqi,
    observed_at: timestamptz = row.observed_at,
    fresh_until: timestamptz = row.fresh_until,
    synced_at: timestamptz = row.synced_at,
} }

row! { AirQualityRow {
    city_id, pm10, pm2_5, carbon_monoxide, nitrogen_dioxide, ozone, european_aqi, us_aqi,
    observed_at, fresh_until, synced_at,
} }

pub(crate) fn batches(rows: &[AirQualityRow]) -> Vec<Batch<'_>> {
    vec![Batch::sorted(&UPSERT, rows, |row| row.city_id)]
}

impl AirQualityRow {
    pub fn times(&self) -> ValueTimes {
        let Self { observed_at, fresh_until, synced_at, .. } = *self;
        ValueTimes { observed_at, fresh_until, synced_at }
    }
}

impl Store {
    pub async fn air_quality(&self, city: CityId) -> Result<Option<AirQualityRow>> {
        self.one(&ONE, args![city]).await
    }

    /// How current the air quality of `cities` is; cities without a row are absent.
    pub async fn air_quality_freshness(
        &self,
        cities: &[CityId],
    ) -> Result<HashMap<CityId, ValueTimes>> {
        Ok(self.all(&FRESHNESS, args![cities]).await?.into_iter().collect())
    }
}

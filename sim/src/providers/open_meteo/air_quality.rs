//! Air quality: the current values of `/v1/air-quality`, as a table.
//!
//! Does not: know the old flag `current_weather`; it has no effect.
//! Next: [`crate::air_quality`], which computes the values.

use super::dataset::{Dataset, Unit, Variable};
use crate::air_quality::{AirQuality, INTERVAL_SECONDS, air_quality_at};

pub const AIR_QUALITY: Dataset<AirQuality> = Dataset {
    variables: &CURRENT,
    variable_type: "AirQualityVariable",
    legacy: &[],
    interval_seconds: INTERVAL_SECONDS,
    values_at: air_quality_at,
};

const MICROGRAMS: Unit = Unit::Fixed("μg/m³", 1);

const CURRENT: [Variable<AirQuality>; 7] = [
    (&["pm10"], MICROGRAMS, |air| air.pm10_tenths),
    (&["pm2_5"], MICROGRAMS, |air| air.pm2_5_tenths),
    (&["carbon_monoxide"], MICROGRAMS, |air| air.carbon_monoxide_tenths),
    (&["nitrogen_dioxide"], MICROGRAMS, |air| air.nitrogen_dioxide_tenths),
    (&["ozone"], MICROGRAMS, |air| air.ozone_tenths),
    (&["european_aqi"], Unit::Fixed("EAQI", 0), |air| air.european_aqi),
    (&["us_aqi"], Unit::Fixed("USAQI", 0), |air| air.us_aqi),
];

//! Air quality: the air everywhere, as a pure function of location, seed and hour.
//!
//! Guarantees: values change on the hour, which is also the observation time. Values are integers of
//! the last printed decimal, so they do not depend on floating point. Both indexes follow from the
//! concentrations, so a test can detect exchanged fields.
//! Does not: model physics, or use the official averages over 8 and 24 hours.

use crate::weather::{Location, draw, location_hash, mix};

/// How often Open-Meteo observes the air.
pub const INTERVAL_SECONDS: i64 = 3_600;

/// Keeps the air independent of the weather of the same hour.
const PURPOSE: u64 = 0xa1;

/// Upper limits of the first five classes of the European index, in µg/m³; a class is 20 points.
const EUROPEAN_PM10: [i64; 5] = [20, 40, 50, 100, 150];
const EUROPEAN_PM2_5: [i64; 5] = [10, 20, 25, 50, 75];
const EUROPEAN_NITROGEN_DIOXIDE: [i64; 5] = [40, 90, 120, 230, 340];
const EUROPEAN_OZONE: [i64; 5] = [50, 100, 130, 240, 380];

/// The same for the index of the US, whose class is 50 points.
const US_PM10: [i64; 5] = [54, 154, 254, 354, 424];
const US_PM2_5: [i64; 5] = [9, 35, 55, 125, 225];

/// The values at one location for one hour. Concentrations are in tenths of µg/m³.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AirQuality {
    pub pm10_tenths: i64,
    pub pm2_5_tenths: i64,
    pub carbon_monoxide_tenths: i64,
    pub nitrogen_dioxide_tenths: i64,
    pub ozone_tenths: i64,
    pub european_aqi: i64,
    pub us_aqi: i64,
}

/// The air at a location in the hour that contains `unix_seconds`.
pub fn air_quality_at(location: Location, seed: u64, unix_seconds: i64) -> AirQuality {
    let hour = unix_seconds.div_euclid(INTERVAL_SECONDS);
    let random = mix(mix(location_hash(location, seed) ^ (hour as u64)) ^ PURPOSE);
    // The product of two random numbers: mostly clean air.
    let pm2_5_tenths = 10 + draw(random, 0, 30) * draw(random, 8, 25);
    let pm10_tenths = pm2_5_tenths + draw(random, 16, 400);
    let nitrogen_dioxide_tenths = 10 + draw(random, 24, 900);
    let ozone_tenths = 100 + draw(random, 32, 1_500);
    let european = [
        index(pm10_tenths, EUROPEAN_PM10, 20),
        index(pm2_5_tenths, EUROPEAN_PM2_5, 20),
        index(nitrogen_dioxide_tenths, EUROPEAN_NITROGEN_DIOXIDE, 20),
        index(ozone_tenths, EUROPEAN_OZONE, 20),
    ];
    AirQuality {
        pm10_tenths,
        pm2_5_tenths,
        carbon_monoxide_tenths: 800 + draw(random, 40, 7_000),
        nitrogen_dioxide_tenths,
        ozone_tenths,
        european_aqi: european.into_iter().fold(0, i64::max),
        us_aqi: index(pm10_tenths, US_PM10, 50).max(index(pm2_5_tenths, US_PM2_5, 50)),
    }
}

/// The index of one pollutant: linear within a class, and constant above the last class.
fn index(tenths: i64, limits: [i64; 5], points: i64) -> i64 {
    let mut lower = 0;
    for (class, upper) in (0..).zip(limits.map(|limit| limit * 10)) {
        if tenths < upper {
            return class * points + points * (tenths - lower) / (upper - lower);
        }
        lower = upper;
    }
    5 * points
}

#[cfg(test)]
mod tests {
    use super::*;

    // 2026-03-10T12:34:56Z
    const NOON: i64 = 1_773_146_096;

    #[test]
    fn air_depends_on_location_seed_and_hour() {
        let paris = Location::new(48.853_41, 2.3488);
        let air = air_quality_at(paris, 0, NOON);
        assert_eq!(air, air_quality_at(paris, 0, NOON + 600));
        assert_ne!(air, air_quality_at(paris, 0, NOON + 3600));
        assert_ne!(air, air_quality_at(paris, 1, NOON));
        assert_ne!(air, air_quality_at(Location::new(48.853_51, 2.3488), 0, NOON));
    }

    #[test]
    fn every_value_is_plausible() {
        for step in 0..20_000 {
            let location = Location::new(f64::from(step % 180) - 90.0, f64::from(step % 360));
            let air = air_quality_at(location, 7, NOON + i64::from(step) * 3600);
            assert!((10..=800).contains(&air.pm2_5_tenths), "{air:?}");
            assert!((air.pm2_5_tenths..=1_200).contains(&air.pm10_tenths), "{air:?}");
            assert!((800..=7_800).contains(&air.carbon_monoxide_tenths), "{air:?}");
            assert!((1..=100).contains(&air.european_aqi), "{air:?}");
            assert!((1..=250).contains(&air.us_aqi), "{air:?}");
        }
    }

    #[test]
    fn an_index_is_linear_within_its_class() {
        for (tenths, expected) in [(0, 0), (50, 10), (100, 20), (150, 30), (749, 99), (9_999, 100)]
        {
            assert_eq!(index(tenths, EUROPEAN_PM2_5, 20), expected, "{tenths}");
        }
    }
}

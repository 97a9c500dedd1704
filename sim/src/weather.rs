//! Weather: the weather everywhere, as a pure function of location, seed and hour.
//!
//! A location is a coordinate rounded to four decimals. A city and its coordinates therefore have
//! the same weather from every upstream and in every unit.
//! Guarantees: values change on the hour; the observation time is the start of the quarter-hour.
//! Values are integers of the last printed decimal, so they do not depend on floating point.
//! Does not: model physics. It is only plausible: cold near the poles, warm in the afternoon, snow
//! only in frost. Each provider prints the values in its own way.

/// WMO weather codes above freezing; a more frequent code is listed more often.
const THAW_CODES: [u8; 32] = [
    0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 3, 3, 45, 51, 53, 55, 61, 61, 63, 65, 80,
    81, 82, 95,
];
/// The same below freezing.
const FROST_CODES: [u8; 32] = [
    0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 3, 3, 45, 71, 71, 73, 71, 73, 73, 75, 85,
    85, 86, 75,
];

/// How often Open-Meteo observes current values.
pub const INTERVAL_SECONDS: i64 = 900;

/// A coordinate in ten-thousandths of a degree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Location {
    pub latitude_e4: i32,
    pub longitude_e4: i32,
}

impl Location {
    /// The caller has checked the ranges of the coordinate.
    pub fn new(latitude: f64, longitude: f64) -> Self {
        Self {
            latitude_e4: (latitude * 10_000.0).round() as i32,
            longitude_e4: (longitude * 10_000.0).round() as i32,
        }
    }
}

/// The values at one location for one hour. The names end with the unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Weather {
    pub temperature_decicelsius: i64,
    pub apparent_decicelsius: i64,
    pub dew_point_decicelsius: i64,
    pub humidity_percent: i64,
    pub precipitation_centimm: i64,
    pub cloud_cover_percent: i64,
    pub pressure_decihpa: i64,
    pub wind_decikmh: i64,
    pub gusts_decikmh: i64,
    pub wind_direction_degrees: i64,
    /// WMO code.
    pub code: u8,
    pub is_day: bool,
}

/// The weather at a location in the hour that contains `unix_seconds`.
pub fn weather_at(location: Location, seed: u64, unix_seconds: i64) -> Weather {
    let hour = unix_seconds.div_euclid(3600);
    let random = mix(location_hash(location, seed) ^ (hour as u64));
    let more_random = mix(random);

    // One degree of longitude is 240 s of solar time.
    let solar_seconds = hour * 3600 + i64::from(location.longitude_e4) * 24 / 1000;
    let second_of_day = solar_seconds.rem_euclid(86_400);
    let latitude_e4 = i64::from(location.latitude_e4);

    // The yearly mean falls with the square of the latitude: 29 °C at the equator, 11 °C in Paris,
    // -32 °C at the poles.
    let latitude_e1 = latitude_e4 / 1000;
    let climate = 290 - latitude_e1 * latitude_e1 * 3 / 4000;
    // Days are warmest at 15:00 solar time, years (in the north) around 20 July.
    let day = 50 * triangle(solar_seconds - 15 * 3600, 86_400) / 1000;
    let year = triangle(hour / 24 - 200, 365) * latitude_e4 * 2 / 10_000_000;
    let temperature_decicelsius = climate + day + year + draw(random, 0, 80) - 40;

    let codes = if temperature_decicelsius < 0 { FROST_CODES } else { THAW_CODES };
    let code = codes[draw(random, 16, codes.len() as u64) as usize];
    let wet = code >= 51;
    // The product of two random numbers: mostly light winds, rarely 60 km/h.
    let wind_decikmh = draw(random, 32, 26) * draw(random, 40, 24) + draw(random, 48, 10);
    let humidity_percent = if wet { 75 } else { 25 } + draw(more_random, 0, 26);

    Weather {
        temperature_decicelsius,
        apparent_decicelsius: temperature_decicelsius - wind_decikmh / 10,
        // Rule of thumb: one degree lower for each five percent below saturation.
        dew_point_decicelsius: temperature_decicelsius - (100 - humidity_percent) * 2,
        humidity_percent,
        precipitation_centimm: if wet { 10 * (1 + draw(more_random, 8, 60)) } else { 0 },
        cloud_cover_percent: match code {
            0 => 0,
            1 => 10 + draw(more_random, 16, 20),
            2 => 40 + draw(more_random, 16, 30),
            _ => 85 + draw(more_random, 16, 16),
        },
        pressure_decihpa: 9_900 + draw(more_random, 24, 450),
        wind_decikmh,
        gusts_decikmh: wind_decikmh * 2 + draw(more_random, 40, 50),
        wind_direction_degrees: draw(more_random, 48, 360),
        code,
        is_day: (6 * 3600..18 * 3600).contains(&second_of_day),
    }
}

/// Metres above the sea; does not depend on the hour.
pub fn elevation_metres(location: Location, seed: u64) -> i64 {
    draw(location_hash(location, seed), 20, 900)
}

/// The start of the observation interval that contains `unix_seconds`.
pub fn interval_start(unix_seconds: i64, interval_seconds: i64) -> i64 {
    unix_seconds - unix_seconds.rem_euclid(interval_seconds)
}

/// A number that only depends on location and seed.
pub fn location_hash(location: Location, seed: u64) -> u64 {
    let position =
        (u64::from(location.latitude_e4 as u32) << 32) | u64::from(location.longitude_e4 as u32);
    mix(mix(seed) ^ position)
}

/// The finisher of SplitMix64: every input bit affects every output bit.
pub fn mix(value: u64) -> u64 {
    let mut mixed = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// A number below `below`, from 16 bits of `random`.
pub fn draw(random: u64, shift: u32, below: u64) -> i64 {
    ((((random >> shift) & 0xffff) * below) >> 16) as i64
}

/// A triangle wave: 1000 at multiples of the period, -1000 half-way between them.
fn triangle(at: i64, period: i64) -> i64 {
    let within = at.rem_euclid(period);
    1000 - 4000 * within.min(period - within) / period
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARIS: Location = Location { latitude_e4: 488_534, longitude_e4: 23_488 };
    // 2026-03-10T12:34:56Z
    const NOON: i64 = 1_773_146_096;

    #[test]
    fn rounded_coordinates_are_the_same_location() {
        assert_eq!(Location::new(48.853_41, 2.3488), PARIS);
        assert_eq!(Location::new(48.853_4, 2.348_8), PARIS);
    }

    #[test]
    fn weather_depends_on_location_seed_and_hour() {
        let weather = weather_at(PARIS, 0, NOON);
        assert_eq!(weather, weather_at(PARIS, 0, NOON + 600));
        assert_ne!(weather, weather_at(PARIS, 0, NOON + 3600));
        assert_ne!(weather, weather_at(PARIS, 1, NOON));
        assert_ne!(weather, weather_at(Location { latitude_e4: 488_535, ..PARIS }, 0, NOON));
    }

    #[test]
    fn observations_start_on_the_quarter_hour() {
        assert_eq!(interval_start(NOON, INTERVAL_SECONDS) % 900, 0);
        assert_eq!(NOON - interval_start(NOON, INTERVAL_SECONDS), 296);
    }

    #[test]
    fn every_value_is_plausible() {
        let mut codes = std::collections::BTreeSet::new();
        for step in 0..20_000_i64 {
            let location = Location {
                latitude_e4: (step * 7919 % 1_800_001 - 900_000) as i32,
                longitude_e4: (step * 104_729 % 3_600_001 - 1_800_000) as i32,
            };
            let weather = weather_at(location, 7, NOON + step * 3600);
            codes.insert(weather.code);
            assert!((-600..=550).contains(&weather.temperature_decicelsius), "{weather:?}");
            assert!((0..=100).contains(&weather.humidity_percent), "{weather:?}");
            assert!((0..=100).contains(&weather.cloud_cover_percent), "{weather:?}");
            assert!((0..360).contains(&weather.wind_direction_degrees), "{weather:?}");
            assert!((0..=650).contains(&weather.wind_decikmh), "{weather:?}");
            assert!((9_500..=10_500).contains(&weather.pressure_decihpa), "{weather:?}");
            let snow = matches!(weather.code, 71 | 73 | 75 | 85 | 86);
            assert!(!snow || weather.temperature_decicelsius < 0, "{weather:?}");
            assert_eq!(weather.code >= 51, weather.precipitation_centimm > 0, "{weather:?}");
        }
        assert!(codes.len() > 15, "{codes:?}");
    }

    #[test]
    fn daylight_follows_solar_time() {
        let noon_utc = NOON - NOON.rem_euclid(86_400) + 12 * 3600;
        assert!(weather_at(PARIS, 0, noon_utc).is_day);
        assert!(!weather_at(PARIS, 0, noon_utc + 12 * 3600).is_day);
        let fiji = Location { latitude_e4: -180_000, longitude_e4: 1_780_000 };
        assert!(!weather_at(fiji, 0, noon_utc).is_day);
    }
}

//! The weather everywhere, as a pure function of place, seed and hour.
//!
//! A place is a coordinate rounded to four decimals, so a city and a request for its coordinates
//! mean the same weather, whichever upstream is asked and in whichever units. Values change on the
//! hour; the observation time an upstream reports is the quarter-hour. All quantities are integers
//! of the last decimal that is ever printed, so nothing depends on a machine's floating point.
//!
//! It is plausible (cold near the poles, warm in the afternoon, snow only in frost), not physical.
//! How a quantity is printed is each provider's business.

/// Weather codes (WMO) by how often they occur …
const THAW_CODES: [u8; 32] = [
    0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 3, 3, 45, 51, 53, 55, 61, 61, 63, 65, 80,
    81, 82, 95,
];
/// … and what takes their place in frost.
const FROST_CODES: [u8; 32] = [
    0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 3, 3, 45, 71, 71, 73, 71, 73, 73, 75, 85,
    85, 86, 75,
];

/// How often Open-Meteo's current values are observed.
pub const INTERVAL_SECONDS: i64 = 900;

/// A coordinate in ten-thousandths of a degree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Place {
    pub latitude_e4: i32,
    pub longitude_e4: i32,
}

impl Place {
    /// The place of a coordinate that is known to be on the globe.
    pub fn new(latitude: f64, longitude: f64) -> Self {
        Self {
            latitude_e4: (latitude * 10_000.0).round() as i32,
            longitude_e4: (longitude * 10_000.0).round() as i32,
        }
    }
}

/// What is true at a place for an hour. Units stand last in the names.
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

/// The weather at a place in the hour that `unix_seconds` falls in.
pub fn weather_at(place: Place, seed: u64, unix_seconds: i64) -> Weather {
    let hour = unix_seconds.div_euclid(3600);
    let chance = mix(place_hash(place, seed) ^ (hour as u64));
    let more_chance = mix(chance);

    // Longitude turns into solar time at 240 s a degree.
    let solar_seconds = hour * 3600 + i64::from(place.longitude_e4) * 24 / 1000;
    let second_of_day = solar_seconds.rem_euclid(86_400);
    let latitude_e4 = i64::from(place.latitude_e4);

    // The mean of a year falls with the square of the latitude: 29 °C, 11 °C in Paris, -32 °C.
    let latitude_e1 = latitude_e4 / 1000;
    let climate = 290 - latitude_e1 * latitude_e1 * 3 / 4000;
    // Days are warmest at 15:00 solar time, years (in the north) around 20 July.
    let day = 50 * triangle(solar_seconds - 15 * 3600, 86_400) / 1000;
    let year = triangle(hour / 24 - 200, 365) * latitude_e4 * 2 / 10_000_000;
    let temperature_decicelsius = climate + day + year + draw(chance, 0, 80) - 40;

    let codes = if temperature_decicelsius < 0 {
        FROST_CODES
    } else {
        THAW_CODES
    };
    let code = codes[draw(chance, 16, codes.len() as u64) as usize];
    let wet = code >= 51;
    // The product of two draws: mostly light winds, rarely 60 km/h.
    let wind_decikmh = draw(chance, 32, 26) * draw(chance, 40, 24) + draw(chance, 48, 10);
    let humidity_percent = if wet { 75 } else { 25 } + draw(more_chance, 0, 26);

    Weather {
        temperature_decicelsius,
        apparent_decicelsius: temperature_decicelsius - wind_decikmh / 10,
        // The old rule of thumb: one degree for five percent below saturation.
        dew_point_decicelsius: temperature_decicelsius - (100 - humidity_percent) * 2,
        humidity_percent,
        precipitation_centimm: if wet {
            10 * (1 + draw(more_chance, 8, 60))
        } else {
            0
        },
        cloud_cover_percent: match code {
            0 => 0,
            1 => 10 + draw(more_chance, 16, 20),
            2 => 40 + draw(more_chance, 16, 30),
            _ => 85 + draw(more_chance, 16, 16),
        },
        pressure_decihpa: 9_900 + draw(more_chance, 24, 450),
        wind_decikmh,
        gusts_decikmh: wind_decikmh * 2 + draw(more_chance, 40, 50),
        wind_direction_degrees: draw(more_chance, 48, 360),
        code,
        is_day: (6 * 3600..18 * 3600).contains(&second_of_day),
    }
}

/// Metres above the sea, the same at every hour.
pub fn elevation_metres(place: Place, seed: u64) -> i64 {
    draw(place_hash(place, seed), 20, 900)
}

/// The beginning of the observation interval that `unix_seconds` falls in.
pub fn observed_at(unix_seconds: i64) -> i64 {
    unix_seconds - unix_seconds.rem_euclid(INTERVAL_SECONDS)
}

fn place_hash(place: Place, seed: u64) -> u64 {
    let position =
        (u64::from(place.latitude_e4 as u32) << 32) | u64::from(place.longitude_e4 as u32);
    mix(mix(seed) ^ position)
}

/// SplitMix64's finisher: every input bit reaches every output bit.
pub fn mix(value: u64) -> u64 {
    let mut mixed = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// A number below `below` from 16 bits of `chance`.
fn draw(chance: u64, shift: u32, below: u64) -> i64 {
    ((((chance >> shift) & 0xffff) * below) >> 16) as i64
}

/// A wave from 1000 (at multiples of the period) to -1000 (between them), in straight lines.
fn triangle(at: i64, period: i64) -> i64 {
    let within = at.rem_euclid(period);
    1000 - 4000 * within.min(period - within) / period
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARIS: Place = Place {
        latitude_e4: 488_534,
        longitude_e4: 23_488,
    };
    // 2026-03-10T12:34:56Z
    const NOON: i64 = 1_773_146_096;

    #[test]
    fn a_coordinate_and_its_rounding_are_the_same_place() {
        assert_eq!(Place::new(48.853_41, 2.3488), PARIS);
        assert_eq!(Place::new(48.853_4, 2.348_8), PARIS);
    }

    #[test]
    fn the_weather_holds_for_an_hour_and_depends_on_place_seed_and_hour() {
        let weather = weather_at(PARIS, 0, NOON);
        assert_eq!(weather, weather_at(PARIS, 0, NOON + 600));
        assert_ne!(weather, weather_at(PARIS, 0, NOON + 3600));
        assert_ne!(weather, weather_at(PARIS, 1, NOON));
        assert_ne!(
            weather,
            weather_at(
                Place {
                    latitude_e4: 488_535,
                    ..PARIS
                },
                0,
                NOON
            )
        );
    }

    #[test]
    fn the_observation_time_is_the_quarter_hour() {
        assert_eq!(observed_at(NOON) % 900, 0);
        assert!(observed_at(NOON) <= NOON && NOON < observed_at(NOON) + 900);
    }

    #[test]
    fn every_value_is_one_the_upstreams_could_send() {
        let mut codes = std::collections::BTreeSet::new();
        for step in 0..20_000_i64 {
            let place = Place {
                latitude_e4: (step * 7919 % 1_800_001 - 900_000) as i32,
                longitude_e4: (step * 104_729 % 3_600_001 - 1_800_000) as i32,
            };
            let weather = weather_at(place, 7, NOON + step * 3600);
            codes.insert(weather.code);
            assert!(
                (-600..=550).contains(&weather.temperature_decicelsius),
                "{weather:?}"
            );
            assert!((0..=100).contains(&weather.humidity_percent), "{weather:?}");
            assert!(
                (0..=100).contains(&weather.cloud_cover_percent),
                "{weather:?}"
            );
            assert!(
                (0..360).contains(&weather.wind_direction_degrees),
                "{weather:?}"
            );
            assert!((0..=650).contains(&weather.wind_decikmh), "{weather:?}");
            assert!(
                (9_500..=10_500).contains(&weather.pressure_decihpa),
                "{weather:?}"
            );
            let snow = matches!(weather.code, 71 | 73 | 75 | 85 | 86);
            assert!(!snow || weather.temperature_decicelsius < 0, "{weather:?}");
            assert_eq!(
                weather.code >= 51,
                weather.precipitation_centimm > 0,
                "{weather:?}"
            );
        }
        assert!(codes.len() > 15, "{codes:?}");
    }

    #[test]
    fn the_sun_is_up_at_noon_and_down_at_midnight() {
        let noon_utc = NOON - NOON.rem_euclid(86_400) + 12 * 3600;
        assert!(weather_at(PARIS, 0, noon_utc).is_day);
        assert!(!weather_at(PARIS, 0, noon_utc + 12 * 3600).is_day);
        let fiji = Place {
            latitude_e4: -180_000,
            longitude_e4: 1_780_000,
        };
        assert!(!weather_at(fiji, 0, noon_utc).is_day);
    }
}

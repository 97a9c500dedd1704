//! Zone: the time zone and the time texts of an answer.
//!
//! Guarantees: `auto` is the zone of the city exactly at the location. Elsewhere it is the nautical
//! zone of the longitude (for example `Etc/GMT-9`), which the service uses at sea. The default is
//! GMT and needs no lookup.

use std::borrow::Cow;

use chrono::{DateTime, Offset, TimeZone};
use chrono_tz::{OffsetName, Tz};

use crate::cities;
use crate::weather::Location;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Zone {
    pub name: Cow<'static, str>,
    pub abbreviation: Cow<'static, str>,
    pub offset_seconds: i64,
}

impl Zone {
    pub const GMT: Self =
        Self { name: Cow::Borrowed("GMT"), abbreviation: Cow::Borrowed("GMT"), offset_seconds: 0 };
}

/// The zone with this name at this time. The error is the reason of a 400.
pub fn resolve(name: &str, location: Location, unix_seconds: i64) -> Result<Zone, &'static str> {
    match name {
        "GMT" => Ok(Zone::GMT),
        "auto" => iana_zone(&zone_of(location), unix_seconds),
        _ => iana_zone(name, unix_seconds),
    }
}

/// The offset from UTC at a location and time, in seconds to the east.
pub fn zone_offset_seconds(location: Location, unix_seconds: i64) -> i64 {
    resolve("auto", location, unix_seconds).map_or(0, |zone| zone.offset_seconds)
}

/// A time in Open-Meteo's format, without seconds and offset.
pub fn utc_time(unix_seconds: i64) -> String {
    let time = DateTime::from_timestamp(unix_seconds, 0).unwrap_or_default();
    time.format("%Y-%m-%dT%H:%M").to_string()
}

/// The name of the zone at a location.
pub fn zone_of(location: Location) -> Cow<'static, str> {
    match cities::at_location(location) {
        Some(city) => Cow::Borrowed(city.timezone),
        None => match (f64::from(location.longitude_e4) / 150_000.0).round() as i64 {
            0 => Cow::Borrowed("GMT"),
            // The sign is that of POSIX: Etc/GMT-9 is nine hours east.
            hours => Cow::Owned(format!("Etc/GMT{:+}", -hours)),
        },
    }
}

fn iana_zone(name: &str, unix_seconds: i64) -> Result<Zone, &'static str> {
    let zone: Tz = name.parse().map_err(|_| "Invalid timezone")?;
    let utc = DateTime::from_timestamp(unix_seconds, 0).unwrap_or_default().naive_utc();
    let offset = zone.offset_from_utc_datetime(&utc);
    let offset_seconds = i64::from(offset.fix().local_minus_utc());
    let abbreviation = match offset.abbreviation() {
        Some(letters) if letters.starts_with(|first: char| first.is_ascii_alphabetic()) => {
            letters.to_owned()
        }
        // Zones without letters show their offset, and minutes only if there are any.
        _ => match (offset_seconds / 3600, offset_seconds % 3600 / 60) {
            (hours, 0) => format!("GMT{hours:+}"),
            (hours, minutes) => format!("GMT{hours:+}:{:02}", minutes.abs()),
        },
    };
    Ok(Zone {
        name: Cow::Owned(name.to_owned()),
        abbreviation: Cow::Owned(abbreviation),
        offset_seconds,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    // 2026-07-01 and 2026-01-01, noon UTC.
    const SUMMER: i64 = 1_782_907_200;
    const WINTER: i64 = 1_767_268_800;

    #[test]
    fn zones_follow_summer_time() {
        let location = Location::new(0.5, 0.5);
        let berlin = resolve("Europe/Berlin", location, SUMMER).unwrap();
        assert_eq!((berlin.offset_seconds, berlin.abbreviation.as_ref()), (7200, "CEST"));
        assert_eq!(resolve("Europe/Berlin", location, WINTER).unwrap().offset_seconds, 3600);
        assert_eq!(resolve("Asia/Kathmandu", location, WINTER).unwrap().abbreviation, "GMT+5:45");
        assert_eq!(resolve("Mars/Base", location, WINTER), Err("Invalid timezone"));
        assert_eq!(resolve("GMT", location, WINTER), Ok(Zone::GMT));
    }

    #[test]
    fn auto_is_the_zone_of_the_location() {
        assert_eq!(zone_of(Location::new(48.853_41, 2.3488)), "Europe/Paris");
        assert_eq!(zone_of(Location::new(0.0, 135.0)), "Etc/GMT-9");
        assert_eq!(zone_of(Location::new(0.0, -180.0)), "Etc/GMT+12");
        assert_eq!(
            resolve("auto", Location::new(0.0, 135.0), SUMMER).unwrap().offset_seconds,
            32_400
        );
    }
}

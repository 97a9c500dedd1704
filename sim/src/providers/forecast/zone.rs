//! The time zone of an answer: named, or `auto` for the place's own.
//!
//! `auto` is the zone of the city exactly at the place, else the nautical zone of its longitude
//! (`Etc/GMT-9` …), which the service itself gives out at sea. GMT is the default and costs nothing.

use std::borrow::Cow;

use chrono::{DateTime, Offset, TimeZone};
use chrono_tz::{OffsetName, Tz};

use crate::cities;
use crate::weather::Place;

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

/// The zone called `name`, as it stands at that time; the error is the service's reason.
pub fn resolve(name: &str, place: Place, unix_seconds: i64) -> Result<Zone, &'static str> {
    match name {
        "GMT" => Ok(Zone::GMT),
        "auto" => named(&zone_of(place), unix_seconds),
        _ => named(name, unix_seconds),
    }
}

/// Seconds east of UTC at a place, as its clocks stand then.
pub fn zone_offset_seconds(place: Place, unix_seconds: i64) -> i64 {
    resolve("auto", place, unix_seconds).map_or(0, |zone| zone.offset_seconds)
}

/// Open-Meteo's time text: no seconds, no offset.
pub fn utc_time(unix_seconds: i64) -> String {
    let time = DateTime::from_timestamp(unix_seconds, 0).unwrap_or_default();
    time.format("%Y-%m-%dT%H:%M").to_string()
}

/// The name of the zone a place lies in.
pub fn zone_of(place: Place) -> Cow<'static, str> {
    match cities::at_place(place) {
        Some(city) => Cow::Borrowed(city.timezone),
        None => match (f64::from(place.longitude_e4) / 150_000.0).round() as i64 {
            0 => Cow::Borrowed("GMT"),
            // POSIX signs: Etc/GMT-9 lies nine hours east.
            hours => Cow::Owned(format!("Etc/GMT{:+}", -hours)),
        },
    }
}

fn named(name: &str, unix_seconds: i64) -> Result<Zone, &'static str> {
    let zone: Tz = name.parse().map_err(|_| "Invalid timezone")?;
    let utc = DateTime::from_timestamp(unix_seconds, 0).unwrap_or_default().naive_utc();
    let offset = zone.offset_from_utc_datetime(&utc);
    let offset_seconds = i64::from(offset.fix().local_minus_utc());
    let abbreviation = match offset.abbreviation() {
        Some(letters) if letters.starts_with(|first: char| first.is_ascii_alphabetic()) => {
            letters.to_owned()
        }
        // Zones without letters of their own; minutes only where there are any.
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
    fn zones_follow_the_calendar() {
        let place = Place::new(0.5, 0.5);
        let berlin = resolve("Europe/Berlin", place, SUMMER).unwrap();
        assert_eq!((berlin.offset_seconds, berlin.abbreviation.as_ref()), (7200, "CEST"));
        assert_eq!(resolve("Europe/Berlin", place, WINTER).unwrap().offset_seconds, 3600);
        assert_eq!(resolve("Asia/Kathmandu", place, WINTER).unwrap().abbreviation, "GMT+5:45");
        assert_eq!(resolve("Mars/Base", place, WINTER), Err("Invalid timezone"));
        assert_eq!(resolve("GMT", place, WINTER), Ok(Zone::GMT));
    }

    #[test]
    fn auto_is_the_citys_zone_or_the_nautical_one() {
        assert_eq!(zone_of(Place::new(48.853_41, 2.3488)), "Europe/Paris");
        assert_eq!(zone_of(Place::new(0.0, 135.0)), "Etc/GMT-9");
        assert_eq!(zone_of(Place::new(0.0, -180.0)), "Etc/GMT+12");
        assert_eq!(resolve("auto", Place::new(0.0, 135.0), SUMMER).unwrap().offset_seconds, 32_400);
    }
}

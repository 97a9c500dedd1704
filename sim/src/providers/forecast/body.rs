//! The JSON of a forecast: the simulator's hot path.
//!
//! Everything that is the same for all places (units, names, time, the zone) is written once
//! into two pieces and copied; only coordinates, elevation, id and values are formatted. One buffer,
//! sized before the first byte. The same request in the same quarter-hour gives the same bytes.

use std::borrow::Cow;
use std::fmt::Write;

use super::request::Forecast;
use super::zone::{Zone, resolve, utc_time};
use crate::decimal::{push_f32, push_fixed};
use crate::weather::{INTERVAL_SECONDS, Place, elevation_metres, observed_at, weather_at};

/// Degrees between the centres of two grid cells, in the service's single precision.
const GRID_DEGREES: f32 = 0.1;

/// Writing to a `String` cannot fail.
const NEVER_FAILS: &str = "a String takes every write";

/// Room for one place's own text: coordinates, elevation, id.
const PLACE_BYTES: usize = 80;
/// Room for one value with its key's punctuation.
const VALUE_BYTES: usize = 12;

/// Writes the whole answer; the error is the reason of a refusal.
pub fn write(
    forecast: &Forecast,
    seed: u64,
    unix_seconds: i64,
    nulls: bool,
) -> Result<Vec<u8>, &'static str> {
    let places = &forecast.places;
    let keys = keys(forecast);
    let values_bytes: usize = keys.iter().map(|key| key.len() + VALUE_BYTES).sum();
    let mut json = Vec::new();
    // One zone for all is the rule; then it is looked up once and the pieces are written once.
    let common_zone = match &forecast.timezones[..] {
        [] => Some(Zone::GMT),
        [name] if name != "auto" => Some(resolve(name, Place::new(0.0, 0.0), unix_seconds)?),
        _ => None,
    };
    let mut shared: Option<(Zone, Shared)> = None;
    for (position, &(latitude, longitude)) in places.iter().enumerate() {
        let place = Place::new(latitude, longitude);
        let zone = if let Some(zone) = &common_zone {
            Cow::Borrowed(zone)
        } else {
            let name = forecast.timezones.get(position).unwrap_or(&forecast.timezones[0]);
            Cow::Owned(resolve(name, place, unix_seconds)?)
        };
        let pieces = match &shared {
            Some((written, pieces)) if *written == *zone => pieces,
            _ => {
                let pieces = Shared::write(forecast, &zone, unix_seconds);
                let place_bytes = pieces.before.len() + pieces.after.len() + PLACE_BYTES;
                json.reserve((places.len() - position) * (place_bytes + values_bytes));
                &shared.insert((zone.into_owned(), pieces)).1
            }
        };

        json.extend_from_slice(match (places.len(), position) {
            (1, _) => b"".as_slice(),
            (_, 0) => b"[",
            _ => b",",
        });
        json.extend_from_slice(b"{\"latitude\":");
        push_f32(&mut json, grid_centre(latitude, 90.0));
        json.extend_from_slice(b",\"longitude\":");
        push_f32(&mut json, grid_centre(longitude, 180.0));
        json.extend_from_slice(&pieces.before);
        push_elevation(&mut json, forecast, position, elevation_metres(place, seed));
        let id = forecast.location_ids.as_ref().map_or(position as i64, |ids| ids[position]);
        if id != 0 {
            json.extend_from_slice(b",\"location_id\":");
            push_fixed(&mut json, id, 0);
        }
        json.extend_from_slice(&pieces.after);
        if let Some(block) = &forecast.block {
            let weather = weather_at(place, seed, unix_seconds);
            for (key, asked) in keys.iter().zip(&block.asked) {
                json.extend_from_slice(key);
                if nulls {
                    json.extend_from_slice(b"null");
                } else {
                    push_fixed(&mut json, asked.value(&weather), asked.scale.decimals);
                }
            }
            json.push(b'}');
        }
        json.push(b'}');
    }
    if places.len() > 1 {
        json.push(b']');
    }
    Ok(json)
}

/// The pieces of one place's object that all places of a zone have in common.
struct Shared {
    /// Between the coordinates and the elevation.
    before: Vec<u8>,
    /// From the elevation and id to the first value.
    after: Vec<u8>,
}

impl Shared {
    fn write(forecast: &Forecast, zone: &Zone, unix_seconds: i64) -> Self {
        let before = format!(
            ",\"generationtime_ms\":0.3122091293334961,\"utc_offset_seconds\":{},\
             \"timezone\":\"{}\",\"timezone_abbreviation\":\"{}\"",
            zone.offset_seconds, zone.name, zone.abbreviation
        );
        let mut after = String::new();
        if let Some(block) = &forecast.block {
            let observed = observed_at(unix_seconds);
            let (format, time) = if forecast.unix_time {
                ("unixtime", observed.to_string())
            } else {
                ("iso8601", format!("\"{}\"", utc_time(observed + zone.offset_seconds)))
            };
            let name = block.name;
            after = format!(",\"{name}_units\":{{\"time\":\"{format}\",\"interval\":\"seconds\"");
            for asked in &block.asked {
                write!(after, ",\"{}\":\"{}\"", asked.name, asked.scale.unit).expect(NEVER_FAILS);
            }
            write!(after, "}},\"{name}\":{{\"time\":{time},\"interval\":{INTERVAL_SECONDS}")
                .expect(NEVER_FAILS);
        }
        Self { before: before.into_bytes(), after: after.into_bytes() }
    }
}

fn keys(forecast: &Forecast) -> Vec<Vec<u8>> {
    let asked = forecast.block.iter().flat_map(|block| &block.asked);
    asked.map(|asked| format!(",\"{}\":", asked.name).into_bytes()).collect()
}

/// The place's own height, or the one it was asked with; `nan` there leaves it out.
fn push_elevation(json: &mut Vec<u8>, forecast: &Forecast, position: usize, metres: i64) {
    let decimetres = match &forecast.elevations {
        None => metres * 10,
        Some(given) if given[position].is_finite() => (given[position] * 10.0).round() as i64,
        Some(_) => return,
    };
    json.extend_from_slice(b",\"elevation\":");
    push_fixed(json, decimetres, 1);
}

/// The centre of the grid cell, with the noise of single precision that the service shows.
fn grid_centre(degrees: f64, limit: f32) -> f32 {
    let cells_from_edge = ((degrees + f64::from(limit)) * 10.0).round() as f32;
    (cells_from_edge * GRID_DEGREES - limit).min(limit)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::query::Query;

    // 2026-03-10T12:34:56Z
    const NOW: i64 = 1_773_146_096;

    fn body(query: &str) -> String {
        let forecast = Forecast::parse(&Query::parse(query, b"")).unwrap();
        let json = write(&forecast, 0, NOW, false).unwrap();
        assert!(json.is_empty() || serde_json::from_slice::<serde_json::Value>(&json).is_ok());
        String::from_utf8(json).unwrap()
    }

    #[test]
    fn one_place_with_the_legacy_flag_looks_like_the_captured_answer() {
        let json = body("latitude=48.26&longitude=13.04&current_weather=true");
        let start = "{\"latitude\":48.300003,\"longitude\":13.0,\
            \"generationtime_ms\":0.3122091293334961,\"utc_offset_seconds\":0,\
            \"timezone\":\"GMT\",\"timezone_abbreviation\":\"GMT\",\"elevation\":";
        assert!(json.starts_with(start), "{json}");
        let units = ",\"current_weather_units\":{\"time\":\"iso8601\",\"interval\":\"seconds\",\
            \"temperature\":\"°C\",\"windspeed\":\"km/h\",\"winddirection\":\"°\",\"is_day\":\"\",\
            \"weathercode\":\"wmo code\"},\
            \"current_weather\":{\"time\":\"2026-03-10T12:30\",\"interval\":900,\"temperature\":";
        assert!(json.contains(units), "{json}");
    }

    #[test]
    fn several_places_are_an_array_whose_first_has_no_id() {
        let json = body("latitude=1,1,3&longitude=4,4,6&current=weather_code,temperature_2m");
        let places: Vec<serde_json::Value> = serde_json::from_str(&json).unwrap();
        assert_eq!(places.len(), 3);
        assert!(places[0].get("location_id").is_none());
        assert_eq!(places[2]["location_id"], 2);
        assert_eq!(places[0]["current"], places[1]["current"]);
        let order =
            json.find("\"weather_code\"").unwrap() < json.find("\"temperature_2m\"").unwrap();
        assert!(order, "keys echo the request's order");
    }

    #[test]
    fn nothing_asked_is_an_envelope_and_no_place_an_empty_body() {
        assert!(!body("latitude=1&longitude=2").contains("current"));
        assert_eq!(body("current_weather=true"), "");
    }

    #[test]
    fn ids_elevations_zones_and_time_formats_are_taken_from_the_request() {
        let json = body(
            "latitude=1,2&longitude=3,4&location_id=0,77&elevation=nan,12.34&current=is_day\
             &timezone=GMT,Asia/Tokyo",
        );
        let places: Vec<serde_json::Value> = serde_json::from_str(&json).unwrap();
        assert!(places[0].get("location_id").is_none() && places[0].get("elevation").is_none());
        assert_eq!(places[1]["location_id"], 77);
        assert_eq!(places[1]["elevation"], 12.3);
        assert_eq!(places[0]["current"]["time"], "2026-03-10T12:30");
        assert_eq!(places[1]["current"]["time"], "2026-03-10T21:30");
        assert_eq!(places[1]["utc_offset_seconds"], 32_400);
        let json = body("latitude=1&longitude=3&current=is_day&timeformat=unixtime");
        assert!(json.contains("\"current\":{\"time\":1773145800,\"interval\":900,"), "{json}");
    }

    #[test]
    fn null_values_keep_the_envelope() {
        let query = Query::parse("latitude=1&longitude=2&current=temperature_2m", b"");
        let json = write(&Forecast::parse(&query).unwrap(), 0, NOW, true).unwrap();
        assert!(String::from_utf8(json).unwrap().ends_with("\"temperature_2m\":null}}"));
    }
}

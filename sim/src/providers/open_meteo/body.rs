//! Body: writes the JSON of an Open-Meteo answer, which is the hot path of the simulator.
//!
//! Guarantees: the same request in the same interval gives the same bytes.
//! Text that all locations share (units, names, time, zone) is formatted once and copied. Only
//! coordinates, elevation, id and values are formatted per location, into one buffer of known size.

use std::borrow::Cow;
use std::fmt::Write;

use super::dataset::Dataset;
use super::request::CurrentRequest;
use super::zone::{Zone, resolve, utc_time};
use crate::decimal::{push_f32, push_fixed};
use crate::weather::{Location, elevation_metres, interval_start};

/// Degrees between the centres of two grid cells; the service uses single precision.
const GRID_DEGREES: f32 = 0.1;

const NEVER_FAILS: &str = "writing to a String cannot fail";

/// Estimated bytes of one location: coordinates, elevation, id.
const LOCATION_BYTES: usize = 80;
/// Estimated bytes of one value and the punctuation of its key.
const VALUE_BYTES: usize = 12;

/// Writes the whole answer. The error is the reason of a 400.
pub fn write<T>(
    dataset: &Dataset<T>,
    request: &CurrentRequest<T>,
    seed: u64,
    unix_seconds: i64,
    nulls: bool,
) -> Result<Vec<u8>, &'static str> {
    let locations = &request.locations;
    let keys = keys(request);
    let values_bytes: usize = keys.iter().map(|key| key.len() + VALUE_BYTES).sum();
    let mut json = Vec::new();
    // Usually all locations have one zone. Then it is resolved once, and its text is written once.
    let common_zone = match &request.timezones[..] {
        [] => Some(Zone::GMT),
        [name] if name != "auto" => Some(resolve(name, Location::new(0.0, 0.0), unix_seconds)?),
        _ => None,
    };
    let mut shared: Option<(Zone, SharedText)> = None;
    for (position, &(latitude, longitude)) in locations.iter().enumerate() {
        let location = Location::new(latitude, longitude);
        let zone = if let Some(zone) = &common_zone {
            Cow::Borrowed(zone)
        } else {
            let name = request.timezones.get(position).unwrap_or(&request.timezones[0]);
            Cow::Owned(resolve(name, location, unix_seconds)?)
        };
        let text = match &shared {
            Some((written, text)) if *written == *zone => text,
            _ => {
                let text = SharedText::write(dataset, request, &zone, unix_seconds);
                let location_bytes = text.before.len() + text.after.len() + LOCATION_BYTES;
                json.reserve((locations.len() - position) * (location_bytes + values_bytes));
                &shared.insert((zone.into_owned(), text)).1
            }
        };

        json.extend_from_slice(match (locations.len(), position) {
            (1, _) => b"".as_slice(),
            (_, 0) => b"[",
            _ => b",",
        });
        json.extend_from_slice(b"{\"latitude\":");
        push_f32(&mut json, grid_centre(latitude, 90.0));
        json.extend_from_slice(b",\"longitude\":");
        push_f32(&mut json, grid_centre(longitude, 180.0));
        json.extend_from_slice(&text.before);
        push_elevation(&mut json, request, position, elevation_metres(location, seed));
        let id = request.location_ids.as_ref().map_or(position as i64, |ids| ids[position]);
        if id != 0 {
            json.extend_from_slice(b",\"location_id\":");
            push_fixed(&mut json, id, 0);
        }
        json.extend_from_slice(&text.after);
        if let Some(block) = &request.block {
            let values = (dataset.values_at)(location, seed, unix_seconds);
            for (key, variable) in keys.iter().zip(&block.variables) {
                json.extend_from_slice(key);
                if nulls {
                    json.extend_from_slice(b"null");
                } else {
                    push_fixed(&mut json, variable.value(&values), variable.scale.decimals);
                }
            }
            json.push(b'}');
        }
        json.push(b'}');
    }
    if locations.len() > 1 {
        json.push(b']');
    }
    Ok(json)
}

/// The text that the objects of all locations of a zone share.
struct SharedText {
    /// Between the coordinates and the elevation.
    before: Vec<u8>,
    /// From the elevation and id to the first value.
    after: Vec<u8>,
}

impl SharedText {
    fn write<T>(
        dataset: &Dataset<T>,
        request: &CurrentRequest<T>,
        zone: &Zone,
        unix_seconds: i64,
    ) -> Self {
        let before = format!(
            ",\"generationtime_ms\":0.3122091293334961,\"utc_offset_seconds\":{},\
             \"timezone\":\"{}\",\"timezone_abbreviation\":\"{}\"",
            zone.offset_seconds, zone.name, zone.abbreviation
        );
        let mut after = String::new();
        if let Some(block) = &request.block {
            let interval = dataset.interval_seconds;
            let observed = interval_start(unix_seconds, interval);
            let (format, time) = if request.unix_time {
                ("unixtime", observed.to_string())
            } else {
                ("iso8601", format!("\"{}\"", utc_time(observed + zone.offset_seconds)))
            };
            let name = block.name;
            after = format!(",\"{name}_units\":{{\"time\":\"{format}\",\"interval\":\"seconds\"");
            for variable in &block.variables {
                write!(after, ",\"{}\":\"{}\"", variable.name, variable.scale.unit)
                    .expect(NEVER_FAILS);
            }
            write!(after, "}},\"{name}\":{{\"time\":{time},\"interval\":{interval}")
                .expect(NEVER_FAILS);
        }
        Self { before: before.into_bytes(), after: after.into_bytes() }
    }
}

fn keys<T>(request: &CurrentRequest<T>) -> Vec<Vec<u8>> {
    let variables = request.block.iter().flat_map(|block| &block.variables);
    variables.map(|variable| format!(",\"{}\":", variable.name).into_bytes()).collect()
}

/// Appends the requested elevation, else that of the location. A requested `nan` appends nothing.
fn push_elevation<T>(
    json: &mut Vec<u8>,
    request: &CurrentRequest<T>,
    position: usize,
    metres: i64,
) {
    let decimetres = match &request.elevations {
        None => metres * 10,
        Some(given) if given[position].is_finite() => (given[position] * 10.0).round() as i64,
        Some(_) => return,
    };
    json.extend_from_slice(b",\"elevation\":");
    push_fixed(json, decimetres, 1);
}

/// The centre of the grid cell, with the rounding errors of single precision as in the service.
fn grid_centre(degrees: f64, limit: f32) -> f32 {
    let cells_from_edge = ((degrees + f64::from(limit)) * 10.0).round() as f32;
    (cells_from_edge * GRID_DEGREES - limit).min(limit)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::providers::open_meteo::forecast::FORECAST;
    use crate::query::Query;

    // 2026-03-10T12:34:56Z
    const NOW: i64 = 1_773_146_096;

    fn body(query: &str) -> String {
        let query = Query::parse(query, b"");
        let request = CurrentRequest::parse(&FORECAST, &query).unwrap();
        let json = write(&FORECAST, &request, 0, NOW, false).unwrap();
        assert!(json.is_empty() || serde_json::from_slice::<serde_json::Value>(&json).is_ok());
        String::from_utf8(json).unwrap()
    }

    #[test]
    fn legacy_answers_match_the_captured_answer() {
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
    fn several_locations_are_an_array() {
        let json = body("latitude=1,1,3&longitude=4,4,6&current=weather_code,temperature_2m");
        let locations: Vec<serde_json::Value> = serde_json::from_str(&json).unwrap();
        assert_eq!(locations.len(), 3);
        assert!(locations[0].get("location_id").is_none());
        assert_eq!(locations[2]["location_id"], 2);
        assert_eq!(locations[0]["current"], locations[1]["current"]);
        let order =
            json.find("\"weather_code\"").unwrap() < json.find("\"temperature_2m\"").unwrap();
        assert!(order, "keys have the order of the request");
    }

    #[test]
    fn no_locations_give_an_empty_body() {
        assert!(!body("latitude=1&longitude=2").contains("current"));
        assert_eq!(body("current_weather=true"), "");
    }

    #[test]
    fn answers_follow_the_optional_parameters() {
        let json = body(
            "latitude=1,2&longitude=3,4&location_id=0,77&elevation=nan,12.34&current=is_day\
             &timezone=GMT,Asia/Tokyo",
        );
        let locations: Vec<serde_json::Value> = serde_json::from_str(&json).unwrap();
        assert!(
            locations[0].get("location_id").is_none() && locations[0].get("elevation").is_none()
        );
        assert_eq!(locations[1]["location_id"], 77);
        assert_eq!(locations[1]["elevation"], 12.3);
        assert_eq!(locations[0]["current"]["time"], "2026-03-10T12:30");
        assert_eq!(locations[1]["current"]["time"], "2026-03-10T21:30");
        assert_eq!(locations[1]["utc_offset_seconds"], 32_400);
        let json = body("latitude=1&longitude=3&current=is_day&timeformat=unixtime");
        assert!(json.contains("\"current\":{\"time\":1773145800,\"interval\":900,"), "{json}");
    }

    #[test]
    fn null_values_keep_the_envelope() {
        let query = Query::parse("latitude=1&longitude=2&current=temperature_2m", b"");
        let request = CurrentRequest::parse(&FORECAST, &query).unwrap();
        let json = write(&FORECAST, &request, 0, NOW, true).unwrap();
        assert!(String::from_utf8(json).unwrap().ends_with("\"temperature_2m\":null}}"));
    }
}

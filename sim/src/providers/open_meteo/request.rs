//! Current request: the parameters of a request for current values, validated as the service validates them.
//!
//! Guarantees: errors are the exact `reason` texts of the service, in the order of its checks:
//! number of coordinates, number of locations, ranges, other parameters.
//! Next: [`super::dataset`], which parses the names of variables.

use std::str::FromStr;

use super::dataset::{Dataset, RequestedVariable, cannot_initialize};
use crate::query::Query;

pub const NO_DATA: &str = "No data is available for this location";

const MAX_LOCATIONS: usize = 1_000;

/// The simulator has no data at exactly this latitude.
const NO_DATA_LATITUDE: f64 = -89.9;

/// Parameters of the service that the simulator refuses.
const NOT_SIMULATED: [&str; 3] = ["hourly", "daily", "minutely_15"];

#[derive(Debug)]
pub struct CurrentRequest<T> {
    /// Latitude and longitude, in the order of the request.
    pub locations: Vec<(f64, f64)>,
    pub elevations: Option<Vec<f64>>,
    pub location_ids: Option<Vec<i64>>,
    /// Empty, one for all locations, or one for each.
    pub timezones: Vec<String>,
    pub block: Option<Block<T>>,
    pub unix_time: bool,
    days: u32,
}

/// The object with the current values.
#[derive(Debug)]
pub struct Block<T> {
    pub name: &'static str,
    pub variables: Vec<RequestedVariable<T>>,
}

impl<T> CurrentRequest<T> {
    pub fn parse(dataset: &Dataset<T>, query: &Query<'_>) -> Result<Self, String> {
        let locations = locations(query)?;
        if let Some(name) = NOT_SIMULATED.into_iter().find(|name| query.get(name).is_some()) {
            return Err(format!("the simulator does not serve '{name}'"));
        }
        if let Some(format) = query.get("format").filter(|format| *format != "json") {
            return Err(format!("the simulator does not serve format '{format}'"));
        }
        let days = day_count(query, "forecast_days", "Forecast days", 7, 16)?
            + day_count(query, "past_days", "Past days", 0, 93)?;
        let timezones: Vec<String> = query.list("timezone").map(str::to_owned).collect();
        if timezones.len() > 1 && timezones.len() != locations.len() {
            return Err(same_number("timezone"));
        }
        Ok(Self {
            elevations: per_location(query, "elevation", "Float", locations.len())?,
            location_ids: per_location(query, "location_id", "Int", locations.len())?,
            locations,
            timezones,
            block: block(dataset, query)?,
            unix_time: match query.get("timeformat") {
                None | Some("iso8601") => false,
                Some("unixtime") => true,
                Some(other) => return Err(cannot_initialize("Timeformat", other)),
            },
            days,
        })
    }

    /// The weight for the limiter: 1 per location, up to ten variables and two weeks.
    pub fn weight(&self) -> f64 {
        let variables = self.block.as_ref().map_or(0, |block| block.variables.len());
        let per_location = variables as f64 / 10.0 * (f64::from(self.days) / 14.0).max(1.0);
        self.locations.len() as f64 * per_location.max(1.0)
    }
}

fn same_number(name: &str) -> String {
    format!("Parameter 'latitude' and '{name}' must have the same number of elements")
}

fn locations(query: &Query<'_>) -> Result<Vec<(f64, f64)>, String> {
    let latitudes: Vec<f64> = numbers(query, "latitude", "Float")?;
    let longitudes: Vec<f64> = numbers(query, "longitude", "Float")?;
    if latitudes.len() != longitudes.len() {
        return Err(same_number("longitude"));
    }
    if latitudes.len() > MAX_LOCATIONS {
        return Err(format!("Only up to {MAX_LOCATIONS} locations can be requested at once"));
    }
    for (&latitude, &longitude) in latitudes.iter().zip(&longitudes) {
        in_range("Latitude", latitude, 90)?;
        in_range("Longitude", longitude, 180)?;
    }
    if latitudes.contains(&NO_DATA_LATITUDE) {
        return Err(NO_DATA.to_owned());
    }
    Ok(latitudes.into_iter().zip(longitudes).collect())
}

fn in_range(name: &str, degrees: f64, limit: u8) -> Result<(), String> {
    if degrees.abs() <= f64::from(limit) {
        return Ok(());
    }
    // The service uses single precision and prints it.
    let given = degrees as f32;
    Err(format!("{name} must be in range of -{limit} to {limit}°. Given: {given:?}."))
}

fn numbers<T: FromStr>(query: &Query<'_>, name: &str, kind: &str) -> Result<Vec<T>, String> {
    query.list(name).map(|text| text.parse().map_err(|_| cannot_initialize(kind, text))).collect()
}

fn per_location<T: FromStr>(
    query: &Query<'_>,
    name: &str,
    kind: &str,
    locations: usize,
) -> Result<Option<Vec<T>>, String> {
    let values = numbers(query, name, kind)?;
    match values.len() {
        0 => Ok(None),
        given if given == locations => Ok(Some(values)),
        _ => Err(same_number(name)),
    }
}

fn day_count(
    query: &Query<'_>,
    name: &str,
    label: &str,
    default: u32,
    limit: u32,
) -> Result<u32, String> {
    let Some(text) = query.get(name) else {
        return Ok(default);
    };
    let days: i64 = text.parse().map_err(|_| cannot_initialize("Int", text))?;
    u32::try_from(days).ok().filter(|days| *days <= limit).ok_or_else(|| {
        // A bug of the service: it prints the limit instead of the given value.
        format!("{label} is invalid. Allowed range 0 to {limit}. Given {limit}.")
    })
}

/// The legacy flag overrides a list of variables, as in the service.
fn block<T>(dataset: &Dataset<T>, query: &Query<'_>) -> Result<Option<Block<T>>, String> {
    let has_flag = !dataset.legacy.is_empty();
    if has_flag && query.get("current_weather").is_some_and(|flag| matches!(flag, "true" | "1")) {
        return Ok(Some(Block {
            name: "current_weather",
            variables: dataset.parse_legacy(query)?,
        }));
    }
    let variables = dataset.parse_current(query)?;
    Ok((!variables.is_empty()).then_some(Block { name: "current", variables }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::providers::open_meteo::forecast::FORECAST;

    fn reason(query: &str) -> String {
        CurrentRequest::parse(&FORECAST, &Query::parse(query, b"")).unwrap_err()
    }

    #[test]
    fn refusals_have_the_exact_text() {
        for (query, expected) in [
            ("latitude=91&longitude=0", "Latitude must be in range of -90 to 90°. Given: 91.0."),
            (
                "latitude=1,2&longitude=0,181",
                "Longitude must be in range of -180 to 180°. Given: 181.0.",
            ),
            (
                "latitude=1,2&longitude=0",
                "Parameter 'latitude' and 'longitude' must have the same number of elements",
            ),
            ("latitude=1,-89.9&longitude=2,3", "No data is available for this location"),
            (
                "latitude=1&longitude=2&forecast_days=17",
                "Forecast days is invalid. Allowed range 0 to 16. Given 16.",
            ),
        ] {
            assert_eq!(reason(query), expected);
        }
        for (query, part) in [
            ("latitude=x&longitude=2", "Cannot initialize Float from invalid String value x"),
            ("latitude=1&longitude=2&current=foo", "from invalid String value foo"),
            ("latitude=1&longitude=2&temperature_unit=k", "from invalid String value k"),
            ("latitude=1&longitude=2&timeformat=x", "from invalid String value x"),
            ("latitude=1&longitude=2&hourly=temperature_2m", "does not serve 'hourly'"),
            ("latitude=nan&longitude=2", "Latitude must be in range"),
        ] {
            assert!(reason(query).contains(part), "{query}");
        }
        let many = vec!["1"; 1001].join(",");
        assert_eq!(
            reason(&format!("latitude={many}&longitude={many}")),
            "Only up to 1000 locations can be requested at once"
        );
    }

    #[test]
    fn weight_grows_with_variables_and_days() {
        let weight = |query: &str| {
            CurrentRequest::parse(&FORECAST, &Query::parse(query, b"")).unwrap().weight()
        };
        let near = |left: f64, right: f64| (left - right).abs() < 1e-9;
        assert!(near(weight("latitude=1,2&longitude=1,2&current=is_day"), 2.0));
        let twenty = vec!["is_day"; 20].join(",");
        assert!(near(weight(&format!("latitude=1&longitude=1&current={twenty}")), 2.0));
        assert!(near(
            weight(&format!("latitude=1&longitude=1&current={twenty}&past_days=21")),
            4.0
        ));
    }

    #[test]
    fn the_legacy_flag_overrides_the_list() {
        let query = Query::parse("latitude=1&longitude=2&current=is_day&current_weather=true", b"");
        assert_eq!(
            CurrentRequest::parse(&FORECAST, &query).unwrap().block.unwrap().name,
            "current_weather"
        );
    }
}

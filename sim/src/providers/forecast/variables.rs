//! Variables: the quantities of a forecast, their units, and the decimals of each unit.
//!
//! Guarantees: conversions use integers, so no answer depends on floating point. A value is an
//! integer of the last decimal, first in the metric unit, then in the requested unit.
//! Next: [`super::body`], which prints the values.

use crate::decimal::rounded_division;
use crate::query::Query;
use crate::weather::Weather;

/// A variable and the name that the request used for it. The answer repeats that name.
#[derive(Clone, Debug)]
pub struct RequestedVariable {
    pub name: String,
    pub scale: Scale,
    read: fn(&Weather) -> i64,
}

/// The printed form of a value.
#[derive(Clone, Copy, Debug)]
pub struct Scale {
    /// The name in the `…_units` object.
    pub unit: &'static str,
    pub decimals: usize,
    /// Converts from the metric unit. Both values are integers of the last decimal.
    convert: fn(i64) -> i64,
}

/// All names of a quantity, its unit, and its value in the metric unit.
type Variable = (&'static [&'static str], Unit, fn(&Weather) -> i64);

#[derive(Clone, Copy, Debug)]
enum Unit {
    Temperature,
    Wind,
    Precipitation,
    /// A unit that does not depend on a parameter, and its decimals.
    Fixed(&'static str, usize),
}

const CURRENT: [Variable; 12] = [
    (&["temperature_2m"], Unit::Temperature, |at| at.temperature_decicelsius),
    (&["apparent_temperature"], Unit::Temperature, |at| at.apparent_decicelsius),
    (&["dew_point_2m", "dewpoint_2m"], Unit::Temperature, |at| at.dew_point_decicelsius),
    (&["relative_humidity_2m", "relativehumidity_2m"], Unit::Fixed("%", 0), |at| {
        at.humidity_percent
    }),
    (&["is_day"], Unit::Fixed("", 0), |at| i64::from(at.is_day)),
    (&["precipitation", "rain"], Unit::Precipitation, |at| at.precipitation_centimm),
    (&["weather_code", "weathercode"], Unit::Fixed("wmo code", 0), |at| i64::from(at.code)),
    (&["cloud_cover", "cloudcover"], Unit::Fixed("%", 0), |at| at.cloud_cover_percent),
    (&["pressure_msl", "surface_pressure"], Unit::Fixed("hPa", 1), |at| at.pressure_decihpa),
    (&["wind_speed_10m", "windspeed_10m"], Unit::Wind, |at| at.wind_decikmh),
    (&["wind_direction_10m", "winddirection_10m"], Unit::Fixed("°", 0), |at| {
        at.wind_direction_degrees
    }),
    (&["wind_gusts_10m", "windgusts_10m"], Unit::Wind, |at| at.gusts_decikmh),
];

/// The old names in `current_weather`, and the variables that they show.
const LEGACY: [(&str, &str); 5] = [
    ("temperature", "temperature_2m"),
    ("windspeed", "wind_speed_10m"),
    ("winddirection", "wind_direction_10m"),
    ("is_day", "is_day"),
    ("weathercode", "weather_code"),
];

/// The values of a unit parameter. The first is the default.
type Scales = &'static [(&'static str, Scale)];

const TEMPERATURE: Scales = &[
    ("celsius", scale("°C", 1, |tenths| tenths)),
    ("fahrenheit", scale("°F", 1, |tenths| rounded_division(tenths * 9, 5) + 320)),
];
const WIND: Scales = &[
    ("kmh", scale("km/h", 1, |tenths| tenths)),
    ("ms", scale("m/s", 2, |tenths| rounded_division(tenths * 100, 36))),
    ("mph", scale("mp/h", 1, |tenths| rounded_division(tenths * 621_371, 1_000_000))),
    ("kn", scale("kn", 1, |tenths| rounded_division(tenths * 539_957, 1_000_000))),
];
const PRECIPITATION: Scales = &[
    ("mm", scale("mm", 2, |hundredths| hundredths)),
    ("inch", scale("inch", 3, |hundredths| rounded_division(hundredths * 100, 254))),
];

const fn scale(unit: &'static str, decimals: usize, convert: fn(i64) -> i64) -> Scale {
    Scale { unit, decimals, convert }
}

impl RequestedVariable {
    /// The value in the requested unit, as an integer of the last decimal.
    pub fn value(&self, weather: &Weather) -> i64 {
        (self.scale.convert)((self.read)(weather))
    }
}

/// The variables of `current=`. The error is the reason of a 400.
pub fn parse_current(query: &Query<'_>) -> Result<Vec<RequestedVariable>, String> {
    requested(query, query.list("current").map(|name| (name, name)))
}

/// The variables of `current_weather=true`. The error is the reason of a 400.
pub fn parse_legacy(query: &Query<'_>) -> Result<Vec<RequestedVariable>, String> {
    requested(query, LEGACY.into_iter())
}

/// The reason for a parameter with an unknown value.
pub fn cannot_initialize(kind: &str, value: &str) -> String {
    format!(
        "Data corrupted at path ''. Cannot initialize {kind} from invalid String value {value}."
    )
}

/// Each item is the name in the answer and the name of the variable.
fn requested<'a>(
    query: &Query<'_>,
    names: impl Iterator<Item = (&'a str, &'a str)>,
) -> Result<Vec<RequestedVariable>, String> {
    let variables = names
        .map(|(name, variable_name)| {
            let variable = CURRENT.iter().find(|(names, ..)| names.contains(&variable_name));
            let variable =
                variable.ok_or_else(|| cannot_initialize("ForecastVariable", variable_name));
            variable.map(|variable| (name, variable))
        })
        .collect::<Result<Vec<_>, _>>()?;
    let temperature = unit(query, &["temperature_unit"], "TemperatureUnit", TEMPERATURE)?;
    let wind = unit(query, &["wind_speed_unit", "windspeed_unit"], "WindspeedUnit", WIND)?;
    let precipitation = unit(query, &["precipitation_unit"], "PrecipitationUnit", PRECIPITATION)?;
    let scale_of = |unit| match unit {
        Unit::Temperature => temperature,
        Unit::Wind => wind,
        Unit::Precipitation => precipitation,
        Unit::Fixed(name, decimals) => scale(name, decimals, |value| value),
    };
    let requested = variables.into_iter().map(|(name, &(_, unit, read))| RequestedVariable {
        name: name.to_owned(),
        scale: scale_of(unit),
        read,
    });
    Ok(requested.collect())
}

fn unit(query: &Query<'_>, names: &[&str], kind: &str, scales: Scales) -> Result<Scale, String> {
    let Some(value) = names.iter().find_map(|name| query.get(name)) else {
        return Ok(scales[0].1);
    };
    let known = scales.iter().find(|(known, _)| *known == value);
    known.map(|(_, scale)| *scale).ok_or_else(|| cannot_initialize(kind, value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::weather::{Location, weather_at};

    #[test]
    fn units_have_their_own_decimals() {
        let weather = Weather {
            temperature_decicelsius: -123,
            wind_decikmh: 144,
            precipitation_centimm: 254,
            ..weather_at(Location::new(0.0, 0.0), 0, 0)
        };
        let value = |text: &str| {
            let requested = parse_current(&Query::parse(text, b"")).unwrap();
            let Scale { decimals, unit, .. } = requested[0].scale;
            (requested[0].value(&weather), decimals, unit)
        };
        assert_eq!(value("current=temperature_2m"), (-123, 1, "°C"));
        // -12.3 °C is 9.86 °F.
        assert_eq!(value("current=temperature_2m&temperature_unit=fahrenheit"), (99, 1, "°F"));
        assert_eq!(value("current=wind_speed_10m"), (144, 1, "km/h"));
        assert_eq!(value("current=wind_speed_10m&wind_speed_unit=ms"), (400, 2, "m/s"));
        assert_eq!(value("current=wind_speed_10m&windspeed_unit=mph"), (89, 1, "mp/h"));
        assert_eq!(value("current=wind_speed_10m&wind_speed_unit=kn"), (78, 1, "kn"));
        assert_eq!(value("current=precipitation&precipitation_unit=inch"), (100, 3, "inch"));
    }
}

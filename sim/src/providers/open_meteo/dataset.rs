//! Dataset: the variables of one Open-Meteo endpoint, their units, and the decimals of each unit.
//!
//! Guarantees: conversions use integers, so no answer depends on floating point. A value is an
//! integer of the last decimal, first in the metric unit, then in the requested unit.
//! Next: [`super::forecast`] and [`super::air_quality`], the tables; [`super::body`], the JSON.

use crate::decimal::rounded_division;
use crate::query::Query;
use crate::weather::Location;

/// One endpoint of Open-Meteo; `T` holds all values of one location at one time.
pub struct Dataset<T: 'static> {
    pub variables: &'static [Variable<T>],
    /// The name of the variables in error texts.
    pub variable_type: &'static str,
    /// The old names in `current_weather` and the variables that they show; empty if not supported.
    pub legacy: &'static [(&'static str, &'static str)],
    /// How often the current values are observed.
    pub interval_seconds: i64,
    /// The values at a location with a seed at a Unix time.
    pub values_at: fn(Location, u64, i64) -> T,
}

/// All names of a quantity, its unit, and its value in the metric unit.
pub type Variable<T> = (&'static [&'static str], Unit, fn(&T) -> i64);

/// A variable and the name that the request used for it. The answer repeats that name.
#[derive(Debug)]
pub struct RequestedVariable<T> {
    pub name: String,
    pub scale: Scale,
    read: fn(&T) -> i64,
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

#[derive(Clone, Copy, Debug)]
pub enum Unit {
    Temperature,
    Wind,
    Precipitation,
    /// A unit that does not depend on a parameter, and its decimals.
    Fixed(&'static str, usize),
}

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

impl<T> RequestedVariable<T> {
    /// The value in the requested unit, as an integer of the last decimal.
    pub fn value(&self, values: &T) -> i64 {
        (self.scale.convert)((self.read)(values))
    }
}

impl<T> Dataset<T> {
    /// The variables of `current=`. The error is the reason of a 400.
    pub fn parse_current(&self, query: &Query<'_>) -> Result<Vec<RequestedVariable<T>>, String> {
        self.requested(query, query.list("current").map(|name| (name, name)))
    }

    /// The variables of `current_weather=true`. The error is the reason of a 400.
    pub fn parse_legacy(&self, query: &Query<'_>) -> Result<Vec<RequestedVariable<T>>, String> {
        self.requested(query, self.legacy.iter().copied())
    }

    /// Each item is the name in the answer and the name of the variable.
    fn requested<'a>(
        &self,
        query: &Query<'_>,
        names: impl Iterator<Item = (&'a str, &'a str)>,
    ) -> Result<Vec<RequestedVariable<T>>, String> {
        let variables = names
            .map(|(name, variable_name)| {
                let variable =
                    self.variables.iter().find(|(names, ..)| names.contains(&variable_name));
                let variable =
                    variable.ok_or_else(|| cannot_initialize(self.variable_type, variable_name));
                variable.map(|variable| (name, variable))
            })
            .collect::<Result<Vec<_>, _>>()?;
        let temperature = unit(query, &["temperature_unit"], "TemperatureUnit", TEMPERATURE)?;
        let wind = unit(query, &["wind_speed_unit", "windspeed_unit"], "WindspeedUnit", WIND)?;
        let precipitation =
            unit(query, &["precipitation_unit"], "PrecipitationUnit", PRECIPITATION)?;
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
}

/// The reason for a parameter with an unknown value.
pub fn cannot_initialize(kind: &str, value: &str) -> String {
    format!(
        "Data corrupted at path ''. Cannot initialize {kind} from invalid String value {value}."
    )
}

fn unit(query: &Query<'_>, names: &[&str], kind: &str, scales: Scales) -> Result<Scale, String> {
    let Some(value) = names.iter().find_map(|name| query.get(name)) else {
        return Ok(scales[0].1);
    };
    let known = scales.iter().find(|(known, _)| *known == value);
    known.map(|(_, scale)| *scale).ok_or_else(|| cannot_initialize(kind, value))
}

//! The quantities one may ask for, their units, and how many decimals each unit has.
//!
//! Conversions stay in integers: a quantity is a scaled integer in its metric unit and becomes a
//! scaled integer of the unit asked for, so that no answer depends on rounding of floats.

use super::request::cannot_initialize;
use crate::decimal::rounded_division;
use crate::query::Query;
use crate::weather::Weather;

/// A quantity under the name it was asked by; the answer echoes that name.
#[derive(Debug)]
pub struct Asked {
    pub name: String,
    pub quantity: Quantity,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quantity {
    Temperature,
    Apparent,
    DewPoint,
    Humidity,
    IsDay,
    Precipitation,
    WeatherCode,
    CloudCover,
    Pressure,
    WindSpeed,
    WindDirection,
    WindGusts,
}

#[derive(Clone, Copy, Debug)]
pub struct Units {
    temperature: TemperatureUnit,
    wind: WindUnit,
    precipitation: PrecipitationUnit,
}

#[derive(Clone, Copy, Debug)]
enum TemperatureUnit {
    Celsius,
    Fahrenheit,
}

#[derive(Clone, Copy, Debug)]
enum WindUnit {
    KilometresPerHour,
    MetresPerSecond,
    MilesPerHour,
    Knots,
}

#[derive(Clone, Copy, Debug)]
enum PrecipitationUnit {
    Millimetres,
    Inches,
}

/// The names `current=` takes, older spellings included.
pub fn parse_variable(name: &str) -> Result<Asked, String> {
    let quantity = match name {
        "temperature_2m" => Quantity::Temperature,
        "apparent_temperature" => Quantity::Apparent,
        "dew_point_2m" | "dewpoint_2m" => Quantity::DewPoint,
        "relative_humidity_2m" | "relativehumidity_2m" => Quantity::Humidity,
        "is_day" => Quantity::IsDay,
        "precipitation" | "rain" => Quantity::Precipitation,
        "weather_code" | "weathercode" => Quantity::WeatherCode,
        "cloud_cover" | "cloudcover" => Quantity::CloudCover,
        "pressure_msl" | "surface_pressure" => Quantity::Pressure,
        "wind_speed_10m" | "windspeed_10m" => Quantity::WindSpeed,
        "wind_direction_10m" | "winddirection_10m" => Quantity::WindDirection,
        "wind_gusts_10m" | "windgusts_10m" => Quantity::WindGusts,
        _ => return Err(cannot_initialize("ForecastVariable", name)),
    };
    Ok(Asked {
        name: name.to_owned(),
        quantity,
    })
}

/// What `current_weather=true` answers with.
pub fn legacy() -> Vec<Asked> {
    [
        ("temperature", Quantity::Temperature),
        ("windspeed", Quantity::WindSpeed),
        ("winddirection", Quantity::WindDirection),
        ("is_day", Quantity::IsDay),
        ("weathercode", Quantity::WeatherCode),
    ]
    .into_iter()
    .map(|(name, quantity)| Asked {
        name: name.to_owned(),
        quantity,
    })
    .collect()
}

impl Units {
    pub fn parse(query: &Query<'_>) -> Result<Self, String> {
        let temperature = match query.get("temperature_unit") {
            None | Some("celsius") => TemperatureUnit::Celsius,
            Some("fahrenheit") => TemperatureUnit::Fahrenheit,
            Some(other) => return Err(cannot_initialize("TemperatureUnit", other)),
        };
        let wind = match query
            .get("wind_speed_unit")
            .or_else(|| query.get("windspeed_unit"))
        {
            None | Some("kmh") => WindUnit::KilometresPerHour,
            Some("ms") => WindUnit::MetresPerSecond,
            Some("mph") => WindUnit::MilesPerHour,
            Some("kn") => WindUnit::Knots,
            Some(other) => return Err(cannot_initialize("WindspeedUnit", other)),
        };
        let precipitation = match query.get("precipitation_unit") {
            None | Some("mm") => PrecipitationUnit::Millimetres,
            Some("inch") => PrecipitationUnit::Inches,
            Some(other) => return Err(cannot_initialize("PrecipitationUnit", other)),
        };
        Ok(Self {
            temperature,
            wind,
            precipitation,
        })
    }

    /// The unit as the answer's `…_units` object names it.
    pub fn name(self, quantity: Quantity) -> &'static str {
        match quantity {
            Quantity::Temperature | Quantity::Apparent | Quantity::DewPoint => {
                match self.temperature {
                    TemperatureUnit::Celsius => "°C",
                    TemperatureUnit::Fahrenheit => "°F",
                }
            }
            Quantity::WindSpeed | Quantity::WindGusts => match self.wind {
                WindUnit::KilometresPerHour => "km/h",
                WindUnit::MetresPerSecond => "m/s",
                WindUnit::MilesPerHour => "mp/h",
                WindUnit::Knots => "kn",
            },
            Quantity::Precipitation => match self.precipitation {
                PrecipitationUnit::Millimetres => "mm",
                PrecipitationUnit::Inches => "inch",
            },
            Quantity::Humidity | Quantity::CloudCover => "%",
            Quantity::IsDay => "",
            Quantity::WeatherCode => "wmo code",
            Quantity::Pressure => "hPa",
            Quantity::WindDirection => "°",
        }
    }

    /// The value in the unit asked for, as a scaled integer and its number of decimals.
    pub fn value(self, quantity: Quantity, weather: &Weather) -> (i64, usize) {
        match quantity {
            Quantity::Temperature => self.temperature(weather.temperature_decicelsius),
            Quantity::Apparent => self.temperature(weather.apparent_decicelsius),
            Quantity::DewPoint => self.temperature(weather.dew_point_decicelsius),
            Quantity::WindSpeed => self.wind(weather.wind_decikmh),
            Quantity::WindGusts => self.wind(weather.gusts_decikmh),
            Quantity::Precipitation => match self.precipitation {
                PrecipitationUnit::Millimetres => (weather.precipitation_centimm, 2),
                PrecipitationUnit::Inches => (
                    rounded_division(weather.precipitation_centimm * 100, 254),
                    3,
                ),
            },
            Quantity::Humidity => (weather.humidity_percent, 0),
            Quantity::CloudCover => (weather.cloud_cover_percent, 0),
            Quantity::IsDay => (i64::from(weather.is_day), 0),
            Quantity::WeatherCode => (i64::from(weather.code), 0),
            Quantity::Pressure => (weather.pressure_decihpa, 1),
            Quantity::WindDirection => (weather.wind_direction_degrees, 0),
        }
    }

    fn temperature(self, decicelsius: i64) -> (i64, usize) {
        match self.temperature {
            TemperatureUnit::Celsius => (decicelsius, 1),
            TemperatureUnit::Fahrenheit => (rounded_division(decicelsius * 9, 5) + 320, 1),
        }
    }

    fn wind(self, decikmh: i64) -> (i64, usize) {
        match self.wind {
            WindUnit::KilometresPerHour => (decikmh, 1),
            WindUnit::MetresPerSecond => (rounded_division(decikmh * 100, 36), 2),
            WindUnit::MilesPerHour => (rounded_division(decikmh * 621_371, 1_000_000), 1),
            WindUnit::Knots => (rounded_division(decikmh * 539_957, 1_000_000), 1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::weather::{Place, weather_at};

    #[test]
    fn units_convert_with_their_own_decimals() {
        let weather = Weather {
            temperature_decicelsius: -123,
            wind_decikmh: 144,
            precipitation_centimm: 254,
            ..weather_at(Place::new(0.0, 0.0), 0, 0)
        };
        let value = |query: &str, quantity| {
            let units = Units::parse(&Query::parse(query, b"")).unwrap();
            (units.value(quantity, &weather), units.name(quantity))
        };
        assert_eq!(value("", Quantity::Temperature), ((-123, 1), "°C"));
        assert_eq!(
            value("temperature_unit=fahrenheit", Quantity::Temperature),
            ((99, 1), "°F") // -12.3 °C is 9.86 °F
        );
        assert_eq!(value("", Quantity::WindSpeed), ((144, 1), "km/h"));
        assert_eq!(
            value("wind_speed_unit=ms", Quantity::WindSpeed),
            ((400, 2), "m/s")
        );
        assert_eq!(
            value("windspeed_unit=mph", Quantity::WindSpeed),
            ((89, 1), "mp/h")
        );
        assert_eq!(
            value("wind_speed_unit=kn", Quantity::WindSpeed),
            ((78, 1), "kn")
        );
        assert_eq!(
            value("precipitation_unit=inch", Quantity::Precipitation),
            ((100, 3), "inch")
        );
    }
}

//! Forecast: the current weather of `/v1/forecast`, as a table.
//!
//! Guarantees: older spellings of a variable still work, and so does `current_weather=true`.
//! Next: [`crate::weather`], which computes the values.

use super::dataset::{Dataset, Unit, Variable};
use crate::weather::{INTERVAL_SECONDS, Weather, weather_at};

pub const FORECAST: Dataset<Weather> = Dataset {
    variables: &CURRENT,
    variable_type: "ForecastVariable",
    legacy: &LEGACY,
    interval_seconds: INTERVAL_SECONDS,
    values_at: weather_at,
};

const CURRENT: [Variable<Weather>; 12] = [
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::query::Query;
    use crate::weather::Location;

    #[test]
    fn units_have_their_own_decimals() {
        let weather = Weather {
            temperature_decicelsius: -123,
            wind_decikmh: 144,
            precipitation_centimm: 254,
            ..weather_at(Location::new(0.0, 0.0), 0, 0)
        };
        let value = |text: &str| {
            let requested = FORECAST.parse_current(&Query::parse(text, b"")).unwrap();
            let scale = requested[0].scale;
            (requested[0].value(&weather), scale.decimals, scale.unit)
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

//! OpenWeather's current weather: `/data/2.5/weather`, one location a call.
//!
//! The same weather as everywhere in the simulator, in OpenWeather's units (kelvin, m/s), condition
//! ids and habits: numbers that are now an integer and now not, `cod` that is a number in a success
//! and in a 401 but text in a 404. `appid` must be there and not be `bad-key`.
//!
//! Fog, drizzle, rain and the like have ids of their own for each WMO code the simulator uses, so the
//! code can be told from the id. `zip=` finds nothing; `lang` and `mode` change nothing.

use hyper::StatusCode;
use serde_json::Value;

use super::forecast::zone_offset_seconds;
use super::geocoding::{fold, named};
use crate::cities::{self, City};
use crate::decimal::{rounded_division, trimmed};
use crate::options::Options;
use crate::query::Query;
use crate::reply::Reply;
use crate::weather::{Place, observed_at, weather_at};

/// The key that is refused.
const BAD_KEY: &str = "bad-key";

const INVALID_KEY: &str = "{\"cod\":401, \"message\": \"Invalid API key. Please see \
    https://openweathermap.org/faq#error401 for more info.\"}";
const NOT_FOUND: &str = "{\"cod\":\"404\",\"message\":\"city not found\"}";
const BLOCKED: &str = "{\"cod\":429, \"message\": \"Your account is temporary blocked due to exceeding \
    of requests limitation of your subscription type. Please choose the proper subscription \
    https://openweathermap.org/price\"}";

pub fn answer(query: &Query<'_>, options: &Options) -> Reply {
    if query.get("appid").is_none_or(|key| key == BAD_KEY) {
        return Reply::json(StatusCode::UNAUTHORIZED, INVALID_KEY);
    }
    let units = match query.get("units") {
        Some("metric") => Units::Metric,
        Some("imperial") => Units::Imperial,
        _ => Units::Standard,
    };
    match locate(query) {
        Ok(place) => Reply::ok(write(&place, units, options)).with_locations(1),
        Err(reply) => reply,
    }
}

/// The body OpenWeather usually sends with an error status.
pub fn usual_error(status: StatusCode) -> Reply {
    let body = match status.as_u16() {
        400 => return wrong("Nothing to geocode"),
        401 => INVALID_KEY.to_owned(),
        404 => NOT_FOUND.to_owned(),
        429 => BLOCKED.to_owned(),
        code @ 500.. => format!("{{\"cod\":{code},\"message\":\"Internal server error\"}}"),
        code => format!("{{\"cod\":{code}}}"),
    };
    Reply::json(status, body)
}

#[derive(Clone, Copy)]
enum Units {
    Standard,
    Metric,
    Imperial,
}

struct Located {
    latitude: f64,
    longitude: f64,
    city: Option<City>,
}

fn locate(query: &Query<'_>) -> Result<Located, Reply> {
    let city = if let Some(latitude) = query.get("lat") {
        let coordinate = |text: &str, limit: f64| {
            text.parse::<f64>().ok().filter(|degrees| degrees.abs() <= limit)
        };
        let latitude = coordinate(latitude, 90.0).ok_or_else(|| wrong("wrong latitude"))?;
        let longitude = query.get("lon").and_then(|text| coordinate(text, 180.0));
        let longitude = longitude.ok_or_else(|| wrong("wrong longitude"))?;
        let city = cities::at_place(Place::new(latitude, longitude)).cloned();
        return Ok(Located { latitude, longitude, city });
    } else if let Some(name) = query.get("q") {
        by_name(name).cloned()
    } else if let Some(id) = query.get("id") {
        id.parse().ok().and_then(cities::by_id)
    } else if query.get("zip").is_some() {
        None
    } else {
        return Err(wrong("Nothing to geocode"));
    };
    let city = city.ok_or_else(|| Reply::json(StatusCode::NOT_FOUND, NOT_FOUND))?;
    Ok(Located { latitude: city.latitude, longitude: city.longitude, city: Some(city) })
}

/// `city`, `city,country` or `city,state,country`; only whole names.
fn by_name(asked: &str) -> Option<&'static City> {
    let mut parts = asked.split(',').map(str::trim);
    let name = fold(parts.next()?);
    let rest: Vec<&str> = parts.collect();
    named(&name).into_iter().filter(|city| fold(&city.name) == name).find(|city| match rest[..] {
        [] => true,
        [country] => country.eq_ignore_ascii_case(city.country_code),
        [state, country, ..] => {
            state.eq_ignore_ascii_case(city.admin1_code)
                && country.eq_ignore_ascii_case(city.country_code)
        }
    })
}

fn wrong(message: &str) -> Reply {
    Reply::json(StatusCode::BAD_REQUEST, format!("{{\"cod\":\"400\",\"message\":\"{message}\"}}"))
}

fn write(located: &Located, units: Units, options: &Options) -> String {
    let now = options.now.unix_seconds();
    let place = Place::new(located.latitude, located.longitude);
    let weather = weather_at(place, options.seed, now);
    let noon = now - now.rem_euclid(86_400) + 43_200 - i64::from(place.longitude_e4) * 24 / 1000;
    let (id, name, country) = match &located.city {
        None => (0, "", String::new()),
        Some(city) => {
            (city.id, city.name.as_ref(), format!("\"country\":\"{}\",", city.country_code))
        }
    };
    let (condition_id, group, description, icon) = condition(weather.code);
    let celsius = weather.temperature_decicelsius;
    // Gusts, rain and snow are left out when there are none to speak of.
    let gust = match weather.gusts_decikmh {
        strong @ 300.. => format!(",\"gust\":{}", units.wind(strong)),
        _ => String::new(),
    };
    let precipitation = match (weather.precipitation_centimm, weather.code) {
        (0, _) => String::new(),
        (fallen, 71..=77 | 85 | 86) => format!(",\"snow\":{{\"1h\":{}}}", trimmed(fallen, 2)),
        (fallen, _) => format!(",\"rain\":{{\"1h\":{}}}", trimmed(fallen, 2)),
    };
    format!(
        "{{\"coord\":{{\"lon\":{},\"lat\":{}}},\"weather\":[{{\"id\":{condition_id},\
         \"main\":\"{group}\",\"description\":\"{description}\",\"icon\":\"{icon}{}\"}}],\
         \"base\":\"stations\",\"main\":{{\"temp\":{},\"feels_like\":{},\"temp_min\":{},\
         \"temp_max\":{},\"pressure\":{},\"humidity\":{}}},\"visibility\":10000,\
         \"wind\":{{\"speed\":{},\"deg\":{}{gust}}}{precipitation},\"clouds\":{{\"all\":{}}},\
         \"dt\":{},\"sys\":{{{country}\"sunrise\":{},\"sunset\":{}}},\
         \"timezone\":{},\"id\":{id},\"name\":{},\"cod\":200}}",
        located.longitude,
        located.latitude,
        if weather.is_day { 'd' } else { 'n' },
        units.temperature(celsius),
        units.temperature(weather.apparent_decicelsius),
        units.temperature(celsius - 6),
        units.temperature(celsius + 7),
        weather.pressure_decihpa / 10,
        weather.humidity_percent,
        units.wind(weather.wind_decikmh),
        weather.wind_direction_degrees,
        weather.cloud_cover_percent,
        observed_at(now),
        noon - 21_600,
        noon + 21_600,
        zone_offset_seconds(place, now),
        Value::from(name),
    )
}

impl Units {
    fn temperature(self, decicelsius: i64) -> String {
        match self {
            Self::Standard => trimmed(decicelsius * 10 + 27_315, 2),
            Self::Metric => trimmed(decicelsius, 1),
            Self::Imperial => trimmed(decicelsius * 18 + 3_200, 2),
        }
    }

    fn wind(self, decikmh: i64) -> String {
        match self {
            Self::Standard | Self::Metric => trimmed(rounded_division(decikmh * 100, 36), 2),
            Self::Imperial => trimmed(rounded_division(decikmh * 621_371, 100_000), 2),
        }
    }
}

/// OpenWeather's condition for a WMO code: id, group, text, icon.
fn condition(code: u8) -> (u16, &'static str, &'static str, &'static str) {
    match code {
        0 => (800, "Clear", "clear sky", "01"),
        1 => (801, "Clouds", "few clouds", "02"),
        2 => (802, "Clouds", "scattered clouds", "03"),
        3 => (804, "Clouds", "overcast clouds", "04"),
        45 => (741, "Fog", "fog", "50"),
        51 => (300, "Drizzle", "light intensity drizzle", "09"),
        53 => (301, "Drizzle", "drizzle", "09"),
        61 => (500, "Rain", "light rain", "10"),
        63 => (501, "Rain", "moderate rain", "10"),
        65 => (502, "Rain", "heavy intensity rain", "10"),
        71 => (600, "Snow", "light snow", "13"),
        73 => (601, "Snow", "snow", "13"),
        75 => (602, "Snow", "heavy snow", "13"),
        80 => (520, "Rain", "light intensity shower rain", "09"),
        81 => (521, "Rain", "shower rain", "09"),
        82 => (522, "Rain", "heavy intensity shower rain", "09"),
        85 => (620, "Snow", "light shower snow", "13"),
        86 => (621, "Snow", "shower snow", "13"),
        95 => (211, "Thunderstorm", "thunderstorm", "11"),
        _ => (302, "Drizzle", "heavy intensity drizzle", "09"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;

    // 2026-03-10T12:34:56Z
    fn options() -> Options {
        let now = chrono::DateTime::from_timestamp(1_773_146_096, 0).unwrap();
        Options { now: Clock::fixed(now), ..Options::default() }
    }

    fn asked(query: &str) -> (u16, Value) {
        let reply = answer(&Query::parse(query, b""), &options());
        (reply.status.as_u16(), serde_json::from_slice(&reply.body).unwrap())
    }

    #[test]
    fn a_city_is_the_same_by_id_name_and_coordinates() {
        let (status, by_id) = asked("id=2988507&appid=k");
        assert_eq!((status, &by_id["cod"]), (200, &200.into()));
        assert_eq!(by_id["name"], "Paris");
        assert_eq!(by_id["timezone"], 3600);
        assert_eq!(asked("q=paris,fr&appid=k").1, by_id);
        assert_eq!(asked("lat=48.85341&lon=2.3488&appid=k").1, by_id);
        assert_eq!(asked("q=Paris,TX,US&appid=k").1["sys"]["country"], "US");
    }

    #[test]
    fn the_weather_is_the_forecasts_weather_in_other_units() {
        let weather = weather_at(Place::new(48.853_41, 2.3488), 0, 1_773_146_096);
        let celsius = weather.temperature_decicelsius as f64 / 10.0;
        let kelvin = asked("id=2988507&appid=k").1["main"]["temp"].as_f64().unwrap();
        assert!((kelvin - 273.15 - celsius).abs() < 1e-9);
        let (_, metric) = asked("id=2988507&appid=k&units=metric");
        assert!((metric["main"]["temp"].as_f64().unwrap() - celsius).abs() < 1e-9);
        let kmh = metric["wind"]["speed"].as_f64().unwrap() * 3.6;
        assert!((kmh - weather.wind_decikmh as f64 / 10.0).abs() < 0.05);
        assert_eq!(metric["main"]["humidity"], weather.humidity_percent);
        assert_eq!(metric["dt"], 1_773_145_800);
    }

    #[test]
    fn errors_have_openweathers_bodies() {
        assert_eq!(asked("lat=1&lon=2").0, 401);
        assert_eq!(asked("lat=1&lon=2&appid=bad-key").1["cod"], 401);
        let (status, body) = asked("q=Qwxyzzy&appid=k");
        assert_eq!((status, &body["cod"]), (404, &"404".into()));
        assert_eq!(asked("appid=k").1["message"], "Nothing to geocode");
        let (status, body) = asked("lat=91&lon=2&appid=k");
        assert_eq!((status, &body["message"]), (400, &"wrong latitude".into()));
        assert_eq!(asked("lat=1&lon=x&appid=k").1["message"], "wrong longitude");
    }

    #[test]
    fn each_code_has_an_id_of_its_own() {
        let codes = [0, 1, 2, 3, 45, 51, 53, 55, 61, 63, 65, 71, 73, 75, 80, 81, 82, 85, 86, 95];
        let ids: std::collections::HashSet<u16> =
            codes.into_iter().map(|code| condition(code).0).collect();
        assert_eq!(ids.len(), codes.len());
    }
}

//! OpenWeather: `/data/2.5/weather`, the current weather of one location per request.
//!
//! Guarantees: it shows the same weather as every other provider, in OpenWeather's format. A number
//! can be an integer or have decimals. `cod` is a number in a success and in a 401, but text in
//! other errors. `appid` is required, and the key `bad-key` is refused. Each WMO code has its own
//! condition id, so a client can convert an id back.
//! Does not: find a `zip`, or use `lang` and `mode`.

use hyper::StatusCode;
use serde_json::Value;

use super::geocoding::{find_cities, fold};
use super::open_meteo::zone_offset_seconds;
use crate::cities::{self, City};
use crate::decimal::{rounded_division, trimmed};
use crate::options::Options;
use crate::query::Query;
use crate::reply::Reply;
use crate::weather::{INTERVAL_SECONDS, Location, interval_start, weather_at};

/// The refused key.
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
        Ok(location) => Reply::ok(write(&location, units, options)).with_locations(1),
        Err(reply) => reply,
    }
}

/// The answer that OpenWeather usually sends with an error status.
pub fn usual_error(status: StatusCode) -> Reply {
    let body = match status.as_u16() {
        400 => return bad_request("Nothing to geocode"),
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
        let latitude = coordinate(latitude, 90.0).ok_or_else(|| bad_request("wrong latitude"))?;
        let longitude = query.get("lon").and_then(|text| coordinate(text, 180.0));
        let longitude = longitude.ok_or_else(|| bad_request("wrong longitude"))?;
        let city = cities::at_location(Location::new(latitude, longitude)).cloned();
        return Ok(Located { latitude, longitude, city });
    } else if let Some(name) = query.get("q") {
        by_name(name).cloned()
    } else if let Some(id) = query.get("id") {
        id.parse().ok().and_then(cities::by_id)
    } else if query.get("zip").is_some() {
        None
    } else {
        return Err(bad_request("Nothing to geocode"));
    };
    let city = city.ok_or_else(|| Reply::json(StatusCode::NOT_FOUND, NOT_FOUND))?;
    Ok(Located { latitude: city.latitude, longitude: city.longitude, city: Some(city) })
}

/// Finds `city`, `city,country` or `city,state,country`; the name must match completely.
fn by_name(query: &str) -> Option<&'static City> {
    let mut parts = query.split(',').map(str::trim);
    let name = fold(parts.next()?);
    let rest: Vec<&str> = parts.collect();
    find_cities(&name).into_iter().filter(|city| fold(&city.name) == name).find(|city| {
        match rest[..] {
            [] => true,
            [country] => country.eq_ignore_ascii_case(city.country_code),
            [state, country, ..] => {
                state.eq_ignore_ascii_case(city.admin1_code)
                    && country.eq_ignore_ascii_case(city.country_code)
            }
        }
    })
}

fn bad_request(message: &str) -> Reply {
    Reply::json(StatusCode::BAD_REQUEST, format!("{{\"cod\":\"400\",\"message\":\"{message}\"}}"))
}

fn write(located: &Located, units: Units, options: &Options) -> String {
    let now = options.now.unix_seconds();
    let location = Location::new(located.latitude, located.longitude);
    let weather = weather_at(location, options.seed, now);
    let noon = now - now.rem_euclid(86_400) + 43_200 - i64::from(location.longitude_e4) * 24 / 1000;
    let (id, name, country) = match &located.city {
        None => (0, "", String::new()),
        Some(city) => {
            (city.id, city.name.as_ref(), format!("\"country\":\"{}\",", city.country_code))
        }
    };
    let (condition_id, group, description, icon) = condition(weather.code);
    let celsius = weather.temperature_decicelsius;
    // Like the service, leaves out weak gusts, and rain or snow of zero.
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
        interval_start(now, INTERVAL_SECONDS),
        noon - 21_600,
        noon + 21_600,
        zone_offset_seconds(location, now),
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

/// The condition of OpenWeather for a WMO code: id, group, description, icon.
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

    fn get(query: &str) -> (u16, Value) {
        let reply = answer(&Query::parse(query, b""), &options());
        (reply.status.as_u16(), serde_json::from_slice(&reply.body).unwrap())
    }

    #[test]
    fn id_name_and_coordinates_find_one_city() {
        let (status, by_id) = get("id=2988507&appid=k");
        assert_eq!((status, &by_id["cod"]), (200, &200.into()));
        assert_eq!(by_id["name"], "Paris");
        assert_eq!(by_id["timezone"], 3600);
        assert_eq!(get("q=paris,fr&appid=k").1, by_id);
        assert_eq!(get("lat=48.85341&lon=2.3488&appid=k").1, by_id);
        assert_eq!(get("q=Paris,TX,US&appid=k").1["sys"]["country"], "US");
    }

    #[test]
    fn weather_is_the_same_as_in_the_forecast() {
        let weather = weather_at(Location::new(48.853_41, 2.3488), 0, 1_773_146_096);
        let celsius = weather.temperature_decicelsius as f64 / 10.0;
        let kelvin = get("id=2988507&appid=k").1["main"]["temp"].as_f64().unwrap();
        assert!((kelvin - 273.15 - celsius).abs() < 1e-9);
        let (_, metric) = get("id=2988507&appid=k&units=metric");
        assert!((metric["main"]["temp"].as_f64().unwrap() - celsius).abs() < 1e-9);
        let kmh = metric["wind"]["speed"].as_f64().unwrap() * 3.6;
        assert!((kmh - weather.wind_decikmh as f64 / 10.0).abs() < 0.05);
        assert_eq!(metric["main"]["humidity"], weather.humidity_percent);
        assert_eq!(metric["dt"], 1_773_145_800);
    }

    #[test]
    fn errors_have_the_bodies_of_openweather() {
        assert_eq!(get("lat=1&lon=2").0, 401);
        assert_eq!(get("lat=1&lon=2&appid=bad-key").1["cod"], 401);
        let (status, body) = get("q=Qwxyzzy&appid=k");
        assert_eq!((status, &body["cod"]), (404, &"404".into()));
        assert_eq!(get("appid=k").1["message"], "Nothing to geocode");
        let (status, body) = get("lat=91&lon=2&appid=k");
        assert_eq!((status, &body["message"]), (400, &"wrong latitude".into()));
        assert_eq!(get("lat=1&lon=x&appid=k").1["message"], "wrong longitude");
    }

    #[test]
    fn each_code_has_its_own_id() {
        let codes = [0, 1, 2, 3, 45, 51, 53, 55, 61, 63, 65, 71, 73, 75, 80, 81, 82, 85, 86, 95];
        let ids: std::collections::HashSet<u16> =
            codes.into_iter().map(|code| condition(code).0).collect();
        assert_eq!(ids.len(), codes.len());
    }
}

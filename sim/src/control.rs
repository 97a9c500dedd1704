//! Control routes: `/_sim/` shows and changes the state of the simulator.
//!
//! - `GET /_sim/stats`, `DELETE /_sim/stats`: the counters; DELETE sets them to zero.
//! - `GET|POST|DELETE /_sim/faults`: the fault plan. POST adds one rule ([`Fault`]). Each of the
//!   three returns the plan as it is after the request.
//! - `GET /_sim/expected?city_id=` (or `latitude=&longitude=`): the right answer for that city now.
//!
//! Guarantees: these requests are never delayed, limited, counted or faulted.

use hyper::{Method, StatusCode};
use serde_json::json;

use crate::air_quality::{self, air_quality_at};
use crate::cities;
use crate::decimal::fixed;
use crate::faults::Fault;
use crate::providers::open_meteo::utc_time;
use crate::query::Query;
use crate::reply::Reply;
use crate::simulator::Simulator;
use crate::weather::{self, Location, interval_start, weather_at};

pub fn answer(
    simulator: &Simulator,
    method: &Method,
    path: &str,
    query: &Query<'_>,
    body: &[u8],
) -> Reply {
    match (method.as_str(), path.trim_end_matches('/')) {
        ("GET", "/_sim/stats") => stats(simulator),
        ("DELETE", "/_sim/stats") => {
            simulator.counters.clear();
            stats(simulator)
        }
        ("GET", "/_sim/faults") => fault_plan(simulator),
        ("POST", "/_sim/faults") => add_fault(simulator, body),
        ("DELETE", "/_sim/faults") => {
            simulator.faults.clear();
            fault_plan(simulator)
        }
        ("GET", "/_sim/expected") => expected(simulator, query),
        (_, "/_sim/stats" | "/_sim/faults" | "/_sim/expected") => {
            error(StatusCode::METHOD_NOT_ALLOWED, "method not allowed")
        }
        _ => error(
            StatusCode::NOT_FOUND,
            "unknown path; known: /_sim/stats, /_sim/faults, /_sim/expected",
        ),
    }
}

fn stats(simulator: &Simulator) -> Reply {
    Reply::ok(simulator.counters.to_json().to_string())
}

fn fault_plan(simulator: &Simulator) -> Reply {
    Reply::ok(simulator.faults.to_json().to_string())
}

fn add_fault(simulator: &Simulator, body: &[u8]) -> Reply {
    let added = serde_json::from_slice::<Fault>(body)
        .map_err(|error| format!("invalid fault: {error}"))
        .and_then(|fault| simulator.faults.add(fault));
    match added {
        Ok(()) => fault_plan(simulator),
        Err(reason) => error(StatusCode::BAD_REQUEST, &reason),
    }
}

fn expected(simulator: &Simulator, query: &Query<'_>) -> Reply {
    let coordinate = |name| query.get(name).and_then(|text| text.parse::<f64>().ok());
    let location = match query.get("city_id") {
        Some(id) => id.parse().ok().and_then(cities::by_id).map(|city| city.location()),
        None => coordinate("latitude")
            .zip(coordinate("longitude"))
            .map(|(latitude, longitude)| Location::new(latitude, longitude)),
    };
    let Some(location) = location else {
        return error(
            StatusCode::NOT_FOUND,
            "unknown city; pass city_id, or latitude and longitude",
        );
    };
    let now = simulator.options.now.unix_seconds();
    let weather = weather_at(location, simulator.options.seed, now);
    let air = air_quality_at(location, simulator.options.seed, now);
    Reply::ok(format!(
        "{{\"temperature\":{},\"windspeed\":{},\"winddirection\":{},\"weathercode\":{},\
         \"humidity\":{},\"time\":\"{}\",\"air_quality\":{{\"observed_at\":\"{}\",\"pm10\":{},\
         \"pm2_5\":{},\"carbon_monoxide\":{},\"nitrogen_dioxide\":{},\"ozone\":{},\
         \"european_aqi\":{},\"us_aqi\":{}}}}}",
        fixed(weather.temperature_decicelsius, 1),
        fixed(weather.wind_decikmh, 1),
        weather.wind_direction_degrees,
        weather.code,
        weather.humidity_percent,
        utc_time(interval_start(now, weather::INTERVAL_SECONDS)),
        utc_time(interval_start(now, air_quality::INTERVAL_SECONDS)),
        fixed(air.pm10_tenths, 1),
        fixed(air.pm2_5_tenths, 1),
        fixed(air.carbon_monoxide_tenths, 1),
        fixed(air.nitrogen_dioxide_tenths, 1),
        fixed(air.ozone_tenths, 1),
        air.european_aqi,
        air.us_aqi,
    ))
}

fn error(status: StatusCode, reason: &str) -> Reply {
    Reply::json(status, json!({ "error": reason }).to_string())
}

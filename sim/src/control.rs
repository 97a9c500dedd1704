//! `/_sim/`: what tests and people ask of the simulator itself.
//!
//! - `GET /_sim/stats`, `DELETE /_sim/stats`: counters, and back to nothing
//! - `GET|POST|DELETE /_sim/faults`: the fault plan; a POST adds one rule ([`Fault`]), all
//!   three answer with the plan as it then is
//! - `GET /_sim/expected?city_id=` (or `latitude=&longitude=`): what is reported for that city now
//!
//! Nothing here is delayed, limited, counted or faulted.

use hyper::{Method, StatusCode};
use serde_json::json;

use crate::cities;
use crate::decimal::fixed;
use crate::faults::Fault;
use crate::providers::forecast::utc_time;
use crate::query::Query;
use crate::reply::Reply;
use crate::simulator::Simulator;
use crate::weather::{Place, observed_at, weather_at};

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
        ("GET", "/_sim/faults") => plan(simulator),
        ("POST", "/_sim/faults") => add_fault(simulator, body),
        ("DELETE", "/_sim/faults") => {
            simulator.faults.clear();
            plan(simulator)
        }
        ("GET", "/_sim/expected") => expected(simulator, query),
        (_, "/_sim/stats" | "/_sim/faults" | "/_sim/expected") => {
            problem(StatusCode::METHOD_NOT_ALLOWED, "this method is not served here")
        }
        _ => problem(StatusCode::NOT_FOUND, "there are stats, faults and expected under /_sim/"),
    }
}

fn stats(simulator: &Simulator) -> Reply {
    Reply::ok(simulator.counters.to_json().to_string())
}

fn plan(simulator: &Simulator) -> Reply {
    Reply::ok(simulator.faults.to_json().to_string())
}

fn add_fault(simulator: &Simulator, body: &[u8]) -> Reply {
    let added = serde_json::from_slice::<Fault>(body)
        .map_err(|error| format!("not a fault: {error}"))
        .and_then(|fault| simulator.faults.add(fault));
    match added {
        Ok(()) => plan(simulator),
        Err(error) => problem(StatusCode::BAD_REQUEST, &error),
    }
}

fn expected(simulator: &Simulator, query: &Query<'_>) -> Reply {
    let coordinate = |name| query.get(name).and_then(|text| text.parse::<f64>().ok());
    let place = match query.get("city_id") {
        Some(id) => id.parse().ok().and_then(cities::by_id).map(|city| city.place()),
        None => coordinate("latitude")
            .zip(coordinate("longitude"))
            .map(|(latitude, longitude)| Place::new(latitude, longitude)),
    };
    let Some(place) = place else {
        return problem(StatusCode::NOT_FOUND, "no city with that city_id");
    };
    let now = simulator.options.now.unix_seconds();
    let weather = weather_at(place, simulator.options.seed, now);
    Reply::ok(format!(
        "{{\"temperature\":{},\"windspeed\":{},\"winddirection\":{},\"weathercode\":{},\
         \"humidity\":{},\"time\":\"{}\"}}",
        fixed(weather.temperature_decicelsius, 1),
        fixed(weather.wind_decikmh, 1),
        weather.wind_direction_degrees,
        weather.code,
        weather.humidity_percent,
        utc_time(observed_at(now)),
    ))
}

fn problem(status: StatusCode, error: &str) -> Reply {
    Reply::json(status, json!({ "error": error }).to_string())
}

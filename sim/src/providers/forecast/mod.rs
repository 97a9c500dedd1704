//! Open-Meteo `/v1/forecast`: current weather of 1 to 1,000 places in one request.
//!
//! Guaranteed as the service does it: more than one place is an array and exactly one a bare
//! object; `location_id` is left out when it is 0; the coordinates returned are the centres of grid
//! cells, never echoes; decimals are fixed by unit; one bad place fails the whole request.
//! The place at latitude exactly -89.9 has no data.
//!
//! Not simulated, and refused rather than ignored: `hourly`, `daily`, `minutely_15` and formats but
//! JSON. `models`, `cell_selection` and `apikey` change nothing. Parsing: [`request`]; quantities and
//! units: [`variables`]; time zones: [`zone`]; the JSON, which is the hot path: [`body`].

mod body;
mod request;
mod variables;
mod zone;

use crate::options::Options;
use crate::query::Query;
use crate::reply::Reply;
use request::Forecast;

pub use request::NO_DATA;
pub use zone::{utc_time, zone_offset_seconds};

const TOO_MUCH: &str = "Your API call requests too much data. Please reduce the number of variables, \
    locations and/or weather models.";

/// The heaviest request that is served.
const MAX_WEIGHT: f64 = 5_000.0;

pub fn answer(query: &Query<'_>, options: &Options, nulls: bool) -> Reply {
    let forecast = match Forecast::parse(query) {
        Ok(forecast) => forecast,
        Err(reason) => return Reply::bad_request(&reason),
    };
    let weight = forecast.weight();
    if weight > MAX_WEIGHT {
        return Reply::bad_request(TOO_MUCH);
    }
    match body::write(&forecast, options.seed, options.now.unix_seconds(), nulls) {
        Ok(json) => Reply { weight, ..Reply::ok(json).with_locations(forecast.places.len()) },
        Err(reason) => Reply::bad_request(reason),
    }
}

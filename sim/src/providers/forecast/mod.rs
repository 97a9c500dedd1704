//! Forecast: Open-Meteo's `/v1/forecast`, the current weather of 1 to 1,000 locations per request.
//!
//! Guarantees: several locations give an array, exactly one gives an object. A `location_id` of 0
//! is absent. Returned coordinates are centres of grid cells. The unit fixes the decimals. One bad
//! location fails the whole request. The latitude -89.9 has no data.
//! Does not: serve `hourly`, `daily`, `minutely_15` or formats other than JSON; it refuses them.
//! `models`, `cell_selection` and `apikey` have no effect.
//! Next: [`request`] (parameters), [`variables`] (quantities and units), [`zone`] (time zones),
//! [`body`] (the JSON).

mod body;
mod request;
mod variables;
mod zone;

use crate::options::Options;
use crate::query::Query;
use crate::reply::Reply;
use request::ForecastRequest;

pub use request::NO_DATA;
pub use zone::{utc_time, zone_offset_seconds};

const TOO_MUCH: &str = "Your API call requests too much data. Please reduce the number of variables, \
    locations and/or weather models.";

/// The highest weight that is served.
const MAX_WEIGHT: f64 = 5_000.0;

pub fn answer(query: &Query<'_>, options: &Options, nulls: bool) -> Reply {
    let forecast = match ForecastRequest::parse(query) {
        Ok(forecast) => forecast,
        Err(reason) => return Reply::bad_request(&reason),
    };
    let weight = forecast.weight();
    if weight > MAX_WEIGHT {
        return Reply::bad_request(TOO_MUCH);
    }
    match body::write(&forecast, options.seed, options.now.unix_seconds(), nulls) {
        Ok(json) => Reply { weight, ..Reply::ok(json).with_locations(forecast.locations.len()) },
        Err(reason) => Reply::bad_request(reason),
    }
}

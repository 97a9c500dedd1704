//! Open-Meteo: current values of 1 to 1,000 locations, from `/v1/forecast` and `/v1/air-quality`.
//!
//! Guarantees: several locations give an array, exactly one gives an object. A `location_id` of 0
//! is absent. Returned coordinates are centres of grid cells. The unit fixes the decimals. One bad
//! location fails the whole request. The latitude -89.9 has no data.
//! Does not: serve `hourly`, `daily`, `minutely_15` or formats other than JSON; it refuses them.
//! `models`, `domains`, `cell_selection` and `apikey` have no effect. Both endpoints accept the
//! `forecast_days` of the forecast.
//! Next: [`request`] (parameters), [`dataset`] (variables and units), [`forecast`] and
//! [`air_quality`] (the two tables), [`zone`] (time zones), [`body`] (the JSON).

mod air_quality;
mod body;
mod dataset;
mod forecast;
mod request;
mod zone;

use crate::options::Options;
use crate::query::Query;
use crate::reply::Reply;
use dataset::Dataset;
use request::CurrentRequest;

pub use air_quality::AIR_QUALITY;
pub use forecast::FORECAST;
pub use request::NO_DATA;
pub use zone::{utc_time, zone_offset_seconds};

const TOO_MUCH: &str = "Your API call requests too much data. Please reduce the number of variables, \
    locations and/or weather models.";

/// The highest weight that is served.
const MAX_WEIGHT: f64 = 5_000.0;

pub fn answer<T>(dataset: &Dataset<T>, query: &Query<'_>, options: &Options, nulls: bool) -> Reply {
    let request = match CurrentRequest::parse(dataset, query) {
        Ok(request) => request,
        Err(reason) => return Reply::bad_request(&reason),
    };
    let weight = request.weight();
    if weight > MAX_WEIGHT {
        return Reply::bad_request(TOO_MUCH);
    }
    match body::write(dataset, &request, options.seed, options.now.unix_seconds(), nulls) {
        Ok(json) => Reply { weight, ..Reply::ok(json).with_locations(request.locations.len()) },
        Err(reason) => Reply::bad_request(reason),
    }
}

//! Providers: one file per upstream, and the choice of the provider that answers a request.
//!
//! Guarantees: a provider is a pure function from parameters, options and time to a whole reply.
//! Does not: apply faults, limits, latency or counters (see [`crate::dispatch`]).
//! To add an upstream, add a file here, a row to [`Endpoint`] and a line to [`answer`].

pub mod city_source;
pub mod dummyjson;
pub mod geocoding;
pub mod jsonplaceholder;
pub mod open_meteo;
pub mod openweather;
pub mod random_data;
pub mod user_service;

use hyper::StatusCode;

use crate::endpoint::Endpoint;
use crate::faults::ResponseFault;
use crate::limiter::MINUTELY;
use crate::options::Options;
use crate::query::Query;
use crate::reply::Reply;
use open_meteo::{AIR_QUALITY, FORECAST};
use user_service::{RecordContext, UserService};

/// A request to an upstream.
#[derive(Clone, Copy, Debug)]
pub struct Call<'a> {
    pub endpoint: Endpoint,
    /// The item after the path of the endpoint: `7` in `/users/7`.
    pub item: Option<&'a str>,
    pub query: &'a Query<'a>,
    /// How many requests the endpoint had before this one.
    pub nth: u64,
    pub fault: ResponseFault,
}

/// The right answer of an upstream.
pub fn answer(call: Call<'_>, options: &Options) -> Reply {
    let Call { endpoint, item, query, nth, fault } = call;
    let context = RecordContext { seed: options.seed, nth, now: options.now.now(), fault };
    let list = |service: &UserService| service.answer(item, query, &context);
    match endpoint {
        Endpoint::Cities => city_source::answer(query, options.cities, fault.shift_rows),
        Endpoint::Forecast => open_meteo::answer(&FORECAST, query, options, fault.nulls),
        Endpoint::AirQuality => open_meteo::answer(&AIR_QUALITY, query, options, fault.nulls),
        Endpoint::GeocodingSearch => geocoding::search(query, options.seed),
        Endpoint::GeocodingGet => geocoding::get(query, options.seed),
        Endpoint::OpenWeather => openweather::answer(query, options),
        Endpoint::Users | Endpoint::JsonPlaceholder | Endpoint::DummyJson => {
            let is_dummyjson = call.is_dummyjson();
            list(if is_dummyjson { &dummyjson::USERS } else { &jsonplaceholder::USERS })
        }
        Endpoint::Addresses | Endpoint::AddressesV1 => list(&random_data::ADDRESSES),
        Endpoint::Cards | Endpoint::CardsV1 => list(&random_data::CARDS),
    }
}

/// The answer that an upstream usually sends with an error status.
pub fn usual_error(endpoint: Endpoint, status: StatusCode) -> Reply {
    match endpoint {
        Endpoint::OpenWeather => openweather::usual_error(status),
        Endpoint::Users | Endpoint::JsonPlaceholder => jsonplaceholder::USERS.usual_error(status),
        Endpoint::DummyJson => dummyjson::USERS.usual_error(status),
        Endpoint::Addresses | Endpoint::AddressesV1 => random_data::ADDRESSES.usual_error(status),
        Endpoint::Cards | Endpoint::CardsV1 => random_data::CARDS.usual_error(status),
        _ => Reply::reason(status, usual_reason(status)),
    }
}

/// Every card number that a simulator with this seed can send, in the format in which it is sent.
pub fn card_numbers(seed: u64) -> Vec<String> {
    let of_users = (0..dummyjson::USERS.total).map(|index| dummyjson::card_number(index, seed));
    of_users.chain(random_data::CARD_NUMBERS.map(str::to_owned)).collect()
}

impl Call<'_> {
    /// Whether DummyJSON answers this request, so that its limit applies.
    pub fn is_dummyjson(&self) -> bool {
        let has_its_parameter =
            || ["limit", "skip", "select"].iter().any(|name| self.query.get(name).is_some());
        match self.endpoint {
            Endpoint::DummyJson => true,
            Endpoint::Users => has_its_parameter(),
            _ => false,
        }
    }
}

fn usual_reason(status: StatusCode) -> &'static str {
    match status.as_u16() {
        400 => open_meteo::NO_DATA,
        401 => "API key required. Please add &apikey= to the URL.",
        403 => "This API endpoint requires the API Professional or Enterprise plan",
        429 => MINUTELY,
        503 => "The service is overloaded",
        _ => status.canonical_reason().unwrap_or("Error"),
    }
}

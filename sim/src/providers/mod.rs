//! The upstreams, one file each, and the endpoints by which they are reached.
//!
//! A provider is a pure function from parameters, options and the time to a whole reply: faults,
//! limits, latency and counting are not its business ([`crate::dispatch`]). A new upstream is a new
//! file here, one variant of [`Endpoint`] and one line in [`answer`].
//!
//! JSONPlaceholder and DummyJSON both live under `/users`. Each has a path of its own here, and plain
//! `/users` is JSONPlaceholder's unless a parameter that only DummyJSON knows is given.

pub mod city_source;
pub mod dummyjson;
pub mod forecast;
pub mod geocoding;
pub mod jsonplaceholder;
pub mod openweather;
pub mod random_data;

use hyper::{Method, StatusCode};

use crate::Options;
use crate::limiter::MINUTELY;
use crate::query::Query;
use crate::reply::Reply;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Endpoint {
    Cities,
    Forecast,
    GeocodingSearch,
    GeocodingGet,
    OpenWeather,
    Users,
    JsonPlaceholder,
    DummyJson,
    Addresses,
    AddressesV1,
    Cards,
    CardsV1,
}

/// A request of an upstream.
#[derive(Clone, Copy, Debug)]
pub struct Call<'a> {
    pub endpoint: Endpoint,
    /// What stands in the path behind the endpoint's own: `7` in `/users/7`.
    pub item: Option<&'a str>,
    pub query: &'a Query<'a>,
    /// How many requests this endpoint had before.
    pub nth: u64,
    pub twist: Twist,
}

/// How a fault wants a true answer bent.
#[derive(Clone, Copy, Debug, Default)]
pub struct Twist {
    /// Forecast values are `null`.
    pub nulls: bool,
    /// Pages of cities and of DummyJSON's users begin so many rows early.
    pub shift_rows: usize,
    /// Addresses and cards that are missing from the end of an answer.
    pub missing_rows: usize,
}

/// A true answer of an upstream.
pub fn answer(call: Call<'_>, options: &Options) -> Reply {
    let Call { endpoint, item, query, nth, twist } = call;
    let draw =
        |kind| random_data::Draw { kind, seed: options.seed, nth, now: options.now.now(), twist };
    match endpoint {
        Endpoint::Cities => city_source::answer(query, options.cities, twist.shift_rows),
        Endpoint::Forecast => forecast::answer(query, options, twist.nulls),
        Endpoint::GeocodingSearch => geocoding::search(query, options.seed),
        Endpoint::GeocodingGet => geocoding::get(query, options.seed),
        Endpoint::OpenWeather => openweather::answer(query, options),
        Endpoint::Users | Endpoint::JsonPlaceholder | Endpoint::DummyJson => {
            if call.is_dummyjson() {
                dummyjson::answer(item, query, options.seed, twist.shift_rows)
            } else {
                jsonplaceholder::answer(item, query)
            }
        }
        Endpoint::Addresses | Endpoint::AddressesV1 => {
            random_data::answer(query, draw(random_data::Kind::Address))
        }
        Endpoint::Cards | Endpoint::CardsV1 => {
            random_data::answer(query, draw(random_data::Kind::Card))
        }
    }
}

/// Every card number that a simulator of this seed can give out, as it is written there.
pub fn card_numbers(seed: u64) -> Vec<String> {
    let of_users = (0..dummyjson::USERS).map(|index| dummyjson::card_number(index, seed));
    of_users.chain(random_data::CARD_NUMBERS.map(str::to_owned)).collect()
}

impl Call<'_> {
    /// Whether DummyJSON answers, and its limit counts.
    pub fn is_dummyjson(&self) -> bool {
        let asks_for_it =
            || ["limit", "skip", "select"].iter().any(|name| self.query.get(name).is_some());
        match self.endpoint {
            Endpoint::DummyJson => true,
            Endpoint::Users => asks_for_it(),
            _ => false,
        }
    }
}

impl Endpoint {
    pub const ALL: [Self; 12] = [
        Self::Cities,
        Self::Forecast,
        Self::GeocodingSearch,
        Self::GeocodingGet,
        Self::OpenWeather,
        Self::Users,
        Self::JsonPlaceholder,
        Self::DummyJson,
        Self::Addresses,
        Self::AddressesV1,
        Self::Cards,
        Self::CardsV1,
    ];

    pub fn path(self) -> &'static str {
        match self {
            Self::Cities => "/cities/",
            Self::Forecast => "/v1/forecast",
            Self::GeocodingSearch => "/v1/search",
            Self::GeocodingGet => "/v1/get",
            Self::OpenWeather => "/data/2.5/weather",
            Self::Users => "/users",
            Self::JsonPlaceholder => "/jsonplaceholder/users",
            Self::DummyJson => "/dummyjson/users",
            Self::Addresses => "/api/v2/addresses",
            Self::AddressesV1 => "/api/address/random_address",
            Self::Cards => "/api/v2/credit_cards",
            Self::CardsV1 => "/api/business_credit_card/random_card",
        }
    }

    /// Whether `path` means this endpoint; a final slash makes no difference.
    pub fn is_at(self, path: &str) -> bool {
        let path = path.trim_end_matches('/');
        path == self.path().trim_end_matches('/') || self.item(path).is_some()
    }

    /// What a path names of this endpoint's list, if it names one.
    pub fn item(self, path: &str) -> Option<&str> {
        if !matches!(self, Self::Users | Self::JsonPlaceholder | Self::DummyJson) {
            return None;
        }
        let item = path.trim_end_matches('/').strip_prefix(self.path())?.strip_prefix('/')?;
        (!item.is_empty() && !item.contains('/')).then_some(item)
    }

    pub fn allows(self, method: &Method) -> bool {
        method == Method::GET || (method == Method::POST && self == Self::Forecast)
    }

    /// The body this upstream usually sends with an error status.
    pub fn usual_error(self, status: StatusCode) -> Reply {
        match self {
            Self::OpenWeather => openweather::usual_error(status),
            Self::Users | Self::JsonPlaceholder => jsonplaceholder::usual_error(status),
            Self::DummyJson => dummyjson::usual_error(status),
            Self::Addresses | Self::AddressesV1 | Self::Cards | Self::CardsV1 => {
                random_data::usual_error(status)
            }
            _ => Reply::reason(status, usual_reason(status)),
        }
    }
}

fn usual_reason(status: StatusCode) -> &'static str {
    match status.as_u16() {
        400 => forecast::NO_DATA,
        401 => "API key required. Please add &apikey= to the URL.",
        403 => "This API endpoint requires the API Professional or Enterprise plan",
        429 => MINUTELY,
        503 => "The service is overloaded",
        _ => status.canonical_reason().unwrap_or("Error"),
    }
}

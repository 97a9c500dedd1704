//! The upstreams, one file each, and the endpoints by which they are reached.
//!
//! A provider is a pure function from parameters, options and the time to a whole reply: faults,
//! limits, latency and counting are not its business ([`crate::dispatch`]). A new upstream is a new
//! file here, one variant of [`Endpoint`] and one line in [`answer`].

pub mod city_source;
pub mod forecast;
pub mod geocoding;
pub mod openweather;

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
}

/// How a fault wants a true answer bent.
#[derive(Clone, Copy, Debug, Default)]
pub struct Twist {
    /// Forecast values are `null`.
    pub nulls: bool,
    /// City pages begin so many rows early.
    pub shift_rows: usize,
}

/// A true answer of an upstream.
pub fn answer(endpoint: Endpoint, query: &Query<'_>, options: &Options, twist: Twist) -> Reply {
    match endpoint {
        Endpoint::Cities => city_source::answer(query, options.cities, twist.shift_rows),
        Endpoint::Forecast => forecast::answer(query, options, twist.nulls),
        Endpoint::GeocodingSearch => geocoding::search(query, options.seed),
        Endpoint::GeocodingGet => geocoding::get(query, options.seed),
        Endpoint::OpenWeather => openweather::answer(query, options),
    }
}

impl Endpoint {
    pub const ALL: [Self; 5] = [
        Self::Cities,
        Self::Forecast,
        Self::GeocodingSearch,
        Self::GeocodingGet,
        Self::OpenWeather,
    ];

    pub fn path(self) -> &'static str {
        match self {
            Self::Cities => "/cities/",
            Self::Forecast => "/v1/forecast",
            Self::GeocodingSearch => "/v1/search",
            Self::GeocodingGet => "/v1/get",
            Self::OpenWeather => "/data/2.5/weather",
        }
    }

    /// Whether `path` means this endpoint; a final slash makes no difference.
    pub fn is_at(self, path: &str) -> bool {
        path.trim_end_matches('/') == self.path().trim_end_matches('/')
    }

    pub fn allows(self, method: &Method) -> bool {
        method == Method::GET || (method == Method::POST && self == Self::Forecast)
    }

    /// The body this upstream usually sends with an error status.
    pub fn usual_error(self, status: StatusCode) -> Reply {
        match self {
            Self::OpenWeather => openweather::usual_error(status),
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

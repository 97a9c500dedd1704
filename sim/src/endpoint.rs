//! Endpoint: the paths that the simulator serves, as one table.
//!
//! Guarantees: JSONPlaceholder and DummyJSON each have their own path, although both use `/users`
//! in reality. Plain `/users` belongs to JSONPlaceholder, except with a parameter of DummyJSON.
//! Does not: know which provider answers (see [`crate::providers`]).

use hyper::Method;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Endpoint {
    Cities,
    Forecast,
    AirQuality,
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

impl Endpoint {
    /// Every endpoint with its path, in the order of the variants.
    const PATHS: [(Self, &str); 13] = [
        (Self::Cities, "/cities/"),
        (Self::Forecast, "/v1/forecast"),
        (Self::AirQuality, "/v1/air-quality"),
        (Self::GeocodingSearch, "/v1/search"),
        (Self::GeocodingGet, "/v1/get"),
        (Self::OpenWeather, "/data/2.5/weather"),
        (Self::Users, "/users"),
        (Self::JsonPlaceholder, "/jsonplaceholder/users"),
        (Self::DummyJson, "/dummyjson/users"),
        (Self::Addresses, "/api/v2/addresses"),
        (Self::AddressesV1, "/api/address/random_address"),
        (Self::Cards, "/api/v2/credit_cards"),
        (Self::CardsV1, "/api/business_credit_card/random_card"),
    ];

    pub const COUNT: usize = Self::PATHS.len();

    pub fn all() -> impl Iterator<Item = Self> {
        Self::PATHS.into_iter().map(|(endpoint, _)| endpoint)
    }

    pub fn path(self) -> &'static str {
        Self::PATHS[self as usize].1
    }

    /// The endpoint that serves `path`, with or without a final slash.
    pub fn at(path: &str) -> Option<Self> {
        Self::all().find(|endpoint| endpoint.is_at(path))
    }

    pub fn is_at(self, path: &str) -> bool {
        let path = path.trim_end_matches('/');
        path == self.path().trim_end_matches('/') || self.item(path).is_some()
    }

    /// The item after the path of the endpoint: `7` in `/users/7`.
    pub fn item(self, path: &str) -> Option<&str> {
        if !matches!(self, Self::Users | Self::JsonPlaceholder | Self::DummyJson) {
            return None;
        }
        let item = path.trim_end_matches('/').strip_prefix(self.path())?.strip_prefix('/')?;
        (!item.is_empty() && !item.contains('/')).then_some(item)
    }

    pub fn allows(self, method: &Method) -> bool {
        let takes_forms = matches!(self, Self::Forecast | Self::AirQuality);
        method == Method::GET || (method == Method::POST && takes_forms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table_and_variants_have_one_order() {
        for (position, endpoint) in Endpoint::all().enumerate() {
            assert_eq!(endpoint as usize, position);
            assert_eq!(Endpoint::at(endpoint.path()), Some(endpoint));
        }
    }
}

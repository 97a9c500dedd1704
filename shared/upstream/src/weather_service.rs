//! WeatherService: the weather services that a client asks, each with a host of its own.
//!
//! Guarantees: breaker, quota, metrics and operator commands loop over [`WeatherService::ALL`]; one more
//! service is one variant and its arm in [`WeatherService::host`].

use isobar_model::quota::QuotaLimits;
use isobar_model::string_enum;
use isobar_settings::{AIR_QUALITY_HOST, GEOCODING_HOST, Settings};
use url::Url;

use crate::host::Host;
use crate::http::host_name;

string_enum! {
    /// A weather service, as metrics spell it.
    WeatherService { Forecast = "forecast", Geocoding = "geocoding", AirQuality = "air_quality" }
}

impl WeatherService {
    pub fn url(self, settings: &Settings) -> &Url {
        match self {
            Self::Forecast => settings.upstream_url(),
            Self::Geocoding => &settings.geocoding_url.0,
            Self::AirQuality => &settings.air_quality_url.0,
        }
    }

    /// Its host, with the quota that the provider grants there.
    pub fn host(self, settings: &Settings) -> Host {
        let url = self.url(settings);
        let (limits, takes_turns) = match self {
            Self::Forecast => (settings.quota_limits(), settings.is_free_tier()),
            // The public geocoder has an allowance of its own; another one has no known limit.
            Self::Geocoding => match url.host_str() {
                Some(GEOCODING_HOST) => (settings.quota_limits(), false),
                _ => (QuotaLimits::default(), false),
            },
            Self::AirQuality => {
                (settings.quota_limits_at(url), url.host_str() == Some(AIR_QUALITY_HOST))
            }
        };
        Host::new(host_name(url), limits, takes_turns, settings.upstream_breaker)
    }
}

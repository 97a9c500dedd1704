//! Weather client: the weather services for workers and API alike.
//!
//! Guarantees: every answer is one [`Answer`]; the client does not sleep for a quota or an open
//! breaker. Does not: retry beyond two tries of one request; the caller gives entries back.
//! Next: [`crate::client`] (one request), [`crate::forecast`], [`crate::geocoding`].

use std::sync::Arc;

use chrono::{DateTime, Utc};
use isobar_broker::{Broker, Flags};
use isobar_model::city::Coordinates;
use isobar_settings::Settings;
use isobar_settings::values::WeatherProvider;

use crate::air_quality::AirQuality;
use crate::answer::{Answer, Priority, WaitReason};
use crate::client::Client;
use crate::geocoding::{self, Named};
use crate::host::UpstreamState;
use crate::observation::Observation;
use crate::quota::QuotaState;
use crate::weather_service::WeatherService;
use crate::{air_quality, forecast, openweather};

/// A client of the configured provider. Cheap to clone; clones share breakers and connections.
#[derive(Clone, Debug)]
pub struct WeatherClient {
    pub(crate) client: Arc<Client>,
}

impl WeatherClient {
    pub fn new(settings: Arc<Settings>, broker: Broker) -> anyhow::Result<Self> {
        Ok(Self { client: Arc::new(Client::new(settings, broker)?) })
    }

    /// The weather at each of `locations`, in their order. At most
    /// [`Settings::locations_per_request`] of them.
    pub async fn weather(
        &self,
        locations: &[Coordinates],
        priority: Priority,
    ) -> Answer<Vec<Observation>> {
        match self.client.settings().weather_provider {
            WeatherProvider::OpenMeteo => {
                forecast::weather(&self.client, locations, priority).await
            }
            WeatherProvider::OpenWeather => {
                openweather::weather(&self.client, locations, priority).await
            }
        }
    }

    /// The air quality at each of `locations`, in their order.
    pub async fn air_quality(
        &self,
        locations: &[Coordinates],
        priority: Priority,
    ) -> Answer<Vec<AirQuality>> {
        air_quality::current(&self.client, locations, priority).await
    }

    /// The cities of this name, most populous first; empty when the geocoder knows none.
    pub async fn geocode(
        &self,
        name: &str,
        country_code: Option<&str>,
        priority: Priority,
    ) -> Answer<Named> {
        geocoding::search(&self.client, name, country_code, priority).await
    }

    /// Until when tasks that need `service` are useless to read, and why (open breaker, exhausted
    /// quota); `None` if they are useful now. Never uses up the breaker's probe.
    pub fn closed_until(&self, service: WeatherService) -> Option<(DateTime<Utc>, WaitReason)> {
        self.client.host(service).closed_until()
    }

    /// The hosts that have a breaker of their own, in the order of [`WeatherService::ALL`].
    pub fn hosts(&self) -> Vec<&str> {
        self.client.hosts().map(|(_, host)| host.name.as_str()).collect()
    }

    /// Closes the breakers that operators have reset since the last call.
    pub fn apply_flags(&self, flags: &Flags) {
        for (_, host) in self.client.hosts() {
            host.apply_flags(flags);
        }
    }

    /// The quota of forecasts; `None` without a limit, or while the broker does not respond.
    pub async fn quota(&self) -> Option<QuotaState> {
        let limits = self.client.settings().quota_limits();
        let used =
            self.client.host(WeatherService::Forecast).quota(self.client.broker()).await.ok()?;
        let per_request = self.client.settings().locations_per_request() as u64;
        (!limits.is_unlimited()).then_some(QuotaState { limits, used, per_request })
    }

    pub async fn state(&self, service: WeatherService) -> UpstreamState {
        self.client.host(service).state(self.client.broker()).await
    }
}

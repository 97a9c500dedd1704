//! Gauges: breaker, configuration and quota of the weather services, read at a scrape.
//!
//! Breaker and configuration belong to each process, and each process reports its own. The quota
//! belongs to the fleet: it is kept in the broker, and the API alone reports it. With a simulator
//! all services are one host, so a series is labelled by service and host.

use isobar_broker::BrokerError;
use isobar_model::quota::Window;
use isobar_telemetry::exposition::{Exposition, bool_value};
use isobar_telemetry::metric::{Label, Metric};

use crate::client::{REQUEST_SECONDS, REQUESTS};
use crate::host::{Host, UpstreamState};
use crate::weather_client::WeatherClient;
use crate::weather_service::WeatherService;

const SERVICE: Label = Label::with_values("service", &WeatherService::NAMES);
const HOST: Label = Label::dynamic("host");
const WINDOW: Label = Label::with_values("window", &["minute", "hour", "day"]);

const BREAKER: Metric = Metric::gauge(
    "isobar_upstream_breaker_state",
    "1 for the current state of this process' circuit breaker of the service.",
)
.with_labels(&[SERVICE, HOST, Label::with_values("state", &UpstreamState::BREAKER)]);
const MISCONFIGURED: Metric = Metric::gauge(
    "isobar_upstream_misconfigured",
    "1 while the service rejects the requests of this process (key, plan, address).",
)
.with_labels(&[SERVICE, HOST]);
const QUOTA_LIMIT: Metric = Metric::gauge(
    "isobar_upstream_quota_limit",
    "Locations that all processes together may request in a window.",
)
.with_labels(&[SERVICE, HOST, WINDOW]);
const QUOTA_USED: Metric = Metric::gauge(
    "isobar_upstream_quota_used",
    "Locations that all processes together have requested in the current window.",
)
.with_labels(&[SERVICE, HOST, WINDOW]);
const QUOTA_SHUT: Metric = Metric::gauge(
    "isobar_upstream_quota_shut",
    "1 while no requests are sent to the service because a window is used up.",
)
.with_labels(&[SERVICE, HOST]);

pub const METRICS: &[Metric] =
    &[REQUESTS, REQUEST_SECONDS, BREAKER, MISCONFIGURED, QUOTA_LIMIT, QUOTA_USED, QUOTA_SHUT];

/// The quotas of all services, as the broker counts them.
pub struct Quotas<'a> {
    windows: Vec<WindowUsage<'a>>,
    exhausted: Vec<(Series<'a>, bool)>,
}

struct WindowUsage<'a> {
    series: Series<'a>,
    window: Window,
    limit: u64,
    used: u64,
}

/// The labels of a series.
#[derive(Clone, Copy)]
struct Series<'a> {
    service: WeatherService,
    host: &'a Host,
}

impl WeatherClient {
    /// Adds the state of this process.
    pub fn put(&self, page: &mut Exposition) {
        page.add_series(
            &BREAKER,
            self.series().flat_map(|series| {
                let current = series.host.breaker();
                let [service, host] = series.labels();
                UpstreamState::BREAKER
                    .map(|state| ([service, host, state], bool_value(state == current)))
            }),
        );
        page.add_series(
            &MISCONFIGURED,
            self.series()
                .map(|series| (series.labels(), bool_value(series.host.is_misconfigured()))),
        );
    }

    /// The usage of the whole fleet, for [`Quotas::put`].
    pub async fn quotas(&self) -> Result<Quotas<'_>, BrokerError> {
        let mut quotas = Quotas { windows: Vec::new(), exhausted: Vec::new() };
        for series in self.series() {
            let used = series.host.quota(self.client.broker()).await?;
            quotas.exhausted.push((series, used.blocked_until.is_some()));
            for window in Window::ALL {
                if let Some(limit) = series.host.limits().of(window) {
                    let used = used.of(window);
                    quotas.windows.push(WindowUsage { series, window, limit, used });
                }
            }
        }
        Ok(quotas)
    }

    fn series(&self) -> impl Iterator<Item = Series<'_>> {
        self.client.hosts().map(|(service, host)| Series { service, host })
    }
}

impl Quotas<'_> {
    pub fn put(&self, page: &mut Exposition) {
        let windows = || self.windows.iter();
        page.add_series(&QUOTA_LIMIT, windows().map(|usage| (usage.labels(), usage.limit as f64)));
        page.add_series(&QUOTA_USED, windows().map(|usage| (usage.labels(), usage.used as f64)));
        page.add_series(
            &QUOTA_SHUT,
            self.exhausted.iter().map(|(series, is)| (series.labels(), bool_value(*is))),
        );
    }
}

impl<'a> WindowUsage<'a> {
    fn labels(&self) -> [&'a str; 3] {
        let [service, host] = self.series.labels();
        [service, host, self.window.as_str()]
    }
}

impl<'a> Series<'a> {
    fn labels(&self) -> [&'a str; 2] {
        [self.service.as_str(), &self.host.name]
    }
}

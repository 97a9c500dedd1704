//! What a scrape is told of the weather services.
//!
//! Breaker and configuration are each process' own and told by each; the quota is the fleet's, kept
//! in the broker, and told by the API alone. With a simulator both services are one host, so a
//! series is named by the service, and by the host too.

use super::client::{REQUEST_SECONDS, REQUESTS};
use super::host::Host;
use super::{Upstream, UpstreamState};
use isobar_broker::BrokerError;
use isobar_model::quota::Window;
use isobar_telemetry::exposition::{Page, one_if};
use isobar_telemetry::metric::{Label, Metric};

const SERVICE: Label = Label::of("service", &["forecast", "geocoding"]);
const HOST: Label = Label::open("host");
const WINDOW: Label = Label::of("window", &["minute", "hour", "day"]);

const BREAKER: Metric = Metric::gauge(
    "isobar_upstream_breaker_state",
    "1 for the state that this process' circuit breaker of the service is in.",
)
.by(&[SERVICE, HOST, Label::of("state", &UpstreamState::BREAKER)]);
const MISCONFIGURED: Metric = Metric::gauge(
    "isobar_upstream_misconfigured",
    "1 while the service refuses how this process asks it (key, plan, address).",
)
.by(&[SERVICE, HOST]);
const QUOTA_LIMIT: Metric = Metric::gauge(
    "isobar_upstream_quota_limit",
    "Locations that may be asked for in a window, by all processes together.",
)
.by(&[SERVICE, HOST, WINDOW]);
const QUOTA_USED: Metric = Metric::gauge(
    "isobar_upstream_quota_used",
    "Locations that were asked for in the current window, by all processes together.",
)
.by(&[SERVICE, HOST, WINDOW]);
const QUOTA_SHUT: Metric = Metric::gauge(
    "isobar_upstream_quota_shut",
    "1 while the service is not asked because a window is used up.",
)
.by(&[SERVICE, HOST]);

pub const METRICS: &[Metric] =
    &[REQUESTS, REQUEST_SECONDS, BREAKER, MISCONFIGURED, QUOTA_LIMIT, QUOTA_USED, QUOTA_SHUT];

/// What the broker knows of the quotas.
pub struct Quotas<'a> {
    windows: Vec<WindowUse<'a>>,
    shut: Vec<(Service<'a>, bool)>,
}

struct WindowUse<'a> {
    service: Service<'a>,
    window: Window,
    limit: u64,
    used: u64,
}

#[derive(Clone, Copy)]
struct Service<'a> {
    name: &'static str,
    host: &'a Host,
}

impl Upstream {
    /// What this process knows.
    pub fn put(&self, page: &mut Page) {
        let services = self.services();
        page.put_each(
            &BREAKER,
            services.iter().flat_map(|service| {
                let is = service.host.breaker();
                let of =
                    move |state| ([service.name, &service.host.name, state], one_if(state == is));
                UpstreamState::BREAKER.into_iter().map(of)
            }),
        );
        page.put_each(
            &MISCONFIGURED,
            services
                .iter()
                .map(|service| (service.named(), one_if(service.host.is_misconfigured()))),
        );
    }

    /// What the fleet has used, to be [put](Quotas::put) on a page.
    pub async fn quotas(&self) -> Result<Quotas<'_>, BrokerError> {
        let mut quotas = Quotas { windows: Vec::new(), shut: Vec::new() };
        for service in self.services() {
            let used = service.host.quota(self.client.broker()).await?;
            quotas.shut.push((service, used.shut_until.is_some()));
            for window in Window::ALL {
                if let Some(limit) = service.host.limits().of(window) {
                    let used = used.of(window);
                    quotas.windows.push(WindowUse { service, window, limit, used });
                }
            }
        }
        Ok(quotas)
    }

    fn services(&self) -> [Service<'_>; 2] {
        [
            Service { name: "forecast", host: self.client.forecast() },
            Service { name: "geocoding", host: self.client.geocoder() },
        ]
    }
}

impl Quotas<'_> {
    pub fn put(&self, page: &mut Page) {
        page.put_each(&QUOTA_LIMIT, self.windows.iter().map(|of| (of.named(), of.limit as f64)));
        page.put_each(&QUOTA_USED, self.windows.iter().map(|of| (of.named(), of.used as f64)));
        page.put_each(&QUOTA_SHUT, self.shut.iter().map(|(of, shut)| (of.named(), one_if(*shut))));
    }
}

impl<'a> WindowUse<'a> {
    fn named(&self) -> [&'a str; 3] {
        let [service, host] = self.service.named();
        [service, host, self.window.as_str()]
    }
}

impl<'a> Service<'a> {
    fn named(&self) -> [&'a str; 2] {
        [self.name, &self.host.name]
    }
}

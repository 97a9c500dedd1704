//! Simulator: the state that one running simulator keeps between requests.
//!
//! Does not: answer requests; answers are pure functions in [`crate::providers`].
//! Next: [`crate::dispatch`], which uses this state for each request.

use tokio_util::sync::CancellationToken;

use crate::counters::Counters;
use crate::endpoint::Endpoint;
use crate::faults::FaultPlan;
use crate::limiter::Limiter;
use crate::options::{Options, Quota};
use crate::request_window::RequestWindow;

#[derive(Debug)]
pub struct Simulator {
    pub options: Options,
    pub faults: FaultPlan,
    pub counters: Counters,
    pub shutdown: CancellationToken,
    /// The real endpoints are on two hosts that count separately.
    forecast_limiter: Limiter,
    air_quality_limiter: Limiter,
    /// The limit of DummyJSON.
    pub request_window: RequestWindow,
}

impl Simulator {
    pub fn new(options: Options, shutdown: CancellationToken) -> Self {
        Self {
            options,
            faults: FaultPlan::default(),
            counters: Counters::default(),
            shutdown,
            forecast_limiter: Limiter::default(),
            air_quality_limiter: Limiter::default(),
            request_window: RequestWindow::default(),
        }
    }

    /// The limits of an endpoint, if it has any.
    pub fn limiter(&self, endpoint: Endpoint) -> Option<&Limiter> {
        match (self.options.quota, endpoint) {
            (Quota::OpenMeteo, Endpoint::Forecast) => Some(&self.forecast_limiter),
            (Quota::OpenMeteo, Endpoint::AirQuality) => Some(&self.air_quality_limiter),
            _ => None,
        }
    }
}

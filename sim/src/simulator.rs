//! Simulator: the state that one running simulator keeps between requests.
//!
//! Does not: answer requests; answers are pure functions in [`crate::providers`].
//! Next: [`crate::dispatch`], which uses this state for each request.

use tokio_util::sync::CancellationToken;

use crate::counters::Counters;
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
    /// The limits of `/v1/forecast`; `None` without a quota.
    pub limiter: Option<Limiter>,
    /// The limit of DummyJSON.
    pub request_window: RequestWindow,
}

impl Simulator {
    pub fn new(options: Options, shutdown: CancellationToken) -> Self {
        let limiter = (options.quota == Quota::OpenMeteo).then(Limiter::default);
        Self {
            options,
            faults: FaultPlan::default(),
            counters: Counters::default(),
            shutdown,
            limiter,
            request_window: RequestWindow::default(),
        }
    }
}

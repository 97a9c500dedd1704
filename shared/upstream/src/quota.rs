//! QuotaState: the limits of the forecast host, what is used of them, and when it is exhausted.
//!
//! Does not: count requests; the broker does, by its own clock.

use chrono::{DateTime, Utc};

use isobar_model::quota::{QuotaLimits, QuotaUsage};
use isobar_model::quota_forecast::{Cost, exhausted_at};

/// The quota at one moment.
#[derive(Clone, Debug)]
pub struct QuotaState {
    pub(crate) limits: QuotaLimits,
    pub(crate) used: QuotaUsage,
    /// Units that one request of a worker costs at most.
    pub(crate) per_request: u64,
}

impl QuotaState {
    /// Whether a worker's next request, of at most `units`, has to wait.
    pub fn is_exhausted(&self, units: u64, now: DateTime<Utc>) -> bool {
        self.used_up_at(units.min(self.per_request), now).is_none_or(|at| at > now)
    }

    /// The earliest time at which the last of `units` may be requested; `None` if it is unknown.
    pub fn used_up_at(&self, units: u64, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let begin = self.used.blocked_until.map_or(now, |until| until.max(now));
        let cost = Cost { units, per_request: self.per_request };
        let used = self.used.at(now, begin);
        let at = exhausted_at(&self.limits, &used, cost, begin.timestamp_millis())?;
        DateTime::from_timestamp_millis(at)
    }
}

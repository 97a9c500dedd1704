//! Decisions about upstream quota: a reservation, or the time when the host has room again.

use chrono::{DateTime, Utc};

/// The answer to a reservation.
#[derive(Clone, Debug, PartialEq)]
pub enum QuotaDecision {
    Granted(Reservation),
    Exhausted { until: DateTime<Utc> },
}

/// The reserved weight, and the time of the reservation by the broker's clock.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reservation {
    pub weight: u64,
    pub at_ms: u64,
}

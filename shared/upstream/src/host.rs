//! Host: the breaker and the quota of one upstream host, and its last reported state.
//!
//! The quota is kept in the broker, by the broker's clock, so that every worker and the API share
//! it. A host without limits costs no call to the broker. A report of the provider overrides our
//! count: after a 429 the host is closed to all processes until the boundary that it names.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use isobar_broker::{Broker, BrokerError, Flags, QuotaDecision, Reservation};
use isobar_model::quota::{QuotaLimits, QuotaUsage};
use isobar_settings::values::BreakerSpec;
use isobar_telemetry::error_chain;
use uuid::Uuid;

use crate::answer::{Priority, WaitReason};
use crate::breaker::{Breaker, Permit};
use crate::deadline::Deadline;

/// The free tier runs one request at a time for an address, so the fleet shares one slot.
const FREE_TIER_SLOTS: u32 = 1;
/// When to retry after a slot was taken, or the broker did not respond.
const RETRY_SOON: TimeDelta = TimeDelta::milliseconds(250);
/// A slot is freed this long after the longest request, in case its holder died.
const SLOT_SLACK: Duration = Duration::from_secs(5);

#[derive(Debug)]
pub struct Host {
    pub name: String,
    limits: QuotaLimits,
    /// Whether requests of the whole fleet take turns.
    takes_turns: bool,
    breaker: Breaker,
    reported: Mutex<Reported>,
}

/// The last state that the host, or our own count, reported.
#[derive(Debug, Default)]
struct Reported {
    closed_until: Option<Deadline>,
    /// The same for batch requests: a tenth may be left for interactive ones.
    batch_closed_until: Option<Deadline>,
    config_error: Option<String>,
    /// The last reset of the breaker by an operator that was applied here.
    reset_at: Option<DateTime<Utc>>,
}

/// The state of a host, for health checks and dashboards.
#[derive(Clone, Debug, serde::Serialize)]
pub struct UpstreamState {
    pub host: String,
    /// `closed`, `open` or `half_open`.
    pub breaker: &'static str,
    pub breaker_until: Option<DateTime<Utc>>,
    pub quota: QuotaUsage,
    /// The last configuration error, until a request succeeds.
    pub config_error: Option<String>,
}

impl UpstreamState {
    /// The states of a breaker.
    pub const BREAKER: [&'static str; 3] = ["closed", "open", "half_open"];
}

/// The right to one request; must be ended by [`Host::finish`].
#[derive(Debug)]
pub struct Admission {
    permit: Permit,
    reservation: Option<Reservation>,
    slot: Option<String>,
}

impl Host {
    pub fn new(name: String, limits: QuotaLimits, takes_turns: bool, breaker: BreakerSpec) -> Self {
        let breaker = Breaker::new(breaker);
        Self { name, limits, takes_turns, breaker, reported: Mutex::default() }
    }

    /// Takes quota, slot and breaker permit, in this order; the error says until when to wait.
    pub async fn admit(
        &self,
        broker: &Broker,
        weight: u64,
        priority: Priority,
        timeout: Duration,
    ) -> Result<Admission, (DateTime<Utc>, WaitReason)> {
        if let Some(until) = self.reported_until(priority) {
            return Err((until, WaitReason::Quota));
        }
        let reservation = self.reserve(broker, weight, priority).await?;
        let slot = match self.acquire_slot(broker, timeout).await {
            Ok(slot) => slot,
            Err(wait) => {
                self.correct(broker, reservation, 0).await;
                return Err(wait);
            }
        };
        match self.breaker.admit() {
            Ok(permit) => Ok(Admission { permit, reservation, slot }),
            Err(until) => {
                self.correct(broker, reservation, 0).await;
                self.release_slot(broker, slot).await;
                Err((until, WaitReason::Breaker))
            }
        }
    }

    /// Ends a request: `used` is what the provider counted. The caller records the outcome in the
    /// permit.
    pub async fn finish(&self, broker: &Broker, admission: Admission, used: u64) -> Permit {
        self.correct(broker, admission.reservation, used).await;
        self.release_slot(broker, admission.slot).await;
        admission.permit
    }

    /// The provider reports that its quota is used up until then.
    pub async fn mark_exhausted(&self, broker: &Broker, until: DateTime<Utc>) {
        self.reported().closed_until = Some(Deadline::at(until));
        if !self.limits.is_unlimited() {
            let wait = (until - Utc::now()).to_std().unwrap_or_default();
            if let Err(error) = broker.quota_block(&self.name, wait).await {
                tracing::warn!(
                    host = self.name,
                    error = error_chain(&error),
                    "could not share the end of the quota with other processes"
                );
            }
        }
    }

    /// A request succeeded: quota and configuration are in order.
    pub fn mark_healthy(&self) {
        let mut reported = self.reported();
        reported.config_error = None;
        reported.closed_until = None;
    }

    pub fn mark_misconfigured(&self, reason: &str) {
        self.reported().config_error = Some(reason.to_owned());
    }

    /// Closes the breaker if an operator has reset it since the last call.
    pub fn apply_flags(&self, flags: &Flags) {
        let Some(reset) = flags.breaker(&self.name) else { return };
        let previous = self.reported().reset_at.replace(reset.at);
        if previous != Some(reset.at) && self.breaker.state() != "closed" {
            self.breaker.reset();
            tracing::info!(host = self.name, by = reset.by, "the breaker was reset");
        }
    }

    /// Until when a batch request would be refused, and why; `None` if it would be sent.
    pub fn closed_until(&self) -> Option<(DateTime<Utc>, WaitReason)> {
        let quota = self.reported_until(Priority::Batch).map(|until| (until, WaitReason::Quota));
        quota.or_else(|| Some((self.breaker.open_until()?, WaitReason::Breaker)))
    }

    pub async fn state(&self, broker: &Broker) -> UpstreamState {
        UpstreamState {
            host: self.name.clone(),
            breaker: self.breaker.state(),
            breaker_until: self.breaker.open_until(),
            // A broker that does not respond is shown elsewhere.
            quota: self.quota(broker).await.unwrap_or_default(),
            config_error: self.reported().config_error.clone(),
        }
    }

    /// What the whole fleet has used of the quota.
    pub async fn quota(&self, broker: &Broker) -> Result<QuotaUsage, BrokerError> {
        if self.limits.is_unlimited() {
            let shut_until = self.reported_until(Priority::Batch);
            return Ok(QuotaUsage { blocked_until: shut_until, ..QuotaUsage::default() });
        }
        broker.quota_usage(&self.name, &self.limits).await
    }

    pub fn limits(&self) -> &QuotaLimits {
        &self.limits
    }

    /// `closed`, `open` or `half_open`.
    pub fn breaker(&self) -> &'static str {
        self.breaker.state()
    }

    pub fn is_misconfigured(&self) -> bool {
        self.reported().config_error.is_some()
    }

    async fn reserve(
        &self,
        broker: &Broker,
        weight: u64,
        priority: Priority,
    ) -> Result<Option<Reservation>, (DateTime<Utc>, WaitReason)> {
        if self.limits.is_unlimited() {
            return Ok(None);
        }
        let keep_reserve = priority == Priority::Batch;
        match broker.quota_reserve(&self.name, &self.limits, weight, keep_reserve).await {
            Ok(QuotaDecision::Granted(reservation)) => Ok(Some(reservation)),
            Ok(QuotaDecision::Exhausted { until }) => {
                if keep_reserve {
                    self.reported().batch_closed_until = Some(Deadline::at(until));
                }
                Err((until, WaitReason::Quota))
            }
            // An unknown quota is a wait, not a failed attempt (I7).
            Err(error) => {
                tracing::warn!(
                    host = self.name,
                    error = error_chain(&error),
                    "cannot reserve quota"
                );
                Err((Utc::now() + RETRY_SOON * 4, WaitReason::Quota))
            }
        }
    }

    async fn acquire_slot(
        &self,
        broker: &Broker,
        timeout: Duration,
    ) -> Result<Option<String>, (DateTime<Utc>, WaitReason)> {
        if !self.takes_turns {
            return Ok(None);
        }
        let holder = Uuid::new_v4().to_string();
        let ttl = timeout + SLOT_SLACK;
        match broker.slot_acquire(&self.name, &holder, FREE_TIER_SLOTS, ttl).await {
            Ok(true) => Ok(Some(holder)),
            Ok(false) | Err(_) => Err((Utc::now() + RETRY_SOON, WaitReason::Concurrency)),
        }
    }

    async fn correct(&self, broker: &Broker, reservation: Option<Reservation>, used: u64) {
        if let Some(reservation) = reservation.filter(|reservation| reservation.weight != used)
            && let Err(error) = broker.quota_correct(&self.name, &reservation, used).await
        {
            // Our count is then too high, never too low.
            tracing::debug!(
                host = self.name,
                error = error_chain(&error),
                "could not correct the quota"
            );
        }
    }

    async fn release_slot(&self, broker: &Broker, slot: Option<String>) {
        if let Some(holder) = slot
            && let Err(error) = broker.slot_release(&self.name, &holder).await
        {
            // Its expiry frees it.
            tracing::debug!(
                host = self.name,
                error = error_chain(&error),
                "could not release a slot"
            );
        }
    }

    fn reported_until(&self, priority: Priority) -> Option<DateTime<Utc>> {
        let reported = self.reported();
        let until = match priority {
            Priority::Interactive => reported.closed_until,
            Priority::Batch => reported.closed_until.max(reported.batch_closed_until),
        };
        until?.time()
    }

    fn reported(&self) -> MutexGuard<'_, Reported> {
        self.reported.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

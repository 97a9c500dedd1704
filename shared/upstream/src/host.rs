//! One upstream host: its breaker, its quota, and what it last said about either.
//!
//! The quota is kept in the broker, by the broker's clock, so that every worker and the API share
//! it; a host without limits costs no call to the broker at all. What the provider says overrides
//! what we counted: a 429 shuts the host for everyone until the boundary that it names.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use super::breaker::{Breaker, Permit};
use super::{Priority, UpstreamState, Waiting};
use isobar_broker::{Broker, BrokerError, QuotaAnswer, Reservation, Thrown};
use isobar_model::quota::{QuotaLimits, QuotaUse};
use isobar_settings::values::BreakerSpec;
use isobar_telemetry::chain;

/// The free tier runs one request at a time for an address, so the fleet shares one place.
const FREE_TIER_PLACES: u32 = 1;
/// How soon to ask again for a place that is taken, or a broker that does not answer.
const SOON: TimeDelta = TimeDelta::milliseconds(250);
/// A place is freed this long after the longest request, if its holder died.
const PLACE_SLACK: Duration = Duration::from_secs(5);

#[derive(Debug)]
pub struct Host {
    pub name: String,
    limits: QuotaLimits,
    /// Whether requests of the whole fleet take turns.
    takes_turns: bool,
    breaker: Breaker,
    said: Mutex<Said>,
}

/// What the host told us, until it tells otherwise.
#[derive(Debug, Default)]
struct Said {
    shut_until: Option<DateTime<Utc>>,
    /// The same for those who ask in batches: a tenth may be left for the others.
    batch_shut_until: Option<DateTime<Utc>>,
    config_error: Option<String>,
    /// When an operator had the breaker reset last, as far as we have heard.
    reset_at: Option<DateTime<Utc>>,
}

/// The right to one request; must be ended by [`Host::leave`].
#[derive(Debug)]
pub struct Admission {
    pub permit: Permit,
    reservation: Option<Reservation>,
    place: Option<String>,
}

impl Host {
    pub fn new(name: String, limits: QuotaLimits, takes_turns: bool, breaker: BreakerSpec) -> Self {
        Self { name, limits, takes_turns, breaker: Breaker::new(breaker), said: Mutex::default() }
    }

    /// Quota, place, breaker, in this order; or until when to wait, and why.
    pub async fn enter(
        &self,
        broker: &Broker,
        weight: u64,
        priority: Priority,
        timeout: Duration,
    ) -> Result<Admission, (DateTime<Utc>, Waiting)> {
        if let Some(until) = self.said_shut_until(priority) {
            return Err((until, Waiting::Quota));
        }
        let reservation = self.reserve(broker, weight, priority).await?;
        let place = match self.take_place(broker, timeout).await {
            Ok(place) => place,
            Err(wait) => {
                self.settle(broker, reservation, 0).await;
                return Err(wait);
            }
        };
        match self.breaker.admit() {
            Ok(permit) => Ok(Admission { permit, reservation, place }),
            Err(until) => {
                self.settle(broker, reservation, 0).await;
                self.free_place(broker, place).await;
                Err((until, Waiting::Breaker))
            }
        }
    }

    /// Ends a request: `used` is what the provider counted. Returns the right to tell the breaker.
    pub async fn leave(&self, broker: &Broker, admission: Admission, used: u64) -> Permit {
        self.settle(broker, admission.reservation, used).await;
        self.free_place(broker, admission.place).await;
        admission.permit
    }

    /// The provider says that its quota is used up until then.
    pub async fn exhausted(&self, broker: &Broker, until: DateTime<Utc>) {
        self.said().shut_until = Some(until);
        if !self.limits.is_none() {
            let wait = (until - Utc::now()).to_std().unwrap_or_default();
            if let Err(error) = broker.quota_shut(&self.name, wait).await {
                tracing::warn!(
                    host = self.name,
                    error = chain(&error),
                    "could not tell others of a used-up quota"
                );
            }
        }
    }

    pub fn succeeded(&self) {
        let mut said = self.said();
        said.config_error = None;
        said.shut_until = None;
    }

    pub fn misconfigured(&self, reason: &str) {
        self.said().config_error = Some(reason.to_owned());
    }

    /// Closes the breaker if nobody has told of this reset before.
    pub fn reset_breaker(&self, reset: &Thrown) {
        let known = self.said().reset_at.replace(reset.at);
        if known != Some(reset.at) && self.breaker.state() != "closed" {
            self.breaker.reset();
            tracing::info!(host = self.name, by = reset.by, "the breaker was reset");
        }
    }

    pub fn shut_until(&self) -> Option<(DateTime<Utc>, Waiting)> {
        let quota = self.said_shut_until(Priority::Batch).map(|until| (until, Waiting::Quota));
        quota.or_else(|| Some((self.breaker.shut_until()?, Waiting::Breaker)))
    }

    pub async fn state(&self, broker: &Broker) -> UpstreamState {
        UpstreamState {
            host: self.name.clone(),
            breaker: self.breaker.state(),
            breaker_until: self.breaker.shut_until(),
            // A broker that does not answer shows elsewhere.
            quota: self.quota(broker).await.unwrap_or_default(),
            config_error: self.said().config_error.clone(),
        }
    }

    /// What is used of the quota, by the whole fleet.
    pub async fn quota(&self, broker: &Broker) -> Result<QuotaUse, BrokerError> {
        if self.limits.is_none() {
            let shut_until = self.said_shut_until(Priority::Batch);
            return Ok(QuotaUse { shut_until, ..QuotaUse::default() });
        }
        broker.quota_use(&self.name, &self.limits).await
    }

    pub fn limits(&self) -> &QuotaLimits {
        &self.limits
    }

    /// `closed`, `open` or `half_open`.
    pub fn breaker(&self) -> &'static str {
        self.breaker.state()
    }

    pub fn is_misconfigured(&self) -> bool {
        self.said().config_error.is_some()
    }

    async fn reserve(
        &self,
        broker: &Broker,
        weight: u64,
        priority: Priority,
    ) -> Result<Option<Reservation>, (DateTime<Utc>, Waiting)> {
        if self.limits.is_none() {
            return Ok(None);
        }
        let keep_back = priority == Priority::Batch;
        match broker.quota_reserve(&self.name, &self.limits, weight, keep_back).await {
            Ok(QuotaAnswer::Granted(reservation)) => Ok(Some(reservation)),
            Ok(QuotaAnswer::Shut { until }) => {
                if keep_back {
                    self.said().batch_shut_until = Some(until);
                }
                Err((until, Waiting::Quota))
            }
            // Not knowing the quota is no failed attempt (I7).
            Err(error) => {
                tracing::warn!(host = self.name, error = chain(&error), "cannot ask for quota");
                Err((Utc::now() + SOON * 4, Waiting::Quota))
            }
        }
    }

    async fn take_place(
        &self,
        broker: &Broker,
        timeout: Duration,
    ) -> Result<Option<String>, (DateTime<Utc>, Waiting)> {
        if !self.takes_turns {
            return Ok(None);
        }
        let holder = Uuid::new_v4().to_string();
        let ttl = timeout + PLACE_SLACK;
        match broker.slot_acquire(&self.name, &holder, FREE_TIER_PLACES, ttl).await {
            Ok(true) => Ok(Some(holder)),
            Ok(false) | Err(_) => Err((Utc::now() + SOON, Waiting::Concurrency)),
        }
    }

    async fn settle(&self, broker: &Broker, reservation: Option<Reservation>, used: u64) {
        if let Some(reservation) = reservation.filter(|reservation| reservation.weight != used)
            && let Err(error) = broker.quota_settle(&self.name, &reservation, used).await
        {
            // We then count too much, never too little.
            tracing::debug!(host = self.name, error = chain(&error), "could not settle quota");
        }
    }

    async fn free_place(&self, broker: &Broker, place: Option<String>) {
        if let Some(holder) = place
            && let Err(error) = broker.slot_release(&self.name, &holder).await
        {
            // It frees itself by its expiry.
            tracing::debug!(host = self.name, error = chain(&error), "could not free a place");
        }
    }

    fn said_shut_until(&self, priority: Priority) -> Option<DateTime<Utc>> {
        let said = self.said();
        let until = match priority {
            Priority::Interactive => said.shut_until,
            Priority::Batch => said.shut_until.max(said.batch_shut_until),
        };
        until.filter(|until| *until > Utc::now())
    }

    fn said(&self) -> std::sync::MutexGuard<'_, Said> {
        self.said.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

//! Upstream quota and the fleet's places at a host, by Redis' clock.
//!
//! How long something is shut comes as a duration, so that a host whose clock is wrong waits no longer
//! than the others.
//!
//! The scripts need no room in Redis beyond a few numbers for each host and begin with a command
//! that a full Redis allows: workers must be able to drain what made it full.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use redis::Value;

use super::scripts::{Call, QUOTA_RESERVE, QUOTA_SETTLE, QUOTA_SHUT, QUOTA_USE, SLOT_ACQUIRE};
use super::{RedisBroker, Result, reply};
use crate::{QuotaAnswer, Reservation, keys};
use isobar_model::quota::{QuotaLimits, QuotaUse, Window};

impl RedisBroker {
    pub async fn quota_reserve(
        &self,
        host: &str,
        limits: &QuotaLimits,
        weight: u64,
        keep_back: bool,
    ) -> Result<QuotaAnswer> {
        let mut call =
            Call::new(&QUOTA_RESERVE, &[&keys::quota(host)]).arg(weight).arg(u8::from(keep_back));
        push_windows(&mut call, limits);
        let answer = self.call_apart(&call).await?;
        reserved(answer, weight).map_err(|error| self.odd(error))
    }

    pub async fn quota_settle(
        &self,
        host: &str,
        reservation: &Reservation,
        used: u64,
    ) -> Result<()> {
        let mut call = Call::new(&QUOTA_SETTLE, &[&keys::quota(host)])
            .arg(reservation.weight)
            .arg(used)
            .arg(reservation.at_ms);
        for window in Window::ALL {
            call.push(name(window));
            call.push(window.length_ms());
        }
        self.call_apart(&call).await.map(drop)
    }

    pub async fn quota_shut(&self, host: &str, wait: Duration) -> Result<()> {
        let call = Call::new(&QUOTA_SHUT, &[&keys::quota(host)]).arg(wait.as_millis() as u64);
        self.call_apart(&call).await.map(drop)
    }

    pub async fn quota_use(&self, host: &str, limits: &QuotaLimits) -> Result<QuotaUse> {
        let mut call = Call::new(&QUOTA_USE, &[&keys::quota(host)]);
        push_windows(&mut call, limits);
        let answer = self.call_apart(&call).await?;
        used(answer).map_err(|error| self.odd(error))
    }

    pub async fn slot_acquire(
        &self,
        host: &str,
        holder: &str,
        limit: u32,
        ttl: Duration,
    ) -> Result<bool> {
        let call = Call::new(&SLOT_ACQUIRE, &[&keys::slots(host)])
            .arg(holder)
            .arg(limit)
            .arg(ttl.as_millis().max(1) as u64);
        let answer = self.call_apart(&call).await?;
        Ok(reply::number(&answer).map_err(|error| self.odd(error))? == 1)
    }

    pub async fn slot_release(&self, host: &str, holder: &str) -> Result<()> {
        let mut command = redis::cmd("ZREM");
        command.arg(keys::slots(host)).arg(holder);
        self.query(&command, "").await.map(drop)
    }
}

fn name(window: Window) -> &'static str {
    match window {
        Window::Minute => "minute",
        Window::Hour => "hour",
        Window::Day => "day",
    }
}

fn push_windows(call: &mut Call, limits: &QuotaLimits) {
    for window in Window::ALL {
        call.push(name(window));
        call.push(window.length_ms());
        call.push(limits.of(window).map_or(String::new(), |limit| limit.to_string()));
    }
}

fn reserved(answer: Value, weight: u64) -> anyhow::Result<QuotaAnswer> {
    let [granted, at] = reply::array(answer)?;
    if reply::number(&granted)? == 1 {
        return Ok(QuotaAnswer::Granted(Reservation { weight, at_ms: reply::count(&at)? }));
    }
    let until = after(&at)?.unwrap_or_else(Utc::now);
    Ok(QuotaAnswer::Shut { until })
}

fn used(answer: Value) -> anyhow::Result<QuotaUse> {
    let [minute, hour, day, shut_until] = reply::array(answer)?;
    Ok(QuotaUse {
        minute: reply::count(&minute)?,
        hour: reply::count(&hour)?,
        day: reply::count(&day)?,
        shut_until: after(&shut_until)?,
    })
}

/// The moment by our own clock.
fn after(ms: &Value) -> anyhow::Result<Option<DateTime<Utc>>> {
    let ms = reply::number(ms)?;
    Ok((ms > 0).then(|| Utc::now() + TimeDelta::milliseconds(ms)))
}

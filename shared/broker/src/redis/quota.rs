//! Upstream quota and the shared slots at a host, by Redis' clock.
//!
//! Guarantees: scripts return how long a host is blocked as a duration, so a process with a wrong
//! clock waits no longer than the others. They need memory only for a few numbers a host, and begin
//! with a command that a full Redis allows: workers must be able to drain a full Redis.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use redis::Value;

use super::broker::RedisBroker;
use super::reply;
use super::scripts::{Call, QUOTA_RESERVE, QUOTA_SETTLE, QUOTA_SHUT, QUOTA_USE, SLOT_ACQUIRE};
use crate::error::Result;
use crate::keys;
use crate::quota::{QuotaDecision, Reservation};
use isobar_model::quota::{QuotaLimits, QuotaUsage, Window};

impl RedisBroker {
    pub async fn quota_reserve(
        &self,
        host: &str,
        limits: &QuotaLimits,
        weight: u64,
        keep_interactive_reserve: bool,
    ) -> Result<QuotaDecision> {
        let mut call = Call::new(&QUOTA_RESERVE, &[&keys::quota(host)])
            .arg(weight)
            .arg(u8::from(keep_interactive_reserve));
        push_windows(&mut call, limits);
        self.call(&call, "", |reply| reserved(reply, weight)).await
    }

    pub async fn quota_correct(
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
            call.push(window.as_str());
            call.push(window.length_ms());
        }
        self.call(&call, "", |_| Ok(())).await
    }

    pub async fn quota_block(&self, host: &str, wait: Duration) -> Result<()> {
        let call = Call::new(&QUOTA_SHUT, &[&keys::quota(host)]).arg(wait.as_millis() as u64);
        self.call(&call, "", |_| Ok(())).await
    }

    pub async fn quota_usage(&self, host: &str, limits: &QuotaLimits) -> Result<QuotaUsage> {
        let mut call = Call::new(&QUOTA_USE, &[&keys::quota(host)]);
        push_windows(&mut call, limits);
        self.call(&call, "", used).await
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
        self.call(&call, "", |reply| Ok(reply::number(&reply)? == 1)).await
    }

    pub async fn slot_release(&self, host: &str, holder: &str) -> Result<()> {
        let mut command = redis::cmd("ZREM");
        command.arg(keys::slots(host)).arg(holder);
        self.query(&command, "", |_| Ok(())).await
    }
}

fn push_windows(call: &mut Call, limits: &QuotaLimits) {
    for window in Window::ALL {
        call.push(window.as_str());
        call.push(window.length_ms());
        call.push(limits.of(window).map_or(String::new(), |limit| limit.to_string()));
    }
}

fn reserved(reply: Value, weight: u64) -> anyhow::Result<QuotaDecision> {
    let [granted, at] = reply::array(reply)?;
    if reply::number(&granted)? == 1 {
        return Ok(QuotaDecision::Granted(Reservation { weight, at_ms: reply::count(&at)? }));
    }
    let until = deadline(&at)?.unwrap_or_else(Utc::now);
    Ok(QuotaDecision::Exhausted { until })
}

fn used(reply: Value) -> anyhow::Result<QuotaUsage> {
    let [minute, hour, day, blocked_ms] = reply::array(reply)?;
    Ok(QuotaUsage {
        minute: reply::count(&minute)?,
        hour: reply::count(&hour)?,
        day: reply::count(&day)?,
        blocked_until: deadline(&blocked_ms)?,
    })
}

/// When a duration ends, by the clock of this process; `None` for zero.
fn deadline(ms: &Value) -> anyhow::Result<Option<DateTime<Utc>>> {
    let ms = reply::number(ms)?;
    Ok((ms > 0).then(|| Utc::now() + TimeDelta::milliseconds(ms)))
}

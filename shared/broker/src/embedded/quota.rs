//! Upstream quota and the shared slots at a host, in the file.
//!
//! Next: [`quota_windows`](super::quota_windows), the arithmetic.

use std::time::Duration;

use chrono::{DateTime, Utc};
use rusqlite::{Connection, OptionalExtension, Transaction, params};

use super::broker::{EmbeddedBroker, ms, now_ms};
use super::quota_windows::{QuotaWindows, WindowCount};
use crate::error::Result;
use crate::quota::{QuotaDecision, Reservation};
use isobar_model::quota::{QuotaLimits, QuotaUsage};

impl EmbeddedBroker {
    pub async fn quota_reserve(
        &self,
        host: &str,
        limits: &QuotaLimits,
        weight: u64,
        keep_interactive_reserve: bool,
    ) -> Result<QuotaDecision> {
        let limits = *limits;
        self.change_windows(host, move |windows| {
            let now = now_ms();
            match windows.reserve(&limits, weight, keep_interactive_reserve, now) {
                Ok(()) => QuotaDecision::Granted(Reservation { weight, at_ms: now as u64 }),
                Err(until) => QuotaDecision::Exhausted { until: time(until) },
            }
        })
        .await
    }

    pub async fn quota_correct(
        &self,
        host: &str,
        reservation: &Reservation,
        used: u64,
    ) -> Result<()> {
        let Reservation { weight, at_ms } = *reservation;
        self.change_windows(host, move |windows| {
            windows.settle(weight, used, at_ms as i64);
        })
        .await
    }

    pub async fn quota_block(&self, host: &str, wait: Duration) -> Result<()> {
        self.change_windows(host, move |windows| {
            windows.blocked_until_ms = windows.blocked_until_ms.max(now_ms() + ms(wait));
        })
        .await
    }

    pub async fn quota_usage(&self, host: &str, limits: &QuotaLimits) -> Result<QuotaUsage> {
        let (host, limits) = (host.to_owned(), *limits);
        let windows = self.read_db(move |db| windows(db, &host)).await?;
        let ([minute, hour, day], until) = windows.used(&limits, now_ms());
        Ok(QuotaUsage { minute, hour, day, blocked_until: until.map(time) })
    }

    pub async fn slot_acquire(
        &self,
        host: &str,
        holder: &str,
        limit: u32,
        ttl: Duration,
    ) -> Result<bool> {
        let (host, holder) = (host.to_owned(), holder.to_owned());
        self.write_db(move |tx| {
            let now = now_ms();
            tx.prepare_cached("DELETE FROM slots WHERE host = ?1 AND expires_ms <= ?2")?
                .execute(params![host, now])?;
            let others: u32 = tx
                .prepare_cached("SELECT count(*) FROM slots WHERE host = ?1 AND holder <> ?2")?
                .query_row([&host, &holder], |row| row.get(0))?;
            if others >= limit {
                return Ok(false);
            }
            tx.prepare_cached("INSERT OR REPLACE INTO slots VALUES (?1, ?2, ?3)")?
                .execute(params![host, holder, now + ms(ttl)])?;
            Ok(true)
        })
        .await
    }

    pub async fn slot_release(&self, host: &str, holder: &str) -> Result<()> {
        let (host, holder) = (host.to_owned(), holder.to_owned());
        self.write_db(move |tx| {
            tx.prepare_cached("DELETE FROM slots WHERE host = ?1 AND holder = ?2")?
                .execute([&host, &holder])
                .map(drop)
        })
        .await
    }

    async fn change_windows<T: Send + 'static>(
        &self,
        host: &str,
        change: impl FnOnce(&mut QuotaWindows) -> T + Send + 'static,
    ) -> Result<T> {
        let host = host.to_owned();
        self.write_db(move |tx| {
            let before = windows(tx, &host)?;
            let mut after = before;
            let answer = change(&mut after);
            if after != before {
                store(tx, &host, &after)?;
            }
            Ok(answer)
        })
        .await
    }
}

fn windows(db: &Connection, host: &str) -> rusqlite::Result<QuotaWindows> {
    let windows = db
        .prepare_cached(
            "SELECT minute_index, minute, hour_index, hour, day_index, day, shut_until_ms \
             FROM quota WHERE host = ?1",
        )?
        .query_row([host], |row| {
            let count = |at| -> rusqlite::Result<WindowCount> {
                Ok(WindowCount { index: row.get(at)?, used: row.get::<_, i64>(at + 1)? as u64 })
            };
            Ok(QuotaWindows {
                counts: [count(0)?, count(2)?, count(4)?],
                blocked_until_ms: row.get(6)?,
            })
        })
        .optional()?;
    Ok(windows.unwrap_or_default())
}

fn store(tx: &Transaction<'_>, host: &str, windows: &QuotaWindows) -> rusqlite::Result<()> {
    let [minute, hour, day] = windows.counts;
    tx.prepare_cached("INSERT OR REPLACE INTO quota VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)")?
        .execute(params![
            host,
            minute.index,
            minute.used as i64,
            hour.index,
            hour.used as i64,
            day.index,
            day.used as i64,
            windows.blocked_until_ms
        ])
        .map(drop)
}

fn time(ms: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_millis(ms).unwrap_or(DateTime::<Utc>::MAX_UTC)
}

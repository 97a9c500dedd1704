//! Leases: an owner acknowledges, renews and gives back entries; others replace dead owners.
//!
//! Guarantees: the owner of an entry is a column of its row, so no entry is without an owner after
//! its delivery. Removing a consumer changes no entry; its entries fall due.

use std::time::Duration;

use rusqlite::{OptionalExtension, Transaction, params};

use super::broker::{EmbeddedBroker, lane_number, ms, now_ms, row_id};
use super::watermark::count_acked;
use crate::depth::RemoveOutcome;
use crate::entry::{Budget, GiveBack, ScanCursor};
use crate::error::{BrokerError, Result};
use crate::lane::{EntryId, Lane};
use crate::topic::Topic;

impl EmbeddedBroker {
    pub async fn ack(&self, topic: &Topic, lane: Lane, ids: &[EntryId]) -> Result<u64> {
        if ids.is_empty() {
            return Ok(0);
        }
        let mut ids = ids.to_vec();
        ids.sort_unstable();
        let deleted = self
            .write_topic(topic, move |tx, topic_id| {
                let mut delete = tx.prepare_cached(
                    "DELETE FROM entries WHERE topic_id = ?1 AND lane = ?2 AND id = ?3",
                )?;
                let mut deleted = Vec::new();
                for id in ids {
                    let row = row_id(id);
                    if delete.execute(params![topic_id, lane_number(lane), row])? > 0 {
                        deleted.push(row);
                    }
                }
                count_acked(tx, topic_id, &deleted)?;
                let deleted = deleted.len();
                tx.prepare_cached(
                    "UPDATE topics SET tasks = tasks - ?2 * (?3 = 0), \
                     control = control - ?2 * (?3 = 1) WHERE topic_id = ?1",
                )?
                .execute(params![topic_id, deleted as i64, lane_number(lane)])?;
                Ok(deleted as u64)
            })
            .await;
        match deleted {
            // A missing stream has none of these entries.
            Err(BrokerError::Missing { .. }) => Ok(0),
            deleted => deleted,
        }
    }

    pub async fn renew(
        &self,
        topic: &Topic,
        consumer: &str,
        lane: Lane,
        ids: &[EntryId],
    ) -> Result<Vec<EntryId>> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let (consumer, ids) = (consumer.to_owned(), ids.to_vec());
        self.write_topic(topic, move |tx, topic_id| {
            touch_consumer(tx, topic_id, &consumer)?;
            let mut update = tx.prepare_cached(
                "UPDATE entries SET since_ms = ?5 \
                 WHERE topic_id = ?1 AND lane = ?2 AND id = ?3 AND owner = ?4",
            )?;
            let now = now_ms();
            let mut lost = Vec::new();
            for id in ids {
                let key = params![topic_id, lane_number(lane), row_id(id), consumer, now];
                if update.execute(key)? == 0 {
                    lost.push(id);
                }
            }
            Ok(lost)
        })
        .await
    }

    pub async fn hand_over(
        &self,
        topic: &Topic,
        consumer: &str,
        to: &'static str,
        lane: Lane,
        entries: &[GiveBack],
        claim_idle: Duration,
    ) -> Result<Vec<EntryId>> {
        if entries.is_empty() {
            return Ok(Vec::new());
        }
        let (consumer, entries) = (consumer.to_owned(), entries.to_vec());
        self.write_topic(topic, move |tx, topic_id| {
            let mut update = tx.prepare_cached(
                "UPDATE entries SET owner = ?5, since_ms = ?6, deliveries = max(0, deliveries - 1), \
                 attempts = attempts + ?7, crashes = crashes + ?8 \
                 WHERE topic_id = ?1 AND lane = ?2 AND id = ?3 AND owner = ?4",
            )?;
            let now = now_ms();
            let mut lost = Vec::new();
            for entry in entries {
                let idle = ms(claim_idle.saturating_sub(entry.delay));
                let changed = update.execute(params![
                    topic_id,
                    lane_number(lane),
                    row_id(entry.id),
                    consumer,
                    to,
                    now - idle,
                    entry.counted == Some(Budget::Attempt),
                    entry.counted == Some(Budget::Crash)
                ])?;
                if changed == 0 {
                    lost.push(entry.id);
                }
            }
            Ok(lost)
        })
        .await
    }

    /// Finds nothing: every delivered entry has an owner here.
    pub async fn adopt_orphans(
        &self,
        topic: &Topic,
        _lane: Lane,
        position: &mut ScanCursor,
        _claim_idle: Duration,
    ) -> Result<u64> {
        *position = ScanCursor::default();
        self.write_topic(topic, |_, _| Ok(0)).await
    }

    pub async fn remove_consumer(
        &self,
        topic: &Topic,
        consumer: &str,
        idle: Duration,
    ) -> Result<RemoveOutcome> {
        let consumer = consumer.to_owned();
        let removed = self
            .write_topic(topic, move |tx, topic_id| remove(tx, topic_id, &consumer, idle))
            .await;
        match removed {
            Err(BrokerError::Missing { .. }) => Ok(RemoveOutcome::Unknown),
            removed => removed,
        }
    }
}

fn remove(
    tx: &Transaction<'_>,
    topic_id: i64,
    consumer: &str,
    idle: Duration,
) -> rusqlite::Result<RemoveOutcome> {
    let seen_ms: Option<i64> = tx
        .query_row(
            "SELECT seen_ms FROM consumers WHERE topic_id = ?1 AND name = ?2",
            params![topic_id, consumer],
            |row| row.get(0),
        )
        .optional()?;
    let owns = tx.query_row(
        "SELECT EXISTS (SELECT 1 FROM entries INDEXED BY pending \
         WHERE topic_id = ?1 AND owner IS NOT NULL AND owner = ?2)",
        params![topic_id, consumer],
        |row| row.get::<_, bool>(0),
    )?;
    match seen_ms {
        None => Ok(RemoveOutcome::Unknown),
        Some(_) if owns => Ok(RemoveOutcome::Busy),
        Some(seen_ms) if seen_ms > now_ms() - ms(idle) => Ok(RemoveOutcome::Active),
        Some(_) => {
            tx.execute(
                "DELETE FROM consumers WHERE topic_id = ?1 AND name = ?2",
                params![topic_id, consumer],
            )?;
            Ok(RemoveOutcome::Removed)
        }
    }
}

/// Records that a consumer is alive.
pub(super) fn touch_consumer(
    tx: &Transaction<'_>,
    topic_id: i64,
    consumer: &str,
) -> rusqlite::Result<()> {
    tx.prepare_cached("INSERT OR REPLACE INTO consumers VALUES (?1, ?2, ?3)")?
        .execute(params![topic_id, consumer, now_ms()])
        .map(drop)
}

//! How entries reach a worker: read undelivered ones, claim due ones, peek.
//!
//! An append wakes the waiting readers of its own process; readers of other processes poll.
//! A claim needs no scan position: an index orders the pending entries by the time since which
//! their owner is silent. The longest silent come first, and a busy head costs nothing.

use std::time::Duration;

use rusqlite::{Connection, Transaction, params};
use tokio::time::{Instant, timeout};

use super::broker::{EmbeddedBroker, lane_number, missing, ms, now_ms, row_id};
use super::entry_row::EntryRow;
use super::lease::touch_consumer;
use crate::entry::{ClaimLimits, Entry, ScanCursor};
use crate::error::Result;
use crate::lane::{EntryId, Lane};
use crate::topic::Topic;

/// How soon a reader sees an append of another process.
const POLL_INTERVAL: Duration = Duration::from_millis(25);

impl EmbeddedBroker {
    pub async fn read(
        &self,
        topic: &Topic,
        consumer: &str,
        count: usize,
        wait: Duration,
    ) -> Result<Vec<Entry>> {
        if count == 0 {
            return Ok(Vec::new());
        }
        let until = Instant::now() + wait;
        let mut touched = false;
        loop {
            // Subscribe before the query, or an append between the two would be missed.
            let appended = self.appended.notified();
            tokio::pin!(appended);
            appended.as_mut().enable();
            let any_undelivered = self
                .read_topic(topic, is_anything_undelivered)
                .await?
                .ok_or_else(|| missing(topic))?;
            if any_undelivered {
                let entries = self.take_new(topic, consumer, count).await?;
                if !entries.is_empty() {
                    return Ok(entries);
                }
            } else if !touched {
                // An idle reader is alive, too.
                let name = consumer.to_owned();
                self.write_topic(topic, move |tx, topic_id| touch_consumer(tx, topic_id, &name))
                    .await?;
                touched = true;
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(Vec::new());
            }
            // After a timeout and after an append alike, the next step is the query.
            let _ = timeout(left.min(POLL_INTERVAL), appended).await;
        }
    }

    async fn take_new(&self, topic: &Topic, consumer: &str, count: usize) -> Result<Vec<Entry>> {
        let consumer = consumer.to_owned();
        let rows = self
            .write_topic(topic, move |tx, topic_id| {
                touch_consumer(tx, topic_id, &consumer)?;
                let share = Lane::control_share(count);
                let mut rows = take(tx, topic_id, Lane::Control, &consumer, share)?;
                let more_control = rows.len() == share;
                let room = count - rows.len();
                rows.extend(take(tx, topic_id, Lane::Tasks, &consumer, room)?);
                if more_control {
                    let room = count - rows.len();
                    rows.extend(take(tx, topic_id, Lane::Control, &consumer, room)?);
                }
                Ok(rows)
            })
            .await?;
        Ok(EntryRow::decode_all(rows))
    }

    pub async fn entries_of(
        &self,
        topic: &Topic,
        consumer: &str,
        lane: Lane,
        after: EntryId,
        count: usize,
    ) -> Result<Vec<Entry>> {
        let consumer = consumer.to_owned();
        let rows = self
            .read_topic(topic, move |db, topic_id| {
                let mut select = db.prepare_cached(
                    "SELECT id, fields, deliveries, attempts, crashes FROM entries \
                     WHERE topic_id = ?1 AND lane = ?2 AND id > ?3 AND owner = ?4 \
                     ORDER BY id LIMIT ?5",
                )?;
                let after = row_id(after);
                let key = params![topic_id, lane_number(lane), after, consumer, count as i64];
                EntryRow::query(&mut select, key, lane)
            })
            .await?
            .ok_or_else(|| missing(topic))?;
        Ok(EntryRow::decode_all(rows))
    }

    pub async fn claim(
        &self,
        topic: &Topic,
        consumer: &str,
        lane: Lane,
        position: &mut ScanCursor,
        limits: ClaimLimits,
    ) -> Result<Vec<Entry>> {
        *position = ScanCursor::default();
        let due_ms = now_ms() - ms(limits.claim_idle);
        let is_any_due = self
            .read_topic(topic, move |db, topic_id| {
                let sql = "SELECT EXISTS (SELECT 1 FROM entries INDEXED BY pending \
                           WHERE topic_id = ?1 AND lane = ?2 AND owner IS NOT NULL \
                           AND since_ms <= ?3)";
                let key = params![topic_id, lane_number(lane), due_ms];
                db.prepare_cached(sql)?.query_row(key, |row| row.get::<_, bool>(0))
            })
            .await?
            .ok_or_else(|| missing(topic))?;
        if !is_any_due {
            return Ok(Vec::new());
        }
        let consumer = consumer.to_owned();
        let take_over =
            move |tx: &Transaction<'_>, topic_id| take_over(tx, topic_id, lane, &consumer, limits);
        Ok(EntryRow::decode_all(self.write_topic(topic, take_over).await?))
    }

    pub async fn peek(
        &self,
        topic: &Topic,
        lane: Lane,
        after: EntryId,
        count: usize,
    ) -> Result<Vec<Entry>> {
        let rows = self
            .read_topic(topic, move |db, topic_id| {
                let mut select = db.prepare_cached(
                    "SELECT id, fields, 0, 0, 0 FROM entries \
                     WHERE topic_id = ?1 AND lane = ?2 AND id > ?3 ORDER BY id LIMIT ?4",
                )?;
                let key = params![topic_id, lane_number(lane), row_id(after), count as i64];
                EntryRow::query(&mut select, key, lane)
            })
            .await?;
        Ok(EntryRow::decode_all(rows.unwrap_or_default()))
    }
}

fn is_anything_undelivered(db: &Connection, topic_id: i64) -> rusqlite::Result<bool> {
    // Without ORDER BY and LIMIT the partial index answers with its first row.
    let sql = "SELECT EXISTS (SELECT 1 FROM entries INDEXED BY undelivered \
               WHERE topic_id = ?1 AND owner IS NULL)";
    db.prepare_cached(sql)?.query_row([topic_id], |row| row.get(0))
}

fn take(
    tx: &Transaction<'_>,
    topic_id: i64,
    lane: Lane,
    consumer: &str,
    count: usize,
) -> rusqlite::Result<Vec<EntryRow>> {
    let mut update = tx.prepare_cached(
        "UPDATE entries SET owner = ?3, since_ms = ?4, deliveries = deliveries + 1 \
         WHERE topic_id = ?1 AND lane = ?2 AND id IN ( \
             SELECT id FROM entries INDEXED BY undelivered \
             WHERE topic_id = ?1 AND lane = ?2 AND owner IS NULL ORDER BY id LIMIT ?5) \
         RETURNING id, fields, deliveries, attempts, crashes",
    )?;
    let key = params![topic_id, lane_number(lane), consumer, now_ms(), count as i64];
    let mut rows = EntryRow::query(&mut update, key, lane)?;
    // RETURNING promises no order.
    rows.sort_unstable_by_key(|row| row.id);
    Ok(rows)
}

fn take_over(
    tx: &Transaction<'_>,
    topic_id: i64,
    lane: Lane,
    consumer: &str,
    limits: ClaimLimits,
) -> rusqlite::Result<Vec<EntryRow>> {
    let now = now_ms();
    let due_ms = now - ms(limits.claim_idle);
    let mut select = tx.prepare_cached(
        "SELECT id FROM entries INDEXED BY pending \
         WHERE topic_id = ?1 AND lane = ?2 AND owner IS NOT NULL AND since_ms <= ?3 \
         AND (deliveries + 1 >= ?4) = ?5 ORDER BY since_ms LIMIT ?6",
    )?;
    let mut ids = Vec::new();
    for (suspects, room) in [(false, limits.count), (true, limits.suspects)] {
        let key = params![
            topic_id,
            lane_number(lane),
            due_ms,
            limits.suspect_from,
            suspects,
            room as i64
        ];
        for id in select.query_map(key, |row| row.get::<_, i64>(0))? {
            ids.push(id?);
        }
    }
    if !ids.is_empty() {
        touch_consumer(tx, topic_id, consumer)?;
    }
    ids.sort_unstable();
    let mut update = tx.prepare_cached(
        "UPDATE entries SET owner = ?4, since_ms = ?5, deliveries = deliveries + 1 \
         WHERE topic_id = ?1 AND lane = ?2 AND id = ?3 \
         RETURNING id, fields, deliveries, attempts, crashes",
    )?;
    ids.into_iter()
        .map(|id| {
            let key = params![topic_id, lane_number(lane), id, consumer, now];
            update.query_row(key, |row| EntryRow::from_row(row, lane))
        })
        .collect()
}

//! How entries reach a worker: read what nobody has had, take over what fell due, look.
//!
//! A reader that waits is woken by appends of its own process and looks again every few
//! milliseconds for those of others. A scan for due entries needs no position: an index holds
//! them by the time since which they are silent, so that the longest silent come first and a
//! busy head costs nothing.

use std::time::Duration;

use rusqlite::{Connection, Row, Transaction, params};
use tokio::time::{Instant, timeout};

use super::{EmbeddedBroker, Result, entry_id, lane_number, lease, ms, now_ms, row_id};
use crate::{BrokerError, ClaimLimits, Entry, EntryId, Lane, Position, Topic};
use isobar_model::task::Fields;

/// How soon a reader sees what another process appended.
const LOOK_AGAIN: Duration = Duration::from_millis(25);
/// The control lane's part of what is asked for, as in Redis.
const CONTROL_SHARE: usize = 8;

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
        let mut seen = false;
        loop {
            // Listening begins before the look, or an append between the two would be missed.
            let appended = self.appended.notified();
            tokio::pin!(appended);
            appended.as_mut().enable();
            let waiting = self
                .read_topic(topic, is_anything_undelivered)
                .await?
                .ok_or_else(|| missing(topic))?;
            if waiting {
                let entries = self.take_new(topic, consumer, count).await?;
                if !entries.is_empty() {
                    return Ok(entries);
                }
            } else if !seen {
                // An idle reader is alive all the same.
                let name = consumer.to_owned();
                self.write_topic(topic, move |tx, topic_id| lease::seen(tx, topic_id, &name))
                    .await?;
                seen = true;
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(Vec::new());
            }
            // Elapsed or woken: either way the next thing is to look.
            let _ = timeout(left.min(LOOK_AGAIN), appended).await;
        }
    }

    async fn take_new(&self, topic: &Topic, consumer: &str, count: usize) -> Result<Vec<Entry>> {
        let consumer = consumer.to_owned();
        let rows = self
            .write_topic(topic, move |tx, topic_id| {
                lease::seen(tx, topic_id, &consumer)?;
                let share = (count / CONTROL_SHARE).max(1);
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
        Ok(rows.into_iter().map(Raw::decode).collect())
    }

    pub async fn owned(
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
                db.prepare_cached(
                    "SELECT id, fields, deliveries, attempts FROM entries \
                     WHERE topic_id = ?1 AND lane = ?2 AND id > ?3 AND owner = ?4 \
                     ORDER BY id LIMIT ?5",
                )?
                .query_map(
                    params![topic_id, lane_number(lane), row_id(after), consumer, count as i64],
                    |row| Raw::from_row(row, lane),
                )?
                .collect::<rusqlite::Result<Vec<Raw>>>()
            })
            .await?
            .ok_or_else(|| missing(topic))?;
        Ok(rows.into_iter().map(Raw::decode).collect())
    }

    pub async fn claim(
        &self,
        topic: &Topic,
        consumer: &str,
        lane: Lane,
        position: &mut Position,
        limits: ClaimLimits,
    ) -> Result<Vec<Entry>> {
        // The index is the position.
        *position = Position::default();
        let due_ms = now_ms() - ms(limits.claim_idle);
        let is_any_due = self
            .read_topic(topic, move |db, topic_id| {
                let sql = "SELECT EXISTS (SELECT 1 FROM entries INDEXED BY pending WHERE topic_id = ?1 \
                           AND lane = ?2 AND owner IS NOT NULL AND since_ms <= ?3)";
                db.prepare_cached(sql)?
                    .query_row(params![topic_id, lane_number(lane), due_ms], |row| {
                        row.get::<_, bool>(0)
                    })
            })
            .await?
            .ok_or_else(|| missing(topic))?;
        if !is_any_due {
            return Ok(Vec::new());
        }
        let consumer = consumer.to_owned();
        let rows = self
            .write_topic(topic, move |tx, topic_id| {
                take_over(tx, topic_id, lane, &consumer, limits)
            })
            .await?;
        Ok(rows.into_iter().map(Raw::decode).collect())
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
                db.prepare_cached(
                    "SELECT id, fields, 0, 0 FROM entries \
                     WHERE topic_id = ?1 AND lane = ?2 AND id > ?3 ORDER BY id LIMIT ?4",
                )?
                .query_map(
                    params![topic_id, lane_number(lane), row_id(after), count as i64],
                    |row| Raw::from_row(row, lane),
                )?
                .collect::<rusqlite::Result<Vec<Raw>>>()
            })
            .await?;
        Ok(rows.into_iter().flatten().map(Raw::decode).collect())
    }
}

fn missing(topic: &Topic) -> BrokerError {
    BrokerError::Missing { stream: topic.stream.clone() }
}

fn is_anything_undelivered(db: &Connection, topic_id: i64) -> rusqlite::Result<bool> {
    // No order and no limit of its own: the partial index answers with its first row.
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
) -> rusqlite::Result<Vec<Raw>> {
    let mut rows = tx
        .prepare_cached(
            "UPDATE entries SET owner = ?3, since_ms = ?4, deliveries = deliveries + 1 \
             WHERE topic_id = ?1 AND lane = ?2 AND id IN ( \
                 SELECT id FROM entries INDEXED BY undelivered \
                 WHERE topic_id = ?1 AND lane = ?2 AND owner IS NULL ORDER BY id LIMIT ?5) \
             RETURNING id, fields, deliveries, attempts",
        )?
        .query_map(params![topic_id, lane_number(lane), consumer, now_ms(), count as i64], |row| {
            Raw::from_row(row, lane)
        })?
        .collect::<rusqlite::Result<Vec<Raw>>>()?;
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
) -> rusqlite::Result<Vec<Raw>> {
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
        lease::seen(tx, topic_id, consumer)?;
    }
    ids.sort_unstable();
    let mut update = tx.prepare_cached(
        "UPDATE entries SET owner = ?4, since_ms = ?5, deliveries = deliveries + 1 \
         WHERE topic_id = ?1 AND lane = ?2 AND id = ?3 \
         RETURNING id, fields, deliveries, attempts",
    )?;
    ids.into_iter()
        .map(|id| {
            let key = params![topic_id, lane_number(lane), id, consumer, now];
            update.query_row(key, |row| Raw::from_row(row, lane))
        })
        .collect()
}

/// A row as it lies there; it is decoded after the transaction.
struct Raw {
    lane: Lane,
    id: i64,
    fields: String,
    deliveries: u32,
    attempts: u32,
}

impl Raw {
    /// `id, fields, deliveries, attempts`.
    fn from_row(row: &Row<'_>, lane: Lane) -> rusqlite::Result<Self> {
        Ok(Self {
            lane,
            id: row.get(0)?,
            fields: row.get(1)?,
            deliveries: row.get(2)?,
            attempts: row.get(3)?,
        })
    }

    fn decode(self) -> Entry {
        Entry {
            lane: self.lane,
            id: entry_id(self.id),
            fields: decode_fields(self.fields),
            deliveries: self.deliveries,
            attempts: self.attempts,
        }
    }
}

/// What does not parse (only a foreign hand wrote it) is handed on whole, for quarantine.
fn decode_fields(text: String) -> Fields {
    match serde_json::from_str::<Vec<String>>(&text) {
        Ok(items) => {
            let mut items = items.into_iter().map(String::into_bytes);
            let mut pairs = Vec::with_capacity(items.len() / 2);
            while let (Some(name), Some(value)) = (items.next(), items.next()) {
                pairs.push((name, value));
            }
            Fields(pairs)
        }
        Err(_) => Fields(vec![(b"raw".to_vec(), text.into_bytes())]),
    }
}

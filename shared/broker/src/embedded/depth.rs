//! The backlog of a topic and the consumers that work on it. Read only.
//!
//! Guarantees: a topic that does not exist yet is empty, not missing.

use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, params};

use super::broker::{EmbeddedBroker, lane_number, ms, now_ms};
use crate::depth::{ConsumerInfo, Depth};
use crate::error::Result;
use crate::keys::{PARKED, RETURNED};
use crate::lane::Lane;
use crate::topic::Topic;

impl EmbeddedBroker {
    pub async fn depth(&self, topic: &Topic, claim_idle: Duration) -> Result<Depth> {
        let depth =
            self.read_topic(topic, move |db, topic_id| depth(db, topic_id, claim_idle)).await?;
        Ok(depth.unwrap_or_default())
    }

    /// Workers only: the constant consumers of returned and parked entries do not read.
    pub async fn consumers(&self, topic: &Topic) -> Result<Vec<ConsumerInfo>> {
        let consumers = self
            .read_topic(topic, |db, topic_id| {
                let now = now_ms();
                db.prepare_cached(
                    "SELECT name, seen_ms, (SELECT count(*) FROM entries e INDEXED BY pending \
                     WHERE e.topic_id = ?1 AND e.owner IS NOT NULL AND e.owner = c.name) \
                     FROM consumers c WHERE topic_id = ?1 AND name NOT IN (?2, ?3) ORDER BY name",
                )?
                .query_map(params![topic_id, RETURNED, PARKED], |row| {
                    let seen_ms: i64 = row.get(1)?;
                    Ok(ConsumerInfo {
                        name: row.get(0)?,
                        idle_ms: now.saturating_sub(seen_ms).max(0) as u64,
                        pending: row.get::<_, i64>(2)? as u64,
                    })
                })?
                .collect::<rusqlite::Result<Vec<_>>>()
            })
            .await?;
        Ok(consumers.unwrap_or_default())
    }
}

fn depth(db: &Connection, topic_id: i64, claim_idle: Duration) -> rusqlite::Result<Depth> {
    let sql = "SELECT tasks, control FROM topics WHERE topic_id = ?1";
    let (tasks, control): (i64, i64) =
        db.prepare_cached(sql)?.query_row([topic_id], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let (tasks, control) = (tasks as u64, control as u64);
    let (mut pending, mut since_ms, mut appended_ms) = (0, None::<i64>, None::<i64>);
    let mut count = db.prepare_cached(
        "SELECT count(*), min(since_ms) FROM entries INDEXED BY pending \
         WHERE topic_id = ?1 AND lane = ?2 AND owner IS NOT NULL",
    )?;
    // The query follows the key: entries are delivered in order, so a pending one is near the head.
    let mut oldest = db.prepare_cached(
        "SELECT appended_ms FROM entries WHERE topic_id = ?1 AND lane = ?2 AND +owner IS NOT NULL \
         ORDER BY id LIMIT 1",
    )?;
    let mut unread = db.prepare_cached(
        "SELECT appended_ms FROM entries INDEXED BY undelivered \
         WHERE topic_id = ?1 AND lane = ?2 AND owner IS NULL ORDER BY id LIMIT 1",
    )?;
    let mut unread_ms = None::<i64>;
    for lane in 0..2_i64 {
        let key = params![topic_id, lane];
        let first = unread.query_row(key, |row| row.get(0)).optional()?;
        unread_ms = unread_ms.into_iter().chain(first).min();
        let (lane_pending, since): (i64, Option<i64>) =
            count.query_row(key, |row| Ok((row.get(0)?, row.get(1)?)))?;
        if lane_pending == 0 {
            continue;
        }
        pending += lane_pending as u64;
        since_ms = since_ms.into_iter().chain(since).min();
        let appended = oldest.query_row(key, |row| row.get(0)).optional()?;
        appended_ms = appended_ms.into_iter().chain(appended).min();
    }
    let parked = parked(db, topic_id)?;
    let now = now_ms();
    let age = |at: Option<i64>| at.map_or(0, |at| now.saturating_sub(at).max(0) as u64);
    let until_due = |since: i64| (since + ms(claim_idle)).saturating_sub(now).max(0) as u64;
    Ok(Depth {
        tasks,
        control,
        undelivered: (tasks + control).saturating_sub(pending),
        pending,
        parked,
        oldest_pending_ms: age(appended_ms),
        oldest_undelivered_ms: age(unread_ms),
        next_due_ms: since_ms.map(until_due),
    })
}

/// The number of parked entries. The index answers without reading the rows.
pub(super) fn parked(db: &Connection, topic_id: i64) -> rusqlite::Result<u64> {
    db.prepare_cached(
        "SELECT count(*) FROM entries INDEXED BY pending \
         WHERE topic_id = ?1 AND lane = ?2 AND owner IS NOT NULL AND owner = ?3",
    )?
    .query_row(params![topic_id, lane_number(Lane::Tasks), PARKED], |row| row.get::<_, i64>(0))
    .map(|count| count as u64)
}

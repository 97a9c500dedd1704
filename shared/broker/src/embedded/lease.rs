//! What an owner does with its entries: finish them, keep them, hand them back; and what is done
//! about owners that are gone.
//!
//! Whose an entry is stands in its own row, so that entries of nobody cannot come to be here:
//! removing a name never touches them, and they fall due when it is silent.

use std::time::Duration;

use rusqlite::{OptionalExtension, Transaction, params};

use super::{EmbeddedBroker, Result, entry_id, lane_number, ms, now_ms, row_id};
use crate::{EntryId, GiveBack, Lane, Position, Removal, Topic};

impl EmbeddedBroker {
    pub async fn ack(&self, topic: &Topic, lane: Lane, ids: &[EntryId]) -> Result<u64> {
        if ids.is_empty() {
            return Ok(0);
        }
        let ids = ids.to_vec();
        let ended = self
            .write_topic(topic, move |tx, topic_id| {
                let mut ended = 0;
                let mut delete = tx.prepare_cached(
                    "DELETE FROM entries WHERE topic_id = ?1 AND lane = ?2 AND id = ?3",
                )?;
                for id in ids {
                    ended += delete.execute(params![topic_id, lane_number(lane), row_id(id)])?;
                }
                tx.prepare_cached(
                    "UPDATE topics SET tasks = tasks - ?2 * (?3 = 0), \
                     control = control - ?2 * (?3 = 1) WHERE topic_id = ?1",
                )?
                .execute(params![topic_id, ended as i64, lane_number(lane)])?;
                Ok(ended as u64)
            })
            .await;
        match ended {
            // A stream that is gone holds none of them any more.
            Err(crate::BrokerError::Missing { .. }) => Ok(0),
            other => other,
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
            seen(tx, topic_id, &consumer)?;
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
                 attempts = attempts + ?7 \
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
                    entry.attempt
                ])?;
                if changed == 0 {
                    lost.push(entry.id);
                }
            }
            Ok(lost)
        })
        .await
    }

    /// Nothing to find: see above.
    pub async fn adopt_orphans(
        &self,
        topic: &Topic,
        _lane: Lane,
        position: &mut Position,
        _claim_idle: Duration,
    ) -> Result<u64> {
        *position = Position(entry_id(0));
        self.write_topic(topic, |_, _| Ok(0)).await
    }

    pub async fn remove_consumer(
        &self,
        topic: &Topic,
        consumer: &str,
        idle: Duration,
    ) -> Result<Removal> {
        let consumer = consumer.to_owned();
        let removed = self
            .write_topic(topic, move |tx, topic_id| remove(tx, topic_id, &consumer, idle))
            .await;
        match removed {
            Err(crate::BrokerError::Missing { .. }) => Ok(Removal::Unknown),
            other => other,
        }
    }
}

fn remove(
    tx: &Transaction<'_>,
    topic_id: i64,
    consumer: &str,
    idle: Duration,
) -> rusqlite::Result<Removal> {
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
        None => Ok(Removal::Unknown),
        Some(_) if owns => Ok(Removal::Busy),
        Some(seen_ms) if seen_ms > now_ms() - ms(idle) => Ok(Removal::Active),
        Some(_) => {
            tx.execute(
                "DELETE FROM consumers WHERE topic_id = ?1 AND name = ?2",
                params![topic_id, consumer],
            )?;
            Ok(Removal::Removed)
        }
    }
}

/// Notes that a consumer lives.
pub(super) fn seen(tx: &Transaction<'_>, topic_id: i64, consumer: &str) -> rusqlite::Result<()> {
    tx.prepare_cached("INSERT OR REPLACE INTO consumers VALUES (?1, ?2, ?3)")?
        .execute(params![topic_id, consumer, now_ms()])
        .map(drop)
}

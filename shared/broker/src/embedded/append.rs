//! Producer calls: append a batch once, find finished and lost batches, heal the stream.
//!
//! Next: [`watermark`](super::watermark), the rule that decides about an append.

use std::borrow::Cow;
use std::ops::RangeInclusive;

use anyhow::anyhow;
use isobar_model::ids::JobId;
use rusqlite::{Connection, OptionalExtension, Transaction, params};
use uuid::Uuid;

use super::broker::{EmbeddedBroker, lane_number, ms, now_ms, topic_id};
use super::depth;
use super::watermark::{
    BatchMark, Decision, Watermark, decide, forget_records, record, save_record,
};
use crate::ENDED_KEPT;
use crate::append::{AppendBatch, AppendOutcome, BatchRecord, HealOutcome, Publisher};
use crate::error::Result;
use crate::lane::Lane;
use crate::topic::Topic;

impl EmbeddedBroker {
    pub async fn heal(&self, topic: &Topic) -> Result<HealOutcome> {
        let stream = topic.stream.clone();
        let new_epoch = Uuid::new_v4().to_string();
        self.write_db(move |tx| {
            let created = tx.execute(
                "INSERT INTO topics (stream, epoch) VALUES (?1, ?2) ON CONFLICT DO NOTHING",
                [&stream, &new_epoch],
            )?;
            let sql = "SELECT epoch FROM topics WHERE stream = ?1";
            Ok(HealOutcome {
                epoch: tx.query_row(sql, [&stream], |row| row.get(0))?,
                recreated: created > 0,
            })
        })
        .await
    }

    pub async fn append(&self, topic: &Topic, batch: &AppendBatch<'_>) -> Result<AppendOutcome> {
        for payload in batch.tasks.iter().chain(batch.control) {
            self.check_payload(payload)?;
        }
        let owned = |payloads: &[&str]| payloads.iter().map(|&text| text.to_owned()).collect();
        let batch = BatchMark {
            job_id: batch.job_id.to_string(),
            seq: batch.seq,
            hash: batch.hash.to_owned(),
            previous_hash: batch.previous_hash.to_owned(),
            floor: batch.floor,
            high_water: batch.high_water,
            outbox: batch.outbox.to_owned(),
            total: batch.total,
            tasks: owned(batch.tasks),
            control: owned(batch.control),
        };
        let appended =
            self.write_topic(topic, move |tx, topic_id| append(tx, topic_id, &batch)).await?;
        if appended == AppendOutcome::Sent {
            self.appended.notify_waiters();
        }
        Ok(appended)
    }

    /// Runs before anything is written: a batch is appended whole or not at all.
    fn check_payload(&self, payload: &str) -> Result<()> {
        let items: Vec<Cow<'_, str>> =
            serde_json::from_str(payload).map_err(|error| self.unexpected(error))?;
        if items.is_empty() || items.len() % 2 == 1 {
            return Err(self.unexpected(anyhow!("a payload is not an array of names and values")));
        }
        Ok(())
    }

    pub async fn batch_records(
        &self,
        topic: &Topic,
        job: JobId,
        outbox: &str,
        seqs: &[u64],
    ) -> Result<Vec<Option<BatchRecord>>> {
        self.publish(topic, job, outbox, outbox).await?;
        let (job_id, seqs, count) = (job.to_string(), seqs.to_vec(), seqs.len());
        let records = self
            .read_topic(topic, move |db, topic_id| {
                let of = |seq| Ok(record(db, topic_id, &job_id, seq)?.map(|(_, record)| record));
                seqs.into_iter().map(of).collect()
            })
            .await?;
        Ok(records.unwrap_or_else(|| vec![None; count]))
    }

    pub async fn forget_batches(
        &self,
        topic: &Topic,
        job: JobId,
        seqs: RangeInclusive<u64>,
    ) -> Result<()> {
        let stream = topic.stream.clone();
        self.write_db(move |tx| {
            let Some(topic_id) = topic_id(tx, &stream)? else { return Ok(()) };
            forget_records(tx, topic_id, &job.to_string(), *seqs.start(), *seqs.end())
        })
        .await
    }

    pub async fn publisher(&self, topic: &Topic, job: JobId) -> Result<Option<Publisher>> {
        let mark = self
            .read_topic(topic, move |db, topic_id| Watermark::find(db, topic_id, &job.to_string()))
            .await?;
        Ok(mark.flatten().as_ref().and_then(Watermark::publisher))
    }

    pub async fn take_over(
        &self,
        topic: &Topic,
        job: JobId,
        from: &str,
        outbox: &str,
    ) -> Result<bool> {
        self.publish(topic, job, from, outbox).await
    }

    /// Notes that `outbox` is at work on a job whose publisher is `from`; false if it is not.
    async fn publish(&self, topic: &Topic, job: JobId, from: &str, outbox: &str) -> Result<bool> {
        let (stream, from, outbox) = (topic.stream.clone(), from.to_owned(), outbox.to_owned());
        self.write_db(move |tx| {
            let Some(topic_id) = topic_id(tx, &stream)? else { return Ok(false) };
            let sql = "UPDATE watermarks SET outbox = ?4, seen_ms = ?5 \
                       WHERE topic_id = ?1 AND job_id = ?2 AND outbox = ?3 AND outbox <> ''";
            let values = params![topic_id, job.to_string(), from, outbox, now_ms()];
            Ok(tx.prepare_cached(sql)?.execute(values)? > 0)
        })
        .await
    }

    pub async fn store(&self, topic: &Topic) -> Result<Option<String>> {
        let stream = topic.stream.clone();
        self.read_db(move |db| store_of(db, &stream)).await
    }

    pub async fn set_store(
        &self,
        topic: &Topic,
        store: &str,
        replace: bool,
    ) -> Result<Option<String>> {
        let (stream, store) = (topic.stream.clone(), store.to_owned());
        self.write_db(move |tx| {
            let before = store_of(tx, &stream)?;
            tx.prepare_cached(
                "INSERT INTO stores (stream, store) VALUES (?1, ?2) \
                 ON CONFLICT (stream) DO UPDATE SET store = excluded.store WHERE ?3",
            )?
            .execute(params![stream, store, replace])?;
            Ok(before)
        })
        .await
    }

    pub async fn end_job(&self, topic: &Topic, job: JobId) -> Result<()> {
        let stream = topic.stream.clone();
        self.write_db(move |tx| {
            let Some(topic_id) = topic_id(tx, &stream)? else { return Ok(()) };
            let job_id = job.to_string();
            forget_records(tx, topic_id, &job_id, 1, i64::MAX as u64)?;
            let ended = "UPDATE watermarks SET ended_ms = ?3 WHERE topic_id = ?1 AND job_id = ?2";
            tx.prepare_cached(ended)?.execute(params![topic_id, job_id, now_ms()])?;
            let old = "DELETE FROM watermarks WHERE ended_ms < ?1 \
                       OR (topic_id = ?2 AND job_id = ?3 AND outbox = '')";
            let before = now_ms() - ms(ENDED_KEPT);
            tx.prepare_cached(old)?.execute(params![before, topic_id, job_id]).map(drop)
        })
        .await
    }

    pub async fn drop_watermark(&self, topic: &Topic, job: JobId) -> Result<()> {
        let stream = topic.stream.clone();
        self.write_db(move |tx| {
            let Some(topic_id) = topic_id(tx, &stream)? else { return Ok(()) };
            let sql = "DELETE FROM watermarks WHERE topic_id = ?1 AND job_id = ?2";
            tx.execute(sql, params![topic_id, job.to_string()]).map(drop)
        })
        .await
    }
}

fn store_of(db: &Connection, stream: &str) -> rusqlite::Result<Option<String>> {
    let sql = "SELECT store FROM stores WHERE stream = ?1";
    db.prepare_cached(sql)?.query_row([stream], |row| row.get(0)).optional()
}

fn append(
    tx: &Transaction<'_>,
    topic_id: i64,
    batch: &BatchMark,
) -> rusqlite::Result<AppendOutcome> {
    let sql = "SELECT next_id, tasks, control FROM topics WHERE topic_id = ?1";
    let (next_id, tasks, control): (i64, i64, i64) = tx
        .prepare_cached(sql)?
        .query_row([topic_id], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    let watermark = Watermark::find(tx, topic_id, &batch.job_id)?;
    let publisher = watermark.as_ref().and_then(Watermark::publisher);
    if let Some(other) = publisher.filter(|other| other.outbox != batch.outbox) {
        return Ok(AppendOutcome::Taken(other));
    }
    let record = record(tx, topic_id, &batch.job_id, batch.seq)?;
    let decision = decide(watermark.as_ref(), record.as_ref(), batch);
    let at_batch = Watermark {
        seq: batch.seq,
        hash: batch.hash.clone(),
        outbox: batch.outbox.clone(),
        seen_ms: now_ms(),
        total: batch.total.or(watermark.as_ref().and_then(|last| last.total)),
    };
    match decision {
        Decision::Next | Decision::Again => {}
        Decision::Duplicate => {
            // The relay may have dropped the watermark.
            if watermark.is_none_or(|last| last.seq < batch.seq) {
                at_batch.save(tx, topic_id, &batch.job_id)?;
            }
            return Ok(AppendOutcome::Duplicate);
        }
        Decision::Conflict => return Ok(AppendOutcome::Conflict),
        Decision::Gap { expected } => return Ok(AppendOutcome::Gap { expected }),
    }
    let (unfinished, new) = (tasks as u64, batch.tasks.len() as u64);
    if new > 0 && unfinished + new > batch.high_water {
        // As in Redis, parked entries do not count, up to as many again as the high-water mark.
        let parked = depth::parked(tx, topic_id)?.min(batch.high_water);
        if unfinished - parked.min(unfinished) + new > batch.high_water {
            return Ok(AppendOutcome::Full { unfinished });
        }
    }
    let (unfinished, new) = (control as u64, batch.control.len() as u64);
    if new > 0 && unfinished + new > batch.high_water {
        return Ok(AppendOutcome::Full { unfinished });
    }
    let after_tasks = next_id + batch.tasks.len() as i64;
    let after_control = after_tasks + batch.control.len() as i64;
    insert(tx, topic_id, Lane::Tasks, next_id, &batch.tasks)?;
    insert(tx, topic_id, Lane::Control, after_tasks, &batch.control)?;
    tx.prepare_cached(
        "UPDATE topics SET next_id = ?2, tasks = tasks + ?3, control = control + ?4 \
         WHERE topic_id = ?1",
    )?
    .execute(params![
        topic_id,
        after_control,
        batch.tasks.len() as i64,
        batch.control.len() as i64
    ])?;
    save_record(tx, topic_id, batch, next_id)?;
    if decision == Decision::Next {
        at_batch.save(tx, topic_id, &batch.job_id)?;
    }
    Ok(AppendOutcome::Sent)
}

fn insert(
    tx: &Transaction<'_>,
    topic_id: i64,
    lane: Lane,
    first_id: i64,
    payloads: &[String],
) -> rusqlite::Result<()> {
    let mut insert = tx.prepare_cached(
        "INSERT INTO entries (topic_id, lane, id, fields, appended_ms) VALUES (?1, ?2, ?3, ?4, ?5)",
    )?;
    let now = now_ms();
    for (id, payload) in (first_id..).zip(payloads) {
        insert.execute(params![topic_id, lane_number(lane), id, payload, now])?;
    }
    Ok(())
}

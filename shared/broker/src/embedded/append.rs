//! Producer calls: append a batch once, read watermarks, find finished batches, heal the stream.
//!
//! Next: [`watermark`](super::watermark), the rule that decides about an append.

use std::borrow::Cow;
use std::collections::HashMap;

use anyhow::anyhow;
use isobar_model::ids::JobId;
use rusqlite::{OptionalExtension, Transaction, params};
use uuid::Uuid;

use super::broker::{EmbeddedBroker, entry_id, lane_number, now_ms, row_id, topic_id};
use super::depth;
use super::watermark::{BatchMark, Decision, Rows, Watermark, decide};
use crate::append::{AppendBatch, AppendOutcome, EntryRange, HealOutcome, Receipt, Watermarks};
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
            tasks: owned(batch.tasks),
            control: owned(batch.control),
        };
        let appended =
            self.write_topic(topic, move |tx, topic_id| append(tx, topic_id, &batch)).await?;
        if matches!(appended, AppendOutcome::Sent(_)) {
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

    pub async fn watermarks(&self, topic: &Topic, jobs: &[JobId]) -> Result<Watermarks> {
        let jobs = jobs.to_vec();
        let watermarks = self
            .read_topic(topic, move |db, topic_id| {
                let sql = "SELECT epoch FROM topics WHERE topic_id = ?1";
                let epoch = db.query_row(sql, [topic_id], |row| row.get(0))?;
                let sql = "SELECT seq FROM watermarks WHERE topic_id = ?1 AND job_id = ?2";
                let mut select = db.prepare_cached(sql)?;
                let mut last_seq = HashMap::with_capacity(jobs.len());
                for job in jobs {
                    let key = params![topic_id, job.to_string()];
                    let seq = select.query_row(key, |row| row.get::<_, i64>(0)).optional()?;
                    last_seq.extend(seq.map(|seq| (job, seq as u64)));
                }
                Ok(Watermarks { epoch: Some(epoch), last_seq })
            })
            .await?;
        Ok(watermarks.unwrap_or_default())
    }

    pub async fn has_unfinished(&self, topic: &Topic, receipts: &[Receipt]) -> Result<Vec<bool>> {
        let spans: Vec<[Option<EntryRange>; 2]> =
            receipts.iter().map(|r| [r.tasks, r.control]).collect();
        let count = spans.len();
        let unfinished = self
            .read_topic(topic, move |db, topic_id| {
                let sql = "SELECT EXISTS (SELECT 1 FROM entries \
                           WHERE topic_id = ?1 AND lane = ?2 AND id BETWEEN ?3 AND ?4)";
                let mut exists = db.prepare_cached(sql)?;
                let mut unfinished = Vec::with_capacity(spans.len());
                for lanes in &spans {
                    let mut any = false;
                    for (lane, span) in Lane::BOTH.into_iter().zip(lanes) {
                        let Some(span) = span else { continue };
                        let (first, last) = (row_id(span.first), row_id(span.last));
                        let key = params![topic_id, lane_number(lane), first, last];
                        any |= exists.query_row(key, |row| row.get::<_, bool>(0))?;
                    }
                    unfinished.push(any);
                }
                Ok(unfinished)
            })
            .await?;
        Ok(unfinished.unwrap_or_else(|| vec![false; count]))
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

fn append(
    tx: &Transaction<'_>,
    topic_id: i64,
    batch: &BatchMark,
) -> rusqlite::Result<AppendOutcome> {
    let sql = "SELECT epoch, next_id, tasks, control FROM topics WHERE topic_id = ?1";
    let (epoch, next_id, tasks, control): (String, i64, i64, i64) = tx
        .prepare_cached(sql)?
        .query_row([topic_id], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))?;
    let watermark = Watermark::find(tx, topic_id, &batch.job_id)?;
    let receipt = |tasks, control| Receipt {
        epoch: epoch.clone(),
        tasks: span(tasks),
        control: span(control),
    };
    let last_batch = watermark.as_ref().map(|last| (last.seq, last.hash.as_str()));
    match (decide(last_batch, batch), &watermark) {
        (Decision::AppendBatch, _) => {}
        (Decision::SentLast, Some(last)) => {
            return Ok(AppendOutcome::Duplicate(receipt(last.tasks, last.control)));
        }
        (Decision::SentBefore, Some(last)) => {
            // The batch is somewhere before the last one. The span may be too wide, never too
            // narrow.
            let before = |last: Option<i64>| last.map(|last| (0, last));
            let receipt = receipt(before(last.last_task), before(last.last_control));
            return Ok(AppendOutcome::Duplicate(receipt));
        }
        (Decision::Gap { expected }, _) => return Ok(AppendOutcome::Gap { expected }),
        (Decision::Conflict | Decision::SentLast | Decision::SentBefore, _) => {
            return Ok(AppendOutcome::Conflict);
        }
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
    let rows = |first: i64, after: i64| (first < after).then_some((first, after - 1));
    let (tasks, control) = (rows(next_id, after_tasks), rows(after_tasks, after_control));
    let before = watermark.as_ref();
    Watermark {
        seq: batch.seq,
        hash: batch.hash.clone(),
        tasks,
        control,
        last_task: tasks.map(|rows| rows.1).or(before.and_then(|before| before.last_task)),
        last_control: control.map(|rows| rows.1).or(before.and_then(|before| before.last_control)),
    }
    .save(tx, topic_id, &batch.job_id)?;
    Ok(AppendOutcome::Sent(receipt(tasks, control)))
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

fn span(rows: Rows) -> Option<EntryRange> {
    rows.map(|(first, last)| EntryRange { first: entry_id(first), last: entry_id(last) })
}

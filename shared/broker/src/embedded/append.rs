//! What producers ask of the file: append once, how far did I get, is it finished, make it whole.
//!
//! [`decide`] is the watermark's whole rule, the same as in Redis' append script.

use std::collections::HashMap;

use rusqlite::{OptionalExtension, Transaction, params};
use uuid::Uuid;

use super::{EmbeddedBroker, Result, depth, entry_id, lane_number, now_ms, row_id, topic_id};
use crate::{Append, Appended, BrokerError, Healed, Lane, Receipt, Span, Topic, Watermarks};
use isobar_model::ids::JobId;

/// First and last row of a batch in one lane.
type Rows = Option<(i64, i64)>;

impl EmbeddedBroker {
    pub async fn heal(&self, topic: &Topic) -> Result<Healed> {
        let stream = topic.stream.clone();
        let new_epoch = Uuid::new_v4().to_string();
        self.write_db(move |tx| {
            let created = tx.execute(
                "INSERT INTO topics (stream, epoch) VALUES (?1, ?2) ON CONFLICT DO NOTHING",
                [&stream, &new_epoch],
            )?;
            let sql = "SELECT epoch FROM topics WHERE stream = ?1";
            Ok(Healed {
                epoch: tx.query_row(sql, [&stream], |row| row.get(0))?,
                recreated: created > 0,
            })
        })
        .await
    }

    pub async fn append(&self, topic: &Topic, batch: &Append<'_>) -> Result<Appended> {
        for payload in batch.tasks.iter().chain(batch.control) {
            self.check_payload(payload)?;
        }
        let owned = |payloads: &[&str]| payloads.iter().map(|&text| text.to_owned()).collect();
        let batch = Batch {
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
        if matches!(appended, Appended::Sent(_)) {
            self.appended.notify_waiters();
        }
        Ok(appended)
    }

    /// Checked before anything is written, as in Redis: a batch is appended whole or not at all.
    fn check_payload(&self, payload: &str) -> Result<()> {
        let wrong = |source| BrokerError::Unexpected { location: self.location(), source };
        let items: Vec<std::borrow::Cow<'_, str>> =
            serde_json::from_str(payload).map_err(|error| wrong(error.into()))?;
        if items.is_empty() || items.len() % 2 == 1 {
            return Err(wrong(anyhow::anyhow!("a payload is no array of names and values")));
        }
        Ok(())
    }

    pub async fn watermarks(&self, topic: &Topic, jobs: &[JobId]) -> Result<Watermarks> {
        let stream = topic.stream.clone();
        let jobs = jobs.to_vec();
        self.read_db(move |db| {
            let Some(topic_id) = topic_id(db, &stream)? else {
                return Ok(Watermarks::default());
            };
            let sql = "SELECT epoch FROM topics WHERE topic_id = ?1";
            let epoch = db.query_row(sql, [topic_id], |row| row.get(0))?;
            let sql = "SELECT seq FROM watermarks WHERE topic_id = ?1 AND job_id = ?2";
            let mut select = db.prepare_cached(sql)?;
            let mut last_seq = HashMap::with_capacity(jobs.len());
            for job in jobs {
                let key = params![topic_id, job.to_string()];
                if let Some(seq) = select.query_row(key, |row| row.get::<_, i64>(0)).optional()? {
                    last_seq.insert(job, seq as u64);
                }
            }
            Ok(Watermarks { epoch: Some(epoch), last_seq })
        })
        .await
    }

    pub async fn unfinished(&self, topic: &Topic, receipts: &[Receipt]) -> Result<Vec<bool>> {
        let spans: Vec<[Option<Span>; 2]> = receipts.iter().map(|r| [r.tasks, r.control]).collect();
        let count = spans.len();
        let answer = self
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
        Ok(answer.unwrap_or_else(|| vec![false; count]))
    }

    pub async fn forget(&self, topic: &Topic, job: JobId) -> Result<()> {
        let stream = topic.stream.clone();
        self.write_db(move |tx| {
            tx.execute(
                "DELETE FROM watermarks WHERE job_id = ?2 \
                 AND topic_id = (SELECT topic_id FROM topics WHERE stream = ?1)",
                params![stream, job.to_string()],
            )
            .map(drop)
        })
        .await
    }
}

/// An [`Append`] that may travel to the writer's thread.
struct Batch {
    job_id: String,
    seq: u64,
    hash: String,
    previous_hash: String,
    floor: u64,
    high_water: u64,
    tasks: Vec<String>,
    control: Vec<String>,
}

/// The last batch of a job.
struct Mark {
    seq: u64,
    hash: String,
    tasks: Rows,
    control: Rows,
    last_task: Option<i64>,
    last_control: Option<i64>,
}

#[derive(Debug, PartialEq)]
enum Decision {
    Append,
    SentLast,
    SentBefore,
    Conflict,
    Gap { expected: u64 },
}

/// `mark` is the sequence number and hash of the last batch.
fn decide(mark: Option<(u64, &str)>, batch: &Batch) -> Decision {
    let Some((last, hash)) = mark else {
        return if batch.seq == batch.floor {
            Decision::Append
        } else {
            Decision::Gap { expected: batch.floor }
        };
    };
    if batch.seq < last {
        Decision::SentBefore
    } else if batch.seq > last + 1 {
        Decision::Gap { expected: last + 1 }
    } else if batch.seq == last {
        if batch.hash == hash { Decision::SentLast } else { Decision::Conflict }
    } else if batch.previous_hash == hash {
        Decision::Append
    } else {
        Decision::Conflict
    }
}

fn append(tx: &Transaction<'_>, topic_id: i64, batch: &Batch) -> rusqlite::Result<Appended> {
    let sql = "SELECT epoch, next_id, tasks, control FROM topics WHERE topic_id = ?1";
    let (epoch, next_id, tasks, control): (String, i64, i64, i64) = tx
        .prepare_cached(sql)?
        .query_row([topic_id], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))?;
    let mark = mark(tx, topic_id, &batch.job_id)?;
    let receipt = |tasks, control| Receipt {
        epoch: epoch.clone(),
        tasks: span(tasks),
        control: span(control),
    };
    let decision = decide(mark.as_ref().map(|mark| (mark.seq, mark.hash.as_str())), batch);
    match (decision, &mark) {
        (Decision::Append, _) => {}
        (Decision::SentLast, Some(mark)) => {
            return Ok(Appended::Duplicate(receipt(mark.tasks, mark.control)));
        }
        (Decision::SentBefore, Some(mark)) => {
            // It lies somewhere before the last one: the span is wider than it, never narrower.
            let before = |last: Option<i64>| last.map(|last| (0, last));
            let receipt = receipt(before(mark.last_task), before(mark.last_control));
            return Ok(Appended::Duplicate(receipt));
        }
        (Decision::Gap { expected }, _) => return Ok(Appended::Gap { expected }),
        (Decision::Conflict | Decision::SentLast | Decision::SentBefore, _) => {
            return Ok(Appended::Conflict);
        }
    }
    let (unfinished, new) = (tasks as u64, batch.tasks.len() as u64);
    if new > 0 && unfinished + new > batch.high_water {
        // As in Redis: what is set aside does not count, up to as many again.
        let parked = depth::parked(tx, topic_id)?.min(batch.high_water);
        if unfinished - parked.min(unfinished) + new > batch.high_water {
            return Ok(Appended::Full { unfinished });
        }
    }
    let (unfinished, new) = (control as u64, batch.control.len() as u64);
    if new > 0 && unfinished + new > batch.high_water {
        return Ok(Appended::Full { unfinished });
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
    let (new_tasks, new_control) = (rows(next_id, after_tasks), rows(after_tasks, after_control));
    let (last_task, last_control) = mark.map_or((None, None), |m| (m.last_task, m.last_control));
    tx.prepare_cached(
        "INSERT OR REPLACE INTO watermarks VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
    )?
    .execute(params![
        topic_id,
        batch.job_id,
        batch.seq as i64,
        batch.hash,
        new_tasks.map(|rows| rows.0),
        new_tasks.map(|rows| rows.1),
        new_control.map(|rows| rows.0),
        new_control.map(|rows| rows.1),
        new_tasks.map(|rows| rows.1).or(last_task),
        new_control.map(|rows| rows.1).or(last_control),
    ])?;
    Ok(Appended::Sent(receipt(new_tasks, new_control)))
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

fn mark(tx: &Transaction<'_>, topic_id: i64, job_id: &str) -> rusqlite::Result<Option<Mark>> {
    let sql = "SELECT seq, hash, tasks_first, tasks_last, control_first, control_last, last_task, \
               last_control FROM watermarks WHERE topic_id = ?1 AND job_id = ?2";
    tx.prepare_cached(sql)?
        .query_row(params![topic_id, job_id], |row| {
            let rows = |first: Option<i64>, last: Option<i64>| first.zip(last);
            Ok(Mark {
                seq: row.get::<_, i64>(0)? as u64,
                hash: row.get(1)?,
                tasks: rows(row.get(2)?, row.get(3)?),
                control: rows(row.get(4)?, row.get(5)?),
                last_task: row.get(6)?,
                last_control: row.get(7)?,
            })
        })
        .optional()
}

fn span(rows: Rows) -> Option<Span> {
    rows.map(|(first, last)| Span { first: entry_id(first), last: entry_id(last) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(seq: u64, hash: &str, previous_hash: &str, floor: u64) -> Batch {
        Batch {
            job_id: String::new(),
            seq,
            hash: hash.to_owned(),
            previous_hash: previous_hash.to_owned(),
            floor,
            high_water: 0,
            tasks: Vec::new(),
            control: Vec::new(),
        }
    }

    #[test]
    fn the_watermark_decides() {
        let last = Some((7, "g"));
        for (mark, batch, expected) in [
            (None, batch(1, "a", "", 1), Decision::Append),
            (None, batch(5, "e", "d", 5), Decision::Append),
            (None, batch(5, "e", "d", 3), Decision::Gap { expected: 3 }),
            (last, batch(8, "h", "g", 1), Decision::Append),
            (last, batch(8, "h", "x", 1), Decision::Conflict),
            (last, batch(7, "g", "f", 1), Decision::SentLast),
            (last, batch(7, "x", "f", 1), Decision::Conflict),
            (last, batch(6, "f", "e", 1), Decision::SentBefore),
            (last, batch(9, "i", "h", 1), Decision::Gap { expected: 8 }),
        ] {
            assert_eq!(decide(mark, &batch), expected, "{mark:?} and {}", batch.seq);
        }
    }
}

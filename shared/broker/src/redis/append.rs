//! Producer calls: append a batch once, find finished and lost batches, heal the stream.
//!
//! Does not: decide. The scripts decide; this file builds their calls and reads their replies.

use std::ops::RangeInclusive;
use std::time::Duration;

use anyhow::bail;
use isobar_model::ids::JobId;
use redis::Value;
use uuid::Uuid;

use super::broker::{IDS_PER_CALL, RedisBroker};
use super::reply;
use super::scripts::{
    APPEND, BATCH_RECORDS, Call, END_JOB, FORGET_BATCHES, HEAL, PUBLISHER, SET_STORE, TAKE_OVER,
};
use crate::ENDED_KEPT;
use crate::append::{AppendBatch, AppendOutcome, BatchRecord, HealOutcome, Publisher};
use crate::error::Result;
use crate::keys::PARKED;
use crate::lane::Lane;
use crate::topic::Topic;

impl RedisBroker {
    pub async fn heal(&self, topic: &Topic) -> Result<HealOutcome> {
        let keys = [
            topic.stream.as_str(),
            &topic.control,
            &topic.watermarks,
            &topic.epoch,
            topic.attempts(Lane::Tasks),
            topic.attempts(Lane::Control),
            &topic.batches,
            &topic.spans,
            &topic.ended,
        ];
        let call = Call::new(&HEAL, &keys).arg(&topic.group).arg(Uuid::new_v4().to_string());
        self.call(&call, &topic.stream, healed).await
    }

    pub async fn append(&self, topic: &Topic, batch: &AppendBatch<'_>) -> Result<AppendOutcome> {
        let keys = [
            topic.stream.as_str(),
            &topic.control,
            &topic.watermarks,
            &topic.epoch,
            &topic.batches,
            &topic.spans,
        ];
        let call = Call::new(&APPEND, &keys)
            .arg(&topic.group)
            .arg(batch.job_id.to_string())
            .arg(batch.seq)
            .arg(batch.hash)
            .arg(batch.previous_hash)
            .arg(batch.floor)
            .arg(batch.high_water)
            .arg(PARKED)
            .arg(batch.outbox)
            .arg(batch.total.map_or_else(|| "-".to_owned(), |rows| rows.to_string()))
            .arg(batch.tasks.len())
            .arg(batch.tasks)
            .arg(batch.control);
        self.call(&call, &topic.stream, appended).await
    }

    pub async fn batch_records(
        &self,
        topic: &Topic,
        job: JobId,
        outbox: &str,
        seqs: &[u64],
    ) -> Result<Vec<Option<BatchRecord>>> {
        let keys = [topic.stream.as_str(), &topic.control, &topic.batches, &topic.watermarks];
        let call = Call::new(&BATCH_RECORDS, &keys).arg(job.to_string()).arg(outbox).arg(seqs);
        self.call(&call, &topic.stream, batch_records).await
    }

    pub async fn publisher(&self, topic: &Topic, job: JobId) -> Result<Option<Publisher>> {
        let call = Call::new(&PUBLISHER, &[&topic.watermarks]).arg(job.to_string());
        let read = |reply| (reply != Value::Nil).then(|| publisher(reply)).transpose();
        self.call(&call, &topic.stream, read).await
    }

    pub async fn take_over(
        &self,
        topic: &Topic,
        job: JobId,
        from: &str,
        outbox: &str,
    ) -> Result<bool> {
        let call =
            Call::new(&TAKE_OVER, &[&topic.watermarks]).arg(job.to_string()).arg(from).arg(outbox);
        self.call(&call, &topic.stream, |reply| Ok(reply::number(&reply)? == 1)).await
    }

    pub async fn forget_batches(
        &self,
        topic: &Topic,
        job: JobId,
        seqs: RangeInclusive<u64>,
    ) -> Result<()> {
        let (mut first, last) = seqs.into_inner();
        while first <= last {
            let to = last.min(first + IDS_PER_CALL as u64 - 1);
            let call = Call::new(&FORGET_BATCHES, &[&topic.batches, &topic.spans])
                .arg(job.to_string())
                .arg(first)
                .arg(to);
            self.call(&call, &topic.stream, |_| Ok(())).await?;
            first = to + 1;
        }
        Ok(())
    }

    pub async fn store(&self, topic: &Topic) -> Result<Option<String>> {
        let mut command = redis::cmd("GET");
        command.arg(&topic.store);
        self.query(&command, &topic.stream, optional_text).await
    }

    pub async fn set_store(
        &self,
        topic: &Topic,
        store: &str,
        replace: bool,
    ) -> Result<Option<String>> {
        let call = Call::new(&SET_STORE, &[&topic.store]).arg(store).arg(u8::from(replace));
        self.call(&call, &topic.stream, optional_text).await
    }

    pub async fn end_job(&self, topic: &Topic, job: JobId) -> Result<()> {
        let keys = [topic.watermarks.as_str(), &topic.batches, &topic.spans, &topic.ended];
        let kept = ENDED_KEPT.as_millis() as u64;
        let call = Call::new(&END_JOB, &keys).arg(job.to_string()).arg(kept);
        self.call(&call, &topic.stream, |_| Ok(())).await
    }

    pub async fn drop_watermark(&self, topic: &Topic, job: JobId) -> Result<()> {
        let mut command = redis::cmd("HDEL");
        command.arg(&topic.watermarks).arg(job.to_string());
        self.query(&command, &topic.stream, |_| Ok(())).await
    }
}

fn healed(reply: Value) -> anyhow::Result<HealOutcome> {
    let [epoch, recreated] = reply::array(reply)?;
    Ok(HealOutcome { epoch: reply::text(epoch)?, recreated: reply::number(&recreated)? == 1 })
}

fn appended(reply: Value) -> anyhow::Result<AppendOutcome> {
    let mut items = reply::list(reply)?.into_iter();
    let mut next = || items.next().unwrap_or(Value::Nil);
    Ok(match reply::text(next())?.as_str() {
        "SENT" => AppendOutcome::Sent,
        "DUPLICATE" => AppendOutcome::Duplicate,
        "CONFLICT" => AppendOutcome::Conflict,
        "GAP" => AppendOutcome::Gap { expected: reply::count(&next())? },
        "FULL" => AppendOutcome::Full { unfinished: reply::count(&next())? },
        "TAKEN" => AppendOutcome::Taken(publisher(Value::Array(items.collect()))?),
        other => bail!("unknown outcome of an append: {other:?}"),
    })
}

fn publisher(reply: Value) -> anyhow::Result<Publisher> {
    let [outbox, seq, hash, total, silent] = reply::array(reply)?;
    Ok(Publisher {
        outbox: reply::text(outbox)?,
        seq: reply::count(&seq)?,
        hash: reply::text(hash)?,
        total: reply::text(total)?.parse().ok(),
        silent: Duration::from_millis(reply::count(&silent)?),
    })
}

fn optional_text(reply: Value) -> anyhow::Result<Option<String>> {
    (reply != Value::Nil).then(|| reply::text(reply)).transpose()
}

fn batch_records(reply: Value) -> anyhow::Result<Vec<Option<BatchRecord>>> {
    let record = |record| {
        if record == Value::Nil {
            return Ok(None);
        }
        let [size, acked, left] = reply::array(record)?;
        Ok(Some(BatchRecord {
            size: reply::count(&size)?,
            acked: reply::count(&acked)?,
            is_left: reply::number(&left)? == 1,
        }))
    };
    reply::list(reply)?.into_iter().map(record).collect()
}

//! Producer calls: append a batch once, read watermarks, find finished batches, heal the stream.
//!
//! Does not: decide. `scripts/append.lua` and `scripts/heal.lua` decide; this file builds their
//! calls and reads their replies.

use std::collections::HashMap;

use anyhow::bail;
use isobar_model::ids::JobId;
use redis::{Pipeline, Value};
use uuid::Uuid;

use super::broker::{IDS_PER_CALL, RedisBroker};
use super::reply;
use super::scripts::{APPEND, Call, HEAL};
use crate::append::{AppendBatch, AppendOutcome, HealOutcome, Receipt, Watermarks};
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
        ];
        let call = Call::new(&HEAL, &keys).arg(&topic.group).arg(Uuid::new_v4().to_string());
        self.call(&call, &topic.stream, healed).await
    }

    pub async fn append(&self, topic: &Topic, batch: &AppendBatch<'_>) -> Result<AppendOutcome> {
        let keys = [topic.stream.as_str(), &topic.control, &topic.watermarks, &topic.epoch];
        let call = Call::new(&APPEND, &keys)
            .arg(&topic.group)
            .arg(batch.job_id.to_string())
            .arg(batch.seq)
            .arg(batch.hash)
            .arg(batch.previous_hash)
            .arg(batch.floor)
            .arg(batch.high_water)
            .arg(PARKED)
            .arg(batch.tasks.len())
            .arg(batch.tasks)
            .arg(batch.control);
        self.call(&call, &topic.stream, appended).await
    }

    pub async fn watermarks(&self, topic: &Topic, jobs: &[JobId]) -> Result<Watermarks> {
        let mut commands = Pipeline::new();
        commands.get(&topic.epoch);
        let names: Vec<String> = jobs.iter().map(ToString::to_string).collect();
        if !names.is_empty() {
            commands.cmd("HMGET").arg(&topic.watermarks).arg(&names);
        }
        self.pipeline(&commands, &topic.stream, |replies| watermarks(replies, jobs)).await
    }

    pub async fn has_unfinished(&self, topic: &Topic, receipts: &[Receipt]) -> Result<Vec<bool>> {
        let mut unfinished = vec![false; receipts.len()];
        let lanes_of = |receipt: &Receipt| {
            let spans = [(Lane::Tasks, receipt.tasks), (Lane::Control, receipt.control)];
            spans.into_iter().filter_map(|(lane, span)| Some((lane, span?)))
        };
        let spans: Vec<_> = receipts
            .iter()
            .enumerate()
            .flat_map(|(index, receipt)| lanes_of(receipt).map(move |span| (index, span)))
            .collect();
        for page in spans.chunks(IDS_PER_CALL) {
            let mut commands = Pipeline::new();
            for (_, (lane, span)) in page {
                commands
                    .cmd("XRANGE")
                    .arg(topic.lane(*lane))
                    .arg(span.first.to_string())
                    .arg(span.last.to_string())
                    .arg("COUNT")
                    .arg(1);
            }
            let any = |replies: Vec<Value>| -> anyhow::Result<Vec<bool>> {
                replies.into_iter().map(|entries| Ok(!reply::list(entries)?.is_empty())).collect()
            };
            let found = self.pipeline(&commands, &topic.stream, any).await?;
            for ((index, _), found) in page.iter().zip(found) {
                unfinished[*index] |= found;
            }
        }
        Ok(unfinished)
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
    let outcome = reply::text(next())?;
    Ok(match outcome.as_str() {
        "SENT" | "DUPLICATE" => {
            let receipt = Receipt {
                epoch: reply::text(next())?,
                tasks: reply::span(next(), next())?,
                control: reply::span(next(), next())?,
            };
            if outcome == "SENT" {
                AppendOutcome::Sent(receipt)
            } else {
                AppendOutcome::Duplicate(receipt)
            }
        }
        "CONFLICT" => AppendOutcome::Conflict,
        "GAP" => AppendOutcome::Gap { expected: reply::count(&next())? },
        "FULL" => AppendOutcome::Full { unfinished: reply::count(&next())? },
        other => bail!("unknown outcome of an append: {other:?}"),
    })
}

fn watermarks(replies: Vec<Value>, jobs: &[JobId]) -> anyhow::Result<Watermarks> {
    let mut replies = replies.into_iter();
    let epoch = match replies.next() {
        Some(Value::Nil) | None => None,
        Some(epoch) => Some(reply::text(epoch)?),
    };
    let watermarks = replies.next().map_or(Ok(Vec::new()), reply::list)?;
    let mut last_seq = HashMap::with_capacity(jobs.len());
    for (job, watermark) in jobs.iter().zip(watermarks) {
        if watermark == Value::Nil {
            continue;
        }
        let watermark = reply::text(watermark)?;
        let seq = watermark.split(' ').next().unwrap_or_default();
        last_seq.insert(*job, seq.parse()?);
    }
    Ok(Watermarks { epoch, last_seq })
}

//! What producers ask of the stream: append once, how far did I get, is it finished, make it whole.
//!
//! All decisions are in `scripts/append.lua` and `scripts/heal.lua`; here is only their wording.

use std::collections::HashMap;

use anyhow::bail;
use redis::{Pipeline, Value};
use uuid::Uuid;

use super::scripts::{APPEND, Call, HEAL};
use super::{IDS_PER_CALL, RedisBroker, Result, reply};
use crate::keys::PARKED;
use crate::{Append, Appended, Healed, Lane, Receipt, Topic, Watermarks};
use isobar_model::ids::JobId;

impl RedisBroker {
    pub async fn heal(&self, topic: &Topic) -> Result<Healed> {
        let keys = [
            topic.stream.as_str(),
            &topic.control,
            &topic.watermarks,
            &topic.epoch,
            topic.attempts(Lane::Tasks),
            topic.attempts(Lane::Control),
        ];
        let call = Call::new(&HEAL, &keys).arg(&topic.group).arg(Uuid::new_v4().to_string());
        let answer = self.call(&call, topic).await?;
        healed(answer).map_err(|error| self.odd(error))
    }

    pub async fn append(&self, topic: &Topic, batch: &Append<'_>) -> Result<Appended> {
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
        let answer = self.call(&call, topic).await?;
        appended(answer).map_err(|error| self.odd(error))
    }

    pub async fn watermarks(&self, topic: &Topic, jobs: &[JobId]) -> Result<Watermarks> {
        let mut commands = Pipeline::new();
        commands.get(&topic.epoch);
        let names: Vec<String> = jobs.iter().map(ToString::to_string).collect();
        if !names.is_empty() {
            commands.cmd("HMGET").arg(&topic.watermarks).arg(&names);
        }
        let answers = self.pipeline(&commands, topic).await?;
        watermarks(answers, jobs).map_err(|error| self.odd(error))
    }

    pub async fn unfinished(&self, topic: &Topic, receipts: &[Receipt]) -> Result<Vec<bool>> {
        let mut unfinished = Vec::with_capacity(receipts.len());
        for page in receipts.chunks(IDS_PER_CALL) {
            let mut commands = Pipeline::new();
            let mut asked = Vec::new();
            for (index, receipt) in page.iter().enumerate() {
                let lanes = [(Lane::Tasks, receipt.tasks), (Lane::Control, receipt.control)];
                for (lane, span) in lanes {
                    let Some(span) = span else { continue };
                    commands
                        .cmd("XRANGE")
                        .arg(topic.lane(lane))
                        .arg(span.first.to_string())
                        .arg(span.last.to_string())
                        .arg("COUNT")
                        .arg(1);
                    asked.push(index);
                }
            }
            let mut page_unfinished = vec![false; page.len()];
            if !asked.is_empty() {
                let answers = self.pipeline(&commands, topic).await?;
                for (index, answer) in asked.into_iter().zip(answers) {
                    let entries = reply::list(answer).map_err(|error| self.odd(error))?;
                    page_unfinished[index] |= !entries.is_empty();
                }
            }
            unfinished.extend(page_unfinished);
        }
        Ok(unfinished)
    }

    pub async fn forget(&self, topic: &Topic, job: JobId) -> Result<()> {
        let mut command = redis::cmd("HDEL");
        command.arg(&topic.watermarks).arg(job.to_string());
        self.query(&command, &topic.stream).await.map(drop)
    }

    async fn pipeline(&self, commands: &Pipeline, topic: &Topic) -> Result<Vec<Value>> {
        let answers = self.inner.main.pipeline(commands).await;
        answers.map_err(|failure| self.failed(failure, &topic.stream))
    }
}

fn healed(answer: Value) -> anyhow::Result<Healed> {
    let [epoch, recreated] = reply::array(answer)?;
    Ok(Healed { epoch: reply::text(epoch)?, recreated: reply::number(&recreated)? == 1 })
}

fn appended(answer: Value) -> anyhow::Result<Appended> {
    let mut items = reply::list(answer)?.into_iter();
    let mut next = || items.next().unwrap_or(Value::Nil);
    let outcome = reply::text(next())?;
    Ok(match outcome.as_str() {
        "SENT" | "DUPLICATE" => {
            let receipt = Receipt {
                epoch: reply::text(next())?,
                tasks: reply::span(next(), next())?,
                control: reply::span(next(), next())?,
            };
            if outcome == "SENT" { Appended::Sent(receipt) } else { Appended::Duplicate(receipt) }
        }
        "CONFLICT" => Appended::Conflict,
        "GAP" => Appended::Gap { expected: reply::count(&next())? },
        "FULL" => Appended::Full { unfinished: reply::count(&next())? },
        other => bail!("an append ended in {other:?}"),
    })
}

fn watermarks(answers: Vec<Value>, jobs: &[JobId]) -> anyhow::Result<Watermarks> {
    let mut answers = answers.into_iter();
    let epoch = match answers.next() {
        Some(Value::Nil) | None => None,
        Some(epoch) => Some(reply::text(epoch)?),
    };
    let marks = answers.next().map_or(Ok(Vec::new()), reply::list)?;
    let mut last_seq = HashMap::with_capacity(jobs.len());
    for (job, mark) in jobs.iter().zip(marks) {
        if mark == Value::Nil {
            continue;
        }
        let mark = reply::text(mark)?;
        let seq = mark.split(' ').next().unwrap_or_default();
        last_seq.insert(*job, seq.parse()?);
    }
    Ok(Watermarks { epoch, last_seq })
}
